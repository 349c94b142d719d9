//! Whoever is killed beside a container, it goes on, and all that it says and how it ends is known: the command that runs
//! it, its supervisor, the keeper, several of them, all of them.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::harness::{Containers, Terminal, eventually};

/// Lines for about two seconds, then an answer to what it reads.
const TALK: &str =
    "i=0; while [ $i -lt 80 ]; do echo line $i; i=$((i+1)); sleep 0.02; done; read x; echo heard $x; exit 7";

fn lines() -> String {
    (0..80).map(|n| format!("line {n}\n")).collect()
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a child said and how it ended, within the tests' patience.
#[track_caller]
fn end_of(mut child: Child) -> (Option<i32>, String, String) {
    eventually("a client has ended", || {
        // Only looked at: its output is read below.
        let path = format!("/proc/{}/stat", child.id());
        std::fs::read_to_string(path).map_or(true, |stat| stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
    });
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (child.wait().unwrap().code(), out, err)
}

/// Kills at moments spread over the talk.
fn kill_now_and_then(box_: &Containers, whats: &[&str], times: u32) {
    for round in 0..times {
        std::thread::sleep(Duration::from_millis(180 + u64::from(round) * 37));
        assert!(box_.kill_watchers(whats) >= whats.len());
    }
}

/// A container that talks, its client with an input, and others who follow it.
struct Scene {
    client: Child,
    input: ChildStdin,
    followers: Vec<Child>,
    waiter: Child,
}

impl Scene {
    fn begin(box_: &Containers) -> Scene {
        let mut client = spawn(&mut box_.command(&["run", "-i", "--name", "on", "box", "sh", "-c", TALK]));
        let input = client.stdin.take().unwrap();
        box_.says("on", "line 3");
        let followers = vec![
            spawn(&mut box_.command(&["logs", "-f", "on"])),
            spawn(&mut box_.command(&["attach", "--no-stdin", "on"])),
        ];
        let waiter = spawn(&mut box_.command(&["wait", "on"]));
        Scene { client, input, followers, waiter }
    }

    /// Everybody has heard everything, in order, and knows how it ended.
    fn end(mut self, box_: &Containers) {
        self.input.write_all(b"the answer\n").unwrap();
        let whole = lines() + "heard the answer\n";
        let (code, out, err) = end_of(self.client);
        assert_eq!((code, out.as_str(), err.as_str()), (Some(7), whole.as_str(), ""));
        let attached = end_of(self.followers.pop().unwrap());
        assert!(whole.ends_with(&attached.1) && attached.1.len() > 200, "{attached:?}");
        assert_eq!(attached.0, Some(7), "{attached:?}");
        let logged = end_of(self.followers.pop().unwrap());
        assert_eq!((logged.0, logged.1.as_str()), (Some(0), whole.as_str()));
        assert_eq!(end_of(self.waiter).1, "7\n");
        assert_eq!(box_.dhow(&["logs", "on"]).ok().stdout, whole);
        assert_eq!(box_.shown("on", "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}").trim(), "exited 7");
        box_.dhow(&["rm", "on"]).ok();
        box_.assert_nothing_left();
    }
}

#[test]
fn nobody_notices_that_a_supervisor_is_killed() {
    let box_ = Containers::new();
    let scene = Scene::begin(&box_);
    kill_now_and_then(&box_, &["supervise"], 4);
    scene.end(&box_);
}

#[test]
fn nobody_notices_that_the_keeper_is_killed() {
    let box_ = Containers::new();
    let scene = Scene::begin(&box_);
    kill_now_and_then(&box_, &["keep"], 4);
    scene.end(&box_);
}

#[test]
fn nobody_notices_that_they_are_killed_in_turn() {
    let box_ = Containers::new();
    let scene = Scene::begin(&box_);
    for what in ["supervise", "keep", "supervise", "keep"] {
        kill_now_and_then(&box_, &[what], 1);
    }
    scene.end(&box_);
}

#[test]
fn the_client_killed_leaves_the_others_as_they_were() {
    let box_ = Containers::new();
    let mut client = spawn(&mut box_.command(&["run", "--name", "on", "box", "sh", "-c", TALK]));
    box_.says("on", "line 3");
    let follower = spawn(&mut box_.command(&["logs", "-f", "on"]));
    let waiter = spawn(&mut box_.command(&["wait", "on"]));
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(box_.kill_watchers(&["supervise"]) >= 1);
    // Without an input it reads an end of file.
    assert_eq!(end_of(waiter).1, "7\n");
    assert_eq!(end_of(follower).1, lines() + "heard\n");
}

/// Somebody types, in raw mode, while everything else is killed in turn.
#[test]
fn a_terminal_outlives_its_supervisor_and_the_keeper() {
    let box_ = Containers::new();
    let command = box_.command(&["run", "-it", "--name", "on", "box", "sh"]);
    let mut terminal = Terminal::new(&command, (33, 99));
    terminal.expect("# ");
    for (n, what) in ["supervise", "keep", "supervise", "keep", "supervise"].iter().enumerate() {
        assert!(box_.kill_watchers(&[what]) >= 1);
        terminal.send(&format!("echo still-$((40 + {n})); stty size\n"));
        terminal.expect(&format!("still-{}\r\n33 99\r\n", 40 + n));
    }
    let mut other = Terminal::new(&box_.command(&["attach", "on"]), (20, 70));
    other.send("echo for-$((1+1))-of-us\n");
    terminal.expect("for-2-of-us");
    other.expect("for-2-of-us");
    terminal.send("exit 5\n");
    assert_eq!(terminal.wait(), Some(5));
    assert_eq!(other.wait(), Some(5));
    assert_eq!(box_.dhow(&["wait", "on"]).text(), "5");
}

#[test]
fn the_next_command_takes_over_what_nobody_watches() {
    let box_ = Containers::new();
    // Whoever looks first is the one.
    for (name, command) in
        [("ps", &["ps"][..]), ("logs", &["logs", "on"]), ("exec", &["exec", "on", "true"]), ("top", &["top", "on"])]
    {
        box_.dhow(&["run", "-d", "--name", "on", "box", "sh", "-c", TALK]).ok();
        box_.says("on", "line 3");
        assert!(box_.kill_watchers(&["supervise", "keep"]) >= 2, "{name}");
        assert_eq!(box_.watchers("supervise"), []);
        box_.dhow(command).ok();
        assert_eq!(box_.watchers("supervise").len(), 1, "after {name}");
        // Nobody else may mount what it runs on.
        let place = box_.root().join("containers").join(box_.shown("on", "{{.Id}}").trim()).join("rootfs");
        let taken = Command::new("flock").arg("--nonblock").arg(&place).arg("true").status().unwrap();
        assert_eq!(taken.code(), Some(1), "{}", place.display());
        assert_eq!(box_.dhow(&["wait", "on"]).text(), "7", "{name}");
        let log = box_.dhow(&["logs", "on"]).ok().stdout;
        assert!(log.ends_with("line 78\nline 79\nheard\n"), "{name}: {log}");
        let numbers: Vec<u32> = log.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
        assert!(numbers.is_sorted(), "{name}: {log}");
        box_.dhow(&["rm", "on"]).ok();
    }
    box_.assert_nothing_left();
}

#[test]
fn those_who_are_connected_take_over_themselves() {
    let box_ = Containers::new();
    let scene = Scene::begin(&box_);
    assert!(box_.kill_watchers(&["supervise", "keep"]) >= 2);
    eventually("it is watched again", || box_.watchers("supervise").len() == 1);
    // What was on its way in that moment may be lost with them; the rest comes, and the end is known.
    let Scene { client, mut input, followers, waiter } = scene;
    input.write_all(b"the answer\n").unwrap();
    let (code, out, err) = end_of(client);
    assert!(out.ends_with("line 79\nheard the answer\n"), "{out}{err}");
    assert_eq!(code, Some(7), "{err}");
    for follower in followers {
        let (_, out, err) = end_of(follower);
        assert!(out.ends_with("heard the answer\n"), "{out}{err}");
    }
    assert_eq!(end_of(waiter).1, "7\n");
}

#[test]
fn stop_and_rm_find_what_nobody_watches() {
    let box_ = Containers::new();
    box_.detached("on", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done");
    box_.says("on", "up");
    box_.kill_watchers(&["supervise", "keep"]);
    box_.dhow(&["stop", "on"]).ok();
    assert_eq!(box_.shown("on", "{{.State.ExitCode}}"), "9");
    box_.dhow(&["start", "on"]).ok();
    box_.kill_watchers(&["supervise", "keep"]);
    box_.dhow(&["rm", "-f", "on"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn an_end_that_nobody_saw_is_told_as_lost() {
    let box_ = Containers::new();
    box_.detached("on", "sleep 1000");
    let pid = box_.shown("on", "{{.State.Pid}}").parse().unwrap();
    box_.kill_watchers(&["supervise", "keep"]);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    // Looked at while it still ends, it would be watched again, and the status be known.
    eventually("its process is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    eventually("it has ended", || box_.shown("on", "{{.State.Status}}") == "exited");
    assert_eq!(box_.shown("on", "{{.State.ExitCode}} {{.State.Error}}"), "255 exit status lost");
    assert_eq!(box_.dhow(&["wait", "on"]).text(), "255");
    assert!(box_.dhow(&["ps", "-a"]).text().contains("Exited (255)"));
}

#[test]
fn upgrade_to_the_same_program_changes_nothing() {
    let box_ = Containers::new();
    box_.detached("on", "sleep 1000");
    let before = (box_.watchers("supervise"), box_.watchers("keep"));
    let said = box_.dhow(&["system", "upgrade"]).lines();
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[1].starts_with("keeper") && said[1].ends_with("runs this program already"), "{said:#?}");
    assert!(said[2].starts_with("supervisor") && said[2].contains(" on "), "{said:#?}");
    assert!(said[2].ends_with("runs this program already"), "{said:#?}");
    assert_eq!((box_.watchers("supervise"), box_.watchers("keep")), before);
    assert_eq!(box_.dhow(&["system", "upgrade", "-q"]).ok().stdout, "");
    assert!(box_.dhow(&["system", "upgrade", "--help"]).text().contains("without a pause"));
}

/// Nobody saw it end, and nobody is left to start it again but whoever looks next, though only to read.
#[test]
fn a_policy_outlives_everybody_who_was_to_see_to_it() {
    let box_ = Containers::new();
    for look in [&["ps"][..], &["exec", "on", "true"]] {
        let first = box_.dhow(&["run", "-d", "--restart", "always", "--name", "on", "box", "sleep", "1"]);
        first.ok();
        let started = box_.shown("on", "{{.State.StartedAt}}");
        assert!(box_.kill_watchers(&["supervise", "keep"]) >= 2);
        // Long enough for it to end unseen.
        std::thread::sleep(Duration::from_millis(1500));
        eventually("it is started again", || {
            box_.dhow(look);
            box_.shown("on", "{{.State.StartedAt}}") != started
        });
        assert!(box_.shown("on", "{{.RestartCount}}").parse::<u32>().unwrap() >= 1);
        box_.dhow(&["rm", "-f", "on"]).ok();
    }
    box_.assert_nothing_left();
}

/// Who only waits has somebody watch it again, and so hears how it ended.
#[test]
fn who_waits_has_it_watched_again() {
    let box_ = Containers::new();
    box_.dhow(&["run", "-d", "--name", "on", "box", "sh", "-c", "sleep 2; exit 5"]).ok();
    let waiter = spawn(&mut box_.command(&["wait", "on"]));
    // It has begun to wait.
    std::thread::sleep(Duration::from_millis(500));
    assert!(box_.kill_watchers(&["supervise", "keep"]) >= 2);
    assert_eq!(end_of(waiter).1, "5\n");
    box_.dhow(&["rm", "on"]).ok();
    box_.assert_nothing_left();
}
