//! The networks that a container is on, as names see them.

use super::super::config::NetworkConfig;
use super::super::endpoint::{EndpointState, asked};
use super::super::lease::{Lease, names_of};
use super::super::predefined;
use crate::EngineError;
use dhow_state::{ContainerRow, NetworkRow, Read, Write};
use std::cmp::Reverse;
use std::net::IpAddr;

/// A container on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The network's id.
    pub network: String,
    /// Its name.
    pub name: String,
    /// It is docker's `bridge`, where nobody has a name.
    pub predefined: bool,
    /// There is no way out of it.
    pub internal: bool,
    /// The container's addresses there.
    pub addresses: Vec<IpAddr>,
    /// The host's own addresses there.
    pub gateways: Vec<IpAddr>,
}

impl Member {
    fn new(network: &NetworkRow, config: &NetworkConfig, state: &EndpointState) -> Member {
        Member {
            network: network.id.clone(),
            name: network.name.clone(),
            predefined: predefined::is(&network.name),
            internal: config.internal,
            addresses: state.addresses.iter().map(|address| address.address()).collect(),
            gateways: config.ipam.pools.iter().map(|pool| pool.gateway).collect(),
        }
    }
}

/// Which of a container's networks comes first: the one that leads out, then as their priorities say.
fn order(state: &EndpointState, priority: i64, name: &str) -> (bool, Reverse<i64>, bool, String) {
    (!state.preferred, Reverse(priority), state.gateways.is_empty(), name.to_owned())
}

/// The networks of a container that is about to be connected with them, the preferred one first.
pub(crate) fn of_lease(lease: &Lease) -> Vec<Member> {
    let mut endpoints: Vec<_> = lease.endpoints.iter().collect();
    endpoints.sort_by_cached_key(|one| order(&one.state, one.asked.gateway_priority, &one.network.name));
    endpoints.into_iter().map(|one| Member::new(&one.network, &one.config, &one.state)).collect()
}

/// The networks of a container that runs, the preferred one first.
///
/// # Errors
/// Of the ledger.
pub fn members(read: &Read<'_>, container: &str) -> Result<Vec<Member>, EngineError> {
    let mut members = Vec::new();
    for row in read.endpoints_of_container(container)? {
        let (Some(state), Some(network)) = (EndpointState::of(&row)?, read.network(&row.network)?) else { continue };
        let config = NetworkConfig::of(&network)?;
        let order = order(&state, asked(&row)?.gateway_priority, &network.name);
        members.push((order, Member::new(&network, &config, &state)));
    }
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(members.into_iter().map(|(_, member)| member).collect())
}

/// Gives a running container its names anew, in the transaction that gives it another one of its own. Returns the networks
/// on which it has names: they are to be published when the transaction is over.
///
/// # Errors
/// Of the ledger.
pub(crate) fn renamed(w: &Write<'_>, row: &ContainerRow, hostname: &str) -> Result<Vec<String>, EngineError> {
    let mut named = Vec::new();
    for endpoint in w.endpoints_of_container(&row.id)? {
        let Some(state) = EndpointState::of(&endpoint)? else { continue };
        let names = names_of(&row.name, hostname, &row.id, &asked(&endpoint)?.aliases);
        let state = EndpointState { names, ..state };
        w.set_endpoint_state(&row.id, &endpoint.network, Some(&state.to_json()))?;
        named.push(endpoint.network);
    }
    Ok(named)
}
