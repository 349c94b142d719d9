//! One TCP connection of a container: each message behind its length (RFC 7766), several at a time, answers in any order.

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Connections of one container.
pub(super) const STREAMS: usize = 16;
/// Bytes that wait to be sent, at which nothing more is read.
pub(super) const ENOUGH: usize = 128 * 1024;
/// Queries of a connection that wait for upstream servers, at which nothing more is read.
const PENDING: usize = 16;
/// The longest query; longer ones end the connection.
const QUERY_MAX: usize = 4096;
/// How long nothing may happen. Longer than any query takes.
const SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Stream {
    fd: OwnedFd,
    /// A later connection in the same place has another one.
    pub(super) serial: u64,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Queries that wait for upstream servers.
    pub(super) pending: usize,
    pub(super) expires: Instant,
    /// A query came.
    pub(super) asked: bool,
    /// The client has said all.
    ended: bool,
    interest: epoll::EventFlags,
}

impl Stream {
    pub(super) fn new(fd: OwnedFd, serial: u64, epoll: &OwnedFd, token: u64, now: Instant) -> io::Result<Stream> {
        let interest = epoll::EventFlags::IN;
        epoll::add(epoll, &fd, epoll::EventData::new_u64(token), interest)?;
        let (inbox, outbox) = (Vec::new(), Vec::new());
        Ok(Stream {
            fd,
            serial,
            inbox,
            outbox,
            pending: 0,
            expires: now + SILENCE,
            asked: false,
            ended: false,
            interest,
        })
    }

    /// Whether answers wait to be taken.
    pub(super) fn has_answers(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn is_busy(&self) -> bool {
        self.pending >= PENDING || self.outbox.len() >= ENOUGH
    }

    /// Receives some of what is there. False: the connection is lost.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> bool {
        if self.ended || self.is_busy() || self.inbox.len() > QUERY_MAX {
            return true;
        }
        match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.ended = true,
            Ok((count, _)) => self.inbox.extend(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return false,
        }
        true
    }

    /// Takes whole queries of what was received. Each goes to `query`, which gives the answer (empty if there is to be
    /// none), or nothing if it comes later. False: the connection is to be closed.
    pub(super) fn take(&mut self, now: Instant, mut query: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> bool {
        let mut taken = 0;
        while !self.is_busy()
            && let Some(size) = whole(&self.inbox[taken..])
        {
            if size > QUERY_MAX {
                return false;
            }
            let answer = query(&self.inbox[taken + 2..taken + 2 + size]);
            taken += 2 + size;
            (self.asked, self.expires) = (true, now + SILENCE);
            match answer {
                Some(answer) if answer.is_empty() => {}
                Some(answer) => self.push(&answer),
                None => self.pending += 1,
            }
        }
        self.inbox.drain(..taken);
        true
    }

    /// An answer to be sent.
    pub(super) fn push(&mut self, answer: &[u8]) {
        self.outbox.extend((answer.len() as u16).to_be_bytes());
        self.outbox.extend(answer);
    }

    /// Sends what can be sent. False: the connection is lost.
    pub(super) fn flush(&mut self, now: Instant) -> bool {
        let mut sent = 0;
        while sent < self.outbox.len() {
            match rustix::net::send(&self.fd, &self.outbox[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => {
                    sent += count;
                    self.expires = now + SILENCE;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return false,
            }
        }
        self.outbox.drain(..sent);
        true
    }

    /// Waits for what can happen next. False: nothing can, and the connection is to be closed.
    pub(super) fn attend(&mut self, epoll: &OwnedFd, token: u64) -> bool {
        // Queries that are there already are gone on with as soon as the client has taken some answers.
        if self.ended && self.pending == 0 && self.outbox.is_empty() {
            return false;
        }
        let mut interest = epoll::EventFlags::empty();
        if !self.ended && !self.is_busy() {
            interest |= epoll::EventFlags::IN;
        }
        // A query that was left lying because of being busy needs a push: being writable is one.
        if !self.outbox.is_empty() || !self.is_busy() && whole(&self.inbox).is_some() {
            interest |= epoll::EventFlags::OUT;
        }
        if interest != self.interest {
            self.interest = interest;
            return epoll::modify(epoll, &self.fd, epoll::EventData::new_u64(token), interest).is_ok();
        }
        true
    }
}

/// The size of the first message, when all of it is there, or when it is too long.
fn whole(bytes: &[u8]) -> Option<usize> {
    let [high, low, rest @ ..] = bytes else { return None };
    let size = usize::from(u16::from_be_bytes([*high, *low]));
    (rest.len() >= size || size > QUERY_MAX).then_some(size)
}
