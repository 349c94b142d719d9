//! `exec`: other processes in a container that runs.

use crate::Test;
use crate::place::{Place, read, until};
use dhow_engine::EngineError;
use dhow_engine::container::{self, ExecRequest};
use dhow_supervisor::client::Terminal;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("execs::has_streams_and_a_status", has_streams_and_a_status),
    ("execs::gets_input", gets_input),
    ("execs::has_a_terminal", has_a_terminal),
    ("execs::goes_on_detached", goes_on_detached),
    ("execs::fails_as_docker_does", fails_as_docker_does),
    ("execs::gets_no_descriptors", gets_no_descriptors),
    ("execs::cve_2019_5736", cve_2019_5736),
    ("execs::leaves_the_hosts_null_device_alone", leaves_the_hosts_null_device_alone),
];

fn command(words: &[&str]) -> ExecRequest {
    ExecRequest { command: words.iter().map(|word| (*word).to_owned()).collect(), ..ExecRequest::default() }
}

fn run(
    place: &Place,
    container: &str,
    request: &ExecRequest,
    input: Option<&File>,
) -> Result<(i32, String, String), EngineError> {
    let (mut stdout, mut stderr) = (place.scratch(), place.scratch());
    let terminal = Terminal {
        stdin: input.map(|file| file.as_fd()),
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
        tty: request.tty,
        detach_keys: Vec::new(),
        on_signal: None,
    };
    let code = container::exec(&place.engine, container, request, terminal, (24, 80))?;
    Ok((code.expect("nobody detached"), read(&mut stdout), read(&mut stderr)))
}

fn has_streams_and_a_status() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let told = run(&place, &id, &command(&["sh", "-c", "echo out; echo err >&2; exit 9"]), None).unwrap();
    assert_eq!(told, (9, "out\n".to_owned(), "err\n".to_owned()));
    let request = ExecRequest {
        user: Some("me:extra".to_owned()),
        env: vec!["A=b".to_owned()],
        working_dir: Some("/tmp".to_owned()),
        ..command(&["sh", "-c", "id -u; id -g; echo $A; pwd; hostname"])
    };
    let (code, output, _) = run(&place, &id, &request, None).unwrap();
    assert_eq!((code, output), (0, format!("1000\n77\nb\n/tmp\n{}\n", &id[..12])));
    assert_eq!(run(&place, &id, &command(&["sh", "-c", "kill -TERM $$"]), None).unwrap().0, 143);
    let (_, output, _) =
        run(&place, &id, &command(&["sh", "-c", "dd if=/dev/zero bs=1000 count=1000 2>&1 | wc -c"]), None).unwrap();
    assert!(output.trim().parse::<u64>().unwrap() > 1_000_000);
    let (_, output, _) =
        run(&place, &id, &command(&["sh", "-c", "dd if=/dev/zero bs=1000 count=3000 2>/dev/null"]), None).unwrap();
    assert_eq!(output.len(), 3_000_000, "all of it is shown");
    let events = place.events();
    assert_eq!(events[2].action, "exec_create: sh -c echo out; echo err >&2; exit 9");
    assert_eq!((events[4].action.as_str(), events[4].attributes["exitCode"].as_str()), ("exec_die", "9"));
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(run(&place, &id, &command(&["true"]), None).unwrap().0, 0);
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("exec true: best {:?}, median {:?}", times[0], times[times.len() / 2]);
}

fn gets_input() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let path = place.path("input");
    std::fs::write(&path, vec![b'x'; 500_000]).unwrap();
    let input = File::open(&path).unwrap();
    let request = ExecRequest { stdin: true, ..command(&["wc", "-c"]) };
    assert_eq!(run(&place, &id, &request, Some(&input)).unwrap().1.trim(), "500000");
    let input = File::open(&path).unwrap();
    assert_eq!(run(&place, &id, &command(&["wc", "-c"]), Some(&input)).unwrap().1.trim(), "0", "without -i");
    // One that does not read all of it.
    let input = File::open(&path).unwrap();
    let request = ExecRequest { stdin: true, ..command(&["head", "-c", "3"]) };
    assert_eq!(run(&place, &id, &request, Some(&input)).unwrap().1, "xxx");
}

fn has_a_terminal() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let (input, mut typed) = std::io::pipe().unwrap();
    let input = File::from(std::os::fd::OwnedFd::from(input));
    typed.write_all(b"echo typed $((1+1)); tty; stty size; exit 6\n").unwrap();
    let request = ExecRequest { tty: true, stdin: true, ..command(&["sh"]) };
    let (code, output, _) = run(&place, &id, &request, Some(&input)).unwrap();
    assert_eq!(code, 6, "{output}");
    assert!(output.contains("typed 2\r\n") && output.contains("/dev/pts/") && output.contains("24 80"), "{output}");
}

