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
    /// The client has said all.
    ended: bool,
    interest: epoll::EventFlags,
}

impl Stream {
    pub(super) fn new(fd: OwnedFd, serial: u64, epoll: &OwnedFd, token: u64, now: Instant) -> io::Result<Stream> {
        let interest = epoll::EventFlags::IN;
        epoll::add(epoll, &fd, epoll::EventData::new_u64(token), interest)?;
        let (inbox, outbox) = (Vec::new(), Vec::new());
        Ok(Stream { fd, serial, inbox, outbox, pending: 0, expires: now + SILENCE, ended: false, interest })
    }

    fn is_busy(&self) -> bool {
        self.pending >= PENDING || self.outbox.len() >= ENOUGH
    }

    /// Reads what is there. Each whole query goes to `query`, which gives the answer (none if there is to be none), or
    /// nothing if it comes later. False: the connection is to be closed.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        mut query: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> bool {
        while !self.is_busy() {
            if let Some(size) = self.whole() {
                if size > QUERY_MAX {
                    return false;
                }
                let message: Vec<u8> = self.inbox.drain(..2 + size).skip(2).collect();
                self.expires = now + SILENCE;
                match query(&message) {
                    Some(answer) if answer.is_empty() => {}
                    Some(answer) => self.push(&answer),
                    None => self.pending += 1,
                }
                continue;
            }
            if self.ended || self.inbox.len() > QUERY_MAX + 2 {
                break;
            }
            match rustix::net::recv(&self.fd, &mut buffer[..QUERY_MAX], RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.ended = true,
                Ok((count, _)) => self.inbox.extend(&buffer[..count]),
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return false,
            }
        }
        true
    }

    /// The size of the first message, when all of it is there, or when it is too long.
    fn whole(&self) -> Option<usize> {
        let [high, low, rest @ ..] = &self.inbox[..] else { return None };
        let size = usize::from(u16::from_be_bytes([*high, *low]));
        (rest.len() >= size || size > QUERY_MAX).then_some(size)
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
        if !self.outbox.is_empty() || !self.is_busy() && self.whole().is_some() {
            interest |= epoll::EventFlags::OUT;
        }
        if interest != self.interest {
            self.interest = interest;
            return epoll::modify(epoll, &self.fd, epoll::EventData::new_u64(token), interest).is_ok();
        }
        true
    }
}
