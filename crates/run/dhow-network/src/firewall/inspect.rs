//! What is in the kernel, beside what should be there. Rules are compared by the expressions that the kernel lists.

use super::encode::{self, INET, kind};
use super::is_missing;
use super::plan::{BRIDGES, element_of, map_of};
use super::ruleset::{Chain, Datum, Element, Rule, Ruleset, Set};
use crate::NetworkError;
use crate::netlink::{Attributes, Message, Received, Socket, attributes, flag};
use crate::ports::{Port, Protocol};
use crate::subnet::from_octets;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;

/// Something that is not as the plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// There is no table at all.
    NoTable,
    /// A set or map is missing, or is of another type.
    Set(String),
    /// A set or map is there that is not ours.
    ForeignSet(String),
    /// An element is missing, or leads elsewhere.
    MissingElement(String, String),
    /// So many elements of a set are there that should not be.
    ForeignElements(String, usize),
    /// A chain is missing, or is called elsewhere or in another order.
    Chain(String),
    /// A chain is there that is not ours.
    ForeignChain(String),
    /// The rules of a chain are others.
    Rules(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::NoTable => f.write_str("the table is missing"),
            Difference::Set(name) => write!(f, "the set {name} is missing or altered"),
            Difference::ForeignSet(name) => write!(f, "the set {name} is not ours"),
            Difference::MissingElement(set, element) => write!(f, "{element} is missing in {set}"),
            Difference::ForeignElements(set, count) => write!(f, "{count} elements too many in {set}"),
            Difference::Chain(name) => write!(f, "the chain {name} is missing or altered"),
            Difference::ForeignChain(name) => write!(f, "the chain {name} is not ours"),
            Difference::Rules(chain) => write!(f, "the rules of {chain} are altered"),
        }
    }
}

/// A dump of what belongs to the table.
fn dump<T>(
    socket: &mut Socket,
    table: &str,
    (ask, answer): (u16, u16),
    what: &'static str,
    set: Option<&str>,
    mut parse: impl FnMut(Attributes<'_>) -> Option<T>,
) -> Result<Vec<T>, NetworkError> {
    let mut message = Message::new(ask, flag::DUMP).fixed(&INET);
    if ask != kind::GET_CHAIN {
        message.text(1, table);
    }
    if let Some(set) = set {
        message.text(2, set);
    }
    let ours = |received: &Received<'_>| {
        let (_, attributes) = received.split::<4>()?;
        // Not every kernel honours the filter.
        let belongs = received.kind == answer && attributes.get(1)?.text() == Some(table);
        if belongs { parse(attributes) } else { None }
    };
    socket.dump(&message, ours).map_err(|failure| match is_missing(&failure) {
        true => NetworkError::Missing { what: "nftables table", name: table.to_owned() },
        false => NetworkError::kernel(what, table)(failure),
    })
}

pub(super) fn exists(socket: &mut Socket, table: &str) -> Result<bool, NetworkError> {
    let mut message = Message::new(kind::GET_TABLE, 0).fixed(&INET);
    message.text(1, table);
    match socket.request(message) {
        Ok(()) => Ok(true),
        Err(failure) if is_missing(&failure) => Ok(false),
        Err(failure) => Err(NetworkError::kernel("look for table", table)(failure)),
    }
}

/// Keys and values of a set or map, as bytes.
type Members = BTreeMap<Vec<u8>, Vec<u8>>;

/// How often a set is read until it reads the same twice.
const READINGS: u32 = 20;

/// What is in a set or map. The kernel grows its hash a while after elements came; what it lists in several messages
/// meanwhile lacks some of them, without a word. So a long list is read until two readings are the same.
fn members(socket: &mut Socket, table: &str, set: &str) -> Result<Members, NetworkError> {
    let kinds = (kind::GET_ELEMENT, kind::NEW_ELEMENT);
    let mut before: Option<Members> = None;
    for _ in 0..READINGS {
        let lists = dump(socket, table, kinds, "list elements of", Some(set), |message| {
            let list = message.get(3)?.nested();
            Some(list.filter_map(|one| member(one.nested())).collect::<Vec<_>>())
        })?;
        let (is_short, now) = (lists.len() <= 1, lists.into_iter().flatten().collect());
        if is_short || before.as_ref() == Some(&now) {
            return Ok(now);
        }
        before = Some(now);
    }
    Err(NetworkError::kernel("list elements of", format!("{table} {set}"))(rustix::io::Errno::INTR.into()))
}

