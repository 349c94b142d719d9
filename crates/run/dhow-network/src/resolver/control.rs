//! How a resolver is told what it serves, and how it tells it on.
//!
//! # Words
//!
//! - the **control socket** is a unix socket of packets (`SOCK_SEQPACKET`), mode 0600 in the run root: one packet is one
//!   [`Request`] in JSON with its descriptors, and is answered by one [`Reply`];
//! - to **hand in** a network or a container is all that a resolver ever learns: it opens nothing but the zone document in
//!   a directory that was handed in, and makes no socket;
//! - who **follows** gets everything that was handed in, descriptors and all, and from then on what changes. Handing the
//!   same to a new process makes it the same resolver: [`Record`] does that for a keeper.
//!
//! # Lifecycle
//!
//! ```text
//!     launcher  Begin, Listen, Network, Join ----> resolver       over its standard input
//!     command   Network, Join, Leave, Forget ----> resolver       over the listener
//!     keeper    Follow --------------------------> resolver
//!               <---- Listen, Network, Join .., Whole, and changes
//! ```
//!
//! Handing in again what is there replaces it. A network that is handed in has been read when the answer comes; after
//! that its document is read again whenever it is replaced. A container leaves by itself when its process ends. A resolver
//! whose last container left, and with which nobody is connected but who follows, ends after [`Begin::linger`]: who finds
//! nobody listening starts another.

mod record;
mod sockets;

pub use record::{Heir, Record};
pub use sockets::{PerFamily, Sockets, ready_for};

use super::resolv_conf::Upstream;
use dhow_sys::passing;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The version of these messages.
pub const VERSION: u32 = 1;
/// The largest packet in bytes.
pub const PACKET_MAX: usize = 64 * 1024;
/// How long a command waits for a resolver's answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a resolver stays without containers and connections, in milliseconds: the next may be about to come.
pub const LINGER: u64 = 2000;
/// A user that nobody else is: no account has such a number, and service managers draw theirs elsewhere.
pub const NOBODY_ELSE: u32 = 0x7e00_0035;

/// What can be asked of a resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// The first one, over standard input.
    Begin(Begin),
    /// Listen for others. Descriptor: a listening socket.
    Listen,
    /// Serve a network. Descriptor: the directory of its zone document.
    Network {
        /// Its id.
        network: String,
    },
    /// Do so no longer.
    Forget {
        /// Its id.
        network: String,
    },
    /// Serve a container. Descriptors: as [`Join`] counts them.
    Join(Join),
    /// Do so no longer, and close all its sockets.
    Leave {
        /// Its id.
        id: String,
    },
    /// Tell everything, and what changes from now on. Nothing else can be asked over this connection any more.
    Follow,
    /// Tell how it goes.
    Status,
    /// End.
    Stop,
}

/// How a resolver is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// [`VERSION`].
    pub version: u32,
    /// Who it becomes, user and group, when it was started by root.
    pub user: u32,
    /// How many milliseconds it stays without containers and connections; none: for ever.
    pub linger: Option<u64>,
    /// The control group it enters, relative to the root of the hierarchies; none: it stays where it was started.
    #[serde(default)]
    pub group: Option<PathBuf>,
}

impl Begin {
    /// As a resolver of dhow's runs.
    pub fn usual() -> Begin {
        Begin { version: VERSION, user: NOBODY_ELSE, linger: Some(LINGER), group: None }
    }
}

/// A container that asks.
///
/// Its descriptors, in order: listening sockets, then sockets for asking others, then perhaps its process. UDP or TCP, IPv4
/// or IPv6 is seen from each socket itself. As many queries go out at once as there are sockets for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Its id.
    pub id: String,
    /// Ids of its networks, the preferred one first.
    pub networks: Vec<String>,
    /// Whom to ask what is not ours, at most three; nobody: never forwarded (an `internal` network).
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// The user has set `ndots`: single labels are not forwarded.
    #[serde(default)]
    pub ndots: bool,
    /// How many of the descriptors are listening sockets.
    pub listeners: usize,
    /// How many, behind those, are sockets of the container's namespace.
    pub container: usize,
    /// How many, behind those, are sockets of the host's.
    pub host: usize,
    /// Whether the last is a pidfd of the container's first process: when that has ended the container is let go, whoever
    /// could have said so. Its sockets would keep the container's network namespace, and all wires into it, for ever.
    #[serde(default)]
    pub process: bool,
    /// It is served already, and goes on listening where it does: no listening socket comes along.
    #[serde(default)]
    pub keeps: bool,
}

/// What a resolver answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Done,
    /// Not done, and nothing has changed.
    Refused {
        /// For people.
        why: String,
    },
    /// How it goes.
    Status(Status),
    /// To who follows: that was everything there is by now.
    Whole,
}

/// How a resolver goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`] that it speaks.
    pub version: u32,
    /// Its process.
    pub pid: u32,
    /// Containers.
    pub clients: Vec<String>,
    /// Where each of them listens, in the same order; 0: nowhere.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Networks.
    pub networks: Vec<String>,
    /// How many follow it.
    #[serde(default)]
    pub followers: usize,
    /// Queries that came.
    pub queries: u64,
    /// How many of them went to upstream servers.
    pub forwarded: u64,
    /// How many of those got no answer.
    pub unanswered: u64,
    /// Of networks, why their document could not be read when it was last replaced; the one before is still served.
    pub troubles: Vec<(String, String)>,
}

