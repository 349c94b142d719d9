//! `dhow run`: what it makes, what it says, how it ends.

use std::fs;
use std::path::Path;

use crate::harness::{Containers, eventually, path};

#[test]
fn the_exit_code_is_the_program_s() {
    let box_ = Containers::new();
    assert_eq!(box_.script("exit 0").code, Some(0));
    assert_eq!(box_.script("exit 3").code, Some(3));
    assert_eq!(box_.script("exit 255").code, Some(255));
    assert_eq!(box_.dhow(&["run", "--rm", "box", "true"]).code, Some(0));
    assert_eq!(box_.dhow(&["run", "--rm", "box", "false"]).code, Some(1));
    box_.assert_nothing_left();
}

#[test]
fn a_signal_s_exit_code_is_128_and_its_number() {
    let box_ = Containers::new();
    let killed = |signal: &str| box_.dhow(&["run", "--rm", "--init", "box", "sh", "-c", &format!("kill -{signal} $$")]);
    assert_eq!(killed("KILL").code, Some(137));
    assert_eq!(killed("TERM").code, Some(143));
}

#[test]
fn output_comes_on_the_stream_it_was_written_to() {
    let box_ = Containers::new();
    let ran = box_.script("echo out; echo err >&2; printf end").ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\nend", "err\n"));
    let ran = box_.dhow(&["run", "--rm", "-a", "stdout", "box", "sh", "-c", "echo out; echo err >&2"]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", ""));
    let ran = box_.dhow(&["run", "--rm", "-a", "stderr", "box", "sh", "-c", "echo out; echo err >&2"]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "err\n"));
}

#[test]
fn megabytes_of_output_come_whole() {
    let box_ = Containers::new();
    let ran = box_.script("seq 1 300000").ok();
    assert_eq!(ran.stdout.lines().count(), 300_000);
    assert!(ran.stdout.ends_with("\n299999\n300000\n"));
}

#[test]
fn stdin_is_piped_in_with_i_and_empty_without() {
    let box_ = Containers::new();
    let input = "all work and no play\n".repeat(50_000);
    let ran = box_.dhow_with_input(&["run", "--rm", "-i", "box", "cat"], input.as_bytes()).ok();
    assert_eq!(ran.stdout.len(), input.len());
    assert_eq!(ran.stdout, input);
    let ran = box_.dhow_with_input(&["run", "--rm", "box", "cat"], b"unheard").ok();
    assert_eq!(ran.stdout, "");
    // A program that does not read to the end, and one that outlives its input.
    let ran = box_.dhow_with_input(&["run", "--rm", "-i", "box", "head", "-n1"], input.as_bytes()).ok();
    assert_eq!(ran.stdout, "all work and no play\n");
    let ran = box_.dhow_with_input(&["run", "--rm", "-i", "box", "sh", "-c", "cat; sleep 0.2; echo done"], b"x").ok();
    assert_eq!(ran.stdout, "xdone\n");
}

#[test]
fn what_docker_says_of_commands_that_cannot_run() {
    let box_ = Containers::new();
    let failing = |words: &[&str]| box_.dhow(&[&["run", "--rm", "box"], words].concat());
    failing(&["absent"]).fails_with(127, &["absent", "executable file not found in $path"]);
    failing(&["/bin/absent"]).fails_with(127, &["/bin/absent", "no such file or directory"]);
    failing(&["/bin/data"]).fails_with(126, &["/bin/data", "permission denied"]);
    failing(&["/etc"]).fails_with(126, &["/etc"]);
    failing(&["/bin/text"]).fails_with(126, &["exec format error"]);
    box_.assert_nothing_left();
}

#[test]
fn what_docker_says_of_what_is_asked_for_wrongly() {
    let box_ = Containers::new();
    let failing = |words: &[&str]| box_.dhow(&[&["run", "--rm"], words].concat());
    failing(&["absent"]).fails_with(125, &["Unable to find image 'absent:latest' locally", "dhow load"]);
    failing(&["--nonsense", "box"]).fails_with(125, &["unknown flag: --nonsense"]);
    failing(&["--memory", "lots", "box"]).fails_with(125, &["lots"]);
    failing(&["-u", "nobody-here", "box", "true"]).fails_with(125, &["nobody-here", "passwd"]);
    failing(&["-w", "relative", "box", "true"]).fails_with(125, &["relative"]);
    failing(&["-v", "/absent:relative", "box", "true"]).fails_with(125, &["relative"]);
    failing(&["--name", "no/slash", "box", "true"]).fails_with(125, &["no/slash"]);
    failing(&["-d", "-a", "stdout", "box"]).fails(&["--attach and --detach"]);
    box_.dhow(&["run"]).fails(&["requires at least 1 argument"]);
    assert_eq!(box_.names(), Vec::<String>::new());
    box_.assert_nothing_left();
}

