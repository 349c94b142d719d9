//! Many descriptors as one: they lie in the queue of a socket (unix(7), `SCM_RIGHTS`) and stay open as long as that does.
//!
//! A container with a thousand published ports has a thousand sockets, which nobody reads from: they only have to be
//! there. One message carries 253 at most, and each that keeps a copy of them would need room in his table of
//! descriptors. So they are packed, and who holds the parcel (or a copy of it) holds them all. What is taken out of it is
//! out of every copy: emptied by one, the sockets are closed for all.

use crate::passing::{self, MAX_DESCRIPTORS};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// A parcel that is being packed.
#[derive(Debug)]
pub struct Parcel {
    /// Where they are put in.
    mouth: OwnedFd,
    /// Where they lie.
    sack: OwnedFd,
    /// What comes next, fewer than one message carries.
    next: Vec<OwnedFd>,
}

/// Few enough that the usual limit of 1024 open files is not met while they are collected.
const AT_ONCE: usize = if MAX_DESCRIPTORS < 128 { MAX_DESCRIPTORS } else { 128 };

impl Parcel {
    /// An empty one.
    ///
    /// # Errors
    /// What socketpair(2) says.
    pub fn new() -> io::Result<Parcel> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (mouth, sack) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok(Parcel { mouth, sack, next: Vec::new() })
    }

    /// Puts one in.
    ///
    /// # Errors
    /// What sendmsg(2) says: `EAGAIN` when the queue is full, which takes some ten thousand.
    pub fn put(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        self.next.push(descriptor);
        if self.next.len() < AT_ONCE { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> io::Result<()> {
        let borrowed: Vec<BorrowedFd<'_>> = self.next.iter().map(|fd| fd.as_fd()).collect();
        passing::send(self.mouth.as_fd(), &[0], &borrowed)?;
        self.next.clear();
        Ok(())
    }

    /// Closes it: nothing more can be put in.
    ///
    /// # Errors
    /// As [`Parcel::put`].
    pub fn close(mut self) -> io::Result<OwnedFd> {
        if !self.next.is_empty() {
            self.send()?;
        }
        Ok(self.sack)
    }
}

/// Takes everything out of a parcel and closes it, and says how many there were. Of a descriptor that is no parcel and no
/// socket nothing is taken.
///
/// # Errors
/// What recvmsg(2) says, but for `ENOTSOCK`.
pub fn empty(parcel: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count = 0;
    loop {
        let mut taken = Vec::new();
        match passing::receive_now(parcel, &mut [0], &mut taken) {
            Ok(0) => return Ok(count),
            Ok(_) => count += taken.len(),
            Err(e) => match Errno::from_io_error(&e) {
                Some(Errno::NOTSOCK | Errno::AGAIN) => return Ok(count),
                _ => return Err(e),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn what_lies_in_it_is_open_until_somebody_empties_a_copy() {
        let mut parcel = Parcel::new().unwrap();
        let mut addresses = Vec::new();
        for _ in 0..300 {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            addresses.push(socket.local_addr().unwrap());
            parcel.put(socket.into()).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        parcel.put(listener.into()).unwrap();
        let parcel = parcel.close().unwrap();
        let copy = parcel.try_clone().unwrap();
        assert!(addresses.iter().all(|address| UdpSocket::bind(address).is_err()), "all are held");
        assert!(TcpListener::bind(port).is_err());
        assert_eq!(empty(copy.as_fd()).unwrap(), 301);
        assert!(addresses.iter().all(|address| UdpSocket::bind(address).is_ok()), "none is, though the parcel is open");
        assert!(TcpListener::bind(port).is_ok());
        assert_eq!(empty(parcel.as_fd()).unwrap(), 0);
    }

    #[test]
    fn what_is_no_parcel_is_left_alone() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(empty(file.as_fd()).unwrap(), 0);
    }
}
