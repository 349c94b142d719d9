//! Which gateway, range and auxiliary address belongs to which subnet, as docker's client sorts them: pure.

use crate::cli::Failure;
use dhow_network::Subnet;
use dhow_network::ipam::RawPool;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What was given, as it was typed.
#[derive(Debug)]
pub(super) struct Given<'g> {
    pub(super) subnets: &'g [String],
    pub(super) gateways: &'g [String],
    pub(super) ranges: &'g [String],
    pub(super) auxiliary: &'g BTreeMap<String, String>,
}

/// One pool for each subnet. What is no address or block is left for the engine to complain of.
pub(super) fn pools(given: &Given<'_>) -> Result<Vec<RawPool>, Failure> {
    let Given { subnets, gateways, ranges, auxiliary } = given;
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return Err(Failure::plain("every ip-range or gateway must have a corresponding subnet"));
    }
    let mut pools: Vec<RawPool> = Vec::new();
    for subnet in *subnets {
        if pools.iter().any(|pool| holds(pool, subnet) || holds(&of(subnet), pool.subnet.as_deref().unwrap_or(""))) {
            return Err(Failure::plain("multiple overlapping subnet configuration is not supported"));
        }
        pools.push(of(subnet));
    }
    for range in *ranges {
        let pool = matching(&mut pools, range)
            .ok_or_else(|| Failure::plain(format!("no matching subnet for range {range}")))?;
        if let Some(other) = pool.range.replace(range.clone()) {
            return Err(twice("ranges", "on", range, &other, pool));
        }
    }
    for gateway in *gateways {
        let pool = matching(&mut pools, gateway)
            .ok_or_else(|| Failure::plain(format!("no matching subnet for gateway {gateway}")))?;
        if let Some(other) = pool.gateway.replace(gateway.clone()) {
            return Err(twice("gateways", "for", gateway, &other, pool));
        }
    }
    for (name, address) in *auxiliary {
        let pool = matching(&mut pools, address)
            .ok_or_else(|| Failure::plain(format!("no matching subnet for aux-address {address}")))?;
        pool.auxiliary.insert(name.clone(), address.clone());
    }
    Ok(pools)
}

fn of(subnet: &str) -> RawPool {
    RawPool { subnet: Some(subnet.to_owned()), ..RawPool::default() }
}

fn twice(what: &str, word: &str, one: &str, other: &str, pool: &RawPool) -> Failure {
    let subnet = pool.subnet.as_deref().unwrap_or_default();
    Failure::plain(format!("cannot configure multiple {what} ({one}, {other}) {word} the same subnet ({subnet})"))
}

/// Whether the first address of what was given is in the pool's subnet.
fn holds(pool: &RawPool, text: &str) -> bool {
    let address = text.parse::<IpAddr>().ok().or_else(|| text.parse::<Subnet>().ok().map(|block| block.address()));
    let subnet = pool.subnet.as_deref().and_then(|subnet| subnet.parse::<Subnet>().ok());
    subnet.zip(address).is_some_and(|(subnet, address)| subnet.contains(address))
}

/// The pool that it belongs to; what cannot be read belongs to the only one, so that the complaint names it.
fn matching<'p>(pools: &'p mut [RawPool], text: &str) -> Option<&'p mut RawPool> {
    let unreadable = text.parse::<IpAddr>().is_err() && text.parse::<Subnet>().is_err();
    let only =
        pools.len() == 1 && (unreadable || pools[0].subnet.as_deref().is_none_or(|s| s.parse::<Subnet>().is_err()));
    pools.iter_mut().find(|pool| only || holds(pool, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn sorted(subnets: &[&str], gateways: &[&str], ranges: &[&str], aux: &[&str]) -> Result<Vec<RawPool>, String> {
        let auxiliary = aux.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect();
        let (subnets, gateways, ranges) = (list(subnets), list(gateways), list(ranges));
        let given = Given { subnets: &subnets, gateways: &gateways, ranges: &ranges, auxiliary: &auxiliary };
        pools(&given).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn everything_finds_its_subnet() {
        let found = sorted(
            &["172.30.0.0/16", "fd00:1::/64"],
            &["fd00:1::9", "172.30.0.9"],
            &["172.30.5.0/24"],
            &["172.30.0.7", "fd00:1::7"],
        )
        .unwrap();
        assert_eq!(found[0].gateway.as_deref(), Some("172.30.0.9"));
        assert_eq!(found[0].range.as_deref(), Some("172.30.5.0/24"));
        assert_eq!(found[0].auxiliary.keys().collect::<Vec<_>>(), ["172.30.0.7"]);
        assert_eq!(found[1].gateway.as_deref(), Some("fd00:1::9"));
        assert_eq!((found[1].range.as_deref(), found[1].auxiliary.len()), (None, 1));
        assert_eq!(sorted(&[], &[], &[], &[]).unwrap(), []);
    }

    #[test]
    fn what_has_none_is_told_as_docker_does() {
        let refused = |subnets: &[&str], gateways: &[&str], ranges: &[&str], aux: &[&str], words: &str| {
            let said = sorted(subnets, gateways, ranges, aux).unwrap_err();
            assert!(said.contains(words), "{said}");
        };
        let every = "every ip-range or gateway must have a corresponding subnet";
        refused(&[], &["10.0.0.1"], &[], &[], every);
        refused(&["10.0.0.0/8"], &[], &["10.1.0.0/16", "10.2.0.0/16"], &[], every);
        refused(&["10.0.0.0/8"], &["11.0.0.1"], &[], &[], "no matching subnet for gateway 11.0.0.1");
        refused(&["10.0.0.0/8"], &[], &["11.0.0.0/16"], &[], "no matching subnet for range 11.0.0.0/16");
        refused(&["10.0.0.0/8"], &[], &[], &["11.0.0.1"], "no matching subnet for aux-address 11.0.0.1");
        let overlap = "multiple overlapping subnet configuration is not supported";
        refused(&["10.0.0.0/8", "10.5.0.0/16"], &[], &[], &[], overlap);
        refused(&["10.5.0.0/16", "10.0.0.0/8"], &[], &[], &[], overlap);
        let two = ["10.0.0.0/8", "11.0.0.0/8"];
        let twice = "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/8)";
        refused(&two, &["10.0.0.1", "10.0.0.2"], &[], &[], twice);
        let twice = "cannot configure multiple ranges (10.2.0.0/16, 10.1.0.0/16) on the same subnet (10.0.0.0/8)";
        refused(&two, &[], &["10.1.0.0/16", "10.2.0.0/16"], &[], twice);
    }

    #[test]
    fn nonsense_is_the_engine_s_to_complain_of() {
        let found = sorted(&["what"], &["ever"], &[], &[]).unwrap();
        assert_eq!((found[0].subnet.as_deref(), found[0].gateway.as_deref()), (Some("what"), Some("ever")));
        assert_eq!(sorted(&["10.0.0.0/8"], &["x"], &[], &[]).unwrap()[0].gateway.as_deref(), Some("x"));
    }
}
