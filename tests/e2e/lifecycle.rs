//! create, start, stop, kill, restart, pause, wait, rm.

use std::time::{Duration, Instant};

use crate::harness::{Containers, eventually};

const PATIENT: &str = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done";
const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";

#[test]
fn from_created_to_gone() {
    let box_ = Containers::new();
    let id = box_.dhow(&["create", "--name", "c", "box", "sh", "-c", PATIENT]).text();
    assert_eq!(box_.shown("c", "{{.State.Status}} {{.State.Pid}}"), "created 0");
    assert_eq!(box_.dhow(&["start", "c"]).text(), "c");
    box_.says("c", "up");
    assert_eq!(box_.shown(&id[..12], "{{.State.Status}} {{.State.Running}}"), "running true");
    assert_eq!(box_.dhow(&["start", "c"]).text(), "c", "starting what runs is fine");
    assert_eq!(box_.dhow(&["stop", "c"]).text(), "c");
    assert_eq!(box_.shown("c", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
    assert_eq!(box_.dhow(&["stop", "c"]).text(), "c", "stopping what has stopped is fine");
    assert_eq!(box_.dhow(&["wait", "c"]).text(), "4");
    box_.dhow(&["start", "c"]).ok();
    assert_eq!(box_.dhow(&["restart", "-t", "5", "c"]).text(), "c");
    assert_eq!(box_.shown("c", "{{.State.Status}}"), "running");
    assert_eq!(box_.dhow(&["kill", "c"]).text(), "c");
    assert_eq!(box_.dhow(&["wait", "c"]).text(), "137");
    assert_eq!(box_.dhow(&["rm", "c"]).text(), "c");
    box_.assert_nothing_left();
}

#[test]
fn what_is_written_stays_until_the_container_is_removed() {
    let box_ = Containers::new();
    box_.dhow(&["create", "--name", "c", "box", "sh", "-c", "echo x >> /file; wc -l < /file"]).ok();
    assert_eq!(box_.dhow(&["start", "-a", "c"]).text(), "1");
    assert_eq!(box_.dhow(&["start", "-a", "c"]).text(), "2");
    assert_eq!(box_.script("cat /file").code, Some(1));
}

#[test]
fn start_attached_has_the_program_s_exit_code_and_input() {
    let box_ = Containers::new();
    box_.dhow(&["create", "-i", "--name", "c", "box", "sh", "-c", "cat; exit 6"]).ok();
    let ran = box_.dhow_with_input(&["start", "-ai", "c"], b"hello");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), "hello"), "{ran}");
    box_.dhow(&["start", "-a", "c", "d"]).fails(&["cannot start and attach multiple containers at once"]);
}

