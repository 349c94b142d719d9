//! From the ledger to the whole of our nftables table: a pure function of rows.

use super::config::{Driver, GatewayMode, NetworkConfig};
use crate::EngineError;
use dhow_network::Family;
use dhow_network::firewall::{self, Network, Plan};
use dhow_network::ports::Port;
use dhow_state::{NetworkRow, PortRow};

/// The `mode` of a port that is an element of our table.
pub(crate) const NAT: &str = "nat";

/// The table of a store: rules for all its networks that have a bridge, and the ports of containers that `lives`. What is
/// stale is left out, whoever it belongs to.
///
/// # Errors
/// [`EngineError::BadNetwork`].
pub(crate) fn plan(
    store: &str,
    networks: &[NetworkRow],
    ports: &[PortRow],
    lives: impl Fn(&str) -> bool,
) -> Result<Plan, EngineError> {
    let mut all = Vec::new();
    for row in networks {
        let config = NetworkConfig::of(row)?;
        if config.driver == Driver::Bridge {
            all.push(network(row, &config));
        }
    }
    let live = ports.iter().filter(|row| super::is_published(row) && lives(&row.container));
    let table = firewall::table_name(store);
    Ok(Plan { table, networks: all, ports: live.filter_map(port).collect(), outside: Default::default() })
}

/// A network as our table has it.
pub(super) fn network(row: &NetworkRow, config: &NetworkConfig) -> Network {
    let unprotected = |family| config.gateway_mode(family) == GatewayMode::NatUnprotected;
    Network {
        internal: config.internal,
        masquerade: config.masquerades(),
        inter_container: config.inter_container(),
        unprotected: [Family::V4, Family::V6].map(unprotected),
        ..Network::new(config.link(&row.id), config.ipam.pools.iter().map(|pool| pool.subnet).collect::<Vec<_>>())
    }
}

/// A row as an element of the table; none for one that makes no sense, which nobody writes.
pub(crate) fn port(row: &PortRow) -> Option<Port> {
    Port::new(row.protocol.parse().ok()?, row.address, row.port, row.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::config::{Ipam, StoredPool, option};
    use std::collections::BTreeMap;

    fn row(name: &str, driver: Driver, subnets: &[&str], options: &[(&str, &str)], internal: bool) -> NetworkRow {
        let pool = |text: &&str| {
            let subnet = text.parse::<dhow_network::Subnet>().unwrap();
            StoredPool { subnet, gateway: subnet.address(), range: None, auxiliary: BTreeMap::new() }
        };
        let config = NetworkConfig {
            driver,
            internal,
            attachable: false,
            ipv4: true,
            ipv6: false,
            options: options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            labels: BTreeMap::new(),
            ipam: Ipam {
                driver: "default".to_owned(),
                options: BTreeMap::new(),
                pools: subnets.iter().map(pool).collect(),
            },
        };
        let id = format!("{name:0>64}");
        NetworkRow { id, name: name.to_owned(), created: 0, config: config.to_json(), last: [None, None] }
    }

    fn published(container: &str, port: u16, stale: bool, mode: &str) -> PortRow {
        PortRow {
            protocol: "tcp".to_owned(),
            address: "0.0.0.0".parse().unwrap(),
            port,
            container: container.to_owned(),
            network: String::new(),
            to: "172.18.0.2:80".parse().unwrap(),
            mode: mode.to_owned(),
            stale,
        }
    }

    #[test]
    fn the_table_has_all_bridges_with_their_options_and_nothing_else() {
        let rows = [
            row("1", Driver::Bridge, &["172.18.0.0/16", "fd00::/64"], &[], false),
            row("2", Driver::Bridge, &["172.19.0.0/16"], &[(option::NAME, "lan0"), (option::ICC, "false")], true),
            row("3", Driver::Bridge, &["172.20.0.0/16"], &[(option::MASQUERADE, "false")], false),
            row("4", Driver::Bridge, &["172.21.0.0/16"], &[(option::GATEWAY4, "nat-unprotected")], false),
            row("5", Driver::Macvlan, &["192.0.2.0/24"], &[(option::PARENT, "eth0")], false),
            row("6", Driver::Host, &[], &[], false),
            row("7", Driver::Null, &[], &[], false),
        ];
        let plan = plan("0123456789ab", &rows, &[], |_| true).unwrap();
        assert_eq!(plan.table, "dhow-01234567");
        let told: Vec<_> = plan
            .networks
            .iter()
            .map(|n| (n.bridge.as_str(), n.subnets.len(), n.internal, n.masquerade, n.inter_container, n.unprotected))
            .collect();
        assert_eq!(
            told,
            [
                ("dh-000000000000", 2, false, true, true, [false; 2]),
                ("lan0", 1, true, true, false, [false; 2]),
                ("dh-000000000000", 1, false, false, true, [false; 2]),
                ("dh-000000000000", 1, false, true, true, [true, false]),
            ]
        );
    }

    #[test]
    fn only_ports_of_the_living_are_in_it() {
        let ports = [
            published("live", 1, false, NAT),
            published("live", 2, true, NAT),
            published("dead", 3, false, NAT),
            published("live", 4, false, "other"),
            PortRow { protocol: "what".to_owned(), ..published("live", 5, false, NAT) },
        ];
        let plan = plan("s", &[], &ports, |container| container == "live").unwrap();
        assert_eq!(plan.ports.iter().map(Port::port).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_damaged_row_is_named() {
        let bad = NetworkRow { config: "{".to_owned(), ..row("lan", Driver::Bridge, &[], &[], false) };
        let error = plan("s", &[bad], &[], |_| true).unwrap_err();
        assert!(error.to_string().starts_with("the record of network lan is damaged"), "{error}");
    }
}
