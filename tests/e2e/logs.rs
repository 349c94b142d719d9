//! `dhow logs`.

use std::time::Duration;

use crate::harness::{Containers, eventually};

#[test]
fn the_log_of_a_finished_container() {
    let box_ = Containers::new();
    box_.detached("ll", "echo one; echo err >&2; echo two; printf three");
    box_.dhow(&["wait", "ll"]).ok();
    let ran = box_.dhow(&["logs", "ll"]).ok();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("one\ntwo\nthree", "err\n"));
    assert_eq!(box_.dhow(&["logs", "-n", "1", "ll"]).ok().stdout, "three");
    assert_eq!(box_.dhow(&["logs", "--tail=0", "ll"]).ok().stdout, "");
    assert_eq!(box_.dhow(&["logs", "--tail", "all", "ll"]).ok().stdout, ran.stdout);
    assert_eq!(
        box_.dhow(&["container", "logs", "-f", "ll"]).ok().stdout,
        ran.stdout,
        "following ends with the container"
    );
    box_.dhow(&["logs", "absent"]).fails(&["no such container: absent"]);
}

#[test]
fn times() {
    let box_ = Containers::new();
    box_.detached("ll", "echo one; sleep 1.1; echo two");
    box_.dhow(&["wait", "ll"]).ok();
    let lines = box_.dhow(&["logs", "-t", "ll"]).lines();
    let stamps: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    for stamp in &stamps {
        assert!(stamp.len() == 30 && stamp.ends_with('Z') && stamp.as_bytes()[19] == b'.', "{stamp}");
    }
    assert!(stamps[0] < stamps[1]);
    assert_eq!(box_.dhow(&["logs", "--since", stamps[1], "ll"]).ok().stdout, "two\n");
    assert_eq!(box_.dhow(&["logs", "--until", stamps[0], "ll"]).ok().stdout, "one\n");
    assert_eq!(box_.dhow(&["logs", "--since", "1h", "ll"]).ok().stdout, "one\ntwo\n");
    assert_eq!(box_.dhow(&["logs", "--since", "2000-01-01", "--until", "1h", "ll"]).ok().stdout, "");
    box_.dhow(&["logs", "--since", "yesterday", "ll"]).fails(&["yesterday"]);
    assert_eq!(box_.dhow(&["logs", "--details", "ll"]).ok().stdout, " one\n two\n");
}

#[test]
fn following_shows_what_comes_and_ends_with_the_container() {
    let box_ = Containers::new();
    box_.detached("ll", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done");
    assert_eq!(box_.dhow(&["logs", "-f", "ll"]).lines(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn nothing_is_lost_of_much() {
    let box_ = Containers::new();
    box_.detached("ll", "seq 1 100000");
    box_.dhow(&["wait", "ll"]).ok();
    let lines = box_.dhow(&["logs", "ll"]).lines();
    assert_eq!(lines.len(), 100_000);
    assert_eq!(lines[99_999], "100000");
    assert_eq!(box_.dhow(&["logs", "-n", "3", "ll"]).lines(), ["99998", "99999", "100000"]);
}

#[test]
fn rotation_keeps_the_newest() {
    let box_ = Containers::new();
    let options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=2"];
    box_.dhow(&[&["run", "--name", "ll"], &options[..], &["box", "seq", "1", "20000"]].concat()).ok();
    let lines = box_.dhow(&["logs", "ll"]).lines();
    assert!((100..10_000).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines.last().map(String::as_str), Some("20000"));
    let path = box_.shown("ll", "{{.LogPath}}");
    assert!(std::fs::metadata(&path).unwrap().len() <= 40_000);
    assert!(std::fs::exists(format!("{path}.1")).unwrap() && !std::fs::exists(format!("{path}.2")).unwrap());
}

#[test]
fn without_a_log_there_is_none() {
    let box_ = Containers::new();
    let ran = box_.dhow(&["run", "--name", "ll", "--log-driver", "none", "box", "echo", "shown"]).ok();
    assert_eq!(ran.stdout, "shown\n");
    box_.dhow(&["logs", "ll"]).fails(&["configured logging driver does not support reading"]);
    box_.dhow(&["run", "--log-driver", "syslog", "box", "true"]).fails_with(125, &["syslog"]);
}

#[test]
fn a_follower_survives_a_restart_of_the_container_s_output() {
    let box_ = Containers::new();
    box_.detached("ll", "echo up; sleep 1000");
    box_.says("ll", "up");
    let mut follower = box_.command(&["logs", "-f", "ll"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    box_.dhow(&["kill", "ll"]).ok();
    eventually("the follower ends", || follower_ended(&box_));
    let ended = follower.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
}

fn follower_ended(box_: &Containers) -> bool {
    box_.shown("ll", "{{.State.Running}}") == "false"
}
