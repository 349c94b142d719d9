//! `dhow events`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::harness::Containers;

#[test]
fn the_life_of_a_container_in_order() {
    let box_ = Containers::new();
    let id = box_.detached("ee", "exit 3");
    box_.dhow(&["wait", "ee"]).ok();
    box_.dhow(&["rm", "ee"]).ok();
    let args = ["events", "--since", "1h", "--until", "0s", "--filter", "type=container"];
    let lines = box_.dhow(&args).lines();
    let actions: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
    let wanted = ["create", "start", "die", "destroy"];
    assert_eq!(actions.iter().filter(|a| wanted.contains(a)).copied().collect::<Vec<_>>(), wanted, "{lines:#?}");
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((words[1], words[3]), ("container", id.as_str()), "{line}");
        assert!(words[0].len() >= 30 && words[0].as_bytes()[10] == b'T', "{line}");
        assert!(line.contains("image=box") && line.contains("name=ee"), "{line}");
    }
    let die = lines.iter().find(|line| line.contains(" die ")).unwrap();
    assert!(die.contains("exitCode=3"), "{die}");
}

#[test]
fn filters_and_formats() {
    let box_ = Containers::new();
    let id = box_.detached("ee", "exit 0");
    box_.dhow(&["wait", "ee"]).ok();
    box_.detached("other", "exit 0");
    let past = |args: &[&str]| box_.dhow(&[&["events", "--since", "1h", "--until", "0s"], args].concat()).lines();
    let format = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}";
    assert_eq!(past(&["-f", "container=ee", "-f", "event=start", "--format", format]), ["container start ee"]);
    let json = past(&["--filter", "container=ee", "--filter", "event=create", "--format", "json"]);
    let event: Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!(
        (&event["Type"], &event["Action"], &event["id"]),
        (&"container".into(), &"create".into(), &id.as_str().into())
    );
    assert_eq!((&event["from"], &event["scope"]), (&"box".into(), &"local".into()));
    assert!(event["timeNano"].as_i64().unwrap() / 1_000_000_000 == event["time"].as_i64().unwrap());
    assert!(past(&["-f", "type=image"]).iter().any(|line| line.contains(" import ")));
    box_.dhow(&["events", "-f", "nonsense=1"]).fails(&["nonsense"]);
}

#[test]
fn following_shows_what_happens() {
    let box_ = Containers::new();
    let mut follower = box_.command(&["events", "--format", "{{.Action}}"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    // What happened before it looked is not shown, so something happens until the first is.
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let first = lines.next().unwrap();
            (first, lines)
        });
        while !first.is_finished() {
            box_.dhow(&["tag", "box", "again"]).ok();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let (first, mut lines) = first.join().unwrap();
        assert_eq!(first, "tag");
        box_.script("true").ok();
        let last = lines.find(|action| matches!(action.as_str(), "create" | "start" | "die" | "destroy"));
        assert_eq!(last.as_deref(), Some("create"));
        assert!(lines.any(|action| action == "destroy"));
    });
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn the_want_of_memory_is_an_event() {
    let box_ = Containers::new();
    box_.dhow(&["run", "--name", "hungry", "-m", "24m", "box", "sh", "-c", "tail /dev/zero"]);
    let args = ["events", "--since", "1h", "--until", "0s", "--filter", "event=oom", "--format", "{{.Action}}"];
    assert_eq!(box_.dhow(&args).lines().first().map(String::as_str), Some("oom"));
}
