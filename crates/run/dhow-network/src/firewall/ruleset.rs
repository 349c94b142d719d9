//! A table of nftables as a value: sets, maps, chains, rules. Its text is what `nft -f` takes, so a plan can be read,
//! compared in tests, and loaded by hand.
//!
//! It knows what our rules need and no more: the kernel's language is larger. How it is told to the kernel is in
//! `encode.rs`; which rules there are is decided in `plan.rs`.

use crate::ports::Protocol;
use crate::subnet::{Family, Subnet};
use std::fmt;
use std::net::IpAddr;

/// A table of the family `inet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Its name.
    pub table: String,
    /// Sets and maps, ahead of the rules that look into them.
    pub sets: Vec<Set>,
    /// Chains; who is jumped to comes before who jumps.
    pub chains: Vec<Chain>,
}

/// The type of one part of a key or of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A protocol above IP.
    Protocol,
    /// An address.
    Address(Family),
    /// A port.
    Port,
    /// The name of a link.
    Link,
}

/// One part of a key or of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A protocol above IP.
    Protocol(Protocol),
    /// An address.
    Address(IpAddr),
    /// A port.
    Port(u16),
    /// The name of a link.
    Link(String),
}

/// A named set; with values, a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// What its keys are made of.
    pub key: Vec<Type>,
    /// What its values are made of; nothing: it is a set.
    pub value: Vec<Type>,
    /// What is in it.
    pub elements: Vec<Element>,
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// As the set's `key`.
    pub key: Vec<Datum>,
    /// As the set's `value`.
    pub value: Vec<Datum>,
}

/// A list of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where packets come in; none: by jumps only.
    pub base: Option<Base>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// Where the kernel calls a chain. What falls through is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// What it may do: `filter` or `nat`.
    pub kind: &'static str,
    /// On the way of a packet.
    pub hook: Hook,
    /// Among the chains of the hook: the smaller comes first.
    pub priority: i32,
}

/// The places on the way of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// It came in by a link.
    Prerouting = 0,
    /// It goes from link to link.
    Forward = 2,
    /// A process of the host sent it.
    Output = 3,
    /// It goes out by a link.
    Postrouting = 4,
}

/// When all matches hold, the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// In order.
    pub matches: Vec<Match>,
    /// Whether packets are counted.
    pub counted: bool,
    /// What happens.
    pub action: Action,
}

/// A part of a packet, or what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The protocol above IP.
    Protocol,
    /// The link that it came in by.
    In,
    /// The link that it goes out by.
    Out,
    /// Where from.
    Source(Family),
    /// Where to.
    Destination(Family),
    /// The port that it goes to.
    DestinationPort,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It is of this family.
    Family(Family),
    /// A link is (or is not) this one.
    Link(Field, bool, String),
    /// An address is in a block.
    Within(Field, Subnet),
    /// Its destination is (or is not) an address of this host.
    Local(bool),
    /// It belongs to a known connection, or to an error of one.
    Established,
    /// Its connection's destination was translated.
    Translated,
    /// These fields together are in a set.
    Member(Vec<Field>, &'static str),
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It may go on, as far as this table is concerned.
    Accept,
    /// It is thrown away.
    Drop,
    /// Back to the chain that jumped here.
    Return,
    /// On in another chain, then back.
    Jump(&'static str),
    /// Its source becomes the host's address on the link that it goes out by.
    Masquerade,
    /// Its destination becomes what a map says for these fields; on with the next rule when the map does not know them.
    Translate(Family, Vec<Field>, &'static str),
}

impl Rule {
    /// A rule that does not count.
    pub fn new(matches: impl Into<Vec<Match>>, action: Action) -> Rule {
        Rule { matches: matches.into(), counted: false, action }
    }
}

/// Parts with ` . ` between them.
struct Joined<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            write!(f, "{}{part}", if index > 0 { " . " } else { "" })?;
        }
        Ok(())
    }
}

fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Protocol => "inet_proto",
            Type::Address(Family::V4) => "ipv4_addr",
            Type::Address(Family::V6) => "ipv6_addr",
            Type::Port => "inet_service",
            Type::Link => "ifname",
        })
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Protocol(protocol) => write!(f, "{protocol}"),
            Datum::Address(address) => write!(f, "{address}"),
            Datum::Port(port) => write!(f, "{port}"),
            Datum::Link(name) => write!(f, "\"{name}\""),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Joined(&self.key))?;
        if self.value.is_empty() { Ok(()) } else { write!(f, " : {}", Joined(&self.value)) }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.value.is_empty() { "set" } else { "map" };
        write!(f, "\t{kind} {} {{\n\t\ttype {}", self.name, Joined(&self.key))?;
        if !self.value.is_empty() {
            write!(f, " : {}", Joined(&self.value))?;
        }
        writeln!(f)?;
        if !self.elements.is_empty() {
            writeln!(f, "\t\telements = {{")?;
            for element in &self.elements {
                writeln!(f, "\t\t\t{element},")?;
            }
            writeln!(f, "\t\t}}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Protocol => f.write_str("meta l4proto"),
            Field::In => f.write_str("iifname"),
            Field::Out => f.write_str("oifname"),
            Field::Source(family) => write!(f, "{} saddr", ip(*family)),
            Field::Destination(family) => write!(f, "{} daddr", ip(*family)),
            Field::DestinationPort => f.write_str("th dport"),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |equal: &bool| if *equal { "" } else { "!= " };
        match self {
            Match::Family(Family::V4) => f.write_str("meta nfproto ipv4"),
            Match::Family(Family::V6) => f.write_str("meta nfproto ipv6"),
            Match::Link(field, equal, name) => write!(f, "{field} {}\"{name}\"", not(equal)),
            Match::Within(field, block) => write!(f, "{field} {block}"),
            Match::Local(equal) => write!(f, "fib daddr type {}local", not(equal)),
            Match::Established => f.write_str("ct state established,related"),
            Match::Translated => f.write_str("ct status dnat"),
            Match::Member(fields, set) => write!(f, "{} @{set}", Joined(fields)),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Accept => f.write_str("accept"),
            Action::Drop => f.write_str("drop"),
            Action::Return => f.write_str("return"),
            Action::Jump(chain) => write!(f, "jump {chain}"),
            Action::Masquerade => f.write_str("masquerade"),
            Action::Translate(family, fields, map) => {
                write!(f, "dnat {} to {} map @{map}", ip(*family), Joined(fields))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.matches {
            write!(f, "{condition} ")?;
        }
        write!(f, "{}{}", if self.counted { "counter " } else { "" }, self.action)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = &self.base {
            let hook = match base.hook {
                Hook::Prerouting => "prerouting",
                Hook::Forward => "forward",
                Hook::Output => "output",
                Hook::Postrouting => "postrouting",
            };
            writeln!(f, "\t\ttype {} hook {hook} priority {}; policy accept;", base.kind, base.priority)?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.table)?;
        self.sets.iter().try_for_each(|set| write!(f, "{set}"))?;
        self.chains.iter().try_for_each(|chain| write!(f, "{chain}"))?;
        writeln!(f, "}}")
    }
}
