//! From the ledger to the whole of our nftables table: a pure function of rows.

use super::config::{Driver, GatewayMode, NetworkConfig};
use crate::EngineError;
use dhow_network::Family;
use dhow_network::firewall::{self, Network, Plan};
use dhow_network::ports::Port;
use dhow_state::{NetworkRow, PortRow};

/// The `mode` of a port that is an element of our table.
pub(crate) const NAT: &str = "nat";

/// The table of a store: rules for all its networks that have a bridge, and the ports of containers that `lives`. What is
/// stale is left out, whoever it belongs to.
///
/// # Errors
/// [`EngineError::BadNetwork`].
pub(crate) fn plan(
    store: &str,
    networks: &[NetworkRow],
    ports: &[PortRow],
    lives: impl Fn(&str) -> bool,
) -> Result<Plan, EngineError> {
    let mut all = Vec::new();
    for row in networks {
        let config = NetworkConfig::of(row)?;
        if config.driver == Driver::Bridge {
            all.push(network(row, &config));
        }
    }
    let live = ports.iter().filter(|row| !row.stale && row.mode == NAT && lives(&row.container));
    let table = firewall::table_name(store);
    Ok(Plan { table, networks: all, ports: live.filter_map(port).collect() })
}

fn network(row: &NetworkRow, config: &NetworkConfig) -> Network {
    let unprotected = |family| config.gateway_mode(family) == GatewayMode::NatUnprotected;
    Network {
        internal: config.internal,
        masquerade: config.masquerades(),
        inter_container: config.inter_container(),
        unprotected: unprotected(Family::V4) || unprotected(Family::V6),
        ..Network::new(config.link(&row.id), config.ipam.pools.iter().map(|pool| pool.subnet).collect::<Vec<_>>())
    }
}

/// A row as an element of the table; none for one that makes no sense, which nobody writes.
pub(crate) fn port(row: &PortRow) -> Option<Port> {
    Port::new(row.protocol.parse().ok()?, row.address, row.port, row.to)
}
