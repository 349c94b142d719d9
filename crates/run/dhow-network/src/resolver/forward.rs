//! One query on its way to upstream servers: what is sent, which answers count, who is tried when.
//!
//! Pure but for [`Way`], which is one socket. No cache, as in docker: an upstream answer is as old as its server says.
//!
//! # Who can forge an answer
//!
//! Each attempt has a random id and a random source port, the kernel hands over only what comes from the server asked,
//! and the question must be the one that was asked, to the case of its letters when the client mixed them. What does not
//! fit is ignored, and the attempt goes on waiting.
//!
//! # Sockets are handed in
//!
//! The resolver can make none: those of a container's namespace come with the container, those of the host's likewise.
//! Connecting a socket to nothing (`AF_UNSPEC`) gives its port back, so each attempt gets a fresh one from the kernel.

use super::answer::{DATAGRAM_MAX, limit};
use super::message::{EDNS_SIZE, Edns, HEADER, Message, Query, Section, Writer, code, flag};
use super::resolv_conf::{Place, SERVERS_MAX, Upstream};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketType, sockopt};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long the first round waits for each server.
const FIRST: Duration = Duration::from_millis(1000);
/// And the second.
const SECOND: Duration = Duration::from_millis(2000);
/// When a query has failed: before the 5 s after which the C libraries ask again.
pub(super) const DEADLINE: Duration = Duration::from_millis(4500);
/// How long a server that cannot be reached is not tried: the kernel of a router tells of it only so often.
pub(super) const UNREACHABLE: Duration = Duration::from_secs(1);
/// How long a server that did not answer comes last.
pub(super) const PENALTY: Duration = Duration::from_secs(10);

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// Back by this listener to this address.
    Datagram { listener: usize, address: SocketAddrAny },
    /// Into this connection, if it is still the same.
    Stream { slot: usize, serial: u64 },
}

/// A query that others are asked.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) origin: Origin,
    pub(super) query: Query,
    /// Ask over TCP.
    pub(super) stream: bool,
    pub(super) deadline: Instant,
    /// Servers in the order of trial.
    order: Vec<u8>,
    attempt: usize,
    /// Those of them that nobody reaches, by their places: not asked a second time.
    unreachable: u32,
    /// An answer that said no more than that its server failed.
    pub(super) poor: Option<Vec<u8>>,
}

/// What an upstream message is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is none of ours; the right one may still come.
    Nothing,
    /// The answer.
    Answer,
    /// It is cut short, and the client would take more.
    Truncated,
    /// The server cannot say; another might.
    Failure,
}

impl Job {
    /// `penalised` says of each server whether it failed lately.
    pub(super) fn new(origin: Origin, query: Query, penalised: &[bool], now: Instant) -> Box<Job> {
        let servers = || (0..penalised.len().min(SERVERS_MAX)).map(|n| n as u8);
        let good = servers().filter(|&n| !penalised[usize::from(n)]);
        let order = good.chain(servers().filter(|&n| penalised[usize::from(n)])).collect();
        let stream = matches!(origin, Origin::Stream { .. });
        Box::new(Job { origin, query, stream, deadline: now + DEADLINE, order, attempt: 0, unreachable: 0, poor: None })
    }

    /// The server to ask now, and until when. None: all had their chances, or it is too late.
    pub(super) fn server(&self, now: Instant) -> Option<(usize, Instant)> {
        let count = self.order.len();
        if self.attempt >= 2 * count || now >= self.deadline {
            return None;
        }
        let last = self.attempt + 1 == 2 * count;
        let patience = if self.attempt < count { FIRST } else { SECOND };
        let until = if last { self.deadline } else { (now + patience).min(self.deadline) };
        Some((usize::from(self.order[self.attempt % count]), until))
    }

    /// That one has had its chance.
    pub(super) fn next(&mut self) {
        self.attempt += 1;
        self.pass_over();
    }

    /// That server has had both its chances: nobody is there, or no route leads there.
    pub(super) fn rule_out(&mut self, server: usize) {
        if let Some(place) = self.order.iter().position(|&one| usize::from(one) == server) {
            self.unreachable |= 1 << place;
        }
        self.pass_over();
    }

