//! What a network is like: the `config` column of its row, and what its driver's options mean.

use crate::EngineError;
use dhow_network::{Family, Mac, Subnet, ipam, link};
use dhow_state::NetworkRow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What makes a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A switch of its own on the host.
    Bridge,
    /// The host's own network.
    Host,
    /// None at all.
    Null,
    /// Other hardware addresses on a link of the host.
    Macvlan,
}

impl Driver {
    /// docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Host => "host",
            Driver::Null => "null",
            Driver::Macvlan => "macvlan",
        }
    }
}

/// How containers of a bridge are reached from outside, for one family of addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GatewayMode {
    /// By published ports; they go out under the host's address.
    #[default]
    Nat,
    /// The same, and by their own addresses.
    NatUnprotected,
}

/// What was decided for a network when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// What makes it.
    pub driver: Driver,
    /// No way out of it and none into it.
    #[serde(default)]
    pub internal: bool,
    /// Kept for whoever asks; every network takes containers.
    #[serde(default)]
    pub attachable: bool,
    /// Whether it has IPv4.
    pub ipv4: bool,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// For the driver, as they were given.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// For people.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its addresses.
    pub ipam: Ipam,
}

/// The addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipam {
    /// `default`, or `null` for a network without addresses.
    pub driver: String,
    /// As they were given.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// At most one of each family for a bridge.
    #[serde(default)]
    pub pools: Vec<StoredPool>,
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPool {
    /// The block.
    pub subnet: Subnet,
    /// The host's own address in it; of a macvlan, the router's.
    pub gateway: IpAddr,
    /// Where leased addresses come from; none: the whole subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Subnet>,
    /// Addresses of others, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary: BTreeMap<String, IpAddr>,
}

impl StoredPool {
    /// For leasing from it.
    pub fn pool(&self) -> ipam::Pool {
        ipam::Pool {
            subnet: self.subnet,
            gateway: self.gateway,
            range: self.range,
            auxiliary: self.auxiliary.values().copied().collect(),
        }
    }

    /// The gateway with the length of the subnet's prefix.
    pub fn gateway_in_subnet(&self) -> Subnet {
        Subnet::new(self.gateway, self.subnet.prefix()).expect("a gateway is of its subnet's family")
    }
}

/// docker's names of options.
pub(super) mod option {
    pub(crate) const NAME: &str = "com.docker.network.bridge.name";
    pub(crate) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
    pub(crate) const ICC: &str = "com.docker.network.bridge.enable_icc";
    pub(crate) const BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
    pub(crate) const GATEWAY4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
    pub(crate) const GATEWAY6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
    pub(crate) const MTU: &str = "com.docker.network.driver.mtu";
    pub(crate) const PREFIX: &str = "com.docker.network.container_iface_prefix";
    pub(crate) const DEFAULT: &str = "com.docker.network.bridge.default_bridge";
    pub(crate) const PARENT: &str = "parent";
    pub(crate) const MODE: &str = "macvlan_mode";
}

impl NetworkConfig {
    /// Whether no port of the host can lead to its containers: it is internal, or no bridge.
    pub(super) fn leads_nowhere(&self) -> bool {
        self.internal || self.driver != Driver::Bridge
    }

    /// Of a row.
    ///
    /// # Errors
    /// [`EngineError::BadNetwork`].
    pub fn of(row: &NetworkRow) -> Result<NetworkConfig, EngineError> {
        serde_json::from_str(&row.config).map_err(|source| EngineError::BadNetwork { name: row.name.clone(), source })
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and maps of strings are always JSON")
    }

    /// The subnet of this family.
    pub fn pool(&self, family: Family) -> Option<&StoredPool> {
        self.ipam.pools.iter().find(|pool| pool.subnet.family() == family)
    }

    /// The name of the link on the host: the bridge, or of a macvlan the parent.
    pub fn link(&self, id: &str) -> String {
        match self.driver {
            Driver::Macvlan => self.options.get(option::PARENT).cloned().unwrap_or_else(|| dummy_name(id)),
            _ => self.options.get(option::NAME).cloned().unwrap_or_else(|| link::bridge_name(id)),
        }
    }