fn member(element: Attributes<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let bytes = |kind| Some(element.get(kind)?.nested().get(1)?.value.to_vec());
    Some((bytes(1)?, bytes(2).unwrap_or_default()))
}

/// The published ports of the table.
pub(super) fn ports(socket: &mut Socket, table: &str) -> Result<Vec<Port>, NetworkError> {
    if !exists(socket, table)? {
        return Err(NetworkError::Missing { what: "nftables table", name: table.to_owned() });
    }
    let mut all = Vec::new();
    for (map, size, specific) in [("ports4", 4, true), ("any4", 4, false), ("ports6", 16, true), ("any6", 16, false)] {
        let members = members(socket, table, map)?;
        all.extend(members.iter().filter_map(|(key, value)| port(key, value, size, specific)));
    }
    Ok(all)
}

/// Where a port of the host leads now; none when it is not published, or there is no table.
pub(super) fn target(socket: &mut Socket, table: &str, port: &Port) -> Result<Option<SocketAddr>, NetworkError> {
    let element = element_of(port);
    let Some(message) = encode::elements(kind::GET_ELEMENT, table, map_of(port), [&element]).pop() else {
        return Ok(None);
    };
    let mut value = None;
    let result = socket.exchange(message, |received| {
        let found = || received.split::<4>()?.1.get(3)?.nested().next();
        value = value.take().or_else(|| member(found()?.nested())).filter(|_| received.kind == kind::NEW_ELEMENT);
    });
    match result {
        Ok(()) => Ok(value.and_then(|(_, value)| address_and_port(&value, element_size(port)))),
        Err(failure) if is_missing(&failure) => Ok(None),
        Err(failure) => Err(NetworkError::kernel("look for port", port.to_string())(failure)),
    }
}

/// Whether a bridge is in the set of them; not, when there is no table.
pub(super) fn has_bridge(socket: &mut Socket, table: &str, bridge: &str) -> Result<bool, NetworkError> {
    let element = Element { key: vec![Datum::Link(bridge.to_owned())], value: Vec::new() };
    let Some(message) = encode::elements(kind::GET_ELEMENT, table, BRIDGES, [&element]).pop() else {
        return Ok(false);
    };
    match socket.exchange(message, |_| {}) {
        Ok(()) => Ok(true),
        Err(failure) if is_missing(&failure) => Ok(false),
        Err(failure) => Err(NetworkError::kernel("look for bridge", bridge)(failure)),
    }
}

fn element_size(port: &Port) -> usize {
    usize::from(port.family().bits() / 8)
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.first_chunk::<2>().copied()?))
}

fn address_and_port(value: &[u8], size: usize) -> Option<SocketAddr> {
    let (address, port) = value.split_at_checked(size)?;
    Some(SocketAddr::new(from_octets(address)?, number(port)?))
}

fn port(key: &[u8], value: &[u8], size: usize, specific: bool) -> Option<Port> {
    let protocol = Protocol::from_number(*key.first()?)?;
    let (address, rest) = key.get(4..)?.split_at_checked(if specific { size } else { 0 })?;
    let address = if specific { from_octets(address)? } else { from_octets(&vec![0; size])? };
    Port::new(protocol, address, number(rest)?, address_and_port(value, size)?)
}

/// What differs.
pub(super) fn compare(socket: &mut Socket, table: &str, wanted: &Ruleset) -> Result<Vec<Difference>, NetworkError> {
    if !exists(socket, table)? {
        return Ok(vec![Difference::NoTable]);
    }
    let mut differences = Vec::new();
    compare_sets(socket, table, &wanted.sets, &mut differences)?;
    compare_chains(socket, table, &wanted.chains, &mut differences)?;
    Ok(differences)
}

fn compare_sets(
    socket: &mut Socket,
    table: &str,
    wanted: &[Set],
    differences: &mut Vec<Difference>,
) -> Result<(), NetworkError> {
    let present: BTreeMap<_, _> = dump(socket, table, (kind::GET_SET, kind::NEW_SET), "list sets of", None, |set| {
        let number = |kind| set.get(kind).and_then(|number| number.number_be()).unwrap_or_default();
        Some((set.get(2)?.text()?.to_owned(), (number(4), number(6))))
    })?
    .into_iter()
    .collect();
    for set in wanted {
        let types = (encode::type_number(&set.key), encode::type_number(&set.value));
        if present.get(set.name) != Some(&types) {
            differences.push(Difference::Set(set.name.to_owned()));
            continue;
        }
        let mut members = members(socket, table, set.name)?;
        for element in &set.elements {
            if members.remove(&encode::bytes(&element.key)) != Some(encode::bytes(&element.value)) {
                differences.push(Difference::MissingElement(set.name.to_owned(), element.to_string()));
            }
        }
        if !members.is_empty() {
            differences.push(Difference::ForeignElements(set.name.to_owned(), members.len()));
        }
    }
    let ours: BTreeSet<_> = wanted.iter().map(|set| set.name).collect();
    let foreign = present.into_keys().filter(|name| !ours.contains(name.as_str()));
    differences.extend(foreign.map(Difference::ForeignSet));
    Ok(())
}

