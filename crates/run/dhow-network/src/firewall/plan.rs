//! Which rules there are: a pure function from networks and ports to the whole of our table.
//!
//! An `accept` here does not end another table's `drop`, and a `drop` here ends the packet: so we drop only what goes to
//! or from our bridges, and leave all else to others.

use super::ruleset::{Action, Base, Chain, Datum, Element, Field, Hook, Match, Rule, Ruleset, Set, Type};
use crate::ports::Port;
use crate::subnet::{Family, Subnet};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};

/// All that our table depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The name of the table ([`super::table_name`]).
    pub table: String,
    /// The networks that have a bridge.
    pub networks: Vec<Network>,
    /// Published ports of running containers.
    pub ports: Vec<Port>,
    /// Links between which nothing goes, of IPv4 and of IPv6: those of a host that forwards packets for our networks alone.
    #[serde(default)]
    pub outside: [Vec<String>; 2],
}

/// A network with a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The name of its bridge.
    pub bridge: String,
    /// Its blocks of addresses.
    pub subnets: Vec<Subnet>,
    /// No way out of it and none into it.
    pub internal: bool,
    /// Who leaves it does so under the host's address.
    pub masquerade: bool,
    /// Its containers may talk to each other (docker's `icc`), as far as the host sees their packets at all.
    pub inter_container: bool,
    /// Its containers can be reached by their own addresses from outside (docker's `nat-unprotected`): IPv4, IPv6.
    pub unprotected: [bool; 2],
}

impl Network {
    /// An ordinary network.
    pub fn new(bridge: impl Into<String>, subnets: impl Into<Vec<Subnet>>) -> Network {
        Network {
            bridge: bridge.into(),
            subnets: subnets.into(),
            internal: false,
            masquerade: true,
            inter_container: true,
            unprotected: [false; 2],
        }
    }

    fn is_unprotected(&self, family: Family) -> bool {
        self.unprotected[usize::from(family == Family::V6)]
    }

    fn link(&self, field: Field, equal: bool) -> Match {
        Match::Link(field, equal, self.bridge.clone())
    }
}

/// The set of all our bridges.
pub(super) const BRIDGES: &str = "bridges";

/// `127.0.0.0/8`.
fn loopback() -> Subnet {
    Subnet::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8).expect("8 bits are not too many")
}

/// The map that a port is an element of.
pub(super) fn map_of(port: &Port) -> &'static str {
    match (port.family(), port.address().is_unspecified()) {
        (Family::V4, false) => "ports4",
        (Family::V4, true) => "any4",
        (Family::V6, false) => "ports6",
        (Family::V6, true) => "any6",
    }
}

/// A port as an element of its map.
pub(super) fn element_of(port: &Port) -> Element {
    let mut key = vec![Datum::Protocol(port.protocol())];
    if !port.address().is_unspecified() {
        key.push(Datum::Address(port.address()));
    }
    key.push(Datum::Port(port.port()));
    Element { key, value: vec![Datum::Address(port.to().ip()), Datum::Port(port.to().port())] }
}

impl Plan {
    /// The table.
    pub fn ruleset(&self) -> Ruleset {
        let mut sets = port_maps(&self.ports);
        sets.extend(self.link_sets());
        Ruleset {
            table: self.table.clone(),
            sets,
            chains: vec![ports(), self.raw(), prerouting(), output(), self.postrouting(), forward()],
        }
    }

    fn link_sets(&self) -> [Set; 7] {
        let element =
            |link: &String, parts: usize| Element { key: vec![Datum::Link(link.clone()); parts], value: Vec::new() };
        let of = |name, parts: usize, elements| Set { name, key: vec![Type::Link; parts], value: Vec::new(), elements };
        let set = |name, parts: usize, which: fn(&Network) -> bool| {
            let networks = self.networks.iter().filter(|network| which(network));
            of(name, parts, networks.map(|network| element(&network.bridge, parts)).collect())
        };
        let links = |name, links: &[String]| of(name, 1, links.iter().map(|link| element(link, 1)).collect());
        [
            set(BRIDGES, 1, |_| true),
            set("internal", 1, |network| network.internal),
            set("unprotected4", 1, |network| network.is_unprotected(Family::V4) && !network.internal),
            set("unprotected6", 1, |network| network.is_unprotected(Family::V6) && !network.internal),
            set("together", 2, |network| network.inter_container),
            links("outside4", &self.outside[0]),
            links("outside6", &self.outside[1]),
        ]
    }

    /// What must never come in: loopback addresses from elsewhere (CVE-2020-8558: `route_localnet` is on for our
    /// bridges), and containers' own addresses from anywhere but their bridge. Ahead of connection tracking, so that it
    /// costs an attacker's packets and not our memory.
    fn raw(&self) -> Chain {
        let elsewhere = || Match::Link(Field::In, false, "lo".to_owned());
        let mut rules = vec![
            Rule::new([elsewhere(), Match::Within(Field::Destination(Family::V4), loopback())], Action::Drop),
            Rule::new([elsewhere(), Match::Within(Field::Source(Family::V4), loopback())], Action::Drop),
        ];
        // Where nothing is masqueraded the answers to containers come to their own addresses: `forward` tells them from
        // the rest, which cannot be done ahead of connection tracking.
        let closed = |network: &Network, subnet: &Subnet| {
            network.internal || network.masquerade && !network.is_unprotected(subnet.family())
        };
        for network in &self.networks {
            for subnet in network.subnets.iter().filter(|subnet| closed(network, subnet)) {
                // The gateway is an address of the host, and is reached from other networks (host-gateway).
                let to = Match::Within(Field::Destination(subnet.family()), *subnet);
                rules.push(Rule::new([network.link(Field::In, false), to, Match::Local(false)], Action::Drop));
            }
        }
        base("raw", "filter", Hook::Prerouting, -300, rules)
    }

