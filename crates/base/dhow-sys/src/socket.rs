//! What rustix has no word for among the options of sockets.

use crate::raw;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Has a datagram socket tell of every message that a host or a network cannot be reached (`IP_RECVERR` of ip(7),
/// `IPV6_RECVERR` of ipv6(7)). Otherwise the kernel takes most of those for passing, and whoever waits for an answer waits in
/// vain. What is told also stays in the socket's error queue, until it is read from there with `MSG_ERRQUEUE`.
///
/// # Errors
/// Of the kernel: for a socket of another family, say.
pub fn tell_unreachable(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    /// `SOL_IP`, `IP_RECVERR` and `SOL_IPV6`, `IPV6_RECVERR`.
    const OPTIONS: [(i32, i32); 2] = [(0, 11), (41, 25)];
    let (level, name) = OPTIONS[usize::from(ipv6)];
    let on: i32 = 1;
    // SAFETY: the kernel reads one integer of that length; the descriptor is open as long as it is borrowed.
    let done = unsafe { raw::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), 4) };
    raw::checked(done.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;

    #[test]
    fn it_is_an_option_of_its_family() {
        let [v4, v6] = ["127.0.0.1:0", "[::1]:0"].map(UdpSocket::bind);
        let v4 = v4.unwrap();
        tell_unreachable(v4.as_fd(), false).unwrap();
        assert!(tell_unreachable(v4.as_fd(), true).is_err());
        // Not every machine has it.
        if let Ok(v6) = v6 {
            tell_unreachable(v6.as_fd(), true).unwrap();
        }
    }
}