#[test]
fn environment_user_and_directory() {
    let box_ = Containers::new();
    let run = |flags: &[&str], script: &str| {
        box_.dhow(&[&["run", "--rm"], flags, &["box", "sh", "-c", script]].concat()).text()
    };
    assert_eq!(run(&["-e", "A=1 2", "--env", "FROM=flag"], "echo $A-$FROM"), "1 2-flag");
    assert_eq!(run(&[], "echo $FROM $HOME $PATH"), "image /root /bin");
    let file = box_.folder().file("env", "# comment\nB=from file\nFROM=file\n");
    assert_eq!(run(&["--env-file", path(&file)], "echo $B-$FROM"), "from file-file");
    assert_eq!(run(&["-u", "alice"], "id -u; id -g; id -G; echo $HOME"), "1000\n1000\n1000 29\n/home/alice");
    assert_eq!(run(&["-u", "4321:29"], "id -u; id -g"), "4321\n29");
    assert_eq!(run(&["-u", "alice", "--group-add", "77"], "id -G"), "1000 29 77");
    assert_eq!(run(&["-w", "/made/by/dhow"], "pwd"), "/made/by/dhow");
    assert_eq!(run(&["-h", "harbour"], "hostname"), "harbour");
    assert_eq!(box_.dhow(&["run", "--rm", "--entrypoint", "echo", "box", "one", "two"]).text(), "one two");
}

#[test]
fn the_container_is_a_world_of_its_own() {
    let box_ = Containers::new();
    assert_eq!(box_.script("echo $$").text(), "1");
    assert_eq!(box_.script("ls /proc/self/fd").text().split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    let interfaces = box_.script("ls /sys/class/net").text();
    assert_eq!(interfaces, "eth0\nlo");
    let none = ["run", "--rm", "--network", "none", "box", "ls", "/sys/class/net"];
    assert_eq!(box_.dhow(&none).text(), "lo");
    assert_eq!(
        box_.script("ls -ld /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty | wc -l").text(),
        "6"
    );
    assert_eq!(
        box_.script("touch /proc/sys/kernel/hostname && echo written > /proc/sys/kernel/hostname").code,
        Some(1)
    );
    assert_eq!(
        box_.script("cat /proc/kcore | wc -c; ls /proc/scsi /proc/acpi 2>/dev/null | grep -v : | wc -w").text(),
        "0\n0"
    );
    assert_eq!(box_.script("mount -t tmpfs none /tmp").code, Some(1));
    assert_eq!(box_.script("dmesg").code, Some(1));
}

#[test]
fn mounts() {
    let box_ = Containers::new();
    let data = box_.folder().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "from the host").unwrap();
    let run =
        |flags: &[&str], script: &str| box_.dhow(&[&["run", "--rm"], flags, &["box", "sh", "-c", script]].concat());
    let bind = format!("{}:/data", path(&data));
    assert_eq!(run(&["-v", &bind], "cat /data/file; echo back > /data/new").text(), "from the host");
    assert_eq!(fs::read_to_string(data.join("new")).unwrap(), "back\n");
    let read_only = format!("{bind}:ro");
    run(&["-v", &read_only], "touch /data/x").fails(&["Read-only file system"]);
    let mount = format!("type=bind,source={},target=/deep/down,readonly", path(&data));
    assert_eq!(run(&["--mount", &mount], "cat /deep/down/file").text(), "from the host");
    run(&["--mount", "type=bind,source=/absent-here,target=/x"], "true").fails_with(125, &["/absent-here"]);
    assert_eq!(run(&["--tmpfs", "/t:size=1m"], "df -k /t | tail -n1 | tr -s ' ' | cut -d' ' -f2").text(), "1024");
    run(&["--read-only"], "touch /x").fails(&["Read-only file system"]);
    assert_eq!(run(&["--read-only", "--tmpfs", "/t"], "touch /t/x; echo fine").text(), "fine");
    assert_eq!(run(&["--shm-size", "2m"], "df -k /dev/shm | tail -n1 | tr -s ' ' | cut -d' ' -f2").text(), "2048");
}

