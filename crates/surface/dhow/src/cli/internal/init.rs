//! `init -- PROGRAM [ARGUMENT..]`: process 1 of a container made with `--init`.
//!
//! Starts the program in a process group of its own, which gets the terminal if there is one; hands on the signals it
//! gets; reaps whatever becomes its child; ends as the program ended. Must not know anything of dhow: nothing of it is
//! in reach there. The behaviour is that of tini, which docker uses.

use crate::cli::{Ended, Failure};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::consts::{SIGCHLD, SIGTTIN, SIGTTOU};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Signals that are handed on: all that can be caught, but those of faults of our own and SIGCHLD.
const HANDED_ON: [i32; 20] = [1, 2, 3, 6, 10, 12, 13, 14, 15, 16, 18, 20, 23, 24, 25, 26, 27, 28, 29, 30];

/// Exit codes as a shell's: found but not executable, not found.
const CANNOT_EXECUTE: u8 = 126;
const NOT_FOUND: u8 = 127;

pub(super) fn run(words: &[OsString]) -> Ended {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::plain("dhow: init takes a program"));
    };
    let failed = |e: std::io::Error| Failure::error(format!("init cannot handle signals: {e}"));
    // Before there is a child, so that none of its signals is missed. SIGTTOU and SIGTTIN are taken too, so that giving
    // away the terminal does not stop us.
    let signals = HANDED_ON.iter().chain(&[SIGCHLD, SIGTTIN, SIGTTOU]);
    let mut signals = Signals::new(signals).map_err(failed)?;
    let child = Command::new(program).args(arguments).process_group(0).spawn().map_err(|e| {
        let code = if e.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_EXECUTE };
        Failure::error(format!("exec {program:?}: {e}")).with_code(code)
    })?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let child = child.expect("the kernel gives positive pids that fit");
    give_terminal(child);
    // The child may have ended before the first signal is looked at.
    if let Some(code) = reap(child) {
        return Ok(code);
    }
    for signal in signals.forever() {
        match signal {
            SIGCHLD => {
                if let Some(code) = reap(child) {
                    return Ok(code);
                }
            }
            SIGTTIN | SIGTTOU => {}
            signal => {
                if let Some(signal) = Signal::from_named_raw(signal) {
                    // It may have ended just now: then its SIGCHLD is on the way.
                    let _ = rustix::process::kill_process(child, signal);
                }
            }
        }
    }
    Ok(0)
}

/// Makes the child's group the one that reads from the terminal, as the one we are in was until now.
fn give_terminal(child: Pid) {
    // No terminal, or somebody else's: nothing to give.
    let _ = rustix::termios::tcsetpgrp(std::io::stdin(), child);
}

/// Takes every child that has ended; the exit code of `main` once it is among them.
fn reap(main: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
        match pid == main {
            true if status.stopped() => wake(main, status),
            true => code = Some(exit_code(status)),
            false => {}
        }
    }
    code
}

/// A child that asked for the terminal before it was given it has been stopped for that: it may go on.
fn wake(child: Pid, status: WaitStatus) {
    let for_terminal = matches!(status.stopping_signal(), Some(SIGTTIN | SIGTTOU));
    if for_terminal && rustix::termios::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == child) {
        // If it is gone there is nobody to wake.
        let _ = rustix::process::kill_process_group(child, Signal::CONT);
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(u8::MAX)
}
