//! The byte stream beneath the reader: whole blocks, slices without copying, and the offset for messages.

use super::{BLOCK, Fault};
use std::io::{BufRead, ErrorKind};

pub(super) struct Input<R> {
    stream: R,
    offset: u64,
    /// Bytes handed out by [`Input::slice`] and not yet taken off the stream.
    lent: usize,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(stream: R) -> Input<R> {
        Input { stream, offset: 0, lent: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes, at least one and at most `max`; empty at the end of the stream.
    /// They are taken off the stream with the next call of anything here.
    pub(super) fn slice(&mut self, max: u64) -> Result<&[u8], Fault> {
        self.settle();
        // Asking twice works around a borrow that would outlive the loop; the second call only hands out the buffer.
        loop {
            match self.stream.fill_buf() {
                Ok(_) => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Fault::Read(e)),
            }
        }
        let bytes = self.stream.fill_buf().map_err(Fault::Read)?;
        let n = usize::try_from(max).unwrap_or(usize::MAX).min(bytes.len());
        self.lent = n;
        self.offset += n as u64;
        Ok(&bytes[..n])
    }

    fn settle(&mut self) {
        self.stream.consume(std::mem::take(&mut self.lent));
    }

    /// The next block, or nothing when the stream ends right here.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Fault> {
        let mut block = [0u8; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            let bytes = self.slice((BLOCK - have) as u64)?;
            match bytes.len() {
                0 if have == 0 => return Ok(None),
                0 => return Err(Fault::Truncated("a header")),
                n => {
                    block[have..have + n].copy_from_slice(bytes);
                    have += n;
                }
            }
        }
        Ok(Some(block))
    }

    /// Exactly `n` bytes, on the heap. The caller has checked that `n` is within a limit.
    pub(super) fn take(&mut self, n: u64, what: &'static str) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let mut left = n;
        while left > 0 {
            let bytes = self.slice(left)?;
            if bytes.is_empty() {
                return Err(Fault::Truncated(what));
            }
            out.extend_from_slice(bytes);
            left -= bytes.len() as u64;
        }
        Ok(out)
    }

    /// Passes over exactly `n` bytes.
    pub(super) fn skip(&mut self, n: u64, what: &'static str) -> Result<(), Fault> {
        let mut left = n;
        while left > 0 {
            match self.slice(left)?.len() {
                0 => return Err(Fault::Truncated(what)),
                n => left -= n as u64,
            }
        }
        Ok(())
    }

    /// Passes over all that is left.
    pub(super) fn drain(&mut self) -> Result<(), Fault> {
        while !self.slice(u64::MAX)?.is_empty() {}
        Ok(())
    }
}
