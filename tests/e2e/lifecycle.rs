//! create, start, stop, kill, restart, pause, wait, rm.

use std::time::{Duration, Instant};

use crate::harness::{Containers, eventually};

const PATIENT: &str = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done";
const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";

#[test]
fn from_created_to_gone() {
    let box_ = Containers::new();
    let id = box_.dhow(&["create", "--name", "cc", "box", "sh", "-c", PATIENT]).text();
    assert_eq!(box_.shown("cc", "{{.State.Status}} {{.State.Pid}}"), "created 0");
    assert_eq!(box_.dhow(&["start", "cc"]).text(), "cc");
    box_.says("cc", "up");
    assert_eq!(box_.shown(&id[..12], "{{.State.Status}} {{.State.Running}}"), "running true");
    assert_eq!(box_.dhow(&["start", "cc"]).text(), "cc", "starting what runs is fine");
    assert_eq!(box_.dhow(&["stop", "cc"]).text(), "cc");
    assert_eq!(box_.shown("cc", "{{.State.Status}} {{.State.ExitCode}}"), "exited 4");
    assert_eq!(box_.dhow(&["stop", "cc"]).text(), "cc", "stopping what has stopped is fine");
    assert_eq!(box_.dhow(&["wait", "cc"]).text(), "4");
    box_.dhow(&["start", "cc"]).ok();
    assert_eq!(box_.dhow(&["restart", "-t", "5", "cc"]).text(), "cc");
    assert_eq!(box_.shown("cc", "{{.State.Status}}"), "running");
    assert_eq!(box_.dhow(&["kill", "cc"]).text(), "cc");
    assert_eq!(box_.dhow(&["wait", "cc"]).text(), "137");
    assert_eq!(box_.dhow(&["rm", "cc"]).text(), "cc");
    box_.assert_nothing_left();
}

#[test]
fn what_is_written_stays_until_the_container_is_removed() {
    let box_ = Containers::new();
    box_.dhow(&["create", "--name", "cc", "box", "sh", "-c", "echo x >> /file; wc -l < /file"]).ok();
    assert_eq!(box_.dhow(&["start", "-a", "cc"]).text(), "1");
    assert_eq!(box_.dhow(&["start", "-a", "cc"]).text(), "2");
    assert_eq!(box_.script("cat /file").code, Some(1));
}

#[test]
fn start_attached_has_the_program_s_exit_code_and_input() {
    let box_ = Containers::new();
    box_.dhow(&["create", "-i", "--name", "cc", "box", "sh", "-c", "cat; exit 6"]).ok();
    let ran = box_.dhow_with_input(&["start", "-ai", "cc"], b"hello");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(6), "hello"), "{ran}");
    box_.dhow(&["start", "-a", "cc", "dd"]).fails(&["cannot start and attach multiple containers at once"]);
}

