//! A conversation with a supervisor: messages out, messages in, and why it broke off.

use super::back::Back;
use super::{ClientError, Streams};
use crate::failure::Failure;
use crate::wire::{self, DATA_MAX, Inbox, Message};
use dhow_sys::passing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::Instant;

/// What a supervisor says while it starts a container.
pub(super) enum Said {
    Waiting {
        pid: u32,
        start_time: u64,
    },
    Failed(Failure),
    /// The version that it speaks.
    Welcome(u32),
    Other,
}

/// Why a start came to nothing.
pub(super) enum Cause {
    /// It was told.
    Failure(Failure),
    /// The conversation broke off.
    BrokenOff,
}

impl From<io::Error> for Cause {
    fn from(_: io::Error) -> Cause {
        Cause::BrokenOff
    }
}

/// A conversation: the socket, what came in over it, and who is at the other end if he is our child.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) socket: OwnedFd,
    pub(super) inbox: Inbox,
    pub(super) child: Option<Child>,
    /// None: who is lost is lost.
    pub(super) back: Option<Back>,
}

impl Talk {
    pub(super) fn present(&self, plan: &[u8], descriptors: &[OwnedFd], attach: Streams) -> Result<(), Cause> {
        let streams = attach.bits() | wire::SPEAKS_2 | wire::RECORDS;
        let hello = Message::Hello { version: 1, streams }.to_bytes();
        let fds: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let sent = passing::send(self.socket.as_fd(), &hello, &fds)?;
        self.send(&hello[sent..])?;
        self.tell(Message::Plan(plan))?;
        Ok(())
    }

    pub(super) fn tell(&self, message: Message<'_>) -> io::Result<()> {
        self.send(&message.to_bytes())
    }

    pub(super) fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = &bytes[passing::send(self.socket.as_fd(), bytes, &[])?..];
        }
        Ok(())
    }

    /// Waits until a whole message is there; false at the end of the stream.
    pub(super) fn wait(&mut self) -> io::Result<bool> {
        while wire::parse(self.inbox.rest())?.is_none() {
            if !self.receive()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The same, up to then.
    ///
    /// # Errors
    /// `TimedOut`.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> io::Result<bool> {
        while wire::parse(self.inbox.rest())?.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "there is no answer")),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            }
            if !self.receive()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes in what there is, or waits for something; false at the end of the stream.
    pub(super) fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = vec![0; DATA_MAX / 4];
        loop {
            match rustix::io::read(&self.socket, &mut bytes[..]) {
                Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Ok(false),
                Ok(n) => {
                    self.inbox.push(&bytes[..n]);
                    return Ok(true);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub(super) fn hear(&mut self) -> Result<Said, Cause> {
        if !self.wait()? {
            return Err(Cause::BrokenOff);
        }
        Ok(match self.inbox.next()? {
            Some(Message::Waiting { pid, start_time }) => Said::Waiting { pid, start_time },
            Some(Message::Welcome { version }) => Said::Welcome(version),
            Some(Message::Failed(bytes)) => Said::Failed(serde_json::from_slice(bytes).map_err(io::Error::from)?),
            _ => Said::Other,
        })
    }

    /// The error for a start that came to nothing, once the supervisor has ended.
    pub(super) fn explain(&mut self, cause: Cause, id: &str) -> ClientError {
        let failure = match cause {
            Cause::Failure(failure) => Some(failure),
            // It may have said why before it closed the socket under our hands.
            Cause::BrokenOff => self.last_words(),
        };
        self.reap();
        failure.map_or_else(|| ClientError::Died { id: id.to_owned() }, |failure| ClientError::Runtime(failure.into()))
    }

    /// Listens until the other end closes the socket, for a reason why.
    pub(super) fn last_words(&mut self) -> Option<Failure> {
        let mut reason = None;
        while let Ok(said) = self.hear() {
            if let Said::Failed(failure) = said {
                reason = Some(failure);
            }
        }
        reason
    }

    pub(super) fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}
