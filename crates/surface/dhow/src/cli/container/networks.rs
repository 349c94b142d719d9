//! Networks and ports of a container as docker shows them: in `inspect`, `ps` and `port`.

use super::document::named_mode;
use dhow_engine::container::request::{HostConfig, Namespace};
use dhow_engine::container::view::{Container, OnNetwork};
use dhow_network::Family;
use dhow_network::ports::{Exposed, Port};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// `HostConfig.NetworkMode`: the first network.
pub(super) fn mode(host: &HostConfig) -> String {
    match (&host.network, host.networks.first()) {
        (Namespace::Networks, Some(first)) => first.network.clone(),
        (mode, _) => named_mode(mode, "none"),
    }
}

/// `HostConfig.PortBindings`: what was asked for.
pub(super) fn bindings(host: &HostConfig) -> Value {
    let mut bindings: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for publish in &host.ports {
        let port = match publish.host {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let address = publish.address.map_or_else(String::new, |address| address.to_string());
        let binding = json!({"HostIp": address, "HostPort": port});
        bindings.entry(publish.target().to_string()).or_default().push(binding);
    }
    json!(bindings)
}

/// The ports that lead to it now, by the container's port; one that is exposed only has none.
fn by_target(container: &Container) -> BTreeMap<(u16, String), Vec<&Port>> {
    let mut ports: BTreeMap<(u16, String), Vec<&Port>> = BTreeMap::new();
    if !container.status.is_live() || container.host.network != Namespace::Networks {
        return ports;
    }
    for text in &container.config.exposed_ports {
        // What an image exposes may be anything.
        let Ok(exposed) = text.parse::<Exposed>() else { continue };
        for number in exposed.ports.first..=exposed.ports.last {
            ports.entry((number, exposed.protocol.to_string())).or_default();
        }
    }
    for port in &container.ports {
        ports.entry((port.to().port(), port.protocol().to_string())).or_default().push(port);
    }
    ports.values_mut().for_each(|leading| leading.sort());
    ports
}

/// `NetworkSettings.Ports`.
fn ports(container: &Container) -> Value {
    let shown = |port: &&Port| json!({"HostIp": port.address().to_string(), "HostPort": port.port().to_string()});
    let all = by_target(container).into_iter().map(|((number, protocol), leading)| {
        let list = if leading.is_empty() { Value::Null } else { leading.iter().map(shown).collect() };
        (format!("{number}/{protocol}"), list)
    });
    Value::Object(all.collect())
}

/// Addresses, as `inspect` shows them in two places.
fn addresses(on: Option<&OnNetwork>) -> Map<String, Value> {
    let given = on.and_then(|on| on.given.as_ref());
    let address = |family| given.and_then(|given| given.address(family));
    let text = |family| address(family).map_or_else(String::new, |address| address.address().to_string());
    let prefix = |family| address(family).map_or(0, |address| address.prefix());
    let gateway = |family| given.and_then(|given| given.gateway(family));
    let gateway = |family| gateway(family).map_or_else(String::new, |gateway| gateway.to_string());
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("EndpointID", json!(given.map_or("", |given| given.id.as_str())));
    put("Gateway", json!(gateway(Family::V4)));
    put("IPAddress", json!(text(Family::V4)));
    put("IPPrefixLen", json!(prefix(Family::V4)));
    put("IPv6Gateway", json!(gateway(Family::V6)));
    put("GlobalIPv6Address", json!(text(Family::V6)));
    put("GlobalIPv6PrefixLen", json!(prefix(Family::V6)));
    fields
}

fn endpoint(on: &OnNetwork) -> Value {
    let asked = &on.asked;
    let mut ipam = Map::new();
    ipam.extend(asked.ip.map(|ip| ("IPv4Address".to_owned(), json!(ip.to_string()))));
    ipam.extend(asked.ip6.map(|ip| ("IPv6Address".to_owned(), json!(ip.to_string()))));
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("IPAMConfig", if ipam.is_empty() { Value::Null } else { Value::Object(ipam) });
    put("Links", Value::Null);
    put("Aliases", if asked.aliases.is_empty() { Value::Null } else { json!(asked.aliases) });
    let mac = on.given.as_ref().map(|given| given.mac).or(asked.mac);
    put("MacAddress", json!(mac.map_or_else(String::new, |mac| mac.to_string())));
    put("DriverOpts", if asked.driver_options.is_empty() { Value::Null } else { json!(asked.driver_options) });
    put("GwPriority", json!(asked.gateway_priority));
    put("NetworkID", json!(on.id));
    fields.extend(addresses(Some(on)));
    let names = on.given.as_ref().map(|given| &given.names).filter(|_| on.name != "bridge");
    fields.insert("DNSNames".to_owned(), json!(names));
    Value::Object(fields)
}

/// `NetworkSettings`. At the top stand the addresses on the network `bridge`, as in docker's first versions.
pub(super) fn settings(container: &Container) -> Value {
    let bridge = container.networks.iter().find(|on| on.name == "bridge");
    let mac = bridge.and_then(|on| on.given.as_ref()).map_or_else(String::new, |given| given.mac.to_string());
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    for key in ["Bridge", "SandboxID", "SandboxKey"] {
        put(key, json!(""));
    }
    put("Ports", ports(container));
    put("HairpinMode", json!(false));
    put("LinkLocalIPv6Address", json!(""));
    put("LinkLocalIPv6PrefixLen", json!(0));
    put("SecondaryIPAddresses", Value::Null);
    put("SecondaryIPv6Addresses", Value::Null);
    fields.extend(addresses(bridge));
    fields.insert("MacAddress".to_owned(), json!(mac));
    let networks = container.networks.iter().map(|on| (on.name.clone(), endpoint(on)));
    fields.insert("Networks".to_owned(), Value::Object(networks.collect()));
    Value::Object(fields)
}

/// The column NETWORKS.
pub(super) fn names(container: &Container) -> String {
    container.networks.iter().map(|on| on.name.as_str()).collect::<Vec<_>>().join(",")
}

/// The column PORTS, put together as docker's client does: runs of ports that keep their numbers are one.
pub(super) fn column(container: &Container) -> String {
    let mut all: Vec<(u16, Option<&Port>, String)> = Vec::new();
    for ((number, protocol), leading) in by_target(container) {
        match leading.is_empty() {
            true => all.push((number, None, protocol)),
            false => all.extend(leading.into_iter().map(|port| (number, Some(port), protocol.clone()))),
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    let (mut done, mut mapped) = (Vec::new(), Vec::new());
    for (number, port, protocol) in all {
        if let Some(port) = port.filter(|port| port.port() != number) {
            let from = SocketAddr::new(port.address(), port.port());
            mapped.push(format!("{from}->{number}/{protocol}"));
            continue;
        }
        let key = (port.map(|port| port.address()), protocol);
        match runs.iter_mut().find(|run| run.key == key) {
            None => runs.push(Run { key, first: number, last: number }),
            Some(run) if run.last.checked_add(1) == Some(number) => run.last = number,
            Some(run) => done.push(std::mem::replace(run, Run { key, first: number, last: number }).text()),
        }
    }
    done.extend(runs.iter().map(Run::text));
    done.extend(mapped);
    done.join(", ")
}

/// Ports one after the other.
struct Run {
    key: (Option<std::net::IpAddr>, String),
    first: u16,
    last: u16,
}

impl Run {
    fn text(&self) -> String {
        let (address, protocol) = &self.key;
        let numbers = match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        };
        match address {
            None => format!("{numbers}/{protocol}"),
            Some(std::net::IpAddr::V6(address)) => format!("[{address}]:{numbers}->{numbers}/{protocol}"),
            Some(address) => format!("{address}:{numbers}->{numbers}/{protocol}"),
        }
    }
}

/// The container's ports that are published, and those that are exposed, for filters.
pub(super) fn numbers(container: &Container, published: bool) -> BTreeSet<(u16, String)> {
    let of = |port: &Port| if published { port.port() } else { port.to().port() };
    let leading = container.ports.iter().map(|port| (of(port), port.protocol().to_string()));
    match published {
        true => leading.collect(),
        false => leading.chain(by_target(container).into_keys()).collect(),
    }
}

/// What `port` prints: container's port, and where it is on the host.
pub(super) fn lines(container: &Container) -> Vec<(String, SocketAddr)> {
    let all = by_target(container);
    let lines = all.iter().flat_map(|((number, protocol), leading)| {
        leading.iter().map(move |port| (format!("{number}/{protocol}"), SocketAddr::new(port.address(), port.port())))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::container;
    use super::*;
    use dhow_engine::container::request::{EndpointConfig, Publish};
    use dhow_network::ports::Protocol;
    use dhow_runtime::status::Status;

    fn port(from: &str, to: u16) -> Port {
        let from: SocketAddr = from.parse().unwrap();
        let address = if from.is_ipv4() { "172.17.0.2" } else { "fd00::2" };
        let to = SocketAddr::new(address.parse().unwrap(), to);
        Port::new(Protocol::Tcp, from.ip(), from.port(), to).unwrap()
    }

    fn published() -> Container {
        let mut container = container();
        container.status = Status::Running;
        container.host.network = Namespace::Networks;
        container.host.networks = vec![EndpointConfig::on("front")];
        container.host.ports = vec![
            Publish { port: 80, protocol: Protocol::Tcp, address: None, host: Some((8080, 8080)) },
            Publish { port: 80, protocol: Protocol::Tcp, address: None, host: None },
            Publish { port: 81, protocol: Protocol::Udp, address: "::1".parse().ok(), host: Some((1, 3)) },
        ];
        container.config.exposed_ports = ["7/udp", "8/udp", "80/tcp", "nonsense"].map(str::to_owned).into();
        container.ports = vec![
            port("0.0.0.0:8080", 80),
            port("[::]:8080", 80),
            port("0.0.0.0:9000", 9000),
            port("0.0.0.0:9001", 9001),
            port("127.0.0.1:9003", 9003),
            port("0.0.0.0:9003", 9003),
        ];
        container
    }

    #[test]
    fn the_column_is_docker_s() {
        assert_eq!(
            column(&published()),
            "0.0.0.0:9000-9001->9000-9001/tcp, 7-8/udp, 0.0.0.0:9003->9003/tcp, 127.0.0.1:9003->9003/tcp, \
             0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        let mut ended = published();
        ended.status = Status::Exited;
        assert_eq!(column(&ended), "");
        assert_eq!(column(&container()), "");
    }

    #[test]
    fn what_was_asked_for_and_what_there_is() {
        let container = published();
        assert_eq!(mode(&container.host), "front");
        let asked = bindings(&container.host);
        assert_eq!(asked["80/tcp"][0], json!({"HostIp": "", "HostPort": "8080"}));
        assert_eq!(asked["80/tcp"][1]["HostPort"], "");
        assert_eq!(asked["81/udp"][0], json!({"HostIp": "::1", "HostPort": "1-3"}));
        let shown = ports(&container);
        assert_eq!(shown["80/tcp"][1], json!({"HostIp": "::", "HostPort": "8080"}));
        assert!(shown["7/udp"].is_null());
        assert_eq!(lines(&container)[0], ("80/tcp".to_owned(), "0.0.0.0:8080".parse().unwrap()));
        assert!(numbers(&container, true).contains(&(8080, "tcp".to_owned())));
        assert!(!numbers(&container, true).contains(&(80, "tcp".to_owned())));
        assert!(numbers(&container, false).contains(&(7, "udp".to_owned())));
    }
}
