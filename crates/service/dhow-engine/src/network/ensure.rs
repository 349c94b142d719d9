//! What a network needs on the host: its bridge with the gateways' addresses, kernel settings, rules in our table.
//!
//! Looking costs two questions to the kernel when all is there. A bridge is set up as the last step of its making, so one
//! that is up is whole, whoever was killed meanwhile.

use super::config::{Driver, NetworkConfig, bridge_mac, dummy_name};
use super::plan::plan;
use super::subnets;
use crate::{Engine, EngineError};
use dhow_network::firewall::{self, Firewall, Plan};
use dhow_network::link::{self, BridgeOptions, Kind, Link, New};
use dhow_network::netlink::Socket;
use dhow_network::sysctl::{self, Change, Setting};
use dhow_network::{Family, NetworkError, address};
use dhow_state::{NetworkRow, ObjectKind, Read};
use dhow_sys::process::is_alive;

/// The host's side of things: sockets to ask and change it by.
pub(crate) struct Host {
    /// Links, addresses, routes.
    pub(crate) route: Socket,
    /// Our table.
    pub(crate) firewall: Firewall,
}

impl Host {
    /// Of the network namespace of the calling thread.
    ///
    /// # Errors
    /// What socket(2) says.
    pub(crate) fn open(engine: &Engine) -> Result<Host, EngineError> {
        let firewall = Firewall::open(firewall::table_name(engine.state.store_id()))?;
        Ok(Host { route: subnets::open_route()?, firewall })
    }
}

/// A network that containers can be put on.
#[derive(Debug)]
pub(crate) struct Ready {
    /// What it is like.
    pub(crate) config: NetworkConfig,
    /// The bridge, or of a macvlan the parent, by number.
    pub(crate) index: u32,
    /// A container's wire has to let back what came in by it ([`link::set_hairpin`]).
    pub(crate) hairpin: bool,
    /// A container's wire has to be kept apart from the others ([`link::set_isolated`]).
    pub(crate) isolated: bool,
    /// Settings of the kernel that were changed for it.
    pub(crate) changes: Vec<Change>,
}

/// Makes what is missing of a network on the host. To be called outside of transactions.
///
/// # Errors
/// A conflict when a link of another owner has the bridge's name; of the kernel. What was made before stays, and is gone
/// on with the next time.
pub(crate) fn ensure(engine: &Engine, host: &mut Host, row: &NetworkRow) -> Result<Ready, EngineError> {
    let config = NetworkConfig::of(row)?;
    let name = config.link(&row.id);
    if config.driver == Driver::Macvlan {
        let index = parent(engine, host, row, &name)?;
        return Ok(Ready { config, index, hairpin: false, isolated: false, changes: Vec::new() });
    }
    let mut changes = Vec::new();
    let index = match ours(&mut host.route, row, &name)?.filter(|link| link.up) {
        Some(link) => link.index,
        None => {
            let lock = engine.state.lock(ObjectKind::Network, &row.id)?;
            still_there(engine, row)?;
            let index = make(host, row, &config, &name, &mut changes)?;
            drop(lock);
            index
        }
    };
    if !host.firewall.knows(&name)? {
        rebuild(engine, &mut host.firewall)?;
    }
    let hairpin = sysctl::bridges_call_the_firewall_here()?;
    let isolated = !config.inter_container();
    Ok(Ready { config, index, hairpin, isolated, changes })
}

/// Refuses a network that was removed since its row was read: what would be made for it would be nobody's. To be asked
/// under the network's lock, which whoever removes it holds.
pub(super) fn still_there(engine: &Engine, row: &NetworkRow) -> Result<(), EngineError> {
    match engine.state.read(|read| read.network(&row.id))? {
        Some(_) => Ok(()),
        None => Err(EngineError::NoSuchNetwork(row.name.clone())),
    }
}

/// The network's bridge, if there is one of its name.
///
/// # Errors
/// A conflict when it is somebody else's.
pub(super) fn ours(socket: &mut Socket, row: &NetworkRow, name: &str) -> Result<Option<Link>, EngineError> {
    match link::get(socket, name)? {
        Some(link) if link.kind.as_deref() == Some("bridge") && link.mac == Some(bridge_mac(&row.id)) => Ok(Some(link)),
        Some(_) => Err(EngineError::Conflict {
            message: format!("the host's link {name} is not the bridge of network {} of this store", row.name),
            hint: Some(format!(
                "if nobody needs it remove it, with: ip link delete {name}; or make a network with another bridge: \
                 dhow network create -o com.docker.network.bridge.name=NAME"
            )),
        }),
        None => Ok(None),
    }
}

