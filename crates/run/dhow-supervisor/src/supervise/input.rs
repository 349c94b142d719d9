//! The container's standard input: what clients sent and it has not read yet.
//!
//! It goes through a pipe of ours, so that a byte is in that pipe or in the container's and never lost with a supervisor;
//! how much of whose input came so far is in the [`Slate`]. Who brought what did not come so far sends it again.

use super::pump::Transit;
use super::slate::{Slate, Slot};
use super::spare::Spare;
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// Bytes spliced at once.
const PIECE: usize = 64 * 1024;

/// The writing end of a pipe, or the master of a terminal. Does not block.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) fd: OwnedFd,
    pub(super) transit: Transit,
    /// What keeps the pipe open when we are killed; a terminal is open anyway.
    pub(super) spare: Option<Spare>,
    in_transit: usize,
    /// What the transit pipe has no room for, and who sent it.
    queue: VecDeque<(Option<Slot>, Vec<u8>)>,
    /// Bytes of the first of the queue that are in the pipe.
    written: usize,
    /// Nothing comes after what is there.
    ends: bool,
    /// Out of the transit pipe, where the container's end cannot be spliced to.
    rest: Vec<u8>,
}

impl Input {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Input> {
        Input::over(fd, Transit::new()?, None)
    }

    /// Goes on with what is in transit.
    pub(super) fn over(fd: OwnedFd, transit: Transit, spare: Option<Spare>) -> io::Result<Input> {
        let in_transit = transit.held()?;
        Ok(Input { fd, transit, spare, in_transit, queue: VecDeque::new(), written: 0, ends: false, rest: Vec::new() })
    }

    /// To be called by who takes up: what the supervisor before did not get to count.
    pub(super) fn settle(&mut self, slate: &Slate) {
        slate.input_came(self.in_transit);
        self.ends = slate.input_ends();
    }

    /// Has the pipe stay open when we are killed.
    pub(super) fn put_by(&mut self) -> io::Result<()> {
        if self.spare.is_none() {
            self.spare = Some(Spare::of(self.fd.as_fd())?);
        }
        Ok(())
    }

    /// The container comes to its end.
    pub(super) fn close(self) {
        if let Some(spare) = self.spare {
            spare.close();
        }
    }

    /// Nothing comes after what is there.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// What is in no pipe yet, for one who goes on with the same clients.
    pub(super) fn queued(&self, keys: &[(Slot, u64)]) -> Vec<(u64, Vec<u8>)> {
        let key = |slot: Option<Slot>| keys.iter().find(|(other, _)| Some(*other) == slot).map_or(0, |(_, key)| *key);
        let mut all: Vec<_> = self.queue.iter().map(|(slot, bytes)| (key(*slot), bytes.clone())).collect();
        if let Some((_, first)) = all.first_mut() {
            first.drain(..self.written);
        }
        all
    }