    fn pass_over(&mut self) {
        let count = self.order.len();
        while self.attempt < 2 * count && self.unreachable >> (self.attempt % count) & 1 == 1 {
            self.attempt += 1;
        }
    }

    /// What is sent upstream: made anew, so that nothing of the client goes there but its question.
    pub(super) fn request(&self, id: u16) -> Vec<u8> {
        let mut bytes = if self.stream { vec![0; 2] } else { Vec::new() };
        let kept = flag::RECURSION_DESIRED | flag::CHECKING_DISABLED | flag::AUTHENTIC;
        let mut writer = Writer::new(&mut bytes, id, self.query.flags & kept, DATAGRAM_MAX);
        writer.question(&self.query.question);
        if let Some(edns) = self.query.edns {
            writer.record(Section::Additional, &Edns::record(EDNS_SIZE, 0, edns.signatures));
        }
        let size = writer.size() as u16;
        if self.stream {
            bytes[..2].copy_from_slice(&size.to_be_bytes());
        }
        bytes
    }

    /// Judges what came from the server asked with this id.
    pub(super) fn judge(&self, id: u16, bytes: &[u8]) -> Worth {
        let Ok(message) = Message::read(bytes) else { return Worth::Nothing };
        if message.id != id || !message.is_answer() || message.flags & flag::OPCODE != 0 {
            return Worth::Nothing;
        }
        let failed = !matches!(message.code(), code::NO_ERROR | code::NO_SUCH_NAME);
        let asked = &self.query.question;
        match message.question {
            // A server that did not understand may leave the question out.
            None if failed => return Worth::Failure,
            Some(question) if message.counts[0] == 1 && question == *asked => {
                let exact = question.name.as_wire() == asked.name.as_wire();
                if asked.name.is_mixed_case() && !exact {
                    return Worth::Nothing;
                }
            }
            _ => return Worth::Nothing,
        }
        if message.flags & flag::TRUNCATED != 0 && !self.stream {
            // A client that takes no more than the server sent will come again by itself.
            let more = limit(&self.query, matches!(self.origin, Origin::Stream { .. })) > usize::from(EDNS_SIZE);
            return if more { Worth::Truncated } else { Worth::Answer };
        }
        let sound = message.records().all(|record| record.is_ok());
        if failed || !sound { Worth::Failure } else { Worth::Answer }
    }

    /// The client's answer made of the server's; None when it is too long for it.
    pub(super) fn relay(&self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let stream = matches!(self.origin, Origin::Stream { .. });
        if bytes.len() > limit(&self.query, stream) || bytes.len() < HEADER {
            return None;
        }
        bytes[..2].copy_from_slice(&self.query.id.to_be_bytes());
        Some(bytes)
    }
}

/// A socket on which servers are asked, one query at a time.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) fd: OwnedFd,
    pub(super) place: Place,
    pub(super) stream: bool,
    v6: bool,
    pub(super) flight: Option<Flight>,
}

/// The query that is under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) job: Box<Job>,
    pub(super) id: u16,
    pub(super) server: usize,
    pub(super) expires: Instant,
    /// Over TCP: what is to be sent, and what came.
    request: Vec<u8>,
    sent: usize,
    came: Vec<u8>,
}

/// How a socket went on.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing whole yet.
    Waiting,
    /// A message, to be judged.
    Message(Vec<u8>),
    /// This server cannot be reached so.
    Failed,
}