#[test]
fn stop_kills_what_does_not_listen_after_its_grace_time() {
    let box_ = Containers::new();
    box_.detached("s", STUBBORN);
    box_.says("s", "up");
    let start = Instant::now();
    box_.dhow(&["stop", "-t", "1", "s"]).ok();
    assert!((Duration::from_millis(900)..Duration::from_secs(6)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(box_.shown("s", "{{.State.ExitCode}}"), "137");
    box_.dhow(&["start", "s"]).ok();
    let start = Instant::now();
    box_.dhow(&["stop", "-s", "KILL", "s"]).ok();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn an_interrupted_stop_still_kills_after_the_grace_time() {
    let box_ = Containers::new();
    box_.detached("s", STUBBORN);
    box_.says("s", "up");
    let mut client = box_.command(&["stop", "-t", "2", "s"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(box_.dhow(&["wait", "s"]).text(), "137");
}

#[test]
fn the_stop_signal_is_the_container_s() {
    let box_ = Containers::new();
    let script = "trap 'exit 5' USR1; echo up; while :; do sleep 0.05; done";
    box_.dhow(&["run", "-d", "--name", "s", "--stop-signal", "USR1", "box", "sh", "-c", script]).ok();
    box_.says("s", "up");
    box_.dhow(&["stop", "s"]).ok();
    assert_eq!(box_.shown("s", "{{.State.ExitCode}}"), "5");
}

#[test]
fn kill_sends_any_signal() {
    let box_ = Containers::new();
    let script = "trap 'echo usr1' USR1; trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done";
    box_.detached("k", script);
    box_.says("k", "up");
    box_.dhow(&["kill", "-s", "USR1", "k"]).ok();
    box_.says("k", "usr1");
    box_.dhow(&["kill", "--signal", "1", "k"]).ok();
    box_.says("k", "hup");
    box_.dhow(&["kill", "-s", "NONSENSE", "k"]).fails(&["invalid signal: NONSENSE"]);
    box_.dhow(&["kill", "k"]).ok();
    eventually("it has ended", || box_.shown("k", "{{.State.Running}}") == "false");
    box_.dhow(&["kill", "k"]).fails(&["cannot kill container", "is not running"]);
}

#[test]
fn pause_stops_everything_in_it() {
    let box_ = Containers::new();
    box_.detached("p", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done");
    box_.says("p", "3");
    assert_eq!(box_.dhow(&["pause", "p"]).text(), "p");
    assert_eq!(box_.shown("p", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    assert!(box_.dhow(&["ps"]).text().contains("(Paused)"));
    std::thread::sleep(Duration::from_millis(200));
    let lines = box_.dhow(&["logs", "p"]).lines().len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(box_.dhow(&["logs", "p"]).lines().len(), lines);
    box_.dhow(&["pause", "p"]).fails(&["already paused"]);
    box_.dhow(&["exec", "p", "true"]).fails(&["paused"]);
    assert_eq!(box_.dhow(&["unpause", "p"]).text(), "p");
    eventually("it goes on", || box_.dhow(&["logs", "p"]).lines().len() > lines);
    box_.dhow(&["unpause", "p"]).fails(&["not paused"]);
    box_.dhow(&["pause", "p"]).ok();
    box_.dhow(&["rm", "-f", "p"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn wait_waits_for_several() {
    let box_ = Containers::new();
    box_.detached("a", "sleep 0.3; exit 3");
    box_.detached("b", "exit 0");
    assert_eq!(box_.dhow(&["wait", "a", "b"]).lines(), ["3", "0"]);
    box_.dhow(&["wait", "absent"]).fails(&["no such container: absent"]);
}

#[test]
fn what_runs_is_only_removed_by_force() {
    let box_ = Containers::new();
    box_.detached("r", "sleep 1000");
    box_.dhow(&["rm", "r"]).fails(&["cannot remove container", "running"]);
    assert_eq!(box_.dhow(&["rm", "-f", "r"]).text(), "r");
    box_.dhow(&["rm", "r"]).fails(&["no such container: r"]);
    assert_eq!(box_.dhow(&["rm", "-f", "r"]).code, Some(0), "with -f it is as good as removed");
    box_.assert_nothing_left();
}

#[test]
fn each_of_several_is_told_of() {
    let box_ = Containers::new();
    for name in ["a", "b"] {
        box_.detached(name, "sleep 1000");
    }
    let ran = box_.dhow(&["kill", "a", "absent", "b"]).fails(&["no such container: absent"]);
    assert_eq!(ran.stdout, "a\nb\n");
    box_.dhow(&["wait", "a", "b"]).ok();
    let ran = box_.dhow(&["start", "a", "absent", "b"]).fails(&["failed to start containers: absent"]);
    assert_eq!(ran.stdout, "a\nb\n");
    let ran = box_.dhow(&["stop", "-t", "0", "a", "b"]).ok();
    assert_eq!(ran.stdout, "a\nb\n");
    assert_eq!(box_.dhow(&["rm", "a", "b"]).lines(), ["a", "b"]);
    box_.assert_nothing_left();
}

#[test]
fn many_remove_the_same_at_once() {
    let box_ = Containers::new();
    for name in ["a", "b", "c"] {
        box_.detached(name, "sleep 1000");
    }
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| box_.dhow(&["rm", "-f", "a", "b", "c"]));
        }
    });
    box_.assert_nothing_left();
}

#[test]
fn restart_policies() {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "--name", "f", "--restart", "on-failure:2", "box", "sh", "-c", "echo go; exit 1"]).ok();
    eventually("it is given up", || box_.shown("f", "{{.RestartCount}} {{.State.Status}}") == "2 exited");
    assert_eq!(box_.dhow(&["logs", "f"]).lines().len(), 3);
    box_.dhow(&["run", "-d", "--name", "a", "--restart", "always", "box", "sh", "-c", "echo go; sleep 0.1"]).ok();
    eventually("it comes again", || box_.dhow(&["logs", "a"]).lines().len() >= 3);
    box_.dhow(&["stop", "a"]).ok();
    let lines = box_.dhow(&["logs", "a"]).lines().len();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(box_.dhow(&["logs", "a"]).lines().len(), lines, "stopped by hand, it stays so");
    box_.dhow(&["run", "-d", "--name", "ok", "--restart", "on-failure", "box", "true"]).ok();
    assert_eq!(box_.dhow(&["wait", "ok"]).text(), "0");
    assert_eq!(box_.shown("ok", "{{.RestartCount}}"), "0");
}

#[test]
fn an_image_in_use_stays() {
    let box_ = Containers::new();
    box_.dhow(&["create", "--name", "c", "box"]).ok();
    box_.dhow(&["rmi", "box"]).fails(&["container"]);
    box_.dhow(&["rm", "c"]).ok();
    box_.dhow(&["rmi", "box"]).ok();
}

#[test]
fn a_new_name() {
    let box_ = Containers::new();
    box_.detached("old", "sleep 1000");
    box_.dhow(&["rename", "old", "new"]).ok();
    assert_eq!(box_.names(), ["new"]);
    box_.dhow(&["rename", "old", "other"]).fails(&["no such container: old"]);
    box_.detached("old", "sleep 1000");
    box_.dhow(&["rename", "old", "new"]).fails(&["conflict", "already in use"]);
    box_.dhow(&["rename", "old", "no/slash"]).fails(&["no/slash"]);
}