    /// What is out of the transit pipe already.
    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ends
    }

    /// Goes on with that.
    pub(super) fn refill(&mut self, slate: &Slate, queue: Vec<(u64, Vec<u8>)>, rest: Vec<u8>, ends: bool) {
        self.queue = queue.into_iter().map(|(key, bytes)| (slate.slot(key), bytes)).collect();
        self.rest = rest;
        self.ends |= ends;
    }

    /// Bytes that wait.
    pub(super) fn pending(&self) -> usize {
        self.queue.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() - self.written
            + self.in_transit
            + self.rest.len()
    }

    /// Whether clients are to be listened to: not while the transit pipe is full.
    pub(super) fn has_room(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn push(&mut self, slot: Option<Slot>, bytes: &[u8]) {
        if !self.ends {
            self.queue.push_back((slot, bytes.to_vec()));
        }
    }

    /// Writes what goes. False once it is to be closed: all was written and no more comes, or nobody reads.
    pub(super) fn flush(&mut self, slate: &Slate) -> bool {
        loop {
            let before = (self.pending(), self.in_transit);
            if !self.fill(slate) || !self.pour() {
                return false;
            }
            if self.pending() == 0 {
                return !self.ends;
            }
            if before == (self.pending(), self.in_transit) {
                return true;
            }
        }
    }

    /// From the queue into the transit pipe.
    fn fill(&mut self, slate: &Slate) -> bool {
        while let Some((slot, bytes)) = self.queue.front() {
            if let Some(slot) = slot {
                slate.input_comes(*slot, self.in_transit);
            }
            let outcome = rustix::io::write(&self.transit.writer, &bytes[self.written..]);
            let (came, goes_on) = match outcome {
                Ok(n) => (n, true),
                Err(Errno::INTR) => (0, true),
                Err(Errno::AGAIN) => (0, false),
                Err(_) => return false,
            };
            self.in_transit += came;
            self.written += came;
            slate.input_came(self.in_transit);
            if self.written == bytes.len() {
                self.queue.pop_front();
                self.written = 0;
            }
            if !goes_on {
                return true;
            }
        }
        if self.ends {
            // From here on nobody has to come back for it.
            slate.set_input_ends();
        }
        true
    }

    /// From the transit pipe to the container.
    fn pour(&mut self) -> bool {
        while self.in_transit > 0 || !self.rest.is_empty() {
            let outcome = match self.rest.is_empty() {
                true => splice(&self.transit.reader, None, &self.fd, None, PIECE, SpliceFlags::NONBLOCK),
                false => rustix::io::write(&self.fd, &self.rest),
            };
            match outcome {
                Ok(n) if self.rest.is_empty() => self.in_transit -= n.min(self.in_transit),
                Ok(n) => drop(self.rest.drain(..n)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                // Something that cannot be spliced to.
                Err(Errno::INVAL) if self.rest.is_empty() => {
                    let mut bytes = vec![0; 4096];
                    let Ok(n) = rustix::io::read(&self.transit.reader, &mut bytes[..]) else { return false };
                    bytes.truncate(n);
                    self.in_transit -= n.min(self.in_transit);
                    self.rest = bytes;
                }
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        (reader, writer)
    }

    #[test]
    fn what_does_not_fit_waits_and_the_end_comes_after_it() {
        let (reader, writer) = pipe();
        let slate = Slate::new().unwrap();
        let mut input = Input::new(writer).unwrap();
        input.push(None, &[7; 200_000]);
        assert!(input.flush(&slate));
        assert!(input.pending() > 0 && !input.has_room());
        input.end();
        input.push(None, b"too late");
        let mut reader = std::fs::File::from(reader);
        let mut all = vec![0; 60_000];
        reader.read_exact(&mut all).unwrap();
        while input.flush(&slate) {
            reader.read_exact(&mut all[..1000]).unwrap();
        }
        drop(input);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest.iter().chain(&all).all(|byte| *byte == 7));
    }

    #[test]
    fn nobody_reads() {
        let (reader, writer) = pipe();
        let slate = Slate::new().unwrap();
        let mut input = Input::new(writer).unwrap();
        drop(reader);
        input.push(None, b"x");
        assert!(!input.flush(&slate));
    }

    /// Whoever is killed, before or after the write: the count is what came.
    #[test]
    fn the_count_is_what_is_in_the_pipe() {
        for happened in [false, true] {
            let (reader, writer) = pipe();
            let slate = Slate::new().unwrap();
            let (slot, key) = slate.allot().unwrap();
            let mut input = Input::new(writer).unwrap();
            input.push(Some(slot), b"first,");
            assert!(input.flush(&slate));
            assert_eq!(slate.input_total(slot), 6);
            // A write by hand, and no count of it.
            slate.input_comes(slot, 0);
            if happened {
                rustix::io::write(&input.transit.writer, b"second").unwrap();
            }
            let (fd, transit) = (input.fd, input.transit);
            let next = Slate::open(slate.as_fd().try_clone_to_owned().unwrap()).unwrap();
            drop(slate);
            let mut input = Input::over(fd, transit, None).unwrap();
            input.settle(&next);
            input.settle(&next);
            let slot = next.slot(key).unwrap();
            assert_eq!(next.input_total(slot), if happened { 12 } else { 6 });
            assert!(input.flush(&next));
            drop(input);
            let mut text = String::new();
            std::fs::File::from(reader).read_to_string(&mut text).unwrap();
            assert_eq!(text, if happened { "first,second" } else { "first," });
        }
    }
}
