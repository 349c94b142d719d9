//! Netlink: how the kernel is asked about links, addresses, routes and firewalls, and told to change them.
//!
//! This module knows messages, attributes, acknowledgements and dumps; what they mean is known by the modules beside it.
//! See netlink(7) and Documentation/userspace-api/netlink in the kernel's sources.
//!
//! # Words
//!
//! - a **message** ([`Message`]) is a header and a body: a fixed part, then attributes, which may nest;
//! - an **exchange** sends one message and hears all that the kernel answers, up to its acknowledgement;
//! - a **dump** asks for all things of a kind; one that was disturbed by a change begins again;
//! - a **batch** is many messages in one datagram, all or nothing (nf_tables).
//!
//! # Lifecycle
//!
//! A [`Socket`] belongs for ever to the network namespace in which it was opened, whichever one its user is in later.
//! The kernel works while it is sent to, so answers are there when the call returns: nothing here waits, but [`Socket::next`].

mod read;
mod write;

pub use read::{Attribute, Attributes, Received, attributes, messages};
pub use write::Message;

use dhow_sys::netlink::Switch;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The kinds of messages that all protocols share.
pub(crate) mod kind {
    /// `NLMSG_ERROR`: an acknowledgement, or a refusal.
    pub(crate) const ERROR: u16 = 2;
    /// `NLMSG_DONE`: the end of a dump.
    pub(crate) const DONE: u16 = 3;
}

/// Flags of messages.
pub(crate) mod flag {
    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const ACK: u16 = 4;
    pub(crate) const DUMP_INTR: u16 = 0x10;
    /// `NLM_F_CAPPED`: the refused message is not repeated in the error.
    pub(crate) const CAPPED: u16 = 0x100;
    /// `NLM_F_ACK_TLVS`: attributes follow the error.
    pub(crate) const ACK_TLVS: u16 = 0x200;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const REPLACE: u16 = 0x100;
    pub(crate) const EXCLUDE: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
}

/// What the kernel fills at most at once in a dump, when the reader has room for it.
const RECEIVE_BUFFER: usize = 32 * 1024;

/// How often a dump is begun again because things changed while it went on.
const DUMP_TRIES: u32 = 50;

/// What the kernel said instead of yes.
#[derive(Debug, thiserror::Error)]
#[error("{source}{}", words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default())]
pub struct Failure {
    /// `errno`, or what is wrong with the answer.
    pub source: io::Error,
    /// The kernel's own words about it, where it had any.
    pub words: Option<String>,
    /// Which message of a batch was refused, counted from 0.
    pub message: Option<usize>,
}

impl Failure {
    /// `errno`, when the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether it is this error.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.errno() == Some(errno.raw_os_error())
    }

    fn garbled(what: &str) -> Failure {
        io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's answer is garbled: {what}")).into()
    }
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Failure {
        Failure { source, words: None, message: None }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        io::Error::from(errno).into()
    }
}

/// The netlink protocols that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// rtnetlink(7): links, addresses, routes, neighbours.
    Route,
    /// nfnetlink: nf_tables and connection tracking.
    Netfilter,
}

