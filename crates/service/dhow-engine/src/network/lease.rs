//! Leasing: which addresses and ports a container gets, decided and recorded in the transaction that starts it.
//!
//! What is *stale* belonged to a container that has ended, and the kernel may still know it: it is taken only where there
//! is nothing else, and whoever takes it sees to it that the kernel forgets (see [`super::release`]). Ports are bound
//! here, so that a conflict with any program of the host shows before anything is started.

use super::config::{Driver, NetworkConfig, StoredPool};
use super::endpoint::{self, EndpointState};
use super::hold::{self, Candidate, Holding};
use crate::EngineError;
use crate::container;
use crate::container::request::{EndpointConfig, Publish};
use dhow_network::ipam::IpamError;
use dhow_network::ports::Port;
use dhow_network::{Family, Mac, Subnet, link};
use dhow_state::{AddressRow, Claim, ContainerRow, EndpointRow, NetworkRow, Write};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// All that a container was given, and what has to be known to make it so.
#[derive(Debug)]
pub(crate) struct Lease {
    /// In the order of their names: `eth0`, `eth1`...
    pub(crate) endpoints: Vec<Leased>,
    /// Default routes to be set, by the link inside that they go by.
    pub(crate) routes: Vec<(IpAddr, String)>,
    /// Published ports.
    pub(crate) ports: Vec<Port>,
    /// The sockets that hold them, packed ([`dhow_sys::parcel`]).
    pub(crate) sockets: Option<OwnedFd>,
    /// What the kernel has to forget first.
    pub(crate) stale: Stale,
    /// Much is stale that nobody has let go of: it is time for that.
    pub(crate) untidy: bool,
}

/// How many stale addresses of a network may lie about. Each is looked at by every lease.
const UNTIDY: usize = 64;

/// What was taken over from those who have ended.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    /// How many there are of a network of which one was leased.
    pub(crate) seen: usize,
    pub(crate) ports: Vec<Port>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Stale {
    pub(crate) fn is_empty(&self) -> bool {
        self.ports.is_empty() && self.addresses.is_empty()
    }
}

/// One network of the container.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) network: NetworkRow,
    pub(crate) config: NetworkConfig,
    pub(crate) asked: EndpointConfig,
    pub(crate) state: EndpointState,
}

/// Who wants to be on networks.
pub(crate) struct Tenant<'t> {
    pub(crate) row: &'t ContainerRow,
    pub(crate) hostname: &'t str,
    /// The ports to publish, `-P` understood.
    pub(crate) ports: &'t [Publish],
    /// Whether it gets IPv6 addresses where it did not ask for one.
    pub(crate) ipv6: bool,
}

/// Leases all that a container wants, in the transaction that starts it.
///
/// # Errors
/// What cannot be had; the transaction is to be given up then. [`EngineError::Busy`] when a port is still held by what
/// has just ended: to be tried again.
pub(crate) fn lease(w: &Write<'_>, tenant: &Tenant<'_>) -> Result<Lease, EngineError> {
    let mut stale = Stale::default();
    let mut endpoints = Vec::new();
    for row in w.endpoints_of_container(&tenant.row.id)? {
        let network = w.network(&row.network)?.ok_or_else(|| EngineError::NoSuchNetwork(row.network.clone()))?;
        endpoints.push((row, network));
    }
    endpoints.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    let mut leased = Vec::new();
    for (number, (row, network)) in endpoints.into_iter().enumerate() {
        let interface = format!("{}{number}", NetworkConfig::of(&network)?.interface_prefix());
        leased.push(one(w, tenant, row, network, interface, &mut stale)?);
    }
    let routes = prefer(&mut leased);
    let Holding { ports, sockets } = publish(w, tenant, &leased, &mut stale)?;
    for one in &leased {
        w.set_endpoint_state(&tenant.row.id, &one.network.id, Some(&one.state.to_json()))?;
    }
    let untidy = stale.seen > UNTIDY;
    Ok(Lease { endpoints: leased, routes, ports, sockets, stale, untidy })
}

/// Leases the addresses of one network.
///
/// # Errors
/// As [`lease`].
pub(crate) fn one(
    w: &Write<'_>,
    tenant: &Tenant<'_>,
    row: EndpointRow,
    network: NetworkRow,
    interface: String,
    stale: &mut Stale,
) -> Result<Leased, EngineError> {
    let asked = endpoint::asked(&row)?;
    let config = NetworkConfig::of(&network)?;
    let mut addresses = Vec::new();
    for family in [Family::V4, Family::V6] {
        let wanted = match family {
            Family::V4 => asked.ip.map(IpAddr::from),
            Family::V6 => asked.ip6.map(IpAddr::from),
        };
        if family == Family::V6 && wanted.is_none() && !tenant.ipv6 {
            continue;
        }
        if let Some(address) = address(w, &row.container, &network, &config, family, wanted, stale)? {
            addresses.push(address);
        }
    }
    let gateways = match config.internal {
        true => Vec::new(),
        false => {
            addresses.iter().filter_map(|address| config.pool(address.family()).map(|pool| pool.gateway)).collect()
        }
    };
    let mac = match (asked.mac, addresses.first()) {
        (Some(mac), _) => mac,
        (None, Some(address)) => Mac::of(address.address()),
        (None, None) => Mac([0x02, 0x42, 0, 0, 0, 1]),
    };
    let id = container::id()?;
    let names = names_of(&tenant.row.name, tenant.hostname, &tenant.row.id, &asked.aliases);
    let veth = if config.driver == Driver::Bridge { link::veth_name(&id) } else { String::new() };
    let state = EndpointState { id, veth, interface, addresses, gateways, mac, names, preferred: false };
    Ok(Leased { network, config, asked, state })
}

