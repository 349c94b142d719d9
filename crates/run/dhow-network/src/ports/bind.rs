//! Choosing ports of the host, and holding them: a socket per port, so that no other program gets it meanwhile and a
//! conflict with one shows before anything is started.

use super::{PortError, Protocol, Range};
use crate::NetworkError;
use crate::subnet::Family;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Two want the same port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Bind for {asked} failed: port is already allocated{}", owner(.by))]
pub struct Conflict {
    /// What was asked for.
    pub asked: Held,
    /// Who has it; none: a program that is none of ours.
    pub by: Option<String>,
}

fn owner(by: &Option<String>) -> String {
    by.as_ref().map(|by| format!(" (by {by})")).unwrap_or_default()
}

/// A port of the host that somebody has or wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// The protocol.
    pub protocol: Protocol,
    /// The address; unspecified: all of its family.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::new(self.address, self.port), f)
    }
}

impl Held {
    /// Whether two sockets cannot have both: the same port of addresses that have one in common.
    pub fn excludes(&self, other: &Held) -> bool {
        let meet = self.address == other.address
            || Family::of(self.address) == Family::of(other.address)
                && (self.address.is_unspecified() || other.address.is_unspecified());
        self.protocol == other.protocol && self.port == other.port && meet
    }
}

/// The first port of a range, from `start` on and round, that `is_free`. With a random `start` this gives random ports;
/// with that of the range, the lowest one.
///
/// # Errors
/// `Exhausted`.
pub fn choose(
    address: IpAddr,
    range: Range,
    start: u16,
    mut is_free: impl FnMut(u16) -> bool,
) -> Result<u16, PortError> {
    let start = start.clamp(range.first, range.last);
    let found = (start..=range.last).chain(range.first..start).find(|port| is_free(*port));
    found.ok_or(PortError::Exhausted { address, range })
}

/// Takes a port of the host, in the network namespace of the calling thread.
///
/// The socket is bound, and does not listen: who comes to it because our table does not catch him (::1; before the port
/// is in the table; after `nft flush ruleset`) is refused at once, and takes another address or tries again, where one
/// whom nobody accepts would hang. Not listening it keeps the port all the same, as long as it does not allow others to
/// bind it too (`SO_REUSEADDR`). IPv6 is for itself.
///
/// # Errors
/// `System` with `EADDRINUSE` when it is taken, `EADDRNOTAVAIL` when the address is not the host's; `Unsupported` when
/// the kernel does not have the protocol.
pub fn bind(held: Held) -> Result<OwnedFd, NetworkError> {
    let socket = match try_bind(held, false) {
        // What is left of connections that have ended must not keep the port from us: who listens would.
        Err(Errno::ADDRINUSE) if held.protocol != Protocol::Udp => {
            nobody_listens(held).and_then(|()| try_bind(held, true))
        }
        other => other,
    };
    socket.map_err(|errno| match errno {
        Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT | Errno::AFNOSUPPORT => {
            NetworkError::Unsupported { feature: format!("{} sockets", held.protocol.to_string().to_uppercase()) }
        }
        errno => NetworkError::system("bind", format!("{held}/{}", held.protocol))(errno),
    })
}

/// Whether the port could be listened on, which only a socket that does so can tell: it is closed again.
fn nobody_listens(held: Held) -> Result<(), Errno> {
    rustix::net::listen(try_bind(held, true)?, 1)
}

fn try_bind(held: Held, shared: bool) -> Result<OwnedFd, Errno> {
    let family = match held.address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let (kind, protocol) = match held.protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if held.address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if shared {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(held.address, held.port))?;
    Ok(socket)
}

/// The port that a socket has, when it was bound to port 0.
///
/// # Errors
/// What getsockname(2) says.
pub fn port_of(socket: BorrowedFd<'_>) -> Result<u16, NetworkError> {
    let address = rustix::net::getsockname(socket.as_fd()).and_then(SocketAddr::try_from);
    Ok(address.map_err(NetworkError::system("ask for", "the port of a socket"))?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(address: &str, port: u16) -> Held {
        Held { protocol: Protocol::Tcp, address: address.parse().unwrap(), port }
    }

    #[test]
    fn who_excludes_whom() {
        assert!(held("0.0.0.0", 80).excludes(&held("127.0.0.1", 80)));
        assert!(held("127.0.0.1", 80).excludes(&held("0.0.0.0", 80)));
        assert!(!held("127.0.0.1", 80).excludes(&held("127.0.0.2", 80)));
        assert!(!held("0.0.0.0", 80).excludes(&held("::", 80)), "IPv6 is for itself");
        assert!(!held("0.0.0.0", 80).excludes(&held("0.0.0.0", 81)));
        let udp = Held { protocol: Protocol::Udp, ..held("0.0.0.0", 80) };
        assert!(!udp.excludes(&held("0.0.0.0", 80)));
        let conflict = Conflict { asked: held("0.0.0.0", 80), by: Some("web".into()) };
        assert_eq!(conflict.to_string(), "Bind for 0.0.0.0:80 failed: port is already allocated (by web)");
    }

    #[test]
    fn a_port_is_chosen_round_the_range() {
        let range = Range { first: 8000, last: 8003 };
        let any = "0.0.0.0".parse().unwrap();
        assert_eq!(choose(any, range, 0, |_| true), Ok(8000));
        assert_eq!(choose(any, range, 8002, |port| port < 8002), Ok(8000));
        assert_eq!(choose(any, range, 9999, |_| true), Ok(8003));
        let error = choose(any, range, 8001, |_| false).unwrap_err();
        assert_eq!(error.to_string(), "Bind for 0.0.0.0:8000-8003 failed: all ports are allocated");
    }
}