/// A netlink socket, bound to the network namespace that it was opened in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What socket(2) says: `EPROTONOSUPPORT` when the kernel has no such protocol.
    pub fn open(protocol: Protocol) -> io::Result<Socket> {
        let number = match protocol {
            Protocol::Route => None, // NETLINK_ROUTE is 0
            Protocol::Netfilter => Some(netlink::NETFILTER),
        };
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, number)?;
        // Connected to the kernel: other processes cannot send to it.
        rustix::net::connect(&fd, &netlink::SocketAddrNetlink::new(0, 0))?;
        for switch in [Switch::ExtendedErrors, Switch::ShortErrors, Switch::StrictDumps] {
            // Words and filters are comfort: without them the answer is poorer, and filtered by us.
            let _ = dhow_sys::netlink::switch_on(fd.as_fd(), switch);
        }
        Ok(Socket { fd, sequence: 0, buffer: Vec::new() })
    }

    /// Opens a socket that hears of changes: numbers of multicast groups ([`group`]).
    ///
    /// # Errors
    /// As [`Socket::open`]; `EINVAL` for a group that there is not.
    pub fn subscribe(protocol: Protocol, groups: &[u32]) -> io::Result<Socket> {
        let socket = Socket::open(protocol)?;
        for group in groups {
            dhow_sys::netlink::join(socket.fd.as_fd(), *group)?;
        }
        Ok(socket)
    }

    /// Makes room for batches of this size, in bytes.
    ///
    /// # Errors
    /// What setsockopt(2) says: `EPERM` without `CAP_NET_ADMIN` in the first user namespace.
    pub(crate) fn reserve(&self, size: usize) -> io::Result<()> {
        // What lies before the data in the kernel's buffers counts, too.
        Ok(rustix::net::sockopt::set_socket_send_buffer_size_force(&self.fd, size + 64 * 1024)?)
    }

    /// Sends one message and gives each answer to `each`, until the kernel acknowledges or the dump is over.
    ///
    /// # Errors
    /// What the kernel says. The socket can be used again afterwards.
    pub fn exchange(&mut self, mut message: Message, mut each: impl FnMut(&Received<'_>)) -> Result<(), Failure> {
        message.flags(flag::ACK);
        let sequence = self.send(message)?;
        loop {
            let size = self.receive(RecvFlags::empty())?;
            for received in messages(&self.buffer[..size]) {
                let received = received.map_err(Failure::garbled)?;
                if received.sequence != sequence {
                    continue; // what was left of an exchange that we gave up
                }
                match received.kind {
                    kind::ERROR => return judge(&received),
                    kind::DONE => return done(&received),
                    _ => each(&received),
                }
            }
        }
    }

    /// Sends one message, of which only success or failure matters.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn request(&mut self, message: Message) -> Result<(), Failure> {
        self.exchange(message, |_| {})
    }

    /// Dumps all things of a kind; `parse` leaves out what does not matter by giving none. Begins again when things
    /// changed meanwhile, so that the result is one state and not a mixture.
    ///
    /// # Errors
    /// What the kernel says; `EINTR` when things never stop changing.
    pub fn dump<T>(
        &mut self,
        message: &Message,
        mut parse: impl FnMut(&Received<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        for _ in 0..DUMP_TRIES {
            let (mut found, mut disturbed) = (Vec::new(), false);
            let result = self.exchange(message.clone(), |received| {
                disturbed |= received.flags & flag::DUMP_INTR != 0;
                found.extend(parse(received));
            });
            match result {
                Ok(()) if !disturbed => return Ok(found),
                Ok(()) => {}
                Err(failure) if failure.is(Errno::INTR) => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Errno::INTR.into())
    }

    /// Sends messages as one datagram. The kernel has done it, or nothing of it, when this returns; the last message
    /// should ask for an acknowledgement.
    ///
    /// # Errors
    /// The first refusal, with the number of the message that it is about.
    pub(crate) fn batch(&mut self, batch: Vec<Message>) -> Result<(), Failure> {
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::new();
        for message in batch {
            self.sequence = self.sequence.wrapping_add(1);
            datagram.extend(message.finish(self.sequence)?);
        }
        if datagram.len() > 64 * 1024 {
            self.reserve(datagram.len())?;
        }
        rustix::net::send(&self.fd, &datagram, SendFlags::empty())?;
        self.verdict(first)
    }

    /// Reads the answers to a batch whose messages are numbered from `first`.
    fn verdict(&mut self, first: u32) -> Result<(), Failure> {
        let (mut acknowledged, mut refused) = (false, None);
        loop {
            let size = match self.receive(RecvFlags::DONTWAIT) {
                Ok(size) => size,
                Err(failure) if failure.is(Errno::AGAIN) => break,
                Err(failure) => return Err(refused.unwrap_or(failure)),
            };
            for received in messages(&self.buffer[..size]) {
                let received = received.map_err(Failure::garbled)?;
                let number = received.sequence.wrapping_sub(first);
                if received.kind != kind::ERROR || number > self.sequence.wrapping_sub(first) {
                    continue;
                }
                match judge(&received) {
                    Ok(()) => acknowledged = true,
                    Err(failure) => {
                        refused.get_or_insert(Failure { message: usize::try_from(number).ok(), ..failure });
                    }
                }
            }
        }
        match refused {
            Some(failure) => Err(failure),
            None if acknowledged => Ok(()),
            None => Err(Failure::garbled("a batch was not acknowledged")),
        }
    }

    /// Waits for the next datagram of changes and gives each of its messages to `each`.
    ///
    /// # Errors
    /// `ENOBUFS` when more changed than could be kept: what is known has to be read anew.
    pub fn next(&mut self, mut each: impl FnMut(&Received<'_>)) -> Result<(), Failure> {
        let size = self.receive(RecvFlags::empty())?;
        for received in messages(&self.buffer[..size]) {
            each(&received.map_err(Failure::garbled)?);
        }
        Ok(())
    }

    fn send(&mut self, message: Message) -> Result<u32, Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(self.sequence)?;
        rustix::net::send(&self.fd, &bytes, SendFlags::empty())?;
        Ok(self.sequence)
    }

    /// One datagram into the buffer; its length.
    fn receive(&mut self, flags: RecvFlags) -> Result<usize, Failure> {
        self.buffer.resize(RECEIVE_BUFFER, 0);
        loop {
            match rustix::net::recv(&self.fd, &mut self.buffer[..], flags | RecvFlags::TRUNC) {
                Ok((_, whole)) if whole <= RECEIVE_BUFFER => return Ok(whole),
                Ok(_) => return Err(Failure::garbled("a message is larger than the kernel makes them")),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Numbers of multicast groups.
pub mod group {
    /// `RTNLGRP_LINK`: links come, go and change.
    pub const LINK: u32 = 1;
    /// `RTNLGRP_IPV4_IFADDR`: addresses of IPv4.
    pub const ADDRESS_4: u32 = 5;
    /// `RTNLGRP_IPV4_ROUTE`: routes of IPv4.
    pub const ROUTE_4: u32 = 7;
    /// `RTNLGRP_IPV6_IFADDR`: addresses of IPv6.
    pub const ADDRESS_6: u32 = 9;
    /// `RTNLGRP_IPV6_ROUTE`: routes of IPv6.
    pub const ROUTE_6: u32 = 11;
    /// `NFNLGRP_NFTABLES`: tables, chains, rules, sets, elements.
    pub const NFTABLES: u32 = 7;
}

/// What an `NLMSG_ERROR` says: `struct nlmsgerr`, then perhaps the refused message, then perhaps attributes.
fn judge(received: &Received<'_>) -> Result<(), Failure> {
    let Some((code, rest)) = received.body.split_first_chunk::<4>() else {
        return Err(Failure::garbled("a short error"));
    };
    refusal(i32::from_ne_bytes(*code), words(received, rest))
}

/// What an `NLMSG_DONE` says: an error number, in dumps that fail late.
fn done(received: &Received<'_>) -> Result<(), Failure> {
    match received.body.split_first_chunk::<4>() {
        Some((code, rest)) => {
            let words = (received.flags & flag::ACK_TLVS != 0).then(|| message_of(rest)).flatten();
            refusal(i32::from_ne_bytes(*code), words)
        }
        None => Ok(()),
    }
}

fn refusal(code: i32, words: Option<String>) -> Result<(), Failure> {
    if code >= 0 {
        return Ok(());
    }
    Err(Failure { source: io::Error::from_raw_os_error(code.saturating_neg()), words, message: None })
}

fn words(received: &Received<'_>, rest: &[u8]) -> Option<String> {
    if received.flags & flag::ACK_TLVS == 0 {
        return None;
    }
    // The header of the refused message is always there, all of it unless it was capped.
    let length = u32::from_ne_bytes(rest.first_chunk::<4>().copied()?) as usize;
    let repeated = if received.flags & flag::CAPPED != 0 { 16 } else { length.next_multiple_of(4).max(16) };
    message_of(rest.get(repeated..)?)
}

/// `NLMSGERR_ATTR_MSG`.
fn message_of(bytes: &[u8]) -> Option<String> {
    let text = attributes(bytes).find(|attribute| attribute.kind == 1)?;
    let text = text.text()?;
    (!text.is_empty()).then(|| text.to_owned())
}
