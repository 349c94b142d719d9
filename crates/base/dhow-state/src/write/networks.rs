//! The rows of networks: made and removed, containers put on them, addresses and ports leased and let go.
//!
//! Letting go takes two steps, because the kernel takes its time to forget. The transaction that records the end of a
//! container makes what it had *stale* ([`Write::mark_stale`]); once the kernel knows nothing of it any more, the rows go
//! ([`Write::delete_stale`]). Who needs room may claim what is stale earlier, and then sees to the kernel himself.

use super::Write;
use crate::error::StateError;
use crate::layout::is_id;
use crate::rows::{AddressRow, Claim, EndpointRow, NetworkRow, PortRow};
use std::net::IpAddr;

impl Write<'_> {
    /// Records a network.
    ///
    /// # Errors
    /// [`StateError::NetworkNameTaken`], [`StateError::BadNetworkId`]; of the ledger.
    pub fn insert_network(&self, row: &NetworkRow) -> Result<(), StateError> {
        check_id(&row.id)?;
        if let Some(other) = self.network_by_name(&row.name)? {
            return Err(StateError::NetworkNameTaken { name: row.name.clone(), by: other.id });
        }
        let sql = "INSERT INTO networks (id, name, created, config, last4, last6) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let [last4, last6] = row.last.map(|address| address.map(|a| a.to_string()));
        self.execute(sql, (&row.id, &row.name, row.created, &row.config, last4, last6))?;
        Ok(())
    }

    /// Removes a network with what was leased of it; says whether it was there.
    ///
    /// # Errors
    /// [`StateError::NetworkInUse`] while a container is on it, running or not; of the ledger.
    pub fn delete_network(&self, id: &str) -> Result<bool, StateError> {
        if let Some(endpoint) = self.endpoints_of_network(id)?.into_iter().next() {
            return Err(StateError::NetworkInUse { network: id.to_owned(), container: endpoint.container });
        }
        self.execute("DELETE FROM ports WHERE network = ?1", [id])?;
        Ok(self.execute("DELETE FROM networks WHERE id = ?1", [id])? > 0)
    }

    /// Puts a container on a network; false when it is on it already.
    ///
    /// # Errors
    /// [`StateError::Gone`] for either, [`StateError::BadNetworkId`]; of the ledger.
    pub fn insert_endpoint(&self, row: &EndpointRow) -> Result<bool, StateError> {
        check_id(&row.id)?;
        self.require_network(&row.network)?;
        if self.one("SELECT 1 FROM containers WHERE id = ?1", [&row.container], |_| Ok(()))?.is_none() {
            return Err(StateError::Gone { kind: "container", id: row.container.clone() });
        }
        let sql = "INSERT INTO endpoints (container, network, id, config, state) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (container, network) DO NOTHING";
        Ok(self.execute(sql, (&row.container, &row.network, &row.id, &row.config, &row.state))? > 0)
    }

    /// Takes a container off a network; says whether it was on it.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn delete_endpoint(&self, container: &str, network: &str) -> Result<bool, StateError> {
        Ok(self.execute("DELETE FROM endpoints WHERE container = ?1 AND network = ?2", [container, network])? > 0)
    }

    /// Records what an endpoint was given; says whether there is one.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn set_endpoint_state(&self, container: &str, network: &str, state: Option<&str>) -> Result<bool, StateError> {
        let sql = "UPDATE endpoints SET state = ?3 WHERE container = ?1 AND network = ?2";
        Ok(self.execute(sql, (container, network, state))? > 0)
    }

    /// Leases an address, unless it is leased already. `row.stale` is not looked at.
    ///
    /// # Errors
    /// [`StateError::Gone`] without the network; of the ledger.
    pub fn lease_address(&self, row: &AddressRow) -> Result<Claim<AddressRow>, StateError> {
        self.require_network(&row.network)?;
        let claim = match self.address(&row.network, row.address)? {
            Some(other) if !other.stale => return Ok(Claim::Taken(other)),
            Some(other) => Claim::Stale(other),
            None => Claim::Free,
        };
        let sql = "INSERT INTO addresses (network, address, container, stale) VALUES (?1, ?2, ?3, 0)
                   ON CONFLICT (network, address) DO UPDATE SET container = ?3, stale = 0";
        self.execute(sql, (&row.network, row.address.to_string(), &row.container))?;
        Ok(claim)
    }

    /// Remembers which address of a network was leased last by itself.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn set_last_address(&self, network: &str, address: IpAddr) -> Result<(), StateError> {
        let sql = match address {
            IpAddr::V4(_) => "UPDATE networks SET last4 = ?2 WHERE id = ?1",
            IpAddr::V6(_) => "UPDATE networks SET last6 = ?2 WHERE id = ?1",
        };
        self.execute(sql, (network, address.to_string()))?;
        Ok(())
    }

    /// Leases a port of exactly this address of the host, unless it is leased already; whether it is in the way of one of
    /// all addresses is the caller's to see ([`crate::Read::ports_of_number`]). `row.stale` is not looked at.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn insert_port(&self, row: &PortRow) -> Result<Claim<PortRow>, StateError> {
        let others = self.ports_of_number(&row.protocol, row.port)?;
        let claim = match others.into_iter().find(|other| other.address == row.address) {
            Some(other) if !other.stale => return Ok(Claim::Taken(other)),
            Some(other) => Claim::Stale(other),
            None => Claim::Free,
        };
        let sql = "INSERT INTO ports (protocol, port, address, container, network, to_address, to_port, mode, stale)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)
                   ON CONFLICT (protocol, port, address) DO UPDATE
                   SET container = ?4, network = ?5, to_address = ?6, to_port = ?7, mode = ?8, stale = 0";
        let values = rusqlite::params![
            row.protocol,
            row.port,
            row.address.to_string(),
            row.container,
            row.network,
            row.to.ip().to_string(),
            row.to.port(),
            row.mode,
        ];
        self.execute(sql, values)?;
        Ok(claim)
    }

    /// The first step of letting go of all that a container was given: its endpoints know nothing of it any more, its
    /// addresses and ports become stale. Says whether there are any that did.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn mark_stale(&self, container: &str) -> Result<bool, StateError> {
        let sql = "UPDATE endpoints SET state = NULL WHERE container = ?1 AND state IS NOT NULL";
        self.execute(sql, [container])?;
        let addresses = "UPDATE addresses SET stale = 1 WHERE container = ?1 AND stale = 0";
        let ports = "UPDATE ports SET stale = 1 WHERE container = ?1 AND stale = 0";
        Ok(self.execute(addresses, [container])? + self.execute(ports, [container])? > 0)
    }

    /// The same for what it was given on one network only.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn mark_stale_on(&self, container: &str, network: &str) -> Result<bool, StateError> {
        self.set_endpoint_state(container, network, None)?;
        let addresses = "UPDATE addresses SET stale = 1 WHERE container = ?1 AND network = ?2 AND stale = 0";
        let ports = "UPDATE ports SET stale = 1 WHERE container = ?1 AND network = ?2 AND stale = 0";
        let marked = self.execute(addresses, [container, network])? + self.execute(ports, [container, network])?;
        Ok(marked > 0)
    }

    /// The second step, when the kernel has forgotten these: those that are still stale and still this container's go. One
    /// that was claimed in the meantime stays.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn delete_stale(&self, addresses: &[AddressRow], ports: &[PortRow]) -> Result<(), StateError> {
        for row in addresses {
            let sql = "DELETE FROM addresses WHERE network = ?1 AND address = ?2 AND container = ?3 AND stale = 1";
            self.execute(sql, (&row.network, row.address.to_string(), &row.container))?;
        }
        for row in ports {
            let sql = "DELETE FROM ports WHERE protocol = ?1 AND port = ?2 AND address = ?3 AND container = ?4
                         AND to_address = ?5 AND to_port = ?6 AND stale = 1";
            let to = (row.to.ip().to_string(), row.to.port());
            let address = row.address.to_string();
            self.execute(sql, (&row.protocol, row.port, address, &row.container, to.0, to.1))?;
        }
        Ok(())
    }

    fn require_network(&self, id: &str) -> Result<(), StateError> {
        match self.one("SELECT 1 FROM networks WHERE id = ?1", [id], |_| Ok(()))? {
            Some(()) => Ok(()),
            None => Err(StateError::Gone { kind: "network", id: id.to_owned() }),
        }
    }
}

fn check_id(id: &str) -> Result<(), StateError> {
    match is_id(id) {
        true => Ok(()),
        false => Err(StateError::BadNetworkId { id: id.to_owned() }),
    }
}
