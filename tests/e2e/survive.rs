//! Whoever dies, the container and the store stay whole: clients and supervisors killed, verbs in each other's way.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Containers, eventually};

/// The supervisor of a container: the parent of its first process.
fn supervisor(box_: &Containers, name: &str) -> Pid {
    let pid = box_.shown(name, "{{.State.Pid}}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    let cmdline = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap();
    // The parent is what this test kills: it must be sure of it.
    assert!(String::from_utf8_lossy(&cmdline).contains("supervise"), "{parent} is no supervisor");
    Pid::from_raw(parent)
}

#[test]
fn a_container_outlives_its_supervisor() {
    let box_ = Containers::new();
    box_.detached("on", "echo before; sleep 1; touch /went-on; sleep 1000");
    box_.says("on", "before");
    kill(supervisor(&box_, "on"), Signal::SIGKILL).unwrap();
    assert_eq!(box_.shown("on", "{{.State.Status}}"), "running");
    eventually("it goes on", || box_.dhow(&["exec", "on", "ls", "/went-on"]).code == Some(0));
    assert_eq!(box_.dhow(&["logs", "on"]).text(), "before");
    assert_eq!(box_.dhow(&["top", "on"]).lines().len(), 2);
    box_.dhow(&["pause", "on"]).ok();
    box_.dhow(&["unpause", "on"]).ok();
    box_.dhow(&["stop", "-t", "0", "on"]).ok();
    assert_eq!(box_.shown("on", "{{.State.Status}} {{.State.Running}}"), "exited false");
    assert_eq!(box_.dhow(&["rm", "on"]).text(), "on");
    box_.assert_nothing_left();
}

#[test]
fn a_container_to_be_removed_is_removed_though_its_supervisor_died() {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "--rm", "--name", "on", "box", "sleep", "0.5"]).ok();
    kill(supervisor(&box_, "on"), Signal::SIGKILL).unwrap();
    eventually("it has ended", || box_.dhow(&["ps", "-q"]).text().is_empty());
    // By the supervisor that took its place, which may be about it just now.
    eventually("it is removed", || box_.names().is_empty());
    box_.assert_nothing_left();
}

#[test]
fn clients_killed_at_any_moment_leave_nothing_that_rm_does_not_remove() {
    let box_ = Containers::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let box_ = &box_;
            scope.spawn(move || {
                for round in 0..10 {
                    let mut client = box_
                        .command(&["run", "--rm", "box", "sh", "-c", "echo x; sleep 0.02"])
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .spawn()
                        .unwrap();
                    std::thread::sleep(Duration::from_millis(worker * 2 + round * 9));
                    client.kill().unwrap();
                    client.wait().unwrap();
                }
            });
        }
    });
    // Those that were started end by themselves, and are removed by their supervisors.
    eventually("none runs", || box_.dhow(&["ps", "-q"]).text().is_empty());
    let left = box_.dhow(&["ps", "-aq"]).lines();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    if !left.is_empty() {
        // Some of them may be on their way out by themselves.
        box_.dhow(&[&["rm", "-f"], left.as_slice()].concat());
    }
    eventually("none is left", || box_.names().is_empty());
    box_.script("echo fine").ok();
    // The lock file of who was killed may be there yet: that is all.
    let found = box_.dhow(&["system", "check"]).stdout;
    let mut found = found.lines().filter(|line| line.starts_with("found: "));
    assert!(found.all(|line| line.starts_with("found: stale-lock: ")), "{found:?}");
    box_.dhow(&["system", "check", "--repair"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn start_against_rm_and_names_used_again() {
    let box_ = Containers::new();
    for _ in 0..8 {
        box_.dhow(&["create", "--name", "race", "box", "sleep", "1000"]).ok();
        std::thread::scope(|scope| {
            let start = scope.spawn(|| box_.dhow(&["start", "race"]));
            let remove = scope.spawn(|| box_.dhow(&["rm", "-f", "race"]));
            assert_eq!(remove.join().unwrap().code, Some(0));
            let started = start.join().unwrap();
            assert!(started.code == Some(0) || started.stderr.contains("Error"), "{started}");
        });
        assert_eq!(box_.names(), Vec::<String>::new());
    }
    box_.assert_nothing_left();
}

#[test]
fn one_of_many_gets_a_name() {
    let box_ = Containers::new();
    let won = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| box_.dhow(&["run", "-d", "--name", "only", "box", "sleep", "1000"])))
            .collect();
        tries.into_iter().map(|t| t.join().unwrap()).filter(|ran| ran.code == Some(0)).count()
    });
    assert_eq!(won, 1);
    assert_eq!(box_.names(), ["only"]);
}

#[test]
fn several_clients_see_the_same() {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "-i", "--name", "many", "box", "sh", "-c", "read x; echo said $x; exit 8"]).ok();
    let watcher =
        box_.command(&["attach", "--no-stdin", "many"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let speaker = box_.dhow_with_input(&["attach", "many"], b"word\n");
    assert_eq!((speaker.code, speaker.stdout.as_str()), (Some(8), "said word\n"), "{speaker}");
    let watched = watcher.wait_with_output().unwrap();
    assert_eq!((watched.status.code(), String::from_utf8_lossy(&watched.stdout).as_ref()), (Some(8), "said word\n"));
}

#[test]
fn followers_and_waiters_end_when_the_container_is_removed_by_force() {
    let box_ = Containers::new();
    box_.detached("gone", "echo up; sleep 1000");
    box_.says("gone", "up");
    let spawn = |words: &[&str]| {
        box_.command(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut clients = [spawn(&["logs", "-f", "gone"]), spawn(&["attach", "gone"]), spawn(&["wait", "gone"])];
    let mut inside = spawn(&["exec", "gone", "sleep", "1000"]);
    std::thread::sleep(Duration::from_millis(300));
    box_.dhow(&["rm", "-f", "gone"]).ok();
    for client in clients.iter_mut().chain([&mut inside]) {
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while client.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < end, "a client hangs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(inside.wait().unwrap().code(), Some(137));
    box_.assert_nothing_left();
}

#[test]
fn a_reader_of_the_output_that_goes_away_ends_the_client_alone() {
    let box_ = Containers::new();
    let mut client = box_
        .command(&["run", "--name", "on", "box", "sh", "-c", "while :; do echo line; sleep 0.02; done"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    box_.says("on", "line");
    drop(client.stdout.take());
    let ended = client.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(141), ""));
    assert_eq!(box_.shown("on", "{{.State.Status}}"), "running");
}