/// What of a chain is compared: type, hook, priority, policy; none of it for one that is jumped to.
type Place = Option<(String, u32, u32, u32)>;

fn compare_chains(
    socket: &mut Socket,
    table: &str,
    wanted: &[Chain],
    differences: &mut Vec<Difference>,
) -> Result<(), NetworkError> {
    let kinds = (kind::GET_CHAIN, kind::NEW_CHAIN);
    let present: BTreeMap<String, Place> = dump(socket, table, kinds, "list chains of", None, |chain| {
        Some((chain.get(3)?.text()?.to_owned(), place(chain)))
    })?
    .into_iter()
    .collect();
    let mut rules: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for (chain, expressions) in dump(socket, table, (kind::GET_RULE, kind::NEW_RULE), "list rules of", None, |rule| {
        let expressions = rule.get(4).map(|list| list.value.to_vec()).unwrap_or_default();
        Some((rule.get(2)?.text()?.to_owned(), expressions))
    })? {
        rules.entry(chain).or_default().push(expressions);
    }
    for chain in wanted {
        let place = chain.base.map(|base| (base.kind.to_owned(), base.hook as u32, base.priority.cast_unsigned(), 1));
        if present.get(chain.name) != Some(&place) {
            differences.push(Difference::Chain(chain.name.to_owned()));
            continue;
        }
        let listed = rules.remove(chain.name).unwrap_or_default();
        let same = listed.len() == chain.rules.len()
            && listed.iter().zip(&chain.rules).all(|(listed, rule)| is_same(listed, rule));
        if !same {
            differences.push(Difference::Rules(chain.name.to_owned()));
        }
    }
    let ours: BTreeSet<_> = wanted.iter().map(|chain| chain.name).collect();
    let foreign = present.into_keys().filter(|name| !ours.contains(name.as_str()));
    differences.extend(foreign.map(Difference::ForeignChain));
    Ok(())
}

fn place(chain: Attributes<'_>) -> Place {
    let hook = chain.get(4)?.nested();
    Some((
        chain.get(7)?.text()?.to_owned(),
        hook.get(1)?.number_be()?,
        hook.get(2)?.number_be()?,
        chain.get(5)?.number_be()?,
    ))
}

/// Whether the kernel's expressions are those of the rule: the same ones in the same order, with all that we said. The
/// kernel says more about some: defaults.
fn is_same(listed: &[u8], rule: &Rule) -> bool {
    let mut message = Message::new(0, 0);
    message.nest(0, |list| encode::expressions(list, rule));
    let Ok(bytes) = message.finish(0) else { return false };
    let Some(ours) = attributes(bytes.get(16..).unwrap_or_default()).next() else { return false };
    let (mut ours, mut theirs) = (ours.nested(), attributes(listed));
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return true,
            (Some(our), Some(their)) if holds(our.nested(), their.nested()) => {}
            _ => return false,
        }
    }
}

/// Whether an expression of the kernel's has the same name, and each of our attributes with the same value.
fn holds(ours: Attributes<'_>, theirs: Attributes<'_>) -> bool {
    let name = |expression: Attributes<'_>| expression.get(1).map(|name| name.value.to_vec());
    let data = |expression: Attributes<'_>| expression.get(2).map(|data| data.value.to_vec()).unwrap_or_default();
    let (our_data, their_data) = (data(ours), data(theirs));
    name(ours) == name(theirs)
        && attributes(&our_data).all(|ours| {
            attributes(&their_data).get(ours.kind).is_some_and(|theirs| same_value(ours.value, theirs.value))
        })
}

/// Nested attributes differ in flags of their kinds, which our parser leaves out.
fn same_value(ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs {
        return true;
    }
    let (mut left, mut right) = (attributes(ours).peekable(), attributes(theirs).peekable());
    if left.peek().is_none() || right.peek().is_none() {
        return false;
    }
    left.all(|ours| right.next().is_some_and(|theirs| ours.kind == theirs.kind && same_value(ours.value, theirs.value)))
        && right.next().is_none()
}
