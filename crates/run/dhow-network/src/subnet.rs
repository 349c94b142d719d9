//! Blocks of addresses: an address and how many of its leading bits belong to the network (RFC 4632, RFC 4291).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The bits of an address.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// `AF_INET`, `AF_INET6`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Family::V4 => 2,
            Family::V6 => 10,
        }
    }

    /// `0.0.0.0`, `::`.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// The address of this family with this value; what does not fit is cut off.
    pub(crate) fn address(self, value: u128) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::from((value & u128::from(u32::MAX)) as u32).into(),
            Family::V6 => Ipv6Addr::from(value).into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// An address as a number.
pub(crate) fn value(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The bytes of an address, in network byte order.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address that these 4 or 16 bytes are.
pub(crate) fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

/// An address with a prefix length: a block, or (with bits set behind the prefix) an address within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    address: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// None when the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Subnet> {
        (prefix <= Family::of(address).bits()).then_some(Subnet { address, prefix })
    }

    /// As it was given.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The number of leading bits that belong to the network.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Its family.
    pub fn family(self) -> Family {
        Family::of(self.address)
    }

    /// The bits behind the prefix, set.
    fn host_bits(self) -> u128 {
        let bits = u32::from(self.family().bits() - self.prefix);
        u128::MAX.checked_shr(128 - bits).unwrap_or(0)
    }

    /// The block itself: the bits behind the prefix cleared.
    #[must_use]
    pub fn masked(self) -> Subnet {
        Subnet { address: self.family().address(value(self.address) & !self.host_bits()), prefix: self.prefix }
    }

    /// The first address as a number.
    pub(crate) fn first(self) -> u128 {
        value(self.masked().address)
    }

    /// The last address as a number.
    pub(crate) fn last(self) -> u128 {
        self.first() | self.host_bits()
    }

    /// The last address: of IPv4, that for broadcasts.
    pub fn broadcast(self) -> IpAddr {
        self.family().address(self.last())
    }

    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        Family::of(address) == self.family() && (self.first()..=self.last()).contains(&value(address))
    }

    /// Whether any address is in both.
    pub fn overlaps(self, other: Subnet) -> bool {
        self.family() == other.family() && self.first() <= other.last() && other.first() <= self.last()
    }

    /// The mask as an address: `255.255.0.0`.
    pub fn mask(self) -> IpAddr {
        self.family().address(!self.host_bits())
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text is no address with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR block notation")]
pub struct NotCidr;

impl FromStr for Subnet {
    type Err = NotCidr;

    /// `address/bits`, as Go's `netip.ParsePrefix` takes it: no sign, no leading zero, no zone.
    fn from_str(text: &str) -> Result<Subnet, NotCidr> {
        let (address, prefix) = text.rsplit_once('/').ok_or(NotCidr)?;
        let plain = prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        let prefix = plain.then(|| prefix.parse().ok()).flatten().ok_or(NotCidr)?;
        Subnet::new(address.parse().map_err(|_| NotCidr)?, prefix).ok_or(NotCidr)
    }
}

impl serde::Serialize for Subnet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Subnet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Subnet, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn the_ends_of_blocks() {
        assert_eq!(subnet("172.18.5.4/16").masked().to_string(), "172.18.0.0/16");
        assert_eq!(subnet("172.18.5.4/16").broadcast().to_string(), "172.18.255.255");
        assert_eq!(subnet("10.0.0.0/20").mask().to_string(), "255.255.240.0");
        assert_eq!(subnet("0.0.0.0/0").broadcast().to_string(), "255.255.255.255");
        assert_eq!(subnet("::/0").last(), u128::MAX);
        assert_eq!(subnet("fd00::5/128").first(), subnet("fd00::5/128").last());
        assert!(!subnet("::/0").overlaps(subnet("0.0.0.0/0")));
        assert!(subnet("10.0.0.0/8").overlaps(subnet("10.255.0.0/16")));
    }

    #[test]
    fn what_is_no_block() {
        for text in
            ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "x/8", "::/129", "fe80::%1/64"]
        {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn blocks_hold_their_ends_and_no_more(address: u32, prefix in 0u8..=32) {
            let block = Subnet::new(Ipv4Addr::from(address).into(), prefix).unwrap().masked();
            prop_assert_eq!(block, block.to_string().parse().unwrap());
            prop_assert!(block.contains(block.address()) && block.contains(block.broadcast()));
            prop_assert_eq!(block.last() - block.first() + 1, 1u128 << (32 - prefix));
        }

        #[test]
        fn blocks_overlap_when_one_holds_the_other(a: u32, p in 0u8..=32, b: u32, q in 0u8..=32) {
            let block = |address, prefix| Subnet::new(Ipv4Addr::from(address).into(), prefix).unwrap().masked();
            let (a, b) = (block(a, p), block(b, q));
            prop_assert_eq!(a.overlaps(b), a.contains(b.address()) || b.contains(a.address()));
        }
    }
}