/// What others of a network find a container by, as docker has it: its name, its aliases, the start of its id, and its
/// host name.
pub(super) fn names_of(name: &str, hostname: &str, id: &str, aliases: &[String]) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let short = id.get(..12).unwrap_or(id).to_owned();
    for more in aliases.iter().cloned().chain([short, hostname.to_owned()]) {
        if !more.is_empty() && !names.contains(&more) {
            names.push(more);
        }
    }
    names
}

/// Leases an address of one family; none when the network has none of it and none was asked for.
fn address(
    w: &Write<'_>,
    container: &str,
    network: &NetworkRow,
    config: &NetworkConfig,
    family: Family,
    wanted: Option<IpAddr>,
    stale: &mut Stale,
) -> Result<Option<Subnet>, EngineError> {
    let row =
        |address| AddressRow { network: network.id.clone(), address, container: container.to_owned(), stale: false };
    let Some(pool) = config.pool(family).map(StoredPool::pool) else {
        return wanted.map_or(Ok(None), |address| Err(IpamError::OutOfRange(address).into()));
    };
    let within = |address| Subnet::new(address, pool.subnet.prefix());
    if let Some(address) = wanted {
        pool.claim(address, &BTreeSet::new())?;
        take(w.lease_address(&row(address))?, address, stale)?;
        return Ok(within(address));
    }
    let last = network.last[usize::from(family == Family::V6)];
    let known = w.addresses(&network.id)?;
    stale.seen = stale.seen.max(known.iter().filter(|row| row.stale).count());
    // What is stale comes last: packets may be under way to it, and the kernel has to be told.
    let taken =
        |with_stale: bool| known.iter().filter(|row| !(with_stale && row.stale)).map(|row| row.address).collect();
    let address = pool.next(&taken(false), last).or_else(|_| pool.next(&taken(true), last))?;
    take(w.lease_address(&row(address))?, address, stale)?;
    w.set_last_address(&network.id, address)?;
    Ok(within(address))
}

fn take(claim: Claim<AddressRow>, address: IpAddr, stale: &mut Stale) -> Result<(), EngineError> {
    match claim {
        Claim::Free => {}
        Claim::Stale(_) => stale.addresses.push(address),
        Claim::Taken(_) => return Err(IpamError::InUse(address).into()),
    }
    Ok(())
}

/// Decides where the default routes lead, and gives them.
fn prefer(leased: &mut [Leased]) -> Vec<(IpAddr, String)> {
    let candidates: Vec<(i64, &EndpointState)> =
        leased.iter().map(|one| (one.asked.gateway_priority, &one.state)).collect();
    let (first, routes) = (preferred(&candidates), routes(&candidates));
    if let Some(first) = first {
        leased[first].state.preferred = true;
    }
    routes
}

/// Which of these networks, in the order of their names and each with its priority, is the one that leads out: by
/// priority, then rather one with a gateway than not, then by name.
pub(crate) fn preferred(all: &[(i64, &EndpointState)]) -> Option<usize> {
    (0..all.len()).min_by_key(|at| (Reverse(all[*at].0), all[*at].1.gateways.is_empty(), *at))
}

/// The default route of each family: by the preferred network, or where that has no gateway by the next that has.
pub(crate) fn routes(all: &[(i64, &EndpointState)]) -> Vec<(IpAddr, String)> {
    let of = |family| {
        let ways: Vec<_> = all.iter().filter(|(_, state)| state.gateway(family).is_some()).copied().collect();
        let state = ways[preferred(&ways)?].1;
        Some((state.gateway(family)?, state.interface.clone()))
    };
    [Family::V4, Family::V6].into_iter().filter_map(of).collect()
}

/// Leases ports of the host, and binds them.
///
/// # Errors
/// As [`lease`].
pub(super) fn publish(
    w: &Write<'_>,
    tenant: &Tenant<'_>,
    leased: &[Leased],
    stale: &mut Stale,
) -> Result<Holding, EngineError> {
    let Some(over) = leased.iter().find(|one| one.state.preferred).filter(|one| !one.config.leads_nowhere()) else {
        return Ok(Holding::default());
    };
    if tenant.ports.is_empty() {
        return Ok(Holding::default());
    }
    let mut packing = hold::Packing::new(w, tenant.row, &over.network)?;
    let mut seen = HashSet::new();
    for asked in tenant.ports.iter().filter(|asked| seen.insert(**asked)) {
        packing.add(&candidate(asked, over)?, stale)?;
    }
    packing.finish()
}

/// The addresses of the host that a port is to be had on, and where each of them leads.
fn candidate(asked: &Publish, over: &Leased) -> Result<Candidate, EngineError> {
    let to = |family| over.state.address(family).map(|address| SocketAddr::new(address.address(), asked.port));
    // docker's default for it is every address, of both families.
    let binding = over.config.binding().filter(|address| !address.is_unspecified());
    let bound = asked.address.or(binding);
    let ways: Vec<(IpAddr, SocketAddr)> = match bound {
        Some(address) => to(Family::of(address)).into_iter().map(|to| (address, to)).collect(),
        None => [Family::V4, Family::V6]
            .into_iter()
            .filter_map(|family| to(family).map(|to| (family.unspecified(), to)))
            .collect(),
    };
    if ways.is_empty() {
        let family = bound.map_or(Family::V4, Family::of);
        return Err(EngineError::Start {
            status: 125,
            message: format!(
                "cannot publish port {} on {}: the container has no {family} address on network {}",
                asked.target(),
                bound.unwrap_or_else(|| family.unspecified()),
                over.network.name
            ),
        });
    }
    Ok(Candidate { protocol: asked.protocol, ways, host: asked.host })
}
