//! Making messages: a header, a fixed part, attributes. Lengths are set when a nest or the message is closed.

use super::flag;
use std::io;

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The length of `struct nlattr`.
const ATTRIBUTE: usize = 4;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// A message that is being made. What does not fit in an attribute (65,531 bytes) makes it an error when it is sent.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Message {
    /// Begins a request of this kind. `flags` are added to `NLM_F_REQUEST`.
    pub fn new(kind: u16, flags: u16) -> Message {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Message { bytes, too_long: false }
    }

    /// Adds flags.
    pub(crate) fn flags(&mut self, flags: u16) {
        let all = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flags;
        self.bytes[6..8].copy_from_slice(&all.to_ne_bytes());
    }

    /// Adds to the fixed part.
    #[must_use]
    pub fn fixed(mut self, bytes: &[u8]) -> Message {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// How long it is by now, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest_raw(kind, |message| message.bytes.extend_from_slice(value));
    }

    /// Adds text, ended by a zero.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.nest_raw(kind, |message| {
            message.bytes.extend_from_slice(value.as_bytes());
            message.bytes.push(0);
        });
    }

    /// Adds a number in the machine's byte order.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Adds a number in network byte order, as all of netfilter wants them.
    pub fn number_be(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Adds an attribute that holds what `fill` adds: attributes, behind a fixed part where there is one.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        self.nest_raw(kind | NESTED, fill);
    }

    /// As [`Message::nest`], without the flag that old parts of the kernel (veth's peer) do not expect.
    pub(crate) fn nest_raw(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; ATTRIBUTE]);
        fill(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => {
                self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
                self.bytes[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
            }
            Err(_) => self.too_long = true,
        }
        self.pad();
    }

    /// Bytes within a nest, ahead of its attributes.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The finished bytes.
    ///
    /// # Errors
    /// `InvalidInput` when an attribute became too long.
    pub fn finish(mut self, sequence: u32) -> io::Result<Vec<u8>> {
        let length = u32::try_from(self.bytes.len()).ok().filter(|_| !self.too_long);
        let length =
            length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a netlink message is too long"))?;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        debug_assert!(self.bytes.len() >= HEADER);
        Ok(self.bytes)
    }
}
