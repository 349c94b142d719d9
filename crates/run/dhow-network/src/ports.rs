//! Published ports: a port of the host that leads to a port of a container.
//!
//! What `-p` says is parsed here into requests; a request becomes a [`Port`] once its host port is chosen and the
//! container has its address. Conflicts are values, found before anything is started.
//!
//! # Lifecycle
//!
//! ```text
//!     Request::parse (-p) -> Request::bindings -> choose (host port) -> Port::new -> firewall::Firewall::change
//!                                                  \-> bind: a bound socket, held by the supervisor, so that no other
//!                                                      program of the host gets the port meanwhile
//! ```

mod bind;
mod request;

pub use bind::{Conflict, Held, bind, choose, port_of};
pub use request::{Binding, Exposed, PortError, Range, Request};

use crate::subnet::Family;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
    /// Streams of messages; the kernel may not have it.
    Sctp,
}

impl Protocol {
    /// The number in IP headers.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// The protocol of a number in IP headers.
    pub fn from_number(number: u8) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = PortError;

    /// In any case, as docker takes it.
    fn from_str(text: &str) -> Result<Protocol, PortError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(PortError::Protocol(text.to_owned())),
        }
    }
}

/// A published port: what comes to `address:port` of the host goes to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Port {
    protocol: Protocol,
    address: IpAddr,
    port: u16,
    to: SocketAddr,
}

/// A port as it is stored, before its parts were looked at together.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Raw {
    protocol: Protocol,
    address: IpAddr,
    port: u16,
    to: SocketAddr,
}

impl TryFrom<Raw> for Port {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Port, &'static str> {
        Port::new(raw.protocol, raw.address, raw.port, raw.to).ok_or("a published port makes no sense")
    }
}

impl From<Port> for Raw {
    fn from(Port { protocol, address, port, to }: Port) -> Raw {
        Raw { protocol, address, port, to }
    }
}

impl Port {
    /// `address` unspecified means all of the host's of its family. None when the families differ (addresses are not
    /// translated between them) or a port is 0.
    pub fn new(protocol: Protocol, address: IpAddr, port: u16, to: SocketAddr) -> Option<Port> {
        let fits = Family::of(address) == Family::of(to.ip()) && port != 0 && to.port() != 0;
        (fits && !to.ip().is_unspecified()).then_some(Port { protocol, address, port, to })
    }

    /// The protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The host's address; unspecified: all.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The host's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The container's address and port.
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// The family of both ends.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Whether both cannot be in the maps at once: the same port of the same address that leads elsewhere. (One of all
    /// addresses beside one of a certain address is no conflict here, but it is one of sockets: see [`Conflict`].)
    pub fn conflicts(&self, other: &Port) -> bool {
        (self.protocol, self.address, self.port) == (other.protocol, other.address, other.port) && self.to != other.to
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} -> {}", SocketAddr::new(self.address, self.port), self.protocol, self.to)
    }
}
