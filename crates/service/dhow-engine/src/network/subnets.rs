//! Which subnets are in use on the host, and which one a new network gets.

use super::config::{NetworkConfig, first_bytes};
use crate::EngineError;
use dhow_network::ipam::{self, Base, IpamError};
use dhow_network::netlink::{Protocol, Socket};
use dhow_network::{Family, NetworkError, Subnet, address, link, route};
use dhow_state::Read;

/// A netlink socket for links, addresses and routes of the host.
pub(super) fn open_route() -> Result<Socket, EngineError> {
    Socket::open(Protocol::Route).map_err(|e| EngineError::io("open", "a netlink socket", e))
}

/// The subnets of all networks of the store.
pub(super) fn of_networks(read: &Read<'_>) -> Result<Vec<Subnet>, EngineError> {
    let mut all = Vec::new();
    for row in read.networks()? {
        all.extend(NetworkConfig::of(&row)?.ipam.pools.iter().map(|pool| pool.subnet));
    }
    Ok(all)
}

/// What the host has routes to, but for its default routes.
pub(super) fn of_host(socket: &mut Socket) -> Result<Vec<Subnet>, NetworkError> {
    Ok(route::list(socket)?.into_iter().map(|route| route.to).filter(|to| to.prefix() > 0).collect())
}

/// The blocks that subnets are chosen from.
pub(super) fn bases(store: &str, family: Family) -> Vec<Base> {
    match family {
        Family::V4 => ipam::default_pools(),
        // The store's own 40 bits of a prefix (RFC 4193): of its id, which is random.
        Family::V6 => vec![ipam::local_pool(first_bytes(store))],
    }
}

/// Refuses a subnet for a bridge in which the host already has an address: it would not reach its neighbours any more.
/// (A host in a larger block may cut a piece out of it: the narrower route wins.)
pub(super) fn check_host(socket: &mut Socket, asked: Subnet) -> Result<(), EngineError> {
    let lo = link::get(socket, "lo")?.map(|link| link.index);
    let own = address::list(socket)?.into_iter().filter(|own| Some(own.link) != lo);
    match own.map(|own| own.address).find(|own| asked.contains(own.address())) {
        Some(own) => Err(IpamError::Overlap { asked, other: own.masked() }.into()),
        None => Ok(()),
    }
}
