//! What a network is asked to be like: checked all at once, in docker's words.

use super::Pool;
use crate::subnet::{Family, Subnet, value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One subnet as it was asked for, as text: `--subnet`, `--gateway`, `--ip-range`, `--aux-address`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawPool {
    /// The block; none: one is chosen, and nothing else may be given.
    pub subnet: Option<String>,
    /// The host's own address.
    pub gateway: Option<String>,
    /// Where leased addresses come from.
    pub range: Option<String>,
    /// Addresses of others, by name.
    pub auxiliary: BTreeMap<String, String>,
}

/// One subnet as it was asked for, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRequest {
    /// The block.
    pub subnet: Subnet,
    /// The host's own address; none: the first one that is free.
    pub gateway: Option<IpAddr>,
    /// Where leased addresses come from; none: the whole subnet.
    pub range: Option<Subnet>,
    /// Addresses of others.
    pub auxiliary: BTreeSet<IpAddr>,
}

impl PoolRequest {
    /// A subnet without more.
    pub fn subnet(subnet: Subnet) -> PoolRequest {
        PoolRequest { subnet, gateway: None, range: None, auxiliary: BTreeSet::new() }
    }
}

/// All that is wrong, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid network config:\n{}", listed(.0))]
pub struct ConfigProblems(pub Vec<String>);

fn listed(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => many.iter().map(|problem| format!("* {problem}")).collect::<Vec<_>>().join("\n"),
    }
}

/// Understands the subnets of one network. Those of IPv6 are refused when `ipv6` is not on, as nothing would use them.
///
/// # Errors
/// Everything that is wrong.
pub fn validate(pools: &[RawPool], ipv6: bool) -> Result<Vec<PoolRequest>, ConfigProblems> {
    let mut problems = Vec::new();
    let mut understood: Vec<PoolRequest> = Vec::new();
    for raw in pools {
        let Some(request) = one(raw, &mut problems) else { continue };
        if request.subnet.family() == Family::V6 && !ipv6 {
            problems.push(format!("invalid subnet {}: IPv6 is not enabled on this network", request.subnet));
        }
        if let Some(other) = understood.iter().find(|other| other.subnet.overlaps(request.subnet)) {
            problems.push(format!("invalid subnet {}: it overlaps with {}", request.subnet, other.subnet));
        }
        understood.push(request);
    }
    if problems.is_empty() { Ok(understood) } else { Err(ConfigProblems(problems)) }
}

fn one(raw: &RawPool, problems: &mut Vec<String>) -> Option<PoolRequest> {
    let Some(text) = &raw.subnet else {
        if raw.gateway.is_some() || raw.range.is_some() || !raw.auxiliary.is_empty() {
            problems.push("invalid subnet: a gateway, ip-range or auxiliary address needs one".to_owned());
        }
        return None;
    };
    let Ok(subnet) = text.parse::<Subnet>() else {
        problems.push(format!("invalid subnet {text}: invalid CIDR block notation"));
        return None;
    };
    if subnet != subnet.masked() {
        problems.push(format!("invalid subnet {subnet}: it should be {}", subnet.masked()));
    }
    if let Some((block, what)) = unusable().find(|(block, _)| block.overlaps(subnet)) {
        problems.push(format!("invalid subnet {subnet}: {block} is for {what}"));
    } else if subnet.prefix() == subnet.family().bits() {
        problems.push(format!("invalid subnet {subnet}: it has no room for a gateway and a container"));
    }
    let range = raw.range.as_deref().and_then(|text| range(text, subnet, problems));
    let gateway = raw.gateway.as_deref().and_then(|text| {
        gateway(text, subnet).map_err(|problem| problems.push(format!("invalid gateway {text}: {problem}"))).ok()
    });
    let mut auxiliary = BTreeSet::new();
    for (name, text) in &raw.auxiliary {
        match address(text, subnet) {
            Ok(address) => {
                auxiliary.insert(address);
            }
            Err(problem) => problems.push(format!("invalid auxiliary address {name}: {problem}")),
        }
    }
    Some(PoolRequest { subnet: subnet.masked(), gateway, range, auxiliary })
}

fn range(text: &str, subnet: Subnet, problems: &mut Vec<String>) -> Option<Subnet> {
    let mut wrong = |problem: String| problems.push(format!("invalid ip-range {text}: {problem}"));
    let Ok(range) = text.parse::<Subnet>() else {
        wrong("invalid CIDR block notation".to_owned());
        return None;
    };
    if range.family() != subnet.family() {
        wrong(format!("parent subnet is an {} block", subnet.family()));
        return None;
    }
    if range.prefix() < subnet.prefix() {
        wrong(format!("CIDR block is bigger than its parent subnet {subnet}"));
    }
    if range != range.masked() {
        wrong(format!("it should be {}", range.masked()));
    }
    if !subnet.overlaps(range) {
        wrong(format!("parent subnet {subnet} doesn't contain ip-range"));
    }
    Some(range)
}

/// Blocks that no network can have addresses of: they mean something else to every host.
fn unusable() -> impl Iterator<Item = (Subnet, &'static str)> {
    const BLOCKS: [(&str, &str); 8] = [
        ("0.0.0.0/8", "hosts that do not know their address"),
        ("127.0.0.0/8", "the host itself"),
        ("169.254.0.0/16", "one link alone"),
        ("224.0.0.0/4", "groups"),
        ("240.0.0.0/4", "nobody"),
        ("::/8", "the host itself, and for IPv4 within IPv6"),
        ("fe80::/10", "one link alone"),
        ("ff00::/8", "groups"),
    ];
    BLOCKS.into_iter().map(|(block, what)| (block.parse().expect("written as blocks are"), what))
}

fn gateway(text: &str, subnet: Subnet) -> Result<IpAddr, String> {
    let address = address(text, subnet)?;
    // Of no range and with no gateway of its own: what is reserved are the ends.
    let ends = Pool { subnet, gateway: subnet.family().unspecified(), range: None, auxiliary: BTreeSet::new() };
    match ends.reserves(address) {
        true => Err(format!("it is the first or last address of {subnet}, which nobody can have")),
        false => Ok(address),
    }
}

fn address(text: &str, subnet: Subnet) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    if Family::of(address) != subnet.family() {
        return Err(format!("parent subnet is an {} block", subnet.family()));
    }
    if !subnet.contains(address) {
        return Err(format!("parent subnet {subnet} doesn't contain this address"));
    }
    Ok(address)
}

/// The pool of a request: the gateway is the one that was asked for, or the first address that is free (of the range,
/// where there is one, as docker has it).
///
/// # Errors
/// `NoAddress` when the subnet has no room for a gateway.
pub fn pool(request: &PoolRequest) -> Result<Pool, super::IpamError> {
    let mut pool = Pool {
        subnet: request.subnet,
        // None of its addresses, for the search below.
        gateway: request.subnet.family().unspecified(),
        range: request.range,
        auxiliary: request.auxiliary.clone(),
    };
    pool.gateway = match request.gateway {
        Some(gateway) => gateway,
        None => pool.next(&BTreeSet::new(), None)?,
    };
    debug_assert!(value(pool.gateway) <= request.subnet.last());
    Ok(pool)
}