#[test]
fn a_directory_of_the_host_as_the_root() {
    let box_ = Containers::new();
    let tree = box_.folder().join("tree");
    for dir in ["bin", "proc", "sys", "dev", "etc"] {
        fs::create_dir_all(tree.join(dir)).unwrap();
    }
    fs::copy("/usr/bin/busybox", tree.join("bin/busybox")).unwrap();
    let overlay = format!("{}:O", path(&tree));
    let script = "/bin/busybox echo changed > /new; /bin/busybox cat /new";
    assert_eq!(box_.dhow(&["run", "--rm", "--rootfs", &overlay, "/bin/busybox", "sh", "-c", script]).text(), "changed");
    assert!(!tree.join("new").exists(), "the directory stays as it is");
    assert_eq!(
        box_.dhow(&["run", "--rm", "--rootfs", path(&tree), "/bin/busybox", "sh", "-c", script]).text(),
        "changed"
    );
    assert_eq!(fs::read_to_string(tree.join("new")).unwrap(), "changed\n");
    box_.dhow(&["run", "--rm", "--rootfs", "/absent-here", "true"]).fails_with(125, &["/absent-here"]);
}

#[test]
fn the_host_s_own_root_as_a_layer_that_stays_as_it_is() {
    let box_ = Containers::new();
    let probe = format!("/dhow-e2e-probe-{}", std::process::id());
    let script = format!("echo x > {probe}; cat {probe}; head -n1 /etc/os-release");
    let ran = box_.dhow(&["run", "--rm", "--rootfs", "/:O", "sh", "-c", &script]).ok();
    assert!(ran.stdout.starts_with("x\n"), "{ran}");
    assert!(!Path::new(&probe).exists(), "every write is discarded");
    box_.assert_nothing_left();
}

#[test]
fn names_are_unique_and_free_again() {
    let box_ = Containers::new();
    for _ in 0..3 {
        box_.dhow(&["run", "--rm", "--name", "one", "box", "true"]).ok();
    }
    let id = box_.detached("two", "sleep 1000");
    let said = box_.dhow(&["run", "--name", "two", "box", "true"]);
    said.fails_with(125, &["conflict", "the container name \"/two\" is already in use", &id]);
    box_.dhow(&["rm", "-f", "two"]).ok();
    box_.dhow(&["run", "--rm", "--name", "two", "box", "true"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn the_id_is_printed_and_written_to_a_file() {
    let box_ = Containers::new();
    let file = box_.folder().join("cid");
    let id = box_.dhow(&["run", "-d", "--cidfile", path(&file), "box", "sleep", "1000"]).text();
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
    box_.dhow(&["run", "--cidfile", path(&file), "box", "true"]).fails_with(125, &["container ID file found"]);
    assert_eq!(box_.names().len(), 1);
    let other = box_.folder().join("cid2");
    box_.dhow(&["run", "--cidfile", path(&other), "absent", "true"]).fails_with(125, &["Unable to find image"]);
    assert!(!other.exists(), "no file without a container");
}

#[test]
fn twenty_at_once() {
    let box_ = Containers::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..20)
            .map(|n| {
                let box_ = &box_;
                scope.spawn(move || box_.script(&format!("echo {n}; exit {}", n % 3)))
            })
            .collect();
        for (n, run) in runs.into_iter().enumerate() {
            let ran = run.join().unwrap();
            assert_eq!((ran.stdout.trim(), ran.code), (n.to_string().as_str(), Some((n % 3) as i32)), "{ran}");
        }
    });
    box_.assert_nothing_left();
}

#[test]
fn init_reaps_and_hands_signals_on() {
    let box_ = Containers::new();
    let run = |script: &str| box_.dhow(&["run", "--rm", "--init", "box", "sh", "-c", script]);
    assert_eq!(run("echo $$ | grep -v '^1$' | wc -l; exit 5").code, Some(5));
    // An orphan's end leaves no zombie.
    let script = "(sleep 0.1 & exit 0); sleep 0.5; ps -o stat | grep -c Z";
    assert_eq!(run(script).stdout.trim(), "0");
    box_.dhow(&[
        "run",
        "-d",
        "--init",
        "--name",
        "ii",
        "box",
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done",
    ])
    .ok();
    box_.says("ii", "up");
    box_.dhow(&["stop", "ii"]).ok();
    assert_eq!(box_.shown("ii", "{{.State.ExitCode}}"), "9");
    assert_eq!(run("exec absent").code, Some(127));
    box_.dhow(&["run", "--rm", "--init", "box", "absent"]).fails_with(127, &["absent"]);
}