fn goes_on_detached() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let request = command(&["sh", "-c", "test -t 0 || exit 1; echo x; touch /tmp/done; sleep 0.3; exit 7"]);
    let request = ExecRequest { tty: true, ..request };
    let detached = container::exec_detached(&place.engine, &id, &request, (0, 0)).unwrap();
    until("it did its work", || run(&place, &id, &command(&["test", "-e", "/tmp/done"]), None).unwrap().0 == 0);
    assert!(
        container::top(&place.engine, &id, &[], &|_| String::new()).unwrap().1.len() >= 2,
        "it is in the container's group"
    );
    container::exec_ended(&place.engine, &detached.wait().unwrap()).unwrap();
    let told = place.events().pop().unwrap();
    assert_eq!((told.action.as_str(), told.attributes["exitCode"].as_str()), ("exec_die", "7"));
}

fn fails_as_docker_does() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let fails = |words: &[&str]| match run(&place, &id, &command(words), None) {
        Err(EngineError::Start { status, message }) => (status, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(fails(&["nosuch"]), (127, "exec: \"nosuch\": executable file not found in $PATH".to_owned()));
    assert_eq!(fails(&["/etc/passwd"]).0, 126);
    container::pause(&place.engine, &id).unwrap();
    let paused = run(&place, &id, &command(&["true"]), None).unwrap_err();
    assert!(paused.to_string().ends_with("is paused, unpause the container before exec"), "{paused}");
    container::unpause(&place.engine, &id).unwrap();
    container::kill(&place.engine, &id, 9).unwrap();
    let ended = run(&place, &id, &command(&["true"]), None).unwrap_err();
    assert_eq!(ended.to_string(), format!("container {id} is not running"));
}

fn gets_no_descriptors() {
    let place = Place::new();
    let id = place.running("one", &["sh", "-c", "ls /proc/self/fd; sleep 1000"]);
    // ls has one open for the directory that it lists.
    let (_, output, _) = run(&place, &id, &command(&["ls", "/proc/self/fd"]), None).unwrap();
    assert_eq!(output, "0\n1\n2\n3\n");
    let mut logged = String::new();
    until("it has listed them", || {
        logged.clear();
        let mut each = |entry: dhow_supervisor::log::Entry<'_>| {
            logged.push_str(&String::from_utf8_lossy(entry.bytes));
            Ok(true)
        };
        container::logs(&place.engine, &id, &Default::default(), &mut each).unwrap();
        logged.lines().count() >= 4
    });
    assert_eq!(logged, "0\n1\n2\n3\n");
}

/// `dhow exec`, of a process of its own.
pub(crate) fn client(engine: &dhow_engine::Engine, id: &str, words: &[&str]) -> std::process::ExitCode {
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let terminal = Terminal {
        stdin: None,
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
        tty: false,
        detach_keys: Vec::new(),
        on_signal: None,
    };
    let code = container::exec(engine, id, &command(words), terminal, (24, 80)).unwrap().unwrap();
    std::process::ExitCode::from(u8::try_from(code).unwrap())
}

/// Who enters is made to execute its own program inside, and that program's file is written to once nobody runs it. Done
/// with a copy of it: the file of this process is busy.
fn cve_2019_5736() {
    let place = Place::new();
    let copy = place.path("copy");
    std::fs::copy("/proc/self/exe", &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    let id = place.running("one", &["sh", "-c", "ln -s /proc/self/exe /bin/evil; touch /tmp/ready; sleep 1000"]);
    until("the trap is set", || run(&place, &id, &command(&["test", "-e", "/tmp/ready"]), None).unwrap().0 == 0);
    let attack = "while :; do for p in /proc/[0-9]*; do case \"$(readlink $p/exe)\" in /bin/busybox|\"\") ;; \
                  *) exec 7< $p/exe && break 2;; esac; done; done; sleep 2; ls -l /proc/self/fd/7; \
                  echo PWNED > /proc/self/fd/7";
    let (_, output, errors) = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| run(&place, &id, &command(&["sh", "-c", attack]), None).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        let mut entered = std::process::Command::new(&copy);
        entered.arg("--root").arg(place.path("root")).arg("--runroot").arg(place.path("run"));
        let status = entered.args(["client", "exec", &id, "/bin/evil", "linger"]).status().unwrap();
        assert!(status.success(), "our program ran inside");
        attacker.join().unwrap()
    });
    assert!(output.contains("/proc/self/fd/7 -> "), "the file was opened: {output}{errors}");
    assert!(errors.contains("Read-only file system"), "{output}{errors}");
    assert!(std::fs::read(&copy).unwrap() == before, "the program is as it was");
}

/// The mode and owner of a device that is handed in are the host's.
fn leaves_the_hosts_null_device_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let before = std::fs::metadata("/dev/null").unwrap();
    let script = "chmod 0600 /proc/self/fd/0; chown 1 /proc/self/fd/1; touch /tmp/done";
    let detached = container::exec_detached(&place.engine, &id, &command(&["sh", "-c", script]), (0, 0)).unwrap();
    detached.wait().unwrap();
    until("it has tried", || run(&place, &id, &command(&["test", "-e", "/tmp/done"]), None).unwrap().0 == 0);
    let after = std::fs::metadata("/dev/null").unwrap();
    assert_eq!((after.mode(), after.uid(), after.ctime_nsec()), (before.mode(), before.uid(), before.ctime_nsec()));
}