    fn postrouting(&self) -> Chain {
        let mut rules = Vec::new();
        for network in self.networks.iter().filter(|network| !network.internal) {
            for subnet in &network.subnets {
                let from = Match::Within(Field::Source(subnet.family()), *subnet);
                if network.masquerade {
                    rules.push(Rule::new([from.clone(), network.link(Field::Out, false)], Action::Masquerade));
                }
                // To a port of the same network by way of the host: the answer has to come back the same way.
                let hairpin = [from, network.link(Field::Out, true), Match::Translated];
                rules.push(Rule::new(hairpin, Action::Masquerade));
            }
            if network.subnets.iter().any(|subnet| subnet.family() == Family::V4) {
                let from = Match::Within(Field::Source(Family::V4), loopback());
                rules.push(Rule::new([from, network.link(Field::Out, true)], Action::Masquerade));
            }
        }
        base("postrouting", "nat", Hook::Postrouting, 100, rules)
    }
}

fn base(name: &'static str, kind: &'static str, hook: Hook, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain { name, base: Some(Base { kind, hook, priority }), rules }
}

fn port_maps(ports: &[Port]) -> Vec<Set> {
    let map = |name, family, specific: bool| {
        let mut key = vec![Type::Protocol, Type::Address(family), Type::Port];
        if !specific {
            key.remove(1);
        }
        let mut elements: Vec<_> = ports.iter().filter(|port| map_of(port) == name).map(element_of).collect();
        elements.sort();
        elements.dedup();
        Set { name, key, value: vec![Type::Address(family), Type::Port], elements }
    };
    vec![
        map("ports4", Family::V4, true),
        map("any4", Family::V4, false),
        map("ports6", Family::V6, true),
        map("any6", Family::V6, false),
    ]
}

/// A port of one address goes before one of all addresses.
fn ports() -> Chain {
    let rule = |family, specific: bool, map| {
        let mut fields = vec![Field::Protocol, Field::Destination(family), Field::DestinationPort];
        if !specific {
            fields.remove(1);
        }
        Rule::new([Match::Family(family)], Action::Translate(family, fields, map))
    };
    let rules = vec![
        rule(Family::V4, true, "ports4"),
        rule(Family::V4, false, "any4"),
        rule(Family::V6, true, "ports6"),
        rule(Family::V6, false, "any6"),
    ];
    Chain { name: "ports", base: None, rules }
}

fn prerouting() -> Chain {
    let rules = vec![Rule::new([Match::Local(true)], Action::Jump("ports"))];
    base("prerouting", "nat", Hook::Prerouting, -100, rules)
}

fn output() -> Chain {
    let one = Subnet::new(Ipv6Addr::LOCALHOST.into(), 128).expect("128 bits are not too many");
    let rules = vec![
        // ::1 cannot be routed to another link. Who tries it is refused, and takes 127.0.0.1.
        Rule::new([Match::Within(Field::Destination(Family::V6), one)], Action::Return),
        Rule::new([Match::Local(true)], Action::Jump("ports")),
    ];
    base("output", "nat", Hook::Output, -100, rules)
}

/// What goes between links. The rules are the same for any number of networks: who they are about is in the sets.
fn forward() -> Chain {
    let member = |fields: &[Field], set| Match::Member(fields.to_vec(), set);
    let rules = vec![
        Rule::new([Match::Established], Action::Accept),
        Rule::new([member(&[Field::In, Field::Out], "together")], Action::Accept),
        Rule::new([member(&[Field::In], "internal")], Action::Drop),
        Rule::new([member(&[Field::Out], "internal")], Action::Drop),
        // Published. Between networks, too: it is for the world, and they are in it.
        Rule::new([member(&[Field::Out], "bridges"), Match::Translated], Action::Accept),
        Rule::new([member(&[Field::In], "bridges"), member(&[Field::Out], "bridges")], Action::Drop),
        Rule::new([member(&[Field::In], "bridges")], Action::Accept),
        Rule::new([Match::Family(Family::V4), member(&[Field::Out], "unprotected4")], Action::Accept),
        Rule::new([Match::Family(Family::V6), member(&[Field::Out], "unprotected6")], Action::Accept),
        Rule::new([member(&[Field::Out], "bridges")], Action::Drop),
        // Whatever is left is neither from nor to our networks.
        between_outside(Family::V4, "outside4"),
        between_outside(Family::V6, "outside6"),
    ];
    base("forward", "filter", Hook::Forward, 0, rules)
}

fn between_outside(family: Family, links: &'static str) -> Rule {
    let on = |field| Match::Member(vec![field], links);
    Rule::new([Match::Family(family), on(Field::In), on(Field::Out)], Action::Drop)
}