    /// The largest packet, in bytes; none: what the kernel takes.
    pub fn mtu(&self) -> Option<u32> {
        self.options.get(option::MTU).and_then(|text| text.parse().ok()).filter(|mtu| *mtu > 0)
    }

    /// Who leaves it does so under the host's address.
    pub fn masquerades(&self) -> bool {
        self.is_on(option::MASQUERADE)
    }

    /// Its containers may talk to each other.
    pub fn inter_container(&self) -> bool {
        self.is_on(option::ICC)
    }

    /// The host's IPv4 address that a published port is of when `-p` names none.
    pub fn binding(&self) -> Option<IpAddr> {
        self.options.get(option::BINDING).and_then(|text| text.parse().ok())
    }

    /// What the names of containers' links begin with.
    pub fn interface_prefix(&self) -> &str {
        self.options.get(option::PREFIX).map_or("eth", String::as_str)
    }

    /// How its containers are reached from outside.
    pub fn gateway_mode(&self, family: Family) -> GatewayMode {
        let key = if family == Family::V4 { option::GATEWAY4 } else { option::GATEWAY6 };
        match self.options.get(key).map(String::as_str) {
            Some("nat-unprotected") => GatewayMode::NatUnprotected,
            _ => GatewayMode::Nat,
        }
    }

    /// On unless it was turned off.
    fn is_on(&self, key: &str) -> bool {
        self.options.get(key).is_none_or(|text| truth(text) == Some(true))
    }
}

/// The link that an internal macvlan has for a parent: docker's name is `dm-` and the id.
pub(super) fn dummy_name(id: &str) -> String {
    format!("dm-{}", id.get(..12).unwrap_or(id))
}

/// The hardware address of a network's bridge. It tells our bridge from another of the same name, and stays the same
/// whoever joins: a bridge that was given none takes the lowest of its members.
pub(super) fn bridge_mac(id: &str) -> Mac {
    let [a, b, c, d, e] = first_bytes(id);
    Mac([0x02, a, b, c, d, e])
}

/// The first bytes of an id of hex digits; 0 where it has none.
pub(super) fn first_bytes(id: &str) -> [u8; 5] {
    let mut bytes = [0; 5];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = id.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    }
    bytes
}

/// As Go's `strconv.ParseBool`.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_has_an_address_of_its_network_s_own() {
        let mac = bridge_mac("0123456789abcdef");
        assert_eq!(mac.to_string(), "02:01:23:45:67:89");
        assert!(mac.is_unicast() && bridge_mac("").is_unicast());
    }

    #[test]
    fn options_say_what_they_say_in_docker() {
        let config = |pairs: &[(&str, &str)]| NetworkConfig {
            driver: Driver::Bridge,
            internal: false,
            attachable: false,
            ipv4: true,
            ipv6: true,
            options: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            labels: BTreeMap::new(),
            ipam: Ipam { driver: "default".to_owned(), options: BTreeMap::new(), pools: Vec::new() },
        };
        let plain = config(&[]);
        assert!(plain.masquerades() && plain.inter_container());
        assert_eq!((plain.mtu(), plain.binding(), plain.interface_prefix()), (None, None, "eth"));
        assert_eq!(plain.link(&"ab".repeat(32)), "dh-abababababab");
        let odd = config(&[
            (option::ICC, "0"),
            (option::MTU, "9000"),
            (option::BINDING, "127.0.0.1"),
            (option::PREFIX, "net"),
            (option::NAME, "lan0"),
            (option::GATEWAY6, "nat-unprotected"),
        ]);
        assert!(odd.masquerades() && !odd.inter_container());
        assert_eq!((odd.mtu(), odd.interface_prefix(), odd.link("x")), (Some(9000), "net", "lan0".to_owned()));
        assert_eq!(odd.binding(), "127.0.0.1".parse().ok());
        assert_eq!(odd.gateway_mode(Family::V6), GatewayMode::NatUnprotected);
        assert_eq!(odd.gateway_mode(Family::V4), GatewayMode::Nat);
        let row = NetworkRow {
            id: "x".to_owned(),
            name: "n".to_owned(),
            created: 0,
            config: odd.to_json(),
            last: [None, None],
        };
        assert_eq!(NetworkConfig::of(&row).unwrap(), odd);
    }
}
