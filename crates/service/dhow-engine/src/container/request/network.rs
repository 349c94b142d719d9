//! What is asked for of networks: which ones a container is on, and which of its ports the host has for it.

use dhow_network::mac::Mac;
use dhow_network::ports::{Protocol, Request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One network of a container, and what it is to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConfig {
    /// The network's name, or its id, as it was typed.
    pub network: String,
    /// Names that others of the network find it by, beside its own.
    pub aliases: Vec<String>,
    /// The IPv4 address; none: one that is free.
    pub ip: Option<Ipv4Addr>,
    /// The IPv6 address; none: one that is free, where the network has IPv6.
    pub ip6: Option<Ipv6Addr>,
    /// The hardware address; none: one that follows from the IP address.
    pub mac: Option<Mac>,
    /// Of several networks the one with the highest has the default route.
    pub gateway_priority: i64,
    /// For the network's driver.
    pub driver_options: BTreeMap<String, String>,
}

impl EndpointConfig {
    /// On this network, with nothing special.
    pub fn on(network: impl Into<String>) -> EndpointConfig {
        EndpointConfig { network: network.into(), ..EndpointConfig::default() }
    }

    /// Whether nothing but the network was asked for.
    pub fn is_plain(&self) -> bool {
        *self == EndpointConfig::on(self.network.clone())
    }
}

/// One port of a container that a port of the host is to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Publish {
    /// The container's port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The host's address; none: all of both families.
    pub address: Option<IpAddr>,
    /// The first and the last of the host's ports of which one is taken; none: any.
    pub host: Option<(u16, u16)>,
}

impl Publish {
    /// The single ports of one `-p`.
    pub fn of(request: &Request) -> impl Iterator<Item = Publish> + '_ {
        request.bindings().map(|binding| Publish {
            port: binding.container,
            protocol: binding.protocol,
            address: binding.address,
            host: binding.host.map(|range| (range.first, range.last)),
        })
    }

    /// `80/tcp`.
    pub fn target(&self) -> Target {
        Target { port: self.port, protocol: self.protocol }
    }
}

/// A port of a container: `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its number.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}
