//! Everybody killed at the worst moment, and disks and clients that fail.

use crate::container::{ALL, Container, NONE, attach, program, until};
use crate::life::{attach_with, parent_of};
use crate::log::small_disk;
use dhow_supervisor::client::{Connection, End, launch};
use dhow_supervisor::plan::{LogPlan, Stdin};
use dhow_sys::process::{ProcessIdentity, is_alive};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

fn identity(pid: u32) -> ProcessIdentity {
    ProcessIdentity::of(pid).unwrap()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A launcher of its own process; the pid of the container that waits at its gate.
fn launcher(container: &Container) -> (Child, BufReader<std::process::ChildStdout>, u32) {
    let plan = container.scratch.0.join("plan");
    std::fs::write(&plan, serde_json::to_vec(&container.plan).unwrap()).unwrap();
    let mut command = Command::new(program());
    command.arg("launch").arg(plan).arg(container.scratch.0.join("root"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let pid = line.trim().strip_prefix("waiting ").unwrap().parse().unwrap();
    (child, said, pid)
}

#[test]
fn a_launcher_killed_before_go_leaves_nothing() {
    let container = Container::new("orphan", "sleep 1000");
    let (mut child, _said, pid) = launcher(&container);
    let (first, supervisor) = (identity(pid), identity(parent_of(pid)));
    assert!(container.group().is_some());
    child.kill().unwrap();
    child.wait().unwrap();
    until("both to end", || !is_alive(&first).unwrap() && !is_alive(&supervisor).unwrap());
    container.assert_nothing_left();
    assert!(!container.has_exited_run());
}

#[test]
fn a_start_that_is_dropped_leaves_nothing_at_once() {
    let container = Container::new("dropped", "sleep 1000");
    let waiting = container.launch(ALL).unwrap();
    let first = identity(waiting.pid);
    drop(waiting);
    assert!(!is_alive(&first).unwrap() && container.group().is_none());
    container.assert_nothing_left();
}

/// Who gets hold of what was kept for the container starts it anew, and must not meet what is left of this start.
#[test]
fn what_is_kept_is_let_go_once_nothing_is_left() {
    for turn in 0..10 {
        let mut container = Container::new("claimed", "sleep 1000");
        if turn % 2 == 1 {
            container.plan.spec.process_mut().as_mut().unwrap().set_args(Some(vec!["/not/there".to_owned()]));
        }
        let (mut claim, kept) = std::io::pipe().unwrap();
        let root = dhow_sys::mount::clone_tree(&container.scratch.0.join("root")).unwrap();
        let waiting = launch(&program(), &[], &container.plan, vec![root, kept.into()], ALL);
        assert_eq!(waiting.is_err(), turn % 2 == 1);
        std::thread::scope(|scope| {
            scope.spawn(|| drop(waiting));
            assert_eq!(std::io::Read::read(&mut claim, &mut [0]).unwrap(), 0);
            assert!(container.group().is_none(), "turn {turn}");
        });
        container.assert_nothing_left();
    }
}

#[test]
fn a_launcher_killed_after_go_is_not_missed() {
    let container = Container::new("outlives", "sleep 0.8; echo done; exit 4");
    let (mut child, mut said, _pid) = launcher(&container);
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let end = container.connect(NONE).wait(false).unwrap();
    assert!(matches!(end, End::Exited(record) if record.code == Some(4)));
    until("the command", || container.has_exited_run());
    assert_eq!(container.log(), "done\n");
    container.assert_nothing_left();
}

#[test]
fn a_container_outlives_its_supervisor() {
    let container = Container::new("survivor", "sleep 1000");
    let waiting = container.launch(NONE).unwrap();
    let (first, supervisor) = (identity(waiting.pid), parent_of(waiting.pid));
    let connection = waiting.open().unwrap();
    kill(supervisor);
    assert_eq!(connection.wait(true).unwrap(), End::Lost);
    until("the supervisor to end", || !container.is_supervised());
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(is_alive(&first).unwrap());
    let error = Connection::open(&container.plan.run_dir, ALL).unwrap_err();
    assert!(matches!(error, dhow_supervisor::client::ClientError::NotRunning), "{error}");
    kill(first.pid);
    until("the container to end", || !is_alive(&first).unwrap());
}

#[test]
fn a_supervisor_killed_before_go_takes_the_container_with_it() {
    let container = Container::new("gate", "sleep 1000");
    let waiting = container.launch(NONE).unwrap();
    let first = identity(waiting.pid);
    kill(parent_of(waiting.pid));
    until("the container to end", || !is_alive(&first).unwrap());
    let error = waiting.open().unwrap_err();
    assert!(matches!(error, dhow_supervisor::client::ClientError::Died { .. }), "{error}");
}

#[test]
fn a_client_killed_in_the_middle_holds_nothing_up() {
    let mut container = Container::new("client", "cat; seq 1 200000; echo end");
    container.plan.stdin = Stdin::Once;
    let first = container.start(NONE);
    let mut command = Command::new(program());
    command.arg("attach").arg(&container.plan.run_dir).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"typed\n").unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "attached");
    assert_eq!(said.next().unwrap().unwrap(), "typed");
    child.kill().unwrap();
    child.wait().unwrap();
    // The end of his input is the end of the container's.
    assert!(matches!(first.wait(true).unwrap(), End::Exited(record) if record.code == Some(0)));
    let log = container.log();
    assert!(log.starts_with("typed\n1\n") && log.ends_with("200000\nend\n"), "{} bytes", log.len());
    container.assert_nothing_left();
}

#[test]
fn ten_mebibytes_reach_a_slow_client_and_the_log() {
    let container = Container::new("slow", "head -c 10485759 /dev/zero | tr '\\0' x; echo");
    let connection = container.start(ALL);
    std::thread::sleep(std::time::Duration::from_millis(700));
    // The container waits meanwhile: pipe, supervisor and socket hold less than it has to say.
    assert!(container.is_supervised() && container.log().len() < 2 << 20);
    let (end, out, _) = attach(connection, b"", true);
    assert!(matches!(end, End::Exited(record) if record.code == Some(0)));
    assert_eq!((out.len(), container.log().len()), (10_485_760, 10_485_760));
    container.assert_nothing_left();
}

/// As with a pager that shows the first page and then is left alone.
#[test]
fn one_who_takes_his_time_gets_all_though_the_end_is_recorded_by_others() {
    // More than a socket holds, in blocks so large that it holds two of them at least. One more is in the supervisor, and the
    // last in the pipe: so the container can end.
    let block = "dd if=/dev/zero bs=65536 count=1 status=none; sleep 0.3";
    let container = Container::new("pager", &[block; 4].join("; "));
    let slow = container.start(ALL);
    until("the command", || container.has_exited_run());
    container.assert_nothing_left();
    let (end, out, _) = attach(slow, b"", false);
    assert!(matches!(end, End::Exited(record) if record.code == Some(0)));
    assert_eq!(out.len(), 4 * 65536);
}

#[test]
fn signals_are_handed_on() {
    let container =
        Container::new("handed", "trap 'echo caught; exit 6' USR1; echo ready; while :; do sleep 0.02; done");
    let waiting = container.launch(ALL).unwrap();
    let pid = waiting.pid;
    let connection = waiting.open().unwrap();
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let client = std::thread::spawn(move || {
        use std::os::fd::AsFd as _;
        let mut hand_on = |signal: i32| {
            assert_eq!(signal, signal_hook::consts::SIGUSR1);
            let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
        };
        let terminal = dhow_supervisor::client::Terminal {
            stdin: None,
            stdout: stdout.as_fd(),
            stderr: stdout.as_fd(),
            tty: false,
            detach_keys: Vec::new(),
            on_signal: Some(&mut hand_on),
        };
        connection.stream(terminal, true).unwrap()
    });
    let mut line = [0; 6];
    std::io::Read::read_exact(&mut shown, &mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1).unwrap();
    assert!(matches!(client.join().unwrap(), End::Exited(record) if record.code == Some(6)));
    assert_eq!(container.log(), "ready\ncaught\n");
}

#[test]
fn a_million_lines_are_in_the_log() {
    let line = "x".repeat(99);
    let container = Container::new("million", &format!("yes {line} | head -n 1000000"));
    let begun = std::time::Instant::now();
    let end = container.start(NONE).wait(true).unwrap();
    println!("a million lines: {:?}", begun.elapsed());
    assert!(matches!(end, End::Exited(record) if record.code == Some(0)));
    let mut lines = 0;
    let path = &container.plan.log.as_ref().unwrap().path;
    dhow_supervisor::log::read(path, &Default::default(), &mut || true, &mut |entry| {
        lines += u32::from(entry.bytes.len() == 100 && &entry.bytes[..99] == line.as_bytes());
        Ok(true)
    })
    .unwrap();
    assert_eq!(lines, 1_000_000);
    container.assert_nothing_left();
}

#[test]
fn a_full_log_disk_does_not_stop_the_container() {
    let (_mount, disk) = small_disk(257 << 20);
    // As the supervisor finds it: through our descriptors.
    let disk = disk.to_string_lossy().replace("self", &std::process::id().to_string());
    let disk = std::path::PathBuf::from(disk);
    let mut container = Container::new("full", "seq 1 2000000; echo end; read line; echo $line");
    container.plan.stdin = Stdin::Once;
    container.plan.log = Some(LogPlan { path: disk.join("c-json.log"), max_size: None, max_files: 1 });
    let ballast = disk.join("ballast");
    let file = std::fs::File::create(&ballast).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 256 << 20).unwrap();
    drop(file);
    let connection = container.start(ALL);
    let (stdin, mut typed) = std::io::pipe().unwrap();
    let client = std::thread::spawn(move || attach_with(connection, stdin));
    until("the disk to be full", || std::fs::metadata(disk.join("c-json.log")).is_ok_and(|m| m.len() >= 1_000_000));
    // Long enough for most of the output to be lost.
    std::thread::sleep(std::time::Duration::from_secs(1));
    std::fs::remove_file(&ballast).unwrap();
    typed.write_all(b"after\n").unwrap();
    let (end, out) = client.join().unwrap();
    assert!(matches!(end, End::Exited(record) if record.code == Some(0)));
    assert!(out.ends_with("2000000\nend\nafter\n"));
    let log = container.log();
    assert!(log.ends_with("end\nafter\n"), "{}", &log[log.len() - 100..]);
    let missing: usize =
        log.lines().filter_map(|line| line.strip_prefix("[dhow: ")?.split_once(' ')?.0.parse::<usize>().ok()).sum();
    let notes = log.lines().filter(|line| line.starts_with("[dhow: ")).count();
    assert!(missing > 0, "{log:.200}");
    assert_eq!(log.lines().count() - notes + missing, 2_000_002);
    container.assert_nothing_left();
}

#[test]
fn a_container_that_was_killed_for_memory_says_so() {
    let mut container = Container::new("memory", "dd if=/dev/zero of=/dev/null bs=200M count=1; echo status $?");
    let resources = serde_json::json!({ "memory": { "limit": 33_554_432, "swap": 33_554_432 } });
    let mut linux = container.plan.spec.linux().clone().unwrap();
    linux.set_resources(Some(serde_json::from_value(resources).unwrap()));
    container.plan.spec.set_linux(Some(linux));
    let end = container.start(NONE).wait(true).unwrap();
    let End::Exited(record) = end else { panic!("{end:?}") };
    assert!(record.oom_killed, "{record:?}");
    assert!(container.log().ends_with("status 137\n"));
    container.assert_nothing_left();
}