#[test]
fn stop_kills_what_does_not_listen_after_its_grace_time() {
    let box_ = Containers::new();
    box_.detached("ss", STUBBORN);
    box_.says("ss", "up");
    let start = Instant::now();
    box_.dhow(&["stop", "-t", "1", "ss"]).ok();
    assert!((Duration::from_millis(900)..Duration::from_secs(9)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(box_.shown("ss", "{{.State.ExitCode}}"), "137");
    box_.dhow(&["start", "ss"]).ok();
    let start = Instant::now();
    box_.dhow(&["stop", "-s", "KILL", "ss"]).ok();
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
}

#[test]
fn an_interrupted_stop_still_kills_after_the_grace_time() {
    let box_ = Containers::new();
    box_.detached("ss", STUBBORN);
    box_.says("ss", "up");
    let mut client = box_.command(&["stop", "-t", "2", "ss"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(box_.dhow(&["wait", "ss"]).text(), "137");
}

#[test]
fn the_stop_signal_is_the_container_s() {
    let box_ = Containers::new();
    let script = "trap 'exit 5' USR1; echo up; while :; do sleep 0.05; done";
    box_.dhow(&["run", "-d", "--name", "ss", "--stop-signal", "USR1", "box", "sh", "-c", script]).ok();
    box_.says("ss", "up");
    box_.dhow(&["stop", "ss"]).ok();
    assert_eq!(box_.shown("ss", "{{.State.ExitCode}}"), "5");
}

#[test]
fn kill_sends_any_signal() {
    let box_ = Containers::new();
    let script = "trap 'echo usr1' USR1; trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done";
    box_.detached("kk", script);
    box_.says("kk", "up");
    box_.dhow(&["kill", "-s", "USR1", "kk"]).ok();
    box_.says("kk", "usr1");
    box_.dhow(&["kill", "--signal", "1", "kk"]).ok();
    box_.says("kk", "hup");
    box_.dhow(&["kill", "-s", "NONSENSE", "kk"]).fails(&["invalid signal: NONSENSE"]);
    box_.dhow(&["kill", "kk"]).ok();
    eventually("it has ended", || box_.shown("kk", "{{.State.Running}}") == "false");
    box_.dhow(&["kill", "kk"]).fails(&["cannot kill container", "is not running"]);
}

#[test]
fn pause_stops_everything_in_it() {
    let box_ = Containers::new();
    box_.detached("pp", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done");
    box_.says("pp", "3");
    assert_eq!(box_.dhow(&["pause", "pp"]).text(), "pp");
    assert_eq!(box_.shown("pp", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    assert!(box_.dhow(&["ps"]).text().contains("(Paused)"));
    std::thread::sleep(Duration::from_millis(200));
    let lines = box_.dhow(&["logs", "pp"]).lines().len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(box_.dhow(&["logs", "pp"]).lines().len(), lines);
    box_.dhow(&["pause", "pp"]).fails(&["already paused"]);
    box_.dhow(&["exec", "pp", "true"]).fails(&["paused"]);
    assert_eq!(box_.dhow(&["unpause", "pp"]).text(), "pp");
    eventually("it goes on", || box_.dhow(&["logs", "pp"]).lines().len() > lines);
    box_.dhow(&["unpause", "pp"]).fails(&["not paused"]);
    box_.dhow(&["pause", "pp"]).ok();
    box_.dhow(&["rm", "-f", "pp"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn wait_waits_for_several() {
    let box_ = Containers::new();
    box_.detached("aa", "sleep 0.3; exit 3");
    box_.detached("bb", "exit 0");
    assert_eq!(box_.dhow(&["wait", "aa", "bb"]).lines(), ["3", "0"]);
    box_.dhow(&["wait", "absent"]).fails(&["no such container: absent"]);
}

#[test]
fn what_runs_is_only_removed_by_force() {
    let box_ = Containers::new();
    box_.detached("rr", "sleep 1000");
    box_.dhow(&["rm", "rr"]).fails(&["cannot remove container", "running"]);
    assert_eq!(box_.dhow(&["rm", "-f", "rr"]).text(), "rr");
    box_.dhow(&["rm", "rr"]).fails(&["no such container: rr"]);
    assert_eq!(box_.dhow(&["rm", "-f", "rr"]).code, Some(0), "with -f it is as good as removed");
    box_.assert_nothing_left();
}

#[test]
fn each_of_several_is_told_of() {
    let box_ = Containers::new();
    for name in ["aa", "bb"] {
        box_.detached(name, "sleep 1000");
    }
    let ran = box_.dhow(&["kill", "aa", "absent", "bb"]).fails(&["no such container: absent"]);
    assert_eq!(ran.stdout, "aa\nbb\n");
    box_.dhow(&["wait", "aa", "bb"]).ok();
    let ran = box_.dhow(&["start", "aa", "absent", "bb"]).fails(&["failed to start containers: absent"]);
    assert_eq!(ran.stdout, "aa\nbb\n");
    let ran = box_.dhow(&["stop", "-t", "0", "aa", "bb"]).ok();
    assert_eq!(ran.stdout, "aa\nbb\n");
    assert_eq!(box_.dhow(&["rm", "aa", "bb"]).lines(), ["aa", "bb"]);
    box_.assert_nothing_left();
}

#[test]
fn many_remove_the_same_at_once() {
    let box_ = Containers::new();
    for name in ["aa", "bb", "cc"] {
        box_.detached(name, "sleep 1000");
    }
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| box_.dhow(&["rm", "-f", "aa", "bb", "cc"]));
        }
    });
    box_.assert_nothing_left();
}

#[test]
fn restart_policies() {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "--name", "ff", "--restart", "on-failure:2", "box", "sh", "-c", "echo go; exit 1"]).ok();
    eventually("it is given up", || box_.shown("ff", "{{.RestartCount}} {{.State.Status}}") == "2 exited");
    assert_eq!(box_.dhow(&["logs", "ff"]).lines().len(), 3);
    box_.dhow(&["run", "-d", "--name", "aa", "--restart", "always", "box", "sh", "-c", "echo go; sleep 0.1"]).ok();
    eventually("it comes again", || box_.dhow(&["logs", "aa"]).lines().len() >= 3);
    box_.dhow(&["stop", "aa"]).ok();
    let lines = box_.dhow(&["logs", "aa"]).lines().len();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(box_.dhow(&["logs", "aa"]).lines().len(), lines, "stopped by hand, it stays so");
    box_.dhow(&["run", "-d", "--name", "ok", "--restart", "on-failure", "box", "true"]).ok();
    assert_eq!(box_.dhow(&["wait", "ok"]).text(), "0");
    assert_eq!(box_.shown("ok", "{{.RestartCount}}"), "0");
}

#[test]
fn an_image_in_use_stays() {
    let box_ = Containers::new();
    box_.dhow(&["create", "--name", "cc", "box"]).ok();
    box_.dhow(&["rmi", "box"]).fails(&["container"]);
    box_.dhow(&["rm", "cc"]).ok();
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
