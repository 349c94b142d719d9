//! The sockets of one container, made in the network namespace that the calling thread is in.

use crate::resolver::resolv_conf::{INSIDE, Place, Upstream};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, OwnedFd};

/// How often a port is drawn until UDP and TCP both have it.
const DRAWS: usize = 32;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 32;

/// What is handed in with a container.
#[derive(Debug, Default)]
pub struct Sockets {
    /// UDP and TCP, on the same port.
    pub listeners: Vec<OwnedFd>,
    /// For asking from the container's namespace.
    pub container: Vec<OwnedFd>,
    /// For asking from the host's.
    pub host: Vec<OwnedFd>,
    /// A pidfd of the container's first process, where it is there already.
    pub process: Option<OwnedFd>,
}

/// How many queries of a container can be out at once, over UDP and over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerFamily {
    /// Over UDP.
    pub datagram: usize,
    /// Over TCP.
    pub stream: usize,
}

impl Default for PerFamily {
    fn default() -> Self {
        PerFamily { datagram: 32, stream: 4 }
    }
}

impl Sockets {
    /// Listens in the container's namespace, which the calling thread is in and where `lo` is up, at 127.0.0.11. Returns
    /// the port too, to which port 53 of that address is to lead.
    ///
    /// # Errors
    /// What socket(2), bind(2) and listen(2) say.
    pub fn listen(&mut self) -> io::Result<u16> {
        let (udp, tcp, port) = listen_at(INSIDE)?;
        self.listeners = vec![udp, tcp];
        Ok(port)
    }

    /// Makes the sockets for asking these servers from the one place where the calling thread is.
    ///
    /// # Errors
    /// What socket(2) says. A family that the kernel does not have is left out.
    pub fn ask_from(&mut self, place: Place, upstreams: &[Upstream], count: PerFamily) -> io::Result<()> {
        let made = match place {
            Place::Container => &mut self.container,
            Place::Host => &mut self.host,
        };
        for (family, v6) in [(AddressFamily::INET, false), (AddressFamily::INET6, true)] {
            if upstreams.iter().any(|upstream| upstream.place == place && upstream.address.is_ipv6() == v6) {
                for kind in [SocketType::DGRAM; 1]
                    .repeat(count.datagram)
                    .into_iter()
                    .chain([SocketType::STREAM].repeat(count.stream))
                {
                    match socket_with(family, kind, FLAGS, None) {
                        Ok(socket) => {
                            if kind == SocketType::DGRAM {
                                dhow_sys::socket::tell_unreachable(socket.as_fd(), v6)?;
                            }
                            made.push(socket);
                        }
                        Err(Errno::AFNOSUPPORT) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Sockets of a container all in one: listening, and for asking those servers that are asked from its namespace.
///
/// # Errors
/// As of the two steps.
pub fn ready_for(upstreams: &[Upstream], count: PerFamily) -> io::Result<(Sockets, u16)> {
    let mut sockets = Sockets::default();
    let port = sockets.listen()?;
    sockets.ask_from(Place::Container, upstreams, count)?;
    Ok((sockets, port))
}

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

fn listen_at(address: Ipv4Addr) -> io::Result<(OwnedFd, OwnedFd, u16)> {
    for _ in 0..DRAWS {
        let tcp = socket_with(AddressFamily::INET, SocketType::STREAM, FLAGS, None)?;
        bind(&tcp, &SocketAddrV4::new(address, 0))?;
        listen(&tcp, BACKLOG)?;
        let own = SocketAddrV4::try_from(rustix::net::getsockname(&tcp)?)?;
        let udp = socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None)?;
        match bind(&udp, &own) {
            Ok(()) => return Ok((udp, tcp, own.port())),
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::ADDRINUSE.into())
}
