//! Networks and ports.

use super::{fault, host, request};
use dhow_engine::container::request::{EndpointConfig, Namespace, Publish};
use dhow_network::ports::Protocol;
use std::collections::BTreeMap;

#[test]
fn modes_and_names() {
    let on = |name: &str| vec![EndpointConfig::on(name)];
    for (flags, mode, networks) in [
        (&[][..], Namespace::Default, vec![]),
        (&["--network", "default"], Namespace::Default, vec![]),
        (&["--network", "bridge"], Namespace::Networks, on("bridge")),
        (&["--net", "front"], Namespace::Networks, on("front")),
        (&["--network", "none"], Namespace::Private, vec![]),
        (&["--network", "name=host"], Namespace::Host, vec![]),
        (&["--network", "container:c"], Namespace::Container("c".to_owned()), vec![]),
        (&["--network", "a", "--network", "b"], Namespace::Networks, [on("a"), on("b")].concat()),
    ] {
        let host = host(flags);
        assert_eq!((host.network, host.networks), (mode, networks), "{flags:?}");
    }
}

#[test]
fn what_a_container_is_to_be_on_a_network() {
    let text = "name=Front,alias=web,alias=www,ip=10.1.0.9,ip6=fd00::9,mac-address=02:42:0a:01:00:09,gw-priority=-2,\
                \"driver-opt=com.example.mtu=9000\"";
    let expected = EndpointConfig {
        network: "front".to_owned(),
        aliases: vec!["web".to_owned(), "www".to_owned()],
        ip: Some([10, 1, 0, 9].into()),
        ip6: Some("fd00::9".parse().unwrap()),
        mac: Some("02:42:0a:01:00:09".parse().unwrap()),
        gateway_priority: -2,
        driver_options: BTreeMap::from([("com.example.mtu".to_owned(), "9000".to_owned())]),
    };
    let asked = request(&["--network", text]);
    assert_eq!(asked.host.networks, std::slice::from_ref(&expected));
    assert_eq!(asked.config.mac_address, expected.mac);
    let flags = ["--network-alias", "web", "--net-alias", "www", "--ip", "10.1.0.9", "--ip6", "fd00::9"];
    let mac = ["--mac-address", "02:42:0a:01:00:09", "--network", "front", "--network", "back"];
    let old = host(&[&flags[..], &mac].concat());
    let plain = EndpointConfig { gateway_priority: 0, driver_options: BTreeMap::new(), ..expected };
    assert_eq!(old.networks, [plain, EndpointConfig::on("back")], "the flags of old are about the first one");
}

#[test]
fn what_contradicts_itself() {
    for (flags, problem) in [
        (&["--network", "host", "--net", "host"][..], "network \"host\" is specified multiple times"),
        (
            &["--network", "bridge", "--network", "front"],
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        (
            &["--network", "host", "--net", "none"],
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        (&["--network-alias", "web"], "network-scoped aliases are only supported for user-defined networks"),
        (
            &["--network", "name=a,alias=b", "--network-alias", "c"],
            "conflicting options: cannot specify both --network-alias and per-network alias",
        ),
        (
            &["--network", "name=a,ip=10.0.0.1", "--ip", "10.0.0.2"],
            "conflicting options: cannot specify both --ip and per-network IPv4 address",
        ),
        (
            &["--network", "host", "--ip", "10.0.0.2"],
            "user specified IP address is supported on user defined networks only",
        ),
        (
            &["--network", "container:c", "--mac-address", "02:42:0a:01:00:09"],
            "conflicting options: mac-address and the network mode",
        ),
        (&["--network", "a", "--ip", "fd00::1"], "invalid IPv4 address: fd00::1"),
        (&["--network", "a", "--ip6", "1.2.3.4"], "invalid IPv6 address: 1.2.3.4"),
        (&["--network", "a", "--mac-address", "02:42"], "02:42 is not a valid mac address"),
        (
            &["--network", "name=a,gw-priority=x"],
            "\"name=a,gw-priority=x\" for --network: invalid gw-priority (x): invalid syntax",
        ),
        (&["--network", ""], "no name set for network"),
        (&["--network", "x=y"], "\"x=y\" for --network: invalid field key x"),
        (&["--network", "name=host,alias"], "\"name=host,alias\" for --network: invalid field alias"),
        (&["--network", "alias=y"], "\"alias=y\" for --network: network name/id is not specified"),
        (&["--network", "container:"], "invalid network mode: invalid container format container:<name|id>"),
        (
            &["--link", "db"],
            "--link: dhow cannot link containers; put both on one network, where they find each other by name",
        ),
        (&["--link-local-ip", "fe80::1"], "--link-local-ip: dhow cannot choose the link-local addresses of containers"),
        (&["-p", "x:80"], "invalid hostPort: x"),
        (&["-p", "published=80,"], "invalid publish opts format (should be name=value but got '')"),
        (&["--expose", "80:80"], "invalid range format for --expose: 80:80"),
        (&["--dns", "x"], "\"x\" for --dns: IP address is not correctly formatted: x"),
        (&["--dns-search", "-x.y"], "\"-x.y\" for --dns-search: -x.y is not a valid domain"),
        (&["--add-host", "x"], "\"x\" for --add-host: bad format for add-host: \"x\""),
        (&["--add-host", "x:y"], "\"x:y\" for --add-host: invalid IP address in add-host: \"y\""),
    ] {
        assert_eq!(fault(flags), problem, "{flags:?}");
    }
}

#[test]
fn ports() {
    let tcp = |port, host| Publish { port, protocol: Protocol::Tcp, address: None, host };
    let asked = request(&["-p", "8080:80", "-p", "published=81,target=8081", "-p", "90-91", "--expose", "7/udp", "-P"]);
    let expected = [tcp(80, Some((8080, 8080))), tcp(8081, Some((81, 81))), tcp(90, None), tcp(91, None)];
    assert_eq!(asked.host.ports, expected);
    assert!(asked.host.publish_all);
    let exposed: Vec<_> = asked.config.exposed_ports.iter().map(String::as_str).collect();
    assert_eq!(exposed, ["7/udp", "80/tcp", "8081/tcp", "90/tcp", "91/tcp"]);
    let one = host(&["-p", "[::1]:8000-8009:80/udp"]).ports[0];
    let expected =
        Publish { address: Some("::1".parse().unwrap()), protocol: Protocol::Udp, ..tcp(80, Some((8000, 8009))) };
    assert_eq!(one, expected);
}

#[test]
fn names() {
    let dns = ["--dns", "1.1.1.1", "--dns", "::1", "--dns-search", "example.com", "--dns-search", "."];
    let rest =
        ["--dns-option", "ndots:2", "--dns-opt", "rotate", "--add-host", "a=[::1]", "--add-host", "b:host-gateway"];
    let host = host(&[&dns[..], &rest].concat());
    assert_eq!(host.dns, ["1.1.1.1".parse::<std::net::IpAddr>().unwrap(), "::1".parse().unwrap()]);
    assert_eq!(host.dns_search, ["example.com", "."]);
    assert_eq!(host.dns_options, ["ndots:2", "rotate"]);
    assert_eq!(host.extra_hosts, ["a:::1", "b:host-gateway"]);
}