/// Why talking to a resolver failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody is there, or no longer: start another.
    #[error("the resolver is gone while it was asked to {what}")]
    Gone {
        /// What it was asked.
        what: &'static str,
    },
    /// It did not want to.
    #[error("the resolver refused to {what}: {why}")]
    Refused {
        /// What it was asked.
        what: &'static str,
        /// Its reason.
        why: String,
    },
    /// It has said nothing for so long that it never will: it was stopped, or hangs.
    #[error("the resolver does not answer when it is asked to {what}")]
    Silent {
        /// What it was asked.
        what: &'static str,
    },
    /// The socket failed.
    #[error("{what} over the resolver's control socket: {source}")]
    Socket {
        /// What it was asked.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It said something that is not understood.
    #[error("the resolver's answer is not understood")]
    Answer(#[from] serde_json::Error),
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A connection with a resolver.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
}

impl Control {
    /// Connects with the resolver that listens there. None: nobody does.
    ///
    /// # Errors
    /// What socket(2) and connect(2) say otherwise.
    pub fn connect(path: &Path) -> io::Result<Option<Control>> {
        reach(path, SocketFlags::CLOEXEC)?.map(Control::over).transpose()
    }

    /// The same for somebody who waits for nothing, neither now nor later.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); `WouldBlock` when too many want the same just now.
    pub fn connect_at_once(path: &Path) -> io::Result<Option<Control>> {
        Ok(reach(path, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?.map(|socket| Control { socket }))
    }

    /// Starts a resolver: the command's standard input becomes its control socket. It says nothing on the other two, and
    /// outlives whoever reads ours, so it does not get them.
    ///
    /// # Errors
    /// What socketpair(2) and the start of the command say.
    pub fn launch(command: &mut Command) -> io::Result<(Control, Child)> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let child = command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok((Control::over(ours)?, child))
    }

    fn over(socket: OwnedFd) -> io::Result<Control> {
        let control = Control { socket };
        control.set_patience(PATIENCE)?;
        Ok(control)
    }

    /// Has it answer within this time from now on, or be [`ControlError::Silent`].
    ///
    /// # Errors
    /// What setsockopt(2) says.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, Some(patience))?;
        Ok(sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Send, Some(patience))?)
    }

    /// Asks for something that is answered by no more than that it was done.
    ///
    /// # Errors
    /// [`ControlError`]; after `Gone` nobody knows whether it was done.
    pub fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), ControlError> {
        self.exchange(request, descriptors).map(drop)
    }

    /// Asks how it goes.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn status(&self) -> Result<Status, ControlError> {
        match self.exchange(&Request::Status, &[])? {
            Reply::Status(status) => Ok(status),
            _ => Err(ControlError::Gone { what: Request::Status.what() }),
        }
    }

    /// Hands in a container with its sockets, whose numbers are set in `join`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn join(&self, join: Join, sockets: &Sockets) -> Result<(), ControlError> {
        let join = Join {
            listeners: sockets.listeners.len(),
            container: sockets.container.len(),
            host: sockets.host.len(),
            process: sockets.process.is_some(),
            keeps: join.keeps && sockets.listeners.is_empty(),
            ..join
        };
        let all = sockets.listeners.iter().chain(&sockets.container).chain(&sockets.host).chain(&sockets.process);
        let all: Vec<_> = all.map(AsFd::as_fd).collect();
        self.ask(&Request::Join(join), &all)
    }

    /// Sends a request, and waits for nothing.
    fn post(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        // With room for one packet at least whenever the one before was taken.
        let bytes = serde_json::to_vec(request)?;
        passing::send(self.socket.as_fd(), &bytes, descriptors).map(drop)
    }

    fn exchange(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Reply, ControlError> {
        let what = request.what();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ControlError::Gone { what },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ControlError::Silent { what },
            _ => ControlError::Socket { what, source },
        };
        passing::send(self.socket.as_fd(), &serde_json::to_vec(request)?, descriptors).map_err(failed)?;
        let mut bytes = vec![0; PACKET_MAX];
        let count = passing::receive(self.socket.as_fd(), &mut bytes, &mut Vec::new()).map_err(failed)?;
        match (count, serde_json::from_slice(&bytes[..count])) {
            (0, _) => Err(ControlError::Gone { what }),
            (_, Ok(Reply::Refused { why })) => Err(ControlError::Refused { what, why }),
            (_, reply) => Ok(reply?),
        }
    }
}

fn reach(path: &Path, flags: SocketFlags) -> io::Result<Option<OwnedFd>> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
        Ok(()) => Ok(Some(socket)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Request {
    fn what(&self) -> &'static str {
        match self {
            Request::Begin(_) => "begin",
            Request::Listen => "listen",
            Request::Network { .. } => "serve a network",
            Request::Forget { .. } => "forget a network",
            Request::Join(_) => "serve a container",
            Request::Leave { .. } => "let a container go",
            Request::Follow => "tell what it serves",
            Request::Status => "tell how it goes",
            Request::Stop => "stop",
        }
    }
}