#[test]
fn limits() {
    let box_ = Containers::new();
    box_.dhow(&["run", "--name", "hungry", "-m", "24m", "box", "sh", "-c", "tail /dev/zero"]);
    assert_eq!(box_.shown("hungry", "{{.State.OOMKilled}}"), "true");
    assert_eq!(box_.shown("hungry", "{{.HostConfig.Memory}}"), "25165824");
    let forks = "i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; echo all";
    let ran = box_.dhow(&["run", "--rm", "--pids-limit", "10", "box", "sh", "-c", forks]);
    assert!(ran.code != Some(0) && ran.stderr.contains("fork"), "{ran}");
    let ran = box_.dhow(&["run", "--rm", "--ulimit", "nofile=123:456", "box", "sh", "-c", "ulimit -n; ulimit -Hn"]);
    assert_eq!(ran.text(), "123\n456");
    let ran = box_.dhow(&["run", "--rm", "--oom-score-adj", "321", "box", "cat", "/proc/self/oom_score_adj"]);
    assert_eq!(ran.text(), "321");
}

#[test]
fn capabilities_and_privileges() {
    let box_ = Containers::new();
    let caps = |flags: &[&str]| {
        let script = "grep -e CapEff -e NoNewPrivs -e Seccomp: /proc/self/status | tr -d '\\t'";
        box_.dhow(&[&["run", "--rm"], flags, &["box", "sh", "-c", script]].concat()).lines()
    };
    assert_eq!(caps(&[]), ["CapEff:00000000a80425fb", "NoNewPrivs:0", "Seccomp:2"]);
    assert_eq!(caps(&["--cap-drop", "ALL"])[0], "CapEff:0000000000000000");
    assert_eq!(caps(&["--cap-drop", "all", "--cap-add", "CHOWN"])[0], "CapEff:0000000000000001");
    assert_eq!(caps(&["-u", "alice"])[0], "CapEff:0000000000000000");
    assert_eq!(caps(&["--security-opt", "no-new-privileges"])[1], "NoNewPrivs:1");
    assert_eq!(caps(&["--security-opt", "seccomp=unconfined"])[2], "Seccomp:0");
    assert_eq!(caps(&["--privileged"])[2], "Seccomp:0");
}

#[test]
fn a_container_outlives_the_client_that_is_killed() {
    let box_ = Containers::new();
    let script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done";
    let mut client = box_
        .command(&["run", "--name", "on", "box", "sh", "-c", script])
        .stdout(std::process::Stdio::null())
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("it runs", || box_.names() == ["on"] && box_.dhow(&["logs", "on"]).stdout.contains('3'));
    client.kill().unwrap();
    client.wait().unwrap();
    let before = box_.dhow(&["logs", "on"]).lines().len();
    eventually("it goes on", || box_.dhow(&["logs", "on"]).lines().len() > before + 3);
    assert_eq!(box_.shown("on", "{{.State.Status}}"), "running");
    box_.dhow(&["kill", "on"]).ok();
    assert_eq!(box_.dhow(&["wait", "on"]).text(), "137");
}

#[test]
fn signals_are_handed_on_to_the_program() {
    let box_ = Containers::new();
    let mut client = box_
        .command(&[
            "run",
            "--name",
            "pp",
            "box",
            "sh",
            "-c",
            "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done",
        ])
        .stdout(std::process::Stdio::null())
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("it is up", || box_.dhow(&["logs", "pp"]).stdout.contains("up"));
    let pid = nix::unistd::Pid::from_raw(client.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(client.wait().unwrap().code(), Some(7));
    assert_eq!(box_.shown("pp", "{{.State.ExitCode}}"), "7");
}

#[test]
fn the_caller_s_umask_is_not_the_container_s() {
    let box_ = Containers::new();
    let folder = box_.folder().join("made-for-it");
    for umask in ["077", "0777", "000"] {
        let script = "umask; cat /etc/hosts /etc/resolv.conf /etc/hostname > /dev/null && stat -c %a /etc/hosts /data";
        let words = ["run", "--rm", "-u", "1000", "-v", &format!("{}:/data", path(&folder)), "box", "sh", "-c", script];
        let mut shell = std::process::Command::new("/bin/sh");
        let dhow = box_.command(&words);
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(dhow.get_program()).args(dhow.get_args());
        let ran = shell.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "0022\n644\n755\n", "{ran:?}");
        fs::remove_dir(&folder).unwrap();
    }
}
