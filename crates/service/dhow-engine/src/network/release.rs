//! Letting go of what containers had that have ended: the second step, off the path of whoever waits for the end.
//!
//! The transaction that records an end makes addresses and ports stale. Here the kernel forgets them (15 to 45 ms, for it
//! waits until no packet is in the middle of the table), and then their rows go. Whoever does it does it for all that is
//! stale, so what one who was killed has left is done by the next.
//!
//! The lock keeps this apart from who takes over something stale ([`super::plumb`]). It is the last one of all: whoever
//! has it waits for nothing but the ledger.

use super::config::{Driver, NetworkConfig};
use super::endpoint::EndpointState;
use super::ensure::{Host, current};
use super::plan;
use super::plumb::netfilter;
use super::predefined;
use crate::container::send_to_release;
use crate::{Engine, EngineError};
use dhow_network::ports::Port;
use dhow_network::{NetworkError, conntrack, link};
use dhow_state::{AddressRow, Durability, ObjectKind, PortRow, Timestamp, Write};
use std::collections::HashSet;

/// The name of the lock.
pub(super) const LOCK: &str = "release";

/// The first step, in the transaction that records the end. Returns the networks on which it had names: they are to be
/// published anew when the transaction is over.
pub(crate) fn left(w: &Write<'_>, container: &str, now: Timestamp) -> Result<Vec<String>, EngineError> {
    let mut named = Vec::new();
    for endpoint in w.endpoints_of_container(container)?.iter().filter(|endpoint| endpoint.state.is_some()) {
        if let Some(network) = w.network(&endpoint.network)? {
            super::record(w, now, &network, "disconnect", &[("container", container.to_owned())])?;
            if !predefined::is(&network.name) {
                named.push(network.id);
            }
        }
    }
    w.mark_stale(container)?;
    Ok(named)
}

/// Has the kernel forget what is stale. Repeating it does no harm.
///
/// # Errors
/// What the kernel says; what could not be forgotten stays stale.
pub fn release(engine: &Engine) -> Result<(), EngineError> {
    let _lock = engine.state.lock(ObjectKind::Network, LOCK)?;
    let (addresses, rows) = engine.state.read(|r| {
        let mut addresses: Vec<AddressRow> = Vec::new();
        for network in r.networks()? {
            addresses.extend(r.addresses(&network.id)?.into_iter().filter(|row| row.stale));
        }
        let ports: Vec<PortRow> = r.ports()?.into_iter().filter(|row| row.stale).collect();
        Ok::<_, EngineError>((addresses, ports))
    })?;
    let mut host = Host::open(engine)?;
    let strays = strays(engine, &mut host)?;
    if strays.is_empty() && addresses.is_empty() && rows.is_empty() {
        return Ok(());
    }
    match host.firewall.change(&strays, &[]) {
        // Without a table there is nothing to forget.
        Err(NetworkError::Missing { .. }) => {}
        other => other?,
    }
    let mut flows = netfilter()?;
    let ports: Vec<Port> = rows.iter().filter_map(plan::port).chain(strays).collect();
    conntrack::forget_ports(&mut flows, &ports)?;
    let owned: Vec<_> = addresses.iter().map(|row| row.address).collect();
    conntrack::forget_addresses(&mut flows, &owned)?;
    remove_wires(engine, &mut host)?;
    engine.state.write(Durability::Crash, |w| Ok::<_, EngineError>(w.delete_stale(&addresses, &rows)?))
}

/// The ports that the kernel knows and no living container has: to be asked by who holds the lock. The kernel first: what
/// it knows was in the ledger before, so what is no live port there is none any more, whoever it once was of, and whether or
/// not anybody has noticed his end.
pub(super) fn strays(engine: &Engine, host: &mut Host) -> Result<Vec<Port>, EngineError> {
    let known = match host.firewall.ports() {
        Err(NetworkError::Missing { .. }) => return Ok(Vec::new()),
        known => known?,
    };
    if known.is_empty() {
        return Ok(known);
    }
    let plan = engine.state.read(|read| current(engine, read))?;
    let live: HashSet<Port> = plan.ports.into_iter().collect();
    Ok(known.into_iter().filter(|port| !live.contains(port)).collect())
}

/// Removes wires to containers that have ended: mostly the namespace has taken its own along already.
fn remove_wires(engine: &Engine, host: &mut Host) -> Result<(), EngineError> {
    let links = link::list(&mut host.route)?;
    // After the links: a wire is made when the ledger has it.
    let (bridges, wires) = engine.state.read(|r| {
        let mut bridges = HashSet::new();
        for network in r.networks()? {
            let config = NetworkConfig::of(&network)?;
            if config.driver == Driver::Bridge {
                bridges.insert(config.link(&network.id));
            }
        }
        let mut wires = HashSet::new();
        for row in r.endpoints()? {
            wires.extend(EndpointState::of(&row)?.map(|state| state.veth));
        }
        Ok::<_, EngineError>((bridges, wires))
    })?;
    let ours: HashSet<u32> = links.iter().filter(|link| bridges.contains(&link.name)).map(|link| link.index).collect();
    for link in &links {
        let on_ours = link.master.is_some_and(|master| ours.contains(&master));
        if on_ours && link.name.starts_with("dv") && !wires.contains(&link.name) {
            link::delete(&mut host.route, &link.name)?;
        }
    }
    Ok(())
}

/// Sends a process that does it, so that nobody waits for it. Best effort: the next one does what was left.
pub(crate) fn send(engine: &Engine) {
    let _ = send_to_release(engine);
}
