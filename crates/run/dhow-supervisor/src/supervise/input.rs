//! The container's standard input: what clients sent and it has not read yet.

use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Bytes that wait beyond which clients are not listened to.
const QUEUE_MAX: usize = 64 * 1024;

/// The writing end of a pipe, or the master of a terminal. Does not block.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) fd: OwnedFd,
    queue: Vec<u8>,
    written: usize,
    ends: bool,
}

impl Input {
    pub(super) fn new(fd: OwnedFd) -> Input {
        Input { fd, queue: Vec::new(), written: 0, ends: false }
    }

    pub(super) fn pending(&self) -> usize {
        self.queue.len() - self.written
    }

    pub(super) fn has_room(&self) -> bool {
        self.pending() < QUEUE_MAX
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.ends {
            self.queue.extend_from_slice(bytes);
        }
    }

    /// Nothing comes after what is there.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// Writes what goes. False once it is to be closed: all was written, or nobody reads.
    pub(super) fn flush(&mut self) -> bool {
        while self.pending() > 0 {
            match rustix::io::write(&self.fd, &self.queue[self.written..]) {
                Ok(n) => self.written += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        self.queue.clear();
        self.written = 0;
        if self.queue.capacity() > QUEUE_MAX {
            self.queue = Vec::new();
        }
        !self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn what_does_not_fit_waits_and_the_end_comes_after_it() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut input = Input::new(writer);
        input.push(&[7; 100_000]);
        assert!(input.flush());
        assert!(input.pending() > 0);
        input.end();
        input.push(b"too late");
        let mut reader = std::fs::File::from(reader);
        let mut all = vec![0; 60_000];
        reader.read_exact(&mut all).unwrap();
        while input.flush() {
            reader.read_exact(&mut all[..1000]).unwrap();
        }
        drop(input);
        all.clear();
        reader.read_to_end(&mut all).unwrap();
        assert!(all.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn nobody_reads() {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut input = Input::new(writer);
        drop(reader);
        input.push(b"x");
        assert!(!input.flush());
    }
}
