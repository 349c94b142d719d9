//! Network namespaces, each held by a descriptor and bound to no name on disk.
//!
//! A namespace lives as long as a descriptor, a process or a socket in it. Nothing here goes through procfs: the
//! descriptor is asked of a socket that was opened inside (`SIOCGSKNS`), so no path has to be trusted.
//!
//! # Worked example
//!
//! ```no_run
//! use dhow_network::netns::Netns;
//! let netns = Netns::new()?;
//! let mut route = netns.route()?;              // a netlink socket of that namespace, usable from any thread
//! dhow_network::link::set_up(&mut route, "lo")?;
//! let port = netns.with(|| std::net::UdpSocket::bind("127.0.0.1:0"))?;
//! # Ok::<(), dhow_network::NetworkError>(())
//! ```

use crate::NetworkError;
use crate::netlink::{Protocol, Socket};
use dhow_sys::clone::Namespaces;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::LinkNameSpaceType;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A network namespace.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
}

impl Netns {
    /// Makes a new one, with a loopback that is down and nothing else. The caller stays where it is.
    ///
    /// # Errors
    /// What unshare(2) says: `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` when there are too many.
    pub fn new() -> Result<Netns, NetworkError> {
        aside(|| {
            dhow_sys::namespace::unshare(Namespaces::NETWORK)?;
            current()
        })
        .map_err(NetworkError::system("make", "a network namespace"))
    }

    /// The one that the calling thread is in.
    ///
    /// # Errors
    /// What socket(2) and ioctl(2) say: `EPERM` without `CAP_NET_ADMIN` there.
    pub fn own() -> Result<Netns, NetworkError> {
        current().map_err(NetworkError::system("open", "the network namespace of this thread"))
    }

    /// The one of a process.
    ///
    /// # Errors
    /// What setns(2) says: `ESRCH` when the process has ended.
    pub fn of_process(pidfd: BorrowedFd<'_>) -> Result<Netns, NetworkError> {
        aside(|| {
            rustix::thread::move_into_thread_name_spaces(pidfd, Namespaces::NETWORK)?;
            current()
        })
        .map_err(NetworkError::system("open", "the network namespace of a process"))
    }

    /// Takes a descriptor that was handed over; whether it is one of a network namespace shows when it is entered.
    pub fn from_fd(fd: OwnedFd) -> Netns {
        Netns { fd }
    }

    /// Takes the calling thread there for good.
    ///
    /// # Errors
    /// What setns(2) says.
    pub fn enter(&self) -> Result<(), NetworkError> {
        rustix::thread::move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(NetworkError::system("enter", "a network namespace"))
    }

    /// Runs `work` there, in a thread of its own; sockets that it opens stay there. A panic goes on in the caller.
    ///
    /// # Errors
    /// What `work` gives, or what setns(2) says.
    pub fn with<T: Send, E: Into<io::Error> + Send>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, NetworkError> {
        aside(|| {
            rustix::thread::move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))?;
            work().map_err(Into::into)
        })
        .map_err(NetworkError::system("work in", "a network namespace"))
    }

    /// A netlink socket for its links, addresses and routes.
    ///
    /// # Errors
    /// What setns(2) and socket(2) say.
    pub fn route(&self) -> Result<Socket, NetworkError> {
        self.with(|| Socket::open(Protocol::Route))
    }

    /// A netlink socket for its firewall and connection tracking.
    ///
    /// # Errors
    /// What setns(2) and socket(2) say.
    pub fn netfilter(&self) -> Result<Socket, NetworkError> {
        self.with(|| Socket::open(Protocol::Netfilter))
    }

    /// Whether both are the same.
    ///
    /// # Errors
    /// What fstat(2) says.
    pub fn is(&self, other: &Netns) -> Result<bool, NetworkError> {
        let stat = |netns: &Netns| {
            let stat = rustix::fs::fstat(&netns.fd).map_err(NetworkError::system("look at", "a network namespace"))?;
            Ok::<_, NetworkError>((stat.st_dev, stat.st_ino))
        };
        Ok(stat(self)? == stat(other)?)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Netns> for OwnedFd {
    fn from(netns: Netns) -> OwnedFd {
        netns.fd
    }
}

/// The namespace of the calling thread.
fn current() -> io::Result<Netns> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(Netns { fd: dhow_sys::netlink::namespace_of(socket.as_fd())? })
}

/// Runs `work` in a thread that ends with it, so that what it does to itself harms nobody.
fn aside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
