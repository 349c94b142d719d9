//! What a network needs on the host: its bridge with the gateways' addresses, kernel settings, rules in our table.
//!
//! Looking costs few questions to the kernel when all is there: for the bridge, our table, others' chains, and one setting.
//! A bridge is set up as the last step of its making, so one that is up is whole, whoever was killed meanwhile.

use super::beside;
use super::config::{Driver, NetworkConfig, bridge_mac, dummy_name};
use super::plan::plan;
use super::{outside, subnets};
use crate::{Engine, EngineError};
use dhow_network::beside::Advice;
use dhow_network::firewall::{self, Firewall, Plan};
use dhow_network::link::{self, BridgeOptions, Kind, Link, New};
use dhow_network::netlink::Socket;
use dhow_network::sysctl::{self, Change, Setting};
use dhow_network::{Family, NetworkError, address};
use dhow_state::{NetworkRow, ObjectKind, Read};
use dhow_sys::process::is_alive;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
    /// What others' firewalls drop of it, when it was just made.
    pub(crate) advice: Vec<Advice>,
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
        return Ok(Ready { config, index, hairpin: false, isolated: false, changes: Vec::new(), advice: Vec::new() });
    }
    let mut changes = Vec::new();
    let present = ours(&mut host.route, row, &name)?.filter(|link| link.up);
    let mut is_new = present.is_none();
    let index = match present {
        Some(link) => link.index,
        None => {
            let lock = engine.state.lock(ObjectKind::Network, &row.id)?;
            still_there(engine, row)?;
            let index = make(engine, host, row, &config, &name, &mut changes)?;
            drop(lock);
            index
        }
    };
    if !host.firewall.knows(&name)? {
        rebuild(engine, &mut host.firewall)?;
        is_new = true;
    }
    // What cannot be found out about others is no reason not to start; `network reload` says it.
    let advice = match is_new {
        true => beside::settle(engine, host).unwrap_or_default().advice,
        false => beside::glance(engine, host, row, &config).map(|()| Vec::new()).unwrap_or_default(),
    };
    let hairpin = sysctl::bridges_call_the_firewall_here()?;
    let isolated = !config.inter_container();
    let advice = advice.into_iter().filter(|advice| advice.bridge == name).collect();
    Ok(Ready { config, index, hairpin, isolated, changes, advice })
}

/// What a container's wire needs of its bridge besides.
///
/// # Errors
/// What the kernel says.
pub(super) fn set_options(route: &mut Socket, veth: &str, hairpin: bool, isolated: bool) -> Result<(), NetworkError> {
    if hairpin {
        link::set_hairpin(route, veth, true)?;
    }
    if isolated {
        link::set_isolated(route, veth, true)?;
    }
    Ok(())
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
    engine: &Engine,
    host: &mut Host,
    row: &NetworkRow,
    config: &NetworkConfig,
    name: &str,
    changes: &mut Vec<Change>,
) -> Result<u32, EngineError> {
    let socket = &mut host.route;
    if ours(socket, row, name)?.is_none() {
        for pool in &config.ipam.pools {
            subnets::check_host(socket, pool.subnet).map_err(|error| taken_meanwhile(row, error))?;
        }
        let kind = Kind::Bridge(BridgeOptions::default());
        let new = New { mac: Some(bridge_mac(&row.id)), mtu: config.mtu(), ..New::named(name, kind) };
        link::create(socket, &new)?;
    }
    let index = link::index(socket, name)?;
    settings(config, name)?;
    if !config.internal {
        for (family, _) in [(Family::V4, config.ipv4), (Family::V6, config.ipv6)].into_iter().filter(|(_, on)| *on) {
            changes.extend(forward(engine, host, family)?);
        }
    }
    let socket = &mut host.route;
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

/// The host got an address of the subnet since the network was made: of a VPN, or of another who makes bridges.
fn taken_meanwhile(row: &NetworkRow, error: EngineError) -> EngineError {
    match error {
        EngineError::Ipam(error) => EngineError::Conflict {
            message: format!("network {} cannot be set up: {error}", row.name),
            hint: Some(format!("remove it and make it again: dhow network rm {}", row.name)),
        },
        other => other,
    }
}

/// The bridge's own settings. They are not told: nobody else has it.
fn settings(config: &NetworkConfig, name: &str) -> Result<(), NetworkError> {
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
    sysctl::ensure_here(&own).map(drop)
}

/// Has the host forward packets of a family. Where it did not, it does so for our networks alone: our table drops what goes
/// between the links that it had by then, and that is so before the first packet is forwarded. Links that come later are
/// somebody's who knows that it forwards.
fn forward(engine: &Engine, host: &mut Host, family: Family) -> Result<Vec<Change>, EngineError> {
    let setting = Setting::forwarding(family);
    if sysctl::is_so(&setting)? {
        return Ok(Vec::new());
    }
    let all: Vec<Link> = link::list(&mut host.route)?
        .into_iter()
        .filter(|link| link.name != "lo" && !link.name.starts_with("dv"))
        .collect();
    // Bridges are made by who has the host forward, or are made to; what is in one is not seen beside it.
    let is_outside = |link: &&Link| link.kind.as_deref() != Some("bridge") && link.master.is_none();
    let outside: Vec<String> = all.iter().filter(is_outside).map(|link| link.name.clone()).collect();
    outside::write(engine, family, &outside)?;
    rebuild(engine, &mut host.firewall)?;
    let mut changes = Vec::new();
    if family == Family::V6 {
        // The host's way out may be a bridge of its own. Those of ours hear nothing and are left alone.
        let names: Vec<String> = all.into_iter().map(|link| link.name).collect();
        changes.extend(sysctl::keep_router_advertisements(&names)?);
    }
    changes.extend(sysctl::ensure_here(&[setting])?);
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

/// Makes our table anew from the ledger; there is none while nothing needs it.
///
/// # Errors
/// Of the kernel; nothing is changed then.
pub(crate) fn rebuild(engine: &Engine, firewall: &mut Firewall) -> Result<(), EngineError> {
    engine.state.read_alone(|read| {
        let plan = current(engine, read)?;
        match is_empty(&plan) {
            true => firewall.remove().map(drop)?,
            false => firewall.rebuild(&plan)?,
        }
        Ok(())
    })
}

/// Whether no table is needed.
pub(super) fn is_empty(plan: &Plan) -> bool {
    plan.networks.is_empty() && plan.outside.iter().all(Vec::is_empty)
}

/// What our table should be.
pub(super) fn current(engine: &Engine, read: &Read<'_>) -> Result<Plan, EngineError> {
    let ports = read.ports()?;
    let mut live = HashMap::new();
    for port in ports.iter().filter(|row| super::is_published(row)) {
        if let Entry::Vacant(slot) = live.entry(port.container.as_str()) {
            let process = read.container(&port.container)?.and_then(|row| row.state.process);
            // When in doubt the port stays: who finds out that the container has ended marks it.
            slot.insert(process.is_some_and(|process| is_alive(&process).unwrap_or(true)));
        }
    }
    let lives = |id: &str| live.get(id) == Some(&true);
    let plan = plan(engine.state.store_id(), &read.networks()?, &ports, lives)?;
    Ok(Plan { outside: [outside::read(engine, Family::V4)?, outside::read(engine, Family::V6)?], ..plan })
}