impl Way {
    /// A socket that was handed in.
    ///
    /// # Errors
    /// What getsockopt(2) and fcntl(2) say; `InvalidInput` for a socket of another kind.
    pub(super) fn new(fd: OwnedFd, place: Place) -> io::Result<Way> {
        let v6 = match sockopt::socket_domain(&fd)? {
            AddressFamily::INET => false,
            AddressFamily::INET6 => true,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let stream = match sockopt::socket_type(&fd)? {
            SocketType::DGRAM => false,
            SocketType::STREAM => true,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Way { fd, place, stream, v6, flight: None })
    }

    /// Whether this server can be asked on it.
    pub(super) fn fits(&self, upstream: &Upstream, stream: bool) -> bool {
        self.place == upstream.place && self.v6 == upstream.address.is_ipv6() && self.stream == stream
    }

    /// Sends the job's query to a server, from a fresh port.
    ///
    /// # Errors
    /// The job, when it could not be sent.
    pub(super) fn launch(
        &mut self,
        epoll: &OwnedFd,
        token: u64,
        job: Box<Job>,
        (server, address): (usize, SocketAddr),
        (id, expires): (u16, Instant),
    ) -> Result<(), Box<Job>> {
        let request = job.request(id);
        match self.send(epoll, token, &request, address) {
            Ok(()) => {
                let came = Vec::new();
                self.flight = Some(Flight { job, id, server, expires, request, sent: 0, came });
                Ok(())
            }
            Err(_) => {
                self.rest(epoll);
                Err(job)
            }
        }
    }

    fn send(&mut self, epoll: &OwnedFd, token: u64, request: &[u8], server: SocketAddr) -> io::Result<()> {
        let _ = rustix::net::connect_unspec(&self.fd);
        let _ = sockopt::socket_error(&self.fd);
        match rustix::net::connect(&self.fd, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let events = if self.stream { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
        epoll::add(epoll, &self.fd, epoll::EventData::new_u64(token), events)?;
        if !self.stream {
            // What came between the port and the server being chosen may be from anybody, and be about anything.
            while is_told(&self.fd) {}
            while rustix::net::recv(&self.fd, &mut [0; 1][..], RecvFlags::DONTWAIT).is_ok() {}
            rustix::net::send(&self.fd, request, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Gives the port back, and what was under way.
    pub(super) fn rest(&mut self, epoll: &OwnedFd) -> Option<Flight> {
        let _ = epoll::delete(epoll, &self.fd);
        let _ = rustix::net::connect_unspec(&self.fd);
        self.flight.take()
    }

    /// Goes on as far as it can without waiting.
    pub(super) fn progress(&mut self, epoll: &OwnedFd, token: u64, buffer: &mut [u8]) -> Progress {
        let (fd, stream) = (&self.fd, self.stream);
        let Some(flight) = &mut self.flight else { return Progress::Waiting };
        if !stream {
            return match rustix::net::recv(fd.as_fd(), &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((count, _)) => Progress::Message(buffer[..count].to_vec()),
                // As long as there is something, the socket counts as ready.
                Err(Errno::AGAIN) if is_told(fd) => Progress::Failed,
                Err(Errno::AGAIN | Errno::INTR) => Progress::Waiting,
                Err(_) => Progress::Failed,
            };
        }
        flight.exchange(fd, epoll, token, buffer)
    }
}

/// Whether the socket's error queue has told something, which is forgotten.
fn is_told(fd: &OwnedFd) -> bool {
    rustix::net::recv(fd, &mut [0; 1][..], RecvFlags::DONTWAIT | RecvFlags::ERRQUEUE).is_ok()
}

impl Flight {
    fn exchange(&mut self, fd: &OwnedFd, epoll: &OwnedFd, token: u64, buffer: &mut [u8]) -> Progress {
        while self.sent < self.request.len() {
            match rustix::net::send(fd, &self.request[self.sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN | Errno::INTR) => return Progress::Waiting,
                Err(_) => return Progress::Failed,
            }
            if self.sent == self.request.len() {
                let (data, events) = (epoll::EventData::new_u64(token), epoll::EventFlags::IN);
                if epoll::modify(epoll, fd, data, events).is_err() {
                    return Progress::Failed;
                }
            }
        }
        loop {
            if let [high, low, message @ ..] = &self.came[..] {
                let size = usize::from(u16::from_be_bytes([*high, *low]));
                if let Some(message) = message.get(..size) {
                    return Progress::Message(message.to_vec());
                }
            }
            match rustix::net::recv(fd.as_fd(), &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Progress::Failed,
                Ok((count, _)) => self.came.extend(&buffer[..count]),
                Err(Errno::AGAIN | Errno::INTR) => return Progress::Waiting,
                Err(_) => return Progress::Failed,
            }
        }
    }
}
