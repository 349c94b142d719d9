//! Our networks beside other firewalls of the host: ufw, dockerd, firewalld, rules made by hand.

use super::config::{Driver, NetworkConfig};
use super::ensure::Host;
use super::plan;
use crate::{Engine, EngineError};
use dhow_network::beside::{self, Advice, Glance, Guest, Settled};
use dhow_network::sysctl;
use dhow_state::{NetworkRow, PortRow};

/// Makes others' rules let our networks through where they provide for that, and takes away what nobody needs any more.
///
/// # Errors
/// Of the ledger and the kernel.
pub(super) fn settle(engine: &Engine, host: &mut Host) -> Result<Settled, EngineError> {
    let guests = guests(engine, &[])?;
    Ok(beside::settle(&mut host.firewall, &mut host.route, &guests)?)
}

/// The same when a container starts on a network that is there already: only what a glance shows to be missing.
///
/// # Errors
/// As [`settle`].
pub(super) fn glance(
    engine: &Engine,
    host: &mut Host,
    row: &NetworkRow,
    config: &NetworkConfig,
) -> Result<(), EngineError> {
    let guest = guest(row, config, false);
    if !config.internal && beside::glance(&mut host.firewall, &guest)? == Glance::Missing {
        settle(engine, host)?;
    }
    Ok(())
}

/// Why what a container has published may not be reached, and what would help; nothing for one that publishes nothing.
///
/// # Errors
/// Of the ledger and the kernel.
pub fn advice(engine: &Engine, container: &str) -> Result<Vec<Advice>, EngineError> {
    let ports = engine.state.read(|read| read.ports_of_container(container))?;
    let ports: Vec<_> = ports.into_iter().filter(super::is_published).collect();
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let mut host = Host::open(engine)?;
    let mut guests = guests(engine, &ports)?;
    guests.retain(|guest| !guest.published.is_empty());
    let foreign = beside::look(&mut host.firewall)?;
    Ok(beside::judge(&foreign, host.firewall.table(), &guests, &beside::Links::default()).advice)
}

/// All our networks that have a bridge.
fn guests(engine: &Engine, published: &[PortRow]) -> Result<Vec<Guest>, EngineError> {
    let is_bridged = sysctl::bridges_call_the_firewall_here()?;
    let mut guests = Vec::new();
    for row in engine.state.read(|read| read.networks())? {
        // What a damaged row is like nobody knows.
        let Ok(config) = NetworkConfig::of(&row) else { continue };
        if config.driver != Driver::Bridge {
            continue;
        }
        let mut guest = guest(&row, &config, is_bridged);
        let own = published.iter().filter(|port| port.network == row.id);
        guest.published = own.filter_map(|port| Some((port.protocol.parse().ok()?, port.to.port()))).collect();
        guest.published.sort_unstable();
        guest.published.dedup();
        guests.push(guest);
    }
    Ok(guests)
}

fn guest(row: &NetworkRow, config: &NetworkConfig, bridged: bool) -> Guest {
    let network = plan::network(row, config);
    let families: Vec<_> = network.subnets.iter().map(|subnet| subnet.family()).collect();
    // Our own table knows of which family it is.
    let (internal, unprotected) = (network.internal, network.unprotected.contains(&true));
    Guest { internal, unprotected, bridged, ..Guest::new(network.bridge, families) }
}