/// Makes the bridge, or finishes one that was begun, or puts one right that is there. Under the network's lock.
pub(super) fn make(
    host: &mut Host,
    row: &NetworkRow,
    config: &NetworkConfig,
    name: &str,
    changes: &mut Vec<Change>,
) -> Result<u32, EngineError> {
    let socket = &mut host.route;
    if ours(socket, row, name)?.is_none() {
        let kind = Kind::Bridge(BridgeOptions::default());
        let new = New { mac: Some(bridge_mac(&row.id)), mtu: config.mtu(), ..New::named(name, kind) };
        link::create(socket, &new)?;
    }
    let index = link::index(socket, name)?;
    changes.extend(settings(socket, config, name)?);
    let present: Vec<_> = address::list(socket)?.into_iter().filter(|own| own.link == index).collect();
    for pool in &config.ipam.pools {
        let gateway = pool.gateway_in_subnet();
        if !present.iter().any(|own| own.address == gateway) {
            address::add(socket, index, gateway)?;
        }
    }
    link::set_up(socket, name)?;
    Ok(index)
}

/// The kernel's settings. Those of the bridge alone are not told: nobody else has it.
fn settings(socket: &mut Socket, config: &NetworkConfig, name: &str) -> Result<Vec<Change>, NetworkError> {
    let mut own = vec![Setting::route_localnet(name), Setting::no_redirects(Family::V4, name)];
    if sysctl::has_ipv6() {
        own.push(Setting::disable_ipv6(name, !config.ipv6));
        // Else a container could tell the host of another way out, through itself (CVE-2020-13401).
        own.push(Setting::router_advertisements(name, 0));
        own.push(Setting::no_redirects(Family::V6, name));
        if config.ipv6 {
            own.push(Setting::no_duplicate_detection(name));
        }
    }
    sysctl::ensure_here(&own)?;
    if config.internal {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    if config.ipv4 {
        changes.extend(sysctl::ensure_here(&[Setting::forwarding(Family::V4)])?);
    }
    if config.ipv6 {
        // Bridges of ours hear none, so they are left alone.
        let outside = |link: &Link| !link.name.starts_with("dv") && link.name != "lo";
        let links: Vec<_> = link::list(socket)?.into_iter().filter(outside).map(|link| link.name).collect();
        changes.extend(sysctl::keep_router_advertisements(&links)?);
        changes.extend(sysctl::ensure_here(&[Setting::forwarding(Family::V6)])?);
    }
    Ok(changes)
}

/// The parent of a macvlan: a link of the host that must be there; that of an internal network leads nowhere, and is made.
fn parent(engine: &Engine, host: &mut Host, row: &NetworkRow, name: &str) -> Result<u32, EngineError> {
    if let Some(link) = link::get(&mut host.route, name)?
        && (link.up || name != dummy_name(&row.id))
    {
        return Ok(link.index);
    }
    if name != dummy_name(&row.id) {
        return Err(EngineError::Conflict {
            message: format!("the host has no link {name}, the parent of network {}", row.name),
            hint: None,
        });
    }
    // docker makes a dummy link, which not every kernel has. A bridge without members leads nowhere, too.
    let lock = engine.state.lock(ObjectKind::Network, &row.id)?;
    still_there(engine, row)?;
    if link::get(&mut host.route, name)?.is_none() {
        let kind = Kind::Bridge(BridgeOptions::default());
        let settings = [Setting::disable_ipv6(name, true)];
        link::create(&mut host.route, &New::named(name, kind))?;
        sysctl::ensure_here(if sysctl::has_ipv6() { &settings } else { &[] })?;
    }
    link::set_up(&mut host.route, name)?;
    drop(lock);
    Ok(link::index(&mut host.route, name)?)
}

/// Makes our table anew from the ledger; without networks that need one there is none.
///
/// # Errors
/// Of the kernel; nothing is changed then.
pub(crate) fn rebuild(engine: &Engine, firewall: &mut Firewall) -> Result<(), EngineError> {
    engine.state.read_alone(|read| {
        let plan = current(engine, read)?;
        match plan.networks.is_empty() {
            true => firewall.remove().map(drop)?,
            false => firewall.rebuild(&plan)?,
        }
        Ok(())
    })
}

/// What our table should be.
pub(super) fn current(engine: &Engine, read: &Read<'_>) -> Result<Plan, EngineError> {
    let ports = read.ports()?;
    let mut live = Vec::new();
    for port in &ports {
        if live.iter().any(|(id, _)| *id == port.container) {
            continue;
        }
        let process = read.container(&port.container)?.and_then(|row| row.state.process);
        // When in doubt the port stays: who finds out that the container has ended marks it.
        let lives = process.is_some_and(|process| is_alive(&process).unwrap_or(true));
        live.push((port.container.clone(), lives));
    }
    plan(engine.state.store_id(), &read.networks()?, &ports, |id| live.iter().any(|(one, lives)| one == id && *lives))
}
