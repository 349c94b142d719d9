//! The supervisor itself: the one process per container that is there as long as the container is.
//!
//! # Its life
//!
//! ```text
//!     executed by `client::launch`, a socket as its standard input
//!       start.rs   session, lock, socket, control group, seccomp, stdio, the container up to its gate; Go; log
//!       watch.rs   one poll loop: the process, its output (pump.rs), input, clients
//!         resume.rs  once it has run for a while: the same program executed anew, with the same pid, children,
//!                    descriptors and locks, but without the memory of the start
//!       end.rs     reap, drain, log, control group, exit record, clients, Plan::exited
//! ```
//!
//! One thread, because the container is cloned from it. It never opens the ledger.
//!
//! # When it is killed
//!
//! The container goes on, and so does everything that needs only its pid and control group. The keeper (`keeping.rs`,
//! [`crate::keeper`]) has copies of all descriptors since before the gate was opened, and starts another supervisor, which
//! takes up (`resume.rs`) in the middle of what the slate (`slate.rs`) says; clients come back to it. When the keeper
//! is killed, the supervisors start another. When all are killed at once, somebody who looks after the container has it
//! adopted (`adopt.rs`): then input and terminals are lost, and output is not.

mod adopt;
mod clients;
mod end;
mod input;
mod keeping;
mod place;
mod pump;
mod resume;
mod slate;
mod spare;
mod start;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use place::{Identity, identity, without_environment};
pub(crate) use start::{OOM_SCORE, SOCKET, address, admit, enter_group, listen_as, open_directory};
pub(crate) use watch::is_this;

use crate::wire::{self, Inbox, Message};
use dhow_sys::passing;
use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Signals that would end a supervisor, and must not: who wants to end the container tells the container.
/// Those of the limits too, where they could not be lifted: a write fails then, which is dealt with.
const UNHEARD: [i32; 10] = {
    use signal_hook::consts::*;
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGXCPU, SIGXFSZ]
};

/// The body of `dhow internal supervise`: takes a plan from the socket that is its standard input, starts the
/// container, watches it to its end. Returns the exit status of the supervisor process.
pub fn supervise() -> u8 {
    match begin() {
        Ok(Some(watch)) => {
            watch.run();
            0
        }
        Ok(None) | Err(_) => 1,
    }
}

fn begin() -> io::Result<Option<watch::Watch>> {
    settle_in(c"dhow-supervisor")?;
    let mut talk = Talk::over(take_standard_input()?);
    talk.wait()?;
    match talk.inbox.next()? {
        Some(Message::Hello { version, streams }) => {
            wire::known(version)?;
            Ok(start::launch(talk, streams))
        }
        Some(Message::Resume { version }) => {
            wire::known(version)?;
            let mut watch = resume::take_up(talk.descriptors, None)?;
            if watch.brief.by_itself {
                // News for a successor.
                watch.keep();
            }
            Ok(Some(watch))
        }
        Some(Message::Succeed { version }) => {
            wire::known(version)?;
            let _ = rustix::process::setsid();
            resume::take_up(talk.descriptors, Some(talk.socket)).map(Some)
        }
        Some(Message::Adopt(bytes)) => {
            let adoption = serde_json::from_slice(bytes)?;
            let kept = std::mem::take(&mut talk.descriptors);
            Ok(adopt::adopt(&talk, &adoption, kept))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What a process of ours does first that lives for long.
pub(crate) fn settle_in(name: &CStr) -> io::Result<()> {
    passing::keep_back()?;
    // Nobody may look into it through /proc, not even from a user namespace that it enters.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let _ = rustix::thread::set_name(name);
    dhow_runtime::rlimits::lift();
    for signal in UNHEARD {
        // A handler and not SIG_IGN, which the container would inherit.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// The socket, out of the way of the container's standard streams; `/dev/null` takes its place.
pub(crate) fn take_standard_input() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

/// A blocking conversation with the launcher.
pub(crate) struct Talk {
    pub(crate) socket: OwnedFd,
    pub(crate) inbox: Inbox,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Talk {
    pub(crate) fn over(socket: OwnedFd) -> Talk {
        Talk { socket, inbox: Inbox::default(), descriptors: Vec::new() }
    }

    /// Waits until a whole message is there.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end is closed.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        // Little at first: of the memory that a lean supervisor has touched, each page counts as often as there are
        // containers.
        let mut bytes = vec![0; 256];
        while wire::parse(self.inbox.rest())?.is_none() {
            if !self.inbox.rest().is_empty() {
                bytes.resize(64 * 1024, 0);
            }
            match passing::receive(self.socket.as_fd(), &mut bytes, &mut self.descriptors)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.inbox.push(&bytes[..n]),
            }
        }
        Ok(())
    }

    pub(crate) fn tell(&self, message: Message<'_>) -> io::Result<()> {
        let bytes = message.to_bytes();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[passing::send(self.socket.as_fd(), rest, &[])?..];
        }
        Ok(())
    }
}

/// Nanoseconds since the Unix epoch.
fn now() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
