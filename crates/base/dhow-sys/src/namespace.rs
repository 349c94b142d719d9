//! Leaving namespaces behind, and bringing up the one interface that a new network namespace has.
//!
//! Entering is rustix's (`move_into_thread_name_spaces` with a pidfd, `move_into_link_name_space`).

use crate::clone::Namespaces;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;
use std::io;

/// Makes new namespaces of these kinds for the calling thread; one of pids (or time) is only for its later children.
///
/// # Errors
/// What unshare(2) says.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let flags = UnshareFlags::from_bits_retain(namespaces.bits()) & !UnshareFlags::FILES;
    // SAFETY: the call is unsafe for CLONE_FILES alone, which has been taken out.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// `struct ifreq`: a name and, of the union behind it, the flags. 40 bytes on 64 bit machines.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

const IFF_UP: i16 = 1;

/// Brings up `lo` of the network namespace that the calling thread is in. Its addresses come by themselves.
///
/// # Errors
/// What socket(2) and ioctl(2) say.
pub fn loopback_up() -> io::Result<()> {
    const SIOCSIFFLAGS: rustix::ioctl::Opcode = 0x8914;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = InterfaceRequest { name: [0; 16], flags: IFF_UP, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    // SAFETY: SIOCSIFFLAGS reads a struct ifreq, which this is, and keeps nothing of it.
    unsafe {
        let setter = rustix::ioctl::Setter::<SIOCSIFFLAGS, InterfaceRequest>::new(request);
        rustix::ioctl::ioctl(&socket, setter)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{Relation, clone};
    use crate::pidfd::{self, Exit};
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_new_network_has_a_loopback_that_comes_up() {
        let relation = Relation { namespaces: Namespaces::NETWORK, ..Relation::CHILD };
        let child = clone(&relation, || {
            let reachable = || UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"x", s.local_addr()?)).is_ok();
            let before = reachable();
            let up = loopback_up().is_ok();
            u8::from(!before) | u8::from(up) << 1 | u8::from(reachable()) << 2
        });
        assert_eq!(pidfd::wait(child.unwrap().pidfd.as_fd()).unwrap(), Exit::Code(7));
    }

    #[test]
    fn unsharing_leaves_the_old_namespace() {
        let child = clone(&Relation::CHILD, || {
            let before = std::fs::read_link("/proc/self/ns/ipc").ok();
            let unshared = unshare(Namespaces::INTER_PROCESS_COMMUNICATION).is_ok();
            u8::from(unshared && before != std::fs::read_link("/proc/self/ns/ipc").ok())
        });
        assert_eq!(pidfd::wait(child.unwrap().pidfd.as_fd()).unwrap(), Exit::Code(1));
    }
}
