//! The supervisor itself: the one process per container that is there as long as the container is.
//!
//! # Its life
//!
//! ```text
//!     executed by `client::launch`, a socket as its standard input
//!       start.rs   session, lock, socket, control group, seccomp, stdio, the container up to its gate; Go; log
//!       watch.rs   one poll loop: the process, its output, input, clients
//!         resume.rs  once it has run for a while: the same program executed anew, with the same pid, children,
//!                    descriptors and locks, but without the memory of the start
//!       end.rs     reap, drain, log, control group, exit record, clients, Plan::exited
//! ```
//!
//! One thread, because the container is cloned from it. It never opens the ledger.
//!
//! # When it is killed
//!
//! The container goes on, and so does everything that needs only its pid and control group. Lost is what the supervisor
//! alone held: a begun line of output, input on its way, and the exit status. The ends of pipes and terminals close with
//! it, so the container meets end-of-file on its input, SIGPIPE on its output, or SIGHUP from its terminal. All that is
//! needed to go on is in descriptors and a few words (`resume.rs`), so that another process can hold them in reserve.

mod clients;
mod end;
mod input;
mod resume;
mod start;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use start::{address, open_directory};

use crate::wire::{self, Inbox, Message};
use dhow_sys::passing;
use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;
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
    passing::keep_back()?;
    // Nobody may look into it through /proc, not even from a user namespace that it enters.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let _ = rustix::thread::set_name(c"dhow-supervisor");
    dhow_runtime::rlimits::lift();
    for signal in UNHEARD {
        // A handler and not SIG_IGN, which the container would inherit.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    let mut talk = Talk::over(take_standard_input()?);
    talk.wait()?;
    match talk.inbox.next()? {
        Some(Message::Hello { version, streams }) => {
            crate::plan::known(version)?;
            Ok(start::launch(talk, streams))
        }
        Some(Message::Resume { version }) => {
            crate::plan::known(version)?;
            resume::take_up(talk.descriptors).map(Some)
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The socket, out of the way of the container's standard streams; `/dev/null` takes its place.
fn take_standard_input() -> io::Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

/// A blocking conversation with the launcher.
struct Talk {
    socket: OwnedFd,
    inbox: Inbox,
    descriptors: Vec<OwnedFd>,
}

impl Talk {
    fn over(socket: OwnedFd) -> Talk {
        Talk { socket, inbox: Inbox::default(), descriptors: Vec::new() }
    }

    /// Waits until a whole message is there.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end is closed.
    fn wait(&mut self) -> io::Result<()> {
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

    fn tell(&self, message: Message<'_>) -> io::Result<()> {
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
