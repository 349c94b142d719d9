//! What netlink sockets and the namespaces of sockets need beyond rustix: three options and one question.
//!
//! Messages and their meaning are dhow-network's. See netlink(7), `SIOCGSKNS` in ioctl_ns(2).

use crate::raw;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

unsafe extern "C" {
    /// setsockopt(2).
    fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
}

const SOL_NETLINK: c_int = 270;

/// Options of a netlink socket that are switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// `NETLINK_EXT_ACK`: errors come with words (Linux 4.12).
    ExtendedErrors,
    /// `NETLINK_CAP_ACK`: errors do not repeat the whole request (Linux 4.3).
    ShortErrors,
    /// `NETLINK_GET_STRICT_CHK`: dumps honour their filters, and refuse what they do not know (Linux 4.20).
    StrictDumps,
}

/// Switches an option on.
///
/// # Errors
/// What setsockopt(2) says: `ENOPROTOOPT` from a kernel that does not have it, or from another kind of socket.
pub fn switch_on(socket: BorrowedFd<'_>, switch: Switch) -> io::Result<()> {
    let name = match switch {
        Switch::ExtendedErrors => 11,
        Switch::ShortErrors => 10,
        Switch::StrictDumps => 12,
    };
    option(socket, name, 1)
}

/// Joins a multicast group by its number (`NETLINK_ADD_MEMBERSHIP`).
///
/// # Errors
/// What setsockopt(2) says: `EINVAL` for a group that the protocol does not have.
pub fn join(socket: BorrowedFd<'_>, group: u32) -> io::Result<()> {
    option(socket, 1, c_int::try_from(group).map_err(|_| io::ErrorKind::InvalidInput)?)
}

fn option(socket: BorrowedFd<'_>, name: c_int, value: c_int) -> io::Result<()> {
    let length = u32::try_from(size_of::<c_int>()).expect("four");
    // SAFETY: the kernel reads `length` bytes from `value`, which is that long and outlives the call.
    let result = unsafe { setsockopt(socket.as_raw_fd(), SOL_NETLINK, name, (&raw const value).cast(), length) };
    raw::checked(result.into()).map(drop)
}

/// The network namespace that a socket lives in, whatever its family; close-on-exec.
///
/// # Errors
/// What ioctl(2) says: `EPERM` without `CAP_NET_ADMIN` there; `ENOTTY` for what is no socket.
pub fn namespace_of(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const SIOCGSKNS: std::ffi::c_ulong = 0x894c;
    unsafe extern "C" {
        /// ioctl(2).
        fn ioctl(fd: c_int, request: std::ffi::c_ulong, ...) -> c_int;
    }
    // SAFETY: SIOCGSKNS takes no argument and touches no memory of ours.
    let result = unsafe { ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    let fd = raw::checked(result.into())?;
    let fd = c_int::try_from(fd).expect("a descriptor is an int");
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec), and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use std::os::fd::AsFd;

    #[test]
    fn options_are_for_netlink_only() {
        let flags = SocketFlags::CLOEXEC;
        let route = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).unwrap();
        for switch in [Switch::ExtendedErrors, Switch::ShortErrors, Switch::StrictDumps] {
            switch_on(route.as_fd(), switch).unwrap();
        }
        join(route.as_fd(), 1).unwrap();
        assert!(join(route.as_fd(), 100_000).is_err());
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(switch_on(other.as_fd(), Switch::ExtendedErrors).is_err());
    }

    #[test]
    fn a_socket_tells_its_namespace() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let namespace = rustix::fs::fstat(namespace_of(socket.as_fd()).unwrap()).unwrap();
        let own = rustix::fs::stat("/proc/thread-self/ns/net").unwrap();
        assert_eq!((namespace.st_dev, namespace.st_ino), (own.st_dev, own.st_ino));
        assert!(namespace_of(std::fs::File::open("/").unwrap().as_fd()).is_err());
    }
}
