//! `kill -9` after every single system call of a load and of a removal, and recovery after each.

use crate::containers;
use crate::roles::play;
use crate::store::{Sample, Scratch, names};
use dhow_state::{CheckOptions, FindingKind, State};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Lets a process play `role` until `steps` system calls have returned, then kills it. Says whether it got so far.
fn killed_after(steps: u32, role: &str, scratch: &Scratch) -> bool {
    let mut player = play(role, scratch.path());
    let thread = Pid::from_raw(player.hear().parse().unwrap());
    ptrace::seize(thread, ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL).unwrap();
    ptrace::interrupt(thread).unwrap();
    let wait = || waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
    wait();
    player.tell("go");
    let (mut returned, mut inside) = (0, false);
    loop {
        ptrace::syscall(thread, None).unwrap();
        match wait() {
            WaitStatus::PtraceSyscall(_) => {
                inside = !inside;
                returned += u32::from(!inside);
            }
            WaitStatus::Exited(..) => return false,
            // The interrupted read begins anew: its entry is reported again.
            WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..) => {}
            other => panic!("{other:?}"),
        }
        if returned == steps {
            player.child.kill().unwrap();
            // The process is not gone before its tracer has heard of the thread's end.
            while !matches!(wait(), WaitStatus::Signaled(..) | WaitStatus::Exited(..)) {}
            player.child.wait().unwrap();
            return true;
        }
    }
}

/// Nothing half done is left, and the container is there with its directory or without either.
fn is_there(state: &State, at: &str) -> bool {
    assert_eq!(state.read(|r| r.operations()).unwrap(), [], "{at}");
    assert_eq!(names(&state.root().join("work")), [""; 0], "{at}");
    let mut report = state.check(&CheckOptions { repair: false, verify_blobs: true }, 0).unwrap();
    report.findings.retain(|f| f.kind != FindingKind::StaleLock);
    assert!(report.findings.is_empty(), "{at}: {report:?}");
    let row = state.read(|r| r.container(&containers::id(1))).unwrap();
    assert_eq!(state.container_dir(&containers::id(1)).join("rootfs/file").exists(), row.is_some(), "{at}");
    row.is_some()
}

#[test]
fn a_container_made_and_killed_anywhere_is_there_or_not() {
    let scratch = Scratch::new();
    let mut whole = 0;
    for steps in 1.. {
        let killed = killed_after(steps, "make", &scratch);
        let state = scratch.open();
        if is_there(&state, &format!("making killed after {steps}")) {
            whole += 1;
            assert!(containers::remove(&state, 1).unwrap());
            assert!(!is_there(&state, "removed again"));
        }
        if !killed {
            println!("{} system calls, whole in the last {whole}", steps - 1);
            assert!(whole > 1 && steps > 30);
            break;
        }
    }
}

#[test]
fn a_container_removed_and_killed_anywhere_is_there_or_gone() {
    let scratch = Scratch::new();
    containers::make(&scratch.open(), 1, None).unwrap();
    let mut gone = 0;
    for steps in 1.. {
        let killed = killed_after(steps, "unmake", &scratch);
        let state = scratch.open();
        if !is_there(&state, &format!("removal killed after {steps}")) {
            gone += 1;
            assert!(!state.container_run_dir(&containers::id(1)).exists());
            containers::make(&state, 1, None).unwrap();
        }
        if !killed {
            println!("{} system calls, gone in the last {gone}", steps - 1);
            assert!(gone > 1 && steps > 30);
            break;
        }
    }
}

/// Nothing half done is left, and what is there is whole.
fn is_sound(state: &State, sample: &Sample, at: &str) -> bool {
    assert_eq!(state.read(|r| r.operations()).unwrap(), [], "{at}");
    assert_eq!(names(&state.root().join("work")), [""; 0], "{at}");
    let mut report = state.check(&CheckOptions { repair: false, verify_blobs: true }, 0).unwrap();
    // The one trace that a killed holder may leave; the next who takes the lock removes it.
    report.findings.retain(|f| f.kind != FindingKind::StaleLock);
    assert!(report.findings.is_empty(), "{at}: {report:?}");
    let there = state.read(|r| r.image(&sample.id())).unwrap().is_some();
    for path in sample.paths(state) {
        assert_eq!(path.exists(), there, "{at}: {}", path.display());
    }
    there
}

#[test]
fn a_load_killed_anywhere_happened_or_did_not() {
    let (scratch, sample) = (Scratch::new(), Sample::new(1));
    let mut whole = 0;
    for steps in 1.. {
        let killed = killed_after(steps, "load", &scratch);
        let state = scratch.open();
        if is_sound(&state, &sample, &format!("load killed after {steps}")) {
            whole += 1;
            sample.remove(&state).unwrap();
            is_sound(&state, &sample, "removed again");
        }
        if !killed {
            println!("{} system calls, whole in the last {whole}", steps - 1);
            assert!(whole > 1 && steps > 100);
            break;
        }
    }
}

#[test]
fn a_removal_killed_anywhere_happened_or_did_not() {
    let (scratch, sample) = (Scratch::new(), Sample::new(1));
    sample.load(&scratch.open()).unwrap();
    let mut gone = 0;
    for steps in 1.. {
        let killed = killed_after(steps, "remove", &scratch);
        let state = scratch.open();
        if !is_sound(&state, &sample, &format!("removal killed after {steps}")) {
            gone += 1;
            sample.load(&state).unwrap();
        }
        if !killed {
            println!("{} system calls, gone in the last {gone}", steps - 1);
            assert!(gone > 1 && steps > 30);
            break;
        }
    }
}
