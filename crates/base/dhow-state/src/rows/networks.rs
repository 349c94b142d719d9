//! The rows of networks: what there is, which container is on what, and what was leased to whom.

use super::Timestamp;
use std::net::{IpAddr, SocketAddr};

/// A network. What it is like is the caller's to say; the ledger knows its name and who is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRow {
    /// 64 lower-case hex digits, random.
    pub id: String,
    /// Its name. No two networks have the same.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What was decided for it, JSON. Never changes.
    pub config: String,
    /// The IPv4 and the IPv6 address that were leased last by themselves: the next one is looked for behind them.
    pub last: [Option<IpAddr>; 2],
}

/// A container on a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    /// The id of the container.
    pub container: String,
    /// The id of the network.
    pub network: String,
    /// 64 lower-case hex digits, random.
    pub id: String,
    /// What was asked for, JSON.
    pub config: String,
    /// What it was given, JSON; only while the container starts or runs.
    pub state: Option<String>,
}

/// An address that was leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRow {
    /// The id of the network.
    pub network: String,
    /// The address.
    pub address: IpAddr,
    /// The id of the container; it may have gone already.
    pub container: String,
    /// Its container has ended; ports may still lead to it.
    pub stale: bool,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRow {
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// The address of the host; unspecified: all of them.
    pub address: IpAddr,
    /// The port of the host.
    pub port: u16,
    /// The id of the container; it may have gone already.
    pub container: String,
    /// The id of the network that it is reached over.
    pub network: String,
    /// Where it leads.
    pub to: SocketAddr,
    /// The caller's word for how.
    pub mode: String,
    /// Its container has ended; the kernel may still know the port.
    pub stale: bool,
}

/// What came of claiming an address or a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<R> {
    /// Nobody had it. It is the claimant's now.
    Free,
    /// It was stale, and is the claimant's now, who has to see to it that the kernel forgets what it knew of this row.
    Stale(R),
    /// Somebody has it, and keeps it.
    Taken(R),
}

impl<R> Claim<R> {
    /// Whether the claimant has it now.
    pub fn is_granted(&self) -> bool {
        !matches!(self, Claim::Taken(_))
    }
}
