//! Who is connected: what was asked for, and what is on its way to him.

use super::slate::Slot;
use super::watch::Heard;
use crate::log::Stream;
use crate::wire::{self, Inbox, Message, output_header};
use dhow_sys::passing;
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, OwnedFd};

/// Capacity above which an outbox is given back once it is empty.
const OUTBOX_KEPT: usize = 128 * 1024;

pub(super) const STDIN: u8 = 1;
pub(super) const STDOUT: u8 = 2;
pub(super) const STDERR: u8 = 4;

/// How somebody begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Greeting {
    /// Somebody new; what he wants, and how he speaks.
    Hello(u8),
    /// Somebody who was connected before.
    Back { streams: u8, process: u64, key: u64, had: [u64; 2] },
}

/// One connection. Its socket does not block.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: OwnedFd,
    pub(super) inbox: Inbox,
    outbox: Vec<u8>,
    sent: usize,
    /// None until his hello.
    pub(super) streams: Option<u8>,
    /// Whether he speaks version 2 or later, and comes back when we are killed.
    pub(super) comes_back: bool,
    /// Whether he will write down the end.
    pub(super) records: bool,
    /// Where his input is counted, and how much of it he was told of.
    pub(super) slot: Option<Slot>,
    pub(super) told: u64,
    /// What he has greeted with and was not answered yet.
    pub(super) greeting: Option<Greeting>,
    /// The program that he wants us to go on as.
    pub(super) upgrade: Option<OwnedFd>,
    descriptors: Vec<OwnedFd>,
    pub(super) gone: bool,
}

impl Client {
    /// Somebody who was accepted.
    pub(super) fn new(socket: OwnedFd) -> Client {
        Client {
            socket,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            sent: 0,
            streams: None,
            comes_back: false,
            records: true,
            slot: None,
            told: 0,
            greeting: None,
            upgrade: None,
            descriptors: Vec::new(),
            gone: false,
        }
    }

    /// Somebody of whom something was heard already.
    pub(super) fn known(socket: OwnedFd, inbox: Inbox, streams: u8) -> Client {
        let mut client = Client { inbox, ..Client::new(socket) };
        client.wants(streams);
        client
    }

    /// Takes down what the streams of a hello say.
    pub(super) fn wants(&mut self, bits: u8) {
        self.streams = Some(bits & (STDIN | STDOUT | STDERR));
        self.comes_back = bits & wire::SPEAKS_2 != 0;
        // Older ones never say.
        self.records = !self.comes_back || bits & wire::RECORDS != 0;
    }

    /// Whether somebody who takes our place waits for him.
    pub(super) fn is_counted(&self) -> bool {
        self.comes_back && !self.gone && self.streams.is_some_and(|streams| streams != 0)
    }

    /// What waits to be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.outbox[self.sent..]
    }

    /// Something to be sent after what waits.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    /// Bytes that wait to be sent.
    pub(super) fn pending(&self) -> usize {
        self.outbox.len() - self.sent
    }

    pub(super) fn brings_input(&self) -> bool {
        self.streams.is_some_and(|streams| streams & STDIN != 0)
    }

    /// Sends output, if he wants that stream: at once as far as it goes.
    pub(super) fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let wanted = if stream == Stream::Stdout { STDOUT } else { STDERR };
        if self.gone || self.streams.is_none_or(|streams| streams & wanted == 0) {
            return;
        }
        let header = output_header(stream == Stream::Stderr, bytes.len());
        let mut sent = 0;
        if self.pending() == 0 {
            let parts = [IoSlice::new(&header), IoSlice::new(bytes)];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::sendmsg(&self.socket, &parts, &mut Default::default(), flags) {
                Ok(n) => sent = n,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
        let in_header = sent.min(header.len());
        self.outbox.extend_from_slice(&header[in_header..]);
        self.outbox.extend_from_slice(&bytes[sent - in_header..]);
    }

    pub(super) fn tell(&mut self, message: Message<'_>) {
        message.put(&mut self.outbox);
        self.flush();
    }

    /// Sends what waits, as far as it goes.
    pub(super) fn flush(&mut self) {
        while self.pending() > 0 && !self.gone {
            match rustix::net::send(&self.socket, &self.outbox[self.sent..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
            {
                Ok(n) => self.sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.gone = true,
            }
        }
        self.outbox.clear();
        self.sent = 0;
        if self.outbox.capacity() > OUTBOX_KEPT {
            self.outbox = Vec::new();
        }
    }

    /// Reads what he says, once, and acts on it. `buffer` is lent.
    pub(super) fn hear(&mut self, buffer: &mut [u8], on: &mut dyn FnMut(Heard<'_>)) {
        match passing::receive(self.socket.as_fd(), buffer, &mut self.descriptors) {
            Ok(0) => self.gone = true,
            Ok(n) => {
                self.inbox.push(&buffer[..n]);
                self.act(on);
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.gone = true,
        }
    }

    /// Acts on the messages that are there, up to a greeting, which is to be answered first. Who says what makes no sense
    /// is gone.
    pub(super) fn act(&mut self, on: &mut dyn FnMut(Heard<'_>)) {
        if self.understand(on).is_err() {
            self.gone = true;
        }
    }

    fn understand(&mut self, on: &mut dyn FnMut(Heard<'_>)) -> io::Result<()> {
        while self.greeting.is_none()
            && let Some(message) = self.inbox.next()?
        {
            match (message, self.streams) {
                (Message::Hello { version, streams }, None) => {
                    wire::known(version)?;
                    self.greeting = Some(Greeting::Hello(streams));
                }
                (Message::Back { version, streams, process, key, stdout, stderr }, None) => {
                    wire::known(version)?;
                    self.greeting = Some(Greeting::Back { streams, process, key, had: [stdout, stderr] });
                }
                (Message::Input(bytes), Some(streams)) if streams & STDIN != 0 => on(Heard::Input(bytes, self.slot)),
                (Message::EndOfInput, Some(streams)) if streams & STDIN != 0 => on(Heard::EndOfInput),
                (Message::Window { rows, columns }, Some(_)) => on(Heard::Window(rows, columns)),
                (Message::Recorded, Some(_)) => on(Heard::Recorded),
                (Message::Records, Some(_)) => self.records = true,
                (Message::Upgrade, Some(_)) => match self.descriptors.pop() {
                    Some(program) => self.upgrade = Some(program),
                    None => return Err(io::ErrorKind::InvalidData.into()),
                },
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        if self.inbox.rest().is_empty() {
            // Nothing else comes with descriptors.
            self.descriptors.clear();
        }
        self.flush();
        Ok(())
    }
}
