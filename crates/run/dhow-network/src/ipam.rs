//! Who gets which address: pure functions over what the caller knows (ledger, host routes). Nothing is kept here.
//!
//! The defaults and the words of refusals are docker's (moby: `libnetwork/ipamutils`, `api/types/network/ipam.go`).
//!
//! # Words
//!
//! - a **pool** ([`Pool`]) is one subnet of a network, with its gateway, the range to lease from, and auxiliary addresses
//!   that are somebody else's;
//! - an address is **taken** when it is leased, the gateway's, auxiliary, or the first or last of the subnet.
//!
//! # Worked example
//!
//! ```
//! use dhow_network::ipam::{self, PoolRequest};
//! use std::collections::BTreeSet;
//! let in_use = ["172.17.0.0/16".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
//! let subnet = ipam::choose_subnet(&ipam::default_pools(), &in_use).unwrap();
//! assert_eq!(subnet.to_string(), "172.18.0.0/16");
//! let pool = ipam::pool(&PoolRequest::subnet(subnet)).unwrap();
//! assert_eq!(pool.gateway.to_string(), "172.18.0.1");
//! let first = pool.next(&BTreeSet::new(), None).unwrap();
//! assert_eq!(first.to_string(), "172.18.0.2");
//! // Freed a moment ago: the next one is another all the same.
//! assert_eq!(pool.next(&BTreeSet::new(), Some(first)).unwrap().to_string(), "172.18.0.3");
//! ```

mod request;

pub use request::{ConfigProblems, PoolRequest, RawPool, pool, validate};

use crate::subnet::{Family, Subnet, value};
use dhow_spec::{Classify, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block from which subnets of one size are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The block.
    pub base: Subnet,
    /// The prefix length of the subnets, in bits.
    pub size: u8,
}

/// docker's blocks for IPv4: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in pieces of /20.
pub fn default_pools() -> Vec<Base> {
    let block = |address: [u8; 4], prefix, size| Base {
        base: Subnet::new(Ipv4Addr::from(address).into(), prefix).expect("at most 32 bits"),
        size,
    };
    vec![
        block([172, 17, 0, 0], 16, 16),
        block([172, 18, 0, 0], 16, 16),
        block([172, 19, 0, 0], 16, 16),
        block([172, 20, 0, 0], 14, 16),
        block([172, 24, 0, 0], 14, 16),
        block([172, 28, 0, 0], 14, 16),
        block([192, 168, 0, 0], 16, 20),
    ]
}

/// A store's own block for IPv6 in pieces of /64: `fd`, then 40 random bits that the store keeps (RFC 4193).
pub fn local_pool(random: [u8; 5]) -> Base {
    let mut bytes = [0; 16];
    bytes[0] = 0xfd;
    bytes[1..6].copy_from_slice(&random);
    Base { base: Subnet::new(Ipv6Addr::from(bytes).into(), 48).expect("at most 128 bits"), size: 64 }
}

/// Why there is no address or subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// No subnet is left in the pools.
    #[error("all predefined address pools have been fully subnetted")]
    NoSubnet,
    /// The subnet has addresses in common with another one.
    #[error("invalid pool request: Pool overlaps with other one on this address space: {asked} and {other}")]
    Overlap {
        /// What was asked for.
        asked: Subnet,
        /// The other network, or route of the host.
        other: Subnet,
    },
    /// Every address of the pool is taken.
    #[error("no available {family} addresses on this network's address pools: {pool}")]
    NoAddress {
        /// The family.
        family: Family,
        /// The subnet, or the range that was to be leased from.
        pool: Subnet,
    },
    /// Somebody has the address.
    #[error("Address already in use: {0}")]
    InUse(IpAddr),
    /// No subnet of the network has the address.
    #[error("no configured subnet or ip-range contain the IP address {0}")]
    OutOfRange(IpAddr),
    /// What a network was asked to be like makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigProblems),
}

impl Classify for IpamError {
    fn kind(&self) -> Kind {
        match self {
            IpamError::NoSubnet | IpamError::NoAddress { .. } => Kind::Unavailable,
            IpamError::Overlap { .. } | IpamError::InUse(_) => Kind::Conflict,
            IpamError::OutOfRange(_) | IpamError::Config(_) => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            IpamError::NoSubnet => Some("Remove unused networks, or give a subnet with --subnet".to_owned()),
            _ => None,
        }
    }
}

