//! From launch to the exit record.

use crate::container::{ALL, Container, NONE, attach, until};
use dhow_spec::{Classify as _, Kind};
use dhow_supervisor::client::{ClientError, End, Streams};
use dhow_supervisor::log::Stream;
use dhow_supervisor::plan::Stdin;
use std::time::Instant;

fn code(end: &End) -> Option<i32> {
    match end {
        End::Exited(record) => record.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn output_and_status_come_through() {
    let container = Container::new("through", "echo out; echo err >&2; exit 3");
    let begun = Instant::now();
    let connection = container.start(ALL);
    let (end, out, err) = attach(connection, b"", true);
    println!("launch to end: {:?}", begun.elapsed());
    assert_eq!((code(&end), out.as_str(), err.as_str()), (Some(3), "out\n", "err\n"));
    let record = container.record();
    assert_eq!(End::Exited(record.clone()), end);
    assert!(record.started < record.finished && !record.oom_killed);
    assert_eq!((container.log_of(Stream::Stdout), container.log_of(Stream::Stderr)), ("out\n".into(), "err\n".into()));
    container.assert_nothing_left();
    assert!(!container.has_exited_run());
}

#[test]
fn input_reaches_it_and_its_end_too() {
    let mut container = Container::new("input", "tr a-z A-Z");
    container.plan.stdin = Stdin::Once;
    let text = "some words\n".repeat(100_000);
    let (end, out, _) = attach(container.start(ALL), text.as_bytes(), true);
    assert_eq!(code(&end), Some(0));
    assert!(out == text.to_uppercase(), "{} bytes", out.len());
    container.assert_nothing_left();
}

#[test]
fn who_only_waits_hears_the_status_and_the_command_runs() {
    let container = Container::new("wait", "kill -9 $$; sleep 5");
    // The first process of a pid namespace cannot kill itself; its child can be killed from within.
    drop(container);
    let container = Container::new("wait", "sh -c 'kill -9 $$'; exit $?");
    let end = container.start(NONE).wait(false).unwrap();
    assert_eq!(code(&end), Some(137));
    until("the command", || container.has_exited_run());
    container.assert_nothing_left();
}

#[test]
fn a_signal_from_outside_is_128_and_more() {
    let container = Container::new("signalled", "sleep 100");
    let waiting = container.launch(NONE).unwrap();
    let pid = rustix::process::Pid::from_raw(waiting.pid.try_into().unwrap()).unwrap();
    let connection = waiting.open().unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(code(&connection.wait(true).unwrap()), Some(137));
    assert_eq!(container.record().code, Some(137));
    container.assert_nothing_left();
}

#[test]
fn what_cannot_be_executed_is_told_and_leaves_nothing() {
    let container = Container::of("missing", &["/no/such/program"]);
    let error = container.launch(NONE).and_then(|waiting| waiting.open()).unwrap_err();
    assert!(matches!(error, ClientError::Runtime(_)), "{error:?}");
    let ClientError::Runtime(error) = error else { unreachable!() };
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    container.assert_nothing_left();
}

#[test]
fn only_standard_streams_and_default_signals_reach_it() {
    let script =
        "ls -l /proc/self/fd | grep -c pipe:; grep -E 'Sig(Ign|Blk)' /proc/self/status; cat /proc/self/oom_score_adj";
    let container = Container::new("clean", script);
    let (_, out, _) = attach(container.start(ALL), b"", true);
    assert_eq!(out, "2\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n");
    let container = Container::new("fds", "echo /proc/self/fd/*");
    let (_, out, _) = attach(container.start(ALL), b"", true);
    // 3 is the directory that is being listed.
    assert_eq!(out, "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n");
}

/// Its root could make the host's `/dev/null` useless for everybody; here it asks for the mode that it has.
#[test]
fn the_hosts_null_device_is_not_its_to_change() {
    use std::os::unix::fs::MetadataExt as _;
    let before = std::fs::metadata("/dev/null").unwrap();
    let container = Container::new("null", "chmod 666 /proc/self/fd/0; cat; echo read");
    let (_, out, _) = attach(container.start(ALL), b"", true);
    assert_eq!(out, "read\n");
    let after = std::fs::metadata("/dev/null").unwrap();
    assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
}

#[test]
fn a_second_supervisor_is_refused_and_the_first_not_disturbed() {
    let container = Container::new("second", "read line; echo $line");
    let mut first = container;
    first.plan.stdin = Stdin::Once;
    let connection = first.start(ALL);
    let error = first.launch(NONE).unwrap_err();
    assert!(error.to_string().contains("another supervisor"), "{error}");
    let (end, out, _) = attach(connection, b"hello\n", true);
    assert_eq!((code(&end), out.as_str()), (Some(0), "hello\n"));
    first.assert_nothing_left();
}

#[test]
fn it_goes_on_in_a_fresh_memory() {
    let mut container =
        Container::new("fresh", "echo one; read a; echo got $a; printf 'begun '; read b; echo and ended $b");
    container.plan.stdin = Stdin::Open;
    let waiting = container.launch(Streams { stdin: true, stdout: true, stderr: true }).unwrap();
    let supervisor = parent_of(waiting.pid);
    let connection = waiting.open().unwrap();
    let second = container.connect(ALL);
    let auxv = || std::fs::read(format!("/proc/{supervisor}/auxv")).unwrap();
    let before = auxv();
    let (reader, writer) = std::io::pipe().unwrap();
    use std::io::Write as _;
    let mut typed = writer;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| attach_with(connection, reader));
        typed.write_all(b"A\n").unwrap();
        until("its execution anew", || auxv() != before);
        typed.write_all(b"B\n").unwrap();
        let (end, out) = client.join().unwrap();
        assert_eq!((code(&end), out.as_str()), (Some(0), "one\ngot A\nbegun and ended B\n"));
    });
    assert_eq!(container.log(), "one\ngot A\nbegun and ended B\n");
    assert_eq!(code(&second.wait(true).unwrap()), Some(0));
    container.assert_nothing_left();
}

pub(crate) fn attach_with(
    connection: dhow_supervisor::client::Connection,
    stdin: std::io::PipeReader,
) -> (End, String) {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let client = std::thread::spawn(move || {
        let terminal = dhow_supervisor::client::Terminal {
            stdin: Some(stdin.as_fd()),
            stdout: stdout.as_fd(),
            stderr: stdout.as_fd(),
            tty: false,
            detach_keys: Vec::new(),
            on_signal: None,
        };
        connection.stream(terminal, true).unwrap()
    });
    let mut out = String::new();
    shown.read_to_string(&mut out).unwrap();
    (client.join().unwrap(), out)
}

pub(crate) fn parent_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line["PPid:".len()..].trim().parse().unwrap()
}
