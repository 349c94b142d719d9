//! A keeper or a supervisor that is stopped, or gets no time to run: what does not need it goes on.

use crate::container::{ALL, Container, NONE, attach, until};
use crate::keeper::{copy_of_program, dir, ended, holders, keeper, kept, kill, supervisor};
use dhow_supervisor::client::upgrade;
use dhow_supervisor::plan::Stdin;
use rustix::process::Signal;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

fn tell(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// One that had read what it is to keep, and one that has not.
#[test]
fn input_ends_although_the_keeper_is_asleep() {
    let first = kept(Container::new("asleep-first", "sleep 1000"));
    let connection = first.start(NONE);
    let mut known = kept(Container::new("asleep-known", "cat; exit 4"));
    known.plan.keeper.clone_from(&first.plan.keeper);
    known.plan.stdin = Stdin::Once;
    let known_connection = known.start(ALL);
    until("it to be kept", || !holders("dhow-keeper", &known.plan.run_dir.join("supervisor.lock")).is_empty());
    let pid = keeper(&first).unwrap();
    tell(pid, Signal::STOP);
    let mut unknown = kept(Container::new("asleep-unknown", "cat; exit 4"));
    unknown.plan.keeper.clone_from(&first.plan.keeper);
    unknown.plan.stdin = Stdin::Once;
    let unknown_connection = unknown.start(ALL);
    let ended_in_time = std::thread::spawn(move || {
        [known_connection, unknown_connection].map(|connection| attach(connection, b"hi\n", true))
    });
    let begun = Instant::now();
    while !ended_in_time.is_finished() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let in_time = ended_in_time.is_finished();
    tell(pid, Signal::CONT);
    assert!(in_time);
    for (end, out, _) in ended_in_time.join().unwrap() {
        assert!(ended(&end, 4) && out == "hi\n", "{end:?} {out}");
    }
    drop(connection);
}

/// Without a supervisor, and with the next one, it is as open as before.
#[test]
fn input_is_open_although_the_supervisor_is_killed() {
    let mut container = kept(Container::new("still-open", "cat; echo over; exit 3"));
    container.plan.stdin = Stdin::Open;
    drop(container.start(NONE));
    until("the keeper to know", || !holders("dhow-keeper", &container.plan.run_dir.join("supervisor.lock")).is_empty());
    let pid = keeper(&container).unwrap();
    for _ in 0..3 {
        let old = supervisor(&container).unwrap();
        tell(pid, Signal::STOP);
        assert!(kill(old));
        std::thread::sleep(Duration::from_millis(300));
        tell(pid, Signal::CONT);
        until("another", || supervisor(&container).is_some_and(|new| new != old));
    }
    assert_eq!(container.log(), "");
    let heard = std::thread::scope(|scope| {
        let client = scope.spawn(|| attach(container.connect(ALL), b"hi\n", true));
        until("what was said", || container.log() == "hi\n");
        container.group().unwrap().kill().unwrap();
        client.join().unwrap()
    });
    assert!(ended(&heard.0, 137), "{heard:?}");
}

#[test]
fn who_is_asleep_does_not_keep_an_upgrade_waiting() {
    let container = kept(Container::new("upgrade-asleep", "sleep 1000"));
    drop(container.start(NONE));
    until("the keeper", || keeper(&container).is_some());
    let new = dhow_sys::mount::clone_tree(&copy_of_program(&container)).unwrap();
    let both = [supervisor(&container).unwrap(), keeper(&container).unwrap()];
    both.into_iter().for_each(|pid| tell(pid, Signal::STOP));
    std::thread::scope(|scope| {
        let supervisor = scope.spawn(|| upgrade(&container.plan.run_dir, new.as_fd()).unwrap_err());
        let keeper = dhow_supervisor::keeper::upgrade(dir(&container), new.as_fd()).unwrap_err();
        for error in [keeper, supervisor.join().unwrap()] {
            assert!(error.to_string().contains("talk about the upgrade"), "{error}");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(source, "there is no answer");
        }
    });
    both.into_iter().for_each(|pid| tell(pid, Signal::CONT));
    until("the next to be heard", || upgrade(&container.plan.run_dir, new.as_fd()).is_ok());
}
