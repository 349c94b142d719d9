//! A supervisor killed at every single system call on the way of output: before it, and after it.

use crate::container::{ALL, Container};
use crate::keeper::{assert_same, ended, kept, supervisor, text};
use crate::life::attach_with;
use dhow_supervisor::plan::{LogPlan, Stdin};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Stops at so many entries to system calls and exits from them, and kills at the last. False when it ended before.
fn kill_at(pid: u32, stops: u32) -> bool {
    let pid = Pid::from_raw(pid.cast_signed());
    if ptrace::seize(pid, Options::PTRACE_O_TRACESYSGOOD).is_err() || ptrace::interrupt(pid).is_err() {
        return false;
    }
    let mut seen = 0;
    loop {
        let signal = match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::PtraceSyscall(_)) => {
                seen += 1;
                None
            }
            Ok(WaitStatus::Stopped(_, signal)) => Some(signal),
            Ok(WaitStatus::PtraceEvent(..)) => None,
            _ => return false,
        };
        if seen == stops {
            let _ = kill(pid, Signal::SIGKILL);
            // Not ours to reap, but to let go of.
            let _ = waitpid(pid, Some(WaitPidFlag::__WALL));
            return true;
        }
        if ptrace::syscall(pid, signal.filter(|signal| *signal != Signal::SIGTRAP)).is_err() {
            return false;
        }
    }
}

/// Four of its supervisors die, each at another of these steps.
fn run(mut container: Container, first: u32, seconds: u32) -> u32 {
    let lines = 1000 * seconds;
    let input = text(lines);
    let wants_input = container.plan.stdin == Stdin::Once;
    container.plan.id = format!("{}-{first}", container.plan.id);
    let connection = container.start(ALL);
    std::thread::scope(|scope| {
        let (stdin, mut typed) = std::io::pipe().unwrap();
        let client = scope.spawn(|| attach_with(connection, stdin));
        scope.spawn(|| {
            for piece in input.as_bytes().chunks(input.len() / 150).filter(|_| wants_input) {
                typed.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(typed);
        });
        let begun = Instant::now();
        let mut killed = 0;
        for turn in 0..4 {
            // Once the one before is followed.
            std::thread::sleep(Duration::from_millis(150));
            while let Some(pid) = supervisor(&container) {
                if kill_at(pid, first + turn) {
                    killed += 1;
                    break;
                }
                if begun.elapsed() > Duration::from_secs(30) {
                    break;
                }
            }
        }
        let (end, out) = client.join().unwrap();
        assert!(ended(&end, 7), "{first} {end:?}");
        assert_same(&container.log(), &input, &format!("from step {first}: the log"));
        assert_same(&out, &input, &format!("from step {first}: what the client saw"));
        container.assert_nothing_left();
        killed
    })
}

/// One line per write, and a pause now and then.
fn lines(seconds: u32) -> String {
    let bursts = seconds * 50;
    format!(
        "i=0; while [ $i -lt {bursts} ]; do seq $((i * 20 + 1)) $((i * 20 + 20)); i=$((i + 1)); sleep 0.015; done; exit 7"
    )
}

fn every_step(name: &str, make: impl Fn(String) -> Container + Sync) {
    let mut killed = 0;
    // Each group at once; enough steps for two chunks with all that belongs to them.
    for group in (1..49).step_by(24) {
        std::thread::scope(|scope| {
            let make = &make;
            let all: Vec<_> = (group..group + 24)
                .step_by(4)
                .map(|first| scope.spawn(move || run(make(format!("{name}-{first}")), first, 3)))
                .collect();
            killed += all.into_iter().map(|one| one.join().unwrap()).sum::<u32>();
        });
    }
    println!("{name}: {killed} killed");
    assert!(killed > 30, "{killed}");
}

#[test]
fn output_is_logged_once_whatever_the_step() {
    every_step("steps", |name| kept(Container::new(&name, &lines(3))));
}

#[test]
fn a_log_that_rotates_all_the_time_has_it_once_too() {
    every_step("rotates", |name| {
        let mut container = kept(Container::new(&name, &lines(3)));
        let path = container.scratch.0.join("c-json.log");
        container.plan.log = Some(LogPlan { path, max_size: Some(1000), max_files: 1000 });
        container
    });
}

#[test]
fn input_is_read_once_whatever_the_step() {
    every_step("typed", |name| {
        // As it comes: line by line.
        let mut container = kept(Container::new(&name, "while read -r line; do echo $line; done; exit 7"));
        container.plan.stdin = Stdin::Once;
        container
    });
}
