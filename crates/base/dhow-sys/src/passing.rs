//! Handing file descriptors from process to process: `SCM_RIGHTS` on unix(7) sockets, and keeping all others back.
//!
//! What is received is close-on-exec from the first moment, and a message whose descriptors did not all fit is refused
//! as a whole: nobody goes on with half of them. Knows nothing of what the bytes mean.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use std::ffi::{c_long, c_uint};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// How many descriptors one message can carry: the kernel's `SCM_MAX_FD`.
pub const MAX_DESCRIPTORS: usize = 253;

const CONTROL_SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS));

/// Sends bytes, at least one, and with the first of them the descriptors. Returns how many bytes went; the descriptors
/// went with them.
///
/// # Errors
/// What sendmsg(2) says, `EPIPE` without a signal; `InvalidInput` for no bytes or more than [`MAX_DESCRIPTORS`].
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if bytes.is_empty() || descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); CONTROL_SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Receives bytes, 0 at the end of the stream, and appends the descriptors that came with them.
///
/// # Errors
/// What recvmsg(2) says; `InvalidData` when descriptors were lost on the way: none is kept then.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    receive_with(socket, bytes, descriptors, RecvFlags::empty())
}

/// The same, but without waiting, however the socket was made.
///
/// # Errors
/// As [`receive`] has them; `EAGAIN` when there is nothing.
pub fn receive_now(socket: BorrowedFd<'_>, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    receive_with(socket, bytes, descriptors, RecvFlags::DONTWAIT)
}

/// The same, but what is received stays where it is: the descriptors are copies of those that are under way.
///
/// # Errors
/// As [`receive`] has them.
pub fn peek(socket: BorrowedFd<'_>, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    receive_with(socket, bytes, descriptors, RecvFlags::PEEK)
}

fn receive_with(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); CONTROL_SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let parts = &mut [IoSliceMut::new(bytes)];
        match rustix::net::recvmsg(socket, parts, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut came = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            came.extend(fds);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "file descriptors were lost on the way"));
    }
    descriptors.append(&mut came);
    Ok(received.bytes)
}

/// The number of close_range: the same on every architecture.
const SYS_CLOSE_RANGE: c_long = 436;
const CLOSE_RANGE_CLOEXEC: c_uint = 4;

unsafe extern "C" {
    /// syscall(2) of the C library: rustix has no close_range.
    fn syscall(number: c_long, ...) -> c_long;
}

/// Marks every descriptor from 3 on as close-on-exec: what a careless parent left open goes no further than this
/// program. None is closed, so nobody loses one that he owns.
///
/// # Errors
/// What close_range(2) says (Linux 5.11).
pub fn keep_back() -> io::Result<()> {
    // SAFETY: close_range with this flag takes three integers, touches no memory and closes nothing.
    let result = unsafe { syscall(SYS_CLOSE_RANGE, 3 as c_uint, c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::FdFlags;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn descriptors_arrive_in_order_and_close_on_exec() {
        let (a, b) = pair();
        let pipes: Vec<_> = (0..MAX_DESCRIPTORS).map(|_| std::io::pipe().unwrap()).collect();
        let writers: Vec<_> = pipes.iter().map(|(_, w)| w.as_fd()).collect();
        assert_eq!(send(a.as_fd(), b"hello", &writers).unwrap(), 5);
        let (mut bytes, mut came) = ([0; 16], Vec::new());
        assert_eq!(receive(b.as_fd(), &mut bytes, &mut came).unwrap(), 5);
        assert_eq!(came.len(), MAX_DESCRIPTORS);
        for (n, ((mut reader, _), fd)) in pipes.into_iter().zip(came).enumerate() {
            assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(FdFlags::CLOEXEC));
            std::fs::File::from(fd).write_all(&[n as u8]).unwrap();
            let mut one = [0];
            reader.read_exact(&mut one).unwrap();
            assert_eq!(usize::from(one[0]), n);
        }
        drop(a);
        assert_eq!(receive(b.as_fd(), &mut bytes, &mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (a, _b) = pair();
        let too_many = vec![a.as_fd(); MAX_DESCRIPTORS + 1];
        assert_eq!(send(a.as_fd(), b"x", &too_many).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(send(a.as_fd(), b"", &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_message_cut_short_is_refused_as_a_whole() {
        let (a, b) = pair();
        let (r, _w) = std::io::pipe().unwrap();
        // Two messages of full size cannot be told from one whose control part is too long: here the limit on open
        // files, in a process of its own, is what makes the kernel cut it.
        if std::env::var_os("DHOW_SYS_CUT").is_none() {
            let name = "passing::tests::a_message_cut_short_is_refused_as_a_whole";
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            assert!(again.args([name, "--exact"]).env("DHOW_SYS_CUT", "1").status().unwrap().success());
            return;
        }
        send(a.as_fd(), b"x", &[r.as_fd(); 50]).unwrap();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let low = rustix::process::Rlimit { current: Some(30), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, low).unwrap();
        let mut came = Vec::new();
        let error = receive(b.as_fd(), &mut [0; 4], &mut came).unwrap_err();
        assert_eq!((error.kind(), came.len()), (io::ErrorKind::InvalidData, 0));
    }

    #[test]
    fn what_was_left_open_is_kept_back() {
        let (r, _w) = std::io::pipe().unwrap();
        rustix::io::fcntl_setfd(&r, FdFlags::empty()).unwrap();
        keep_back().unwrap();
        assert!(rustix::io::fcntl_getfd(&r).unwrap().contains(FdFlags::CLOEXEC));
    }
}
