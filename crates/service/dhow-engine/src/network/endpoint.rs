//! What a container was given on one network: the JSON in the ledger's endpoint row while it starts or runs.

use super::config::{Driver, NetworkConfig};
use super::names::files::is_word;
use crate::EngineError;
use crate::container;
use crate::container::request::EndpointConfig;
use dhow_network::{Family, Mac, Subnet};
use dhow_state::{EndpointRow, NetworkRow};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One container on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// 64 hex digits, another one at each start, as in docker: the wires of two runs must not be taken for each other.
    pub id: String,
    /// The host's end of its wire; empty where there is none.
    pub veth: String,
    /// The name of the link inside: `eth0`.
    pub interface: String,
    /// Its addresses, each with the length of the network's prefix: IPv4 first.
    pub addresses: Vec<Subnet>,
    /// The network's gateways, of the same families; none where there is no way out.
    pub gateways: Vec<IpAddr>,
    /// Its hardware address.
    pub mac: Mac,
    /// What others of the network find it by.
    pub names: Vec<String>,
    /// Whether its default route leads out here.
    pub preferred: bool,
}

impl EndpointState {
    /// What is in a row; none while the container does not run.
    ///
    /// # Errors
    /// [`EngineError::BadContainer`].
    pub fn of(row: &EndpointRow) -> Result<Option<EndpointState>, EngineError> {
        let parse = |text: &String| serde_json::from_str(text);
        let state = row.state.as_ref().map(parse).transpose();
        state.map_err(|source| EngineError::BadContainer { id: row.container.clone(), source })
    }

    /// The address of a family.
    pub fn address(&self, family: Family) -> Option<Subnet> {
        self.addresses.iter().copied().find(|address| address.family() == family)
    }

    /// The gateway of a family.
    pub fn gateway(&self, family: Family) -> Option<IpAddr> {
        self.gateways.iter().copied().find(|gateway| Family::of(*gateway) == family)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers always encode")
    }
}

/// The row of a container on a network, before anything was leased.
pub(crate) fn new_endpoint(container: &str, network: &str, asked: &EndpointConfig) -> Result<EndpointRow, EngineError> {
    Ok(EndpointRow {
        container: container.to_owned(),
        network: network.to_owned(),
        id: container::id()?,
        config: serde_json::to_string(asked).expect("names and numbers always encode"),
        state: None,
    })
}

/// What was asked for, as a row has it.
///
/// # Errors
/// [`EngineError::BadContainer`].
pub(crate) fn asked(row: &EndpointRow) -> Result<EndpointConfig, EngineError> {
    serde_json::from_str(&row.config).map_err(|source| EngineError::BadContainer { id: row.container.clone(), source })
}

/// Refuses what no container can be on this network, in docker's words.
///
/// # Errors
/// [`EngineError::Invalid`].
pub(crate) fn check_endpoint(network: &NetworkRow, asked: &EndpointConfig) -> Result<(), EngineError> {
    let config = NetworkConfig::of(network)?;
    let invalid = |problem: String| Err(EngineError::Invalid { problem, hint: None });
    let name = &network.name;
    match config.driver {
        Driver::Bridge | Driver::Macvlan => {}
        Driver::Host => {
            return invalid(
                "container cannot be disconnected from host network or connected to host network".to_owned(),
            );
        }
        Driver::Null => {
            return invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
                    .to_owned(),
            );
        }
    }
    let wrong =
        |problem: &str| invalid(format!("invalid config for network {name}: invalid endpoint settings:\n{problem}"));
    let is_static = asked.ip.is_some() || asked.ip6.is_some();
    if name == "bridge" && is_static {
        return wrong("user specified IP address is supported on user defined networks only");
    }
    if name == "bridge" && !asked.aliases.is_empty() {
        return wrong("network-scoped alias is supported only for containers in user defined networks");
    }
    if let Some(alias) = asked.aliases.iter().find(|alias| !is_word(alias)) {
        return wrong(&format!("{alias:?} is not a valid alias"));
    }
    if asked.mac.is_some_and(|mac| !mac.is_unicast()) {
        return wrong("the MAC address is one of a group");
    }
    for address in [asked.ip.map(IpAddr::from), asked.ip6.map(IpAddr::from)].into_iter().flatten() {
        let within = |pool: &super::config::StoredPool| pool.subnet.contains(address);
        if !config.ipam.pools.iter().any(within) {
            return wrong(&format!("no configured subnet or ip-range contain the IP address {address}"));
        }
    }
    Ok(())
}

/// Whether no port of the host can lead to containers of a network: one that is internal, or that is no bridge.
pub(crate) fn leads_nowhere(network: &NetworkRow) -> Result<bool, EngineError> {
    Ok(NetworkConfig::of(network)?.leads_nowhere())
}
