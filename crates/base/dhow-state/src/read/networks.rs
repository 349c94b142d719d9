//! Queries about networks, endpoints, and what is leased.

use super::{Read, malformed};
use crate::error::StateError;
use crate::layout::is_lower_hex;
use crate::rows::{AddressRow, EndpointRow, NetworkRow, PortRow};
use rusqlite::Row;
use std::net::{IpAddr, SocketAddr};

/// All columns of networks, in the order in which [`network`] reads them.
macro_rules! networks {
    ($rest:literal) => {
        concat!("SELECT id, name, created, config, last4, last6 FROM networks ", $rest)
    };
}

macro_rules! endpoints {
    ($rest:literal) => {
        concat!("SELECT container, network, id, config, state FROM endpoints ", $rest)
    };
}

macro_rules! addresses {
    ($rest:literal) => {
        concat!("SELECT network, address, container, stale FROM addresses ", $rest)
    };
}

macro_rules! ports {
    ($rest:literal) => {
        concat!(
            "SELECT protocol, address, port, container, network, to_address, to_port, mode, stale FROM ports ",
            $rest
        )
    };
}

impl Read<'_> {
    /// All networks, in the order in which they were made.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn networks(&self) -> Result<Vec<NetworkRow>, StateError> {
        self.all(networks!("ORDER BY seq"), [], network)
    }

    /// The network of this id.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn network(&self, id: &str) -> Result<Option<NetworkRow>, StateError> {
        self.one(networks!("WHERE id = ?1"), [id], network)
    }

    /// The network of this name.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn network_by_name(&self, name: &str) -> Result<Option<NetworkRow>, StateError> {
        self.one(networks!("WHERE name = ?1"), [name], network)
    }

    /// The networks of which the id begins so, at most two: enough to tell whether it is one. None for what is no
    /// lower-case hex.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn networks_by_prefix(&self, prefix: &str) -> Result<Vec<NetworkRow>, StateError> {
        if prefix.is_empty() || !is_lower_hex(prefix) {
            return Ok(Vec::new());
        }
        // `g` sorts behind every hex digit.
        self.all(networks!("WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2"), [prefix], network)
    }

    /// All endpoints, by container.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn endpoints(&self) -> Result<Vec<EndpointRow>, StateError> {
        self.all(endpoints!("ORDER BY container, network"), [], endpoint)
    }

    /// The endpoint of this container on this network.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn endpoint(&self, container: &str, network: &str) -> Result<Option<EndpointRow>, StateError> {
        self.one(endpoints!("WHERE container = ?1 AND network = ?2"), [container, network], endpoint)
    }

    /// What a container is on, in no order that means anything.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn endpoints_of_container(&self, container: &str) -> Result<Vec<EndpointRow>, StateError> {
        self.all(endpoints!("WHERE container = ?1 ORDER BY network"), [container], endpoint)
    }

    /// Who is on a network, running or not.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn endpoints_of_network(&self, network: &str) -> Result<Vec<EndpointRow>, StateError> {
        self.all(endpoints!("WHERE network = ?1 ORDER BY container"), [network], endpoint)
    }

    /// All leased addresses of a network, stale ones among them.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn addresses(&self, network: &str) -> Result<Vec<AddressRow>, StateError> {
        self.all(addresses!("WHERE network = ?1 ORDER BY address"), [network], address)
    }

    /// All addresses that were leased to a container, stale ones among them.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn addresses_of_container(&self, container: &str) -> Result<Vec<AddressRow>, StateError> {
        self.all(addresses!("WHERE container = ?1 ORDER BY network, address"), [container], address)
    }

    /// Who has this address of a network.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn address(&self, network: &str, asked: IpAddr) -> Result<Option<AddressRow>, StateError> {
        self.one(addresses!("WHERE network = ?1 AND address = ?2"), (network, asked.to_string()), address)
    }

    /// All published ports, stale ones among them.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn ports(&self) -> Result<Vec<PortRow>, StateError> {
        self.all(ports!("ORDER BY protocol, port, address"), [], port)
    }

    /// The ports of a container, stale ones among them.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn ports_of_container(&self, container: &str) -> Result<Vec<PortRow>, StateError> {
        self.all(ports!("WHERE container = ?1 ORDER BY protocol, port, address"), [container], port)
    }

    /// The ports of this number, of whichever address of the host, stale ones among them.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn ports_of_number(&self, protocol: &str, number: u16) -> Result<Vec<PortRow>, StateError> {
        self.all(ports!("WHERE protocol = ?1 AND port = ?2 ORDER BY address"), (protocol, number), port)
    }
}

fn network(row: &Row<'_>) -> rusqlite::Result<NetworkRow> {
    let last = |column| match row.get_ref(column)?.as_str_or_null()? {
        Some(_) => ip(row, column).map(Some),
        None => Ok(None),
    };
    Ok(NetworkRow {
        id: row.get(0)?,
        name: row.get(1)?,
        created: row.get(2)?,
        config: row.get(3)?,
        last: [last(4)?, last(5)?],
    })
}

fn endpoint(row: &Row<'_>) -> rusqlite::Result<EndpointRow> {
    Ok(EndpointRow {
        container: row.get(0)?,
        network: row.get(1)?,
        id: row.get(2)?,
        config: row.get(3)?,
        state: row.get(4)?,
    })
}

fn address(row: &Row<'_>) -> rusqlite::Result<AddressRow> {
    Ok(AddressRow { network: row.get(0)?, address: ip(row, 1)?, container: row.get(2)?, stale: row.get(3)? })
}

fn port(row: &Row<'_>) -> rusqlite::Result<PortRow> {
    Ok(PortRow {
        protocol: row.get(0)?,
        address: ip(row, 1)?,
        port: row.get(2)?,
        container: row.get(3)?,
        network: row.get(4)?,
        to: SocketAddr::new(ip(row, 5)?, row.get(6)?),
        mode: row.get(7)?,
        stale: row.get(8)?,
    })
}

fn ip(row: &Row<'_>, column: usize) -> rusqlite::Result<IpAddr> {
    row.get_ref(column)?.as_str()?.parse().map_err(|e: std::net::AddrParseError| malformed(column, e))
}
