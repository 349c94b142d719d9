//! A writing end of the container's input that is open without anybody having it, so that the container does not see the
//! end of its input when a supervisor is killed.
//!
//! It is under way in a socket whose other end is closed already. The keeper has that socket, too, and can be asleep for
//! as long as it likes: a supervisor takes the descriptor out when the input is to end, and who takes his place looks what
//! is inside.

use dhow_sys::passing;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Spare {
    socket: OwnedFd,
}

impl Spare {
    /// Puts a copy of this away.
    pub(super) fn of(writer: BorrowedFd<'_>) -> io::Result<Spare> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        passing::send(other.as_fd(), b"w", &[writer])?;
        Ok(Spare { socket })
    }

    pub(super) fn open(socket: OwnedFd) -> Spare {
        Spare { socket }
    }

    /// A copy of what is inside; none: it was taken out.
    pub(super) fn copy(&self) -> io::Result<Option<OwnedFd>> {
        let mut came = Vec::new();
        passing::peek(self.socket.as_fd(), &mut [0], &mut came)?;
        Ok(came.pop())
    }

    /// Takes it out and closes it, whoever has the socket.
    pub(super) fn close(self) {
        let mut came = Vec::new();
        let _ = passing::receive(self.socket.as_fd(), &mut [0], &mut came);
    }
}

impl AsFd for Spare {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn it_is_open_until_it_is_taken_out_whoever_has_the_socket() {
        let (mut reader, writer) = io::pipe().unwrap();
        let spare = Spare::of(writer.as_fd()).unwrap();
        let keeper = Spare::open(spare.as_fd().try_clone_to_owned().unwrap());
        drop(writer);
        // Again and again.
        for word in [b"one", b"two"] {
            let mut copy = std::fs::File::from(keeper.copy().unwrap().unwrap());
            copy.write_all(word).unwrap();
            let mut read = [0; 3];
            reader.read_exact(&mut read).unwrap();
            assert_eq!(read, *word);
        }
        spare.close();
        assert!(keeper.copy().unwrap().is_none());
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}
