//! Other programs' tables as values: as much of them as tells what becomes of a packet that is forwarded.
//!
//! A condition that cannot be judged here (addresses, ports, most sets and matches of xtables) is [`Test::Unknown`]: it may
//! hold for some packets and not for others, and nothing is concluded from it.

use crate::Family;

/// The tables that have a say in what is forwarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foreign {
    /// All of them, ours left out.
    pub tables: Vec<Table>,
}

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
}

impl Layer {
    /// Whether it sees packets of this family.
    pub fn has(self, family: Family) -> bool {
        match self {
            Layer::Ip => family == Family::V4,
            Layer::Ip6 => family == Family::V6,
            Layer::Inet => true,
        }
    }

    /// nft's word.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Ip => "ip",
            Layer::Ip6 => "ip6",
            Layer::Inet => "inet",
        }
    }
}

/// Who keeps a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// nf_tables: it can be changed over netlink.
    Nftables,
    /// The tables of old, which `iptables-legacy` changes.
    Legacy,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Where it is.
    pub keeper: Keeper,
    /// What it sees.
    pub layer: Layer,
    /// Its name.
    pub name: String,
    /// All its chains.
    pub chains: Vec<Chain>,
}

impl Table {
    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

/// A list of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Of one that the kernel calls with each packet that is forwarded: whether it drops what falls through.
    pub forward: Option<bool>,
    /// In order.
    pub rules: Vec<Rule>,
}

/// When all tests hold, the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What the kernel calls it by.
    pub handle: u64,
    /// What its author wrote behind it.
    pub comment: Option<String>,
    /// In order.
    pub tests: Vec<Test>,
    /// What happens.
    pub action: Action,
}

/// The name of a link, or what it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The name.
    pub text: String,
    /// Whether more may follow.
    pub open: bool,
}

/// A condition; what ends in a `bool` holds when the rest is so (true) or is not (false).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The link it came in by is one of these.
    In(Vec<Pattern>, bool),
    /// The link it goes out by is one of these.
    Out(Vec<Pattern>, bool),
    /// The state of its connection is one of these ([`state`]), or its destination was translated and that counts.
    Tracked {
        /// Bits of [`state`].
        states: u8,
        /// Translated destinations count.
        translated: bool,
        /// See above.
        holds: bool,
    },
    /// It is of this family.
    Family(Family, bool),
    /// Nobody knows.
    Unknown,
}

/// The kernel's bits for states of connections.
pub mod state {
    /// Packets have gone both ways.
    pub const ESTABLISHED: u8 = 2;
    /// Belongs to a connection that is there.
    pub const RELATED: u8 = 4;
    /// The first of its connection.
    pub const NEW: u8 = 8;
    /// All that are looked at.
    pub const ALL: u8 = 15;
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It may go on.
    Accept,
    /// It is thrown away, with or without an answer.
    Drop,
    /// On in another chain, then back.
    Jump(String),
    /// On in another chain, then back to where this one was jumped to from.
    Goto(String),
    /// Back to the chain that jumped here.
    Return,
    /// On with the next rule.
    Continue,
}
