//! The table inside a container: port 53 of 127.0.0.11 leads to where the resolver listens.
//!
//! So that a name server of the container's own gets port 53 of all other addresses. Answers find back by connection
//! tracking.

use super::ruleset::{Action, Base, Chain, Datum, Element, Field, Hook, Match, Rule, Ruleset, Set, Type};
use crate::ports::Protocol;
use crate::resolver::resolv_conf::INSIDE;
use crate::subnet::{Family, Subnet};

/// The name of that table.
pub const TABLE: &str = "dhow";

/// Where names are asked for.
const DNS: u16 = 53;

/// The rules for a resolver that listens at this port, over UDP and TCP.
pub fn rules(port: u16) -> Ruleset {
    let element = |protocol| Element {
        key: vec![Datum::Protocol(protocol), Datum::Port(DNS)],
        value: vec![Datum::Address(INSIDE.into()), Datum::Port(port)],
    };
    let map = Set {
        name: "resolver",
        key: vec![Type::Protocol, Type::Port],
        value: vec![Type::Address(Family::V4), Type::Port],
        elements: vec![element(Protocol::Tcp), element(Protocol::Udp)],
    };
    let inside = Subnet::new(INSIDE.into(), 32).expect("32 bits are not too many");
    let lead = Action::Translate(Family::V4, vec![Field::Protocol, Field::DestinationPort], "resolver");
    let chain = Chain {
        name: "output",
        base: Some(Base { kind: "nat", hook: Hook::Output, priority: -100 }),
        rules: vec![Rule::new([Match::Within(Field::Destination(Family::V4), inside)], lead)],
    };
    Ruleset { table: TABLE.to_owned(), sets: vec![map], chains: vec![chain] }
}