/// The first subnet of the pools that has no address in common with `in_use`: other networks, and routes of the host
/// (default routes do not count, whoever lists them).
///
/// # Errors
/// `NoSubnet`.
pub fn choose_subnet(pools: &[Base], in_use: &[Subnet]) -> Result<Subnet, IpamError> {
    pools.iter().find_map(|pool| first_free(*pool, in_use)).ok_or(IpamError::NoSubnet)
}

fn first_free(pool: Base, in_use: &[Subnet]) -> Option<Subnet> {
    let family = pool.base.family();
    let step = 1u128.checked_shl(u32::from(family.bits().checked_sub(pool.size)?))?;
    let mut next = pool.base.first();
    loop {
        let candidate = Subnet::new(family.address(next), pool.size)?;
        // Whoever is in the way is jumped over as a whole, so a large block costs one step, not thousands.
        let obstacle = in_use.iter().find(|used| used.prefix() > 0 && used.overlaps(candidate));
        let Some(obstacle) = obstacle else { return Some(candidate) };
        next = obstacle.last().max(candidate.last()).checked_add(1)?.checked_next_multiple_of(step)?;
        if next > pool.base.last() {
            return None;
        }
    }
}

/// Refuses a subnet that was asked for when it has addresses in common with another.
///
/// # Errors
/// `Overlap`, with the other one.
pub fn check_overlap(asked: Subnet, in_use: &[Subnet]) -> Result<(), IpamError> {
    match in_use.iter().find(|used| used.prefix() > 0 && used.overlaps(asked)) {
        Some(other) => Err(IpamError::Overlap { asked, other: *other }),
        None => Ok(()),
    }
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The block.
    pub subnet: Subnet,
    /// The host's own address in it.
    pub gateway: IpAddr,
    /// Where leased addresses come from; none: the whole subnet.
    pub range: Option<Subnet>,
    /// Addresses that are never leased by themselves.
    pub auxiliary: BTreeSet<IpAddr>,
}

impl Pool {
    /// Whether nobody can be given this address: the gateway's, the block's own, that for broadcasts.
    pub fn reserves(&self, address: IpAddr) -> bool {
        let number = value(address);
        let ends = match self.subnet.family() {
            // Blocks of one or two addresses are nothing but hosts (RFC 3021).
            Family::V4 if self.subnet.prefix() >= 31 => false,
            Family::V4 => number == self.subnet.first() || number == self.subnet.last(),
            // The first is every router's (RFC 4291, 2.6.1); there are no broadcasts.
            Family::V6 => self.subnet.prefix() < 127 && number == self.subnet.first(),
        };
        ends || address == self.gateway
    }

    /// The next address to lease: the first one behind `last`, round the range, that is not `taken`. So the one that
    /// was freed just now comes back last, and packets that are under way to it reach nobody.
    ///
    /// # Errors
    /// `NoAddress`.
    pub fn next(&self, taken: &BTreeSet<IpAddr>, last: Option<IpAddr>) -> Result<IpAddr, IpamError> {
        let range = self.range.unwrap_or(self.subnet);
        let (first, end) = (range.first(), range.last());
        let family = self.subnet.family();
        let begin = last.map(value).filter(|last| (first..end).contains(last)).map_or(first, |last| last + 1);
        let free = |number: &u128| {
            let address = family.address(*number);
            !taken.contains(&address) && !self.auxiliary.contains(&address) && !self.reserves(address)
        };
        // Each number that is not free is a taken one, so this looks at most at as many as are taken, and a few.
        let found = (begin..=end).find(free).or_else(|| (first..begin).find(free));
        found.map(|number| family.address(number)).ok_or(IpamError::NoAddress { family, pool: range })
    }

    /// Whether a static address can be given: it is in the subnet (it need not be in the range) and nobody's, no auxiliary
    /// one either.
    ///
    /// # Errors
    /// `OutOfRange`, `InUse`.
    pub fn claim(&self, address: IpAddr, taken: &BTreeSet<IpAddr>) -> Result<(), IpamError> {
        if !self.subnet.contains(address) {
            return Err(IpamError::OutOfRange(address));
        }
        if self.reserves(address) || self.auxiliary.contains(&address) || taken.contains(&address) {
            return Err(IpamError::InUse(address));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
