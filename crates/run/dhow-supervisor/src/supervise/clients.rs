//! Who is connected: what was asked for, and what is on its way to him.

use super::watch::Heard;
use crate::wire::{Inbox, Message, output_header};
use crate::{log::Stream, plan};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

/// Bytes on their way to one client beyond which the container's output is not read any further: it is as slow as the
/// slowest who looks on, as in docker. One who is gone does not count.
pub(super) const OUTBOX_MAX: usize = 256 * 1024;

pub(super) const STDIN: u8 = 1;
pub(super) const STDOUT: u8 = 2;
pub(super) const STDERR: u8 = 4;

/// One connection. Its socket does not block.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: OwnedFd,
    pub(super) inbox: Inbox,
    outbox: Vec<u8>,
    sent: usize,
    /// None until his hello.
    pub(super) streams: Option<u8>,
    pub(super) gone: bool,
}

impl Client {
    /// Somebody who was accepted.
    pub(super) fn new(socket: OwnedFd) -> Client {
        Client { socket, inbox: Inbox::default(), outbox: Vec::new(), sent: 0, streams: None, gone: false }
    }

    /// Somebody of whom something was heard already.
    pub(super) fn known(socket: OwnedFd, inbox: Inbox, streams: Option<u8>) -> Client {
        Client { inbox, streams, ..Client::new(socket) }
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
        if self.outbox.capacity() > OUTBOX_MAX / 2 {
            self.outbox = Vec::new();
        }
    }

    /// Reads what he says, once, and acts on it. `buffer` is lent.
    pub(super) fn hear(&mut self, buffer: &mut [u8], on: &mut dyn FnMut(Heard<'_>)) {
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.gone = true,
            Ok((n, _)) => {
                self.inbox.push(&buffer[..n]);
                self.act(on);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
    }

    /// Acts on the messages that are there. Who says what makes no sense is gone.
    pub(super) fn act(&mut self, on: &mut dyn FnMut(Heard<'_>)) {
        if self.understand(on).is_err() {
            self.gone = true;
        }
    }

    fn understand(&mut self, on: &mut dyn FnMut(Heard<'_>)) -> io::Result<()> {
        while let Some(message) = self.inbox.next()? {
            match (message, self.streams) {
                (Message::Hello { version, streams }, None) => {
                    plan::known(version)?;
                    self.streams = Some(streams);
                    Message::Welcome { version: plan::VERSION }.put(&mut self.outbox);
                }
                (Message::Input(bytes), Some(streams)) if streams & STDIN != 0 => on(Heard::Input(bytes)),
                (Message::EndOfInput, Some(streams)) if streams & STDIN != 0 => on(Heard::EndOfInput),
                (Message::Window { rows, columns }, Some(_)) => on(Heard::Window(rows, columns)),
                (Message::Recorded, Some(_)) => on(Heard::Recorded),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        self.flush();
        Ok(())
    }
}
