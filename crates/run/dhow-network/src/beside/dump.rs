//! Reading others' tables from the kernel: only those that have a chain for what is forwarded.

use super::Glance;
use super::decode::{self, Members, Sets};
use super::foreign::{Action, Chain, Foreign, Keeper, Layer, Table};
use super::judge::is_place;
use crate::firewall::kind;
use crate::netlink::{Attributes, Message, Received, Socket, attributes, flag};
use crate::{Family, NetworkError};
use rustix::io::Errno;
use std::collections::btree_map::Entry;

/// `NF_INET_FORWARD`.
const FORWARD: u32 = 2;

/// A chain, its table, and whether it drops what is forwarded and falls through.
struct Listed {
    layer: Layer,
    table: String,
    chain: String,
    forward: Option<bool>,
}

/// All tables but ours that have a say in what is forwarded.
pub(super) fn dump(socket: &mut Socket, own: &str) -> Result<Foreign, NetworkError> {
    let chains = chains(socket, own)?;
    let mut foreign = Foreign::default();
    for base in chains.iter().filter(|chain| chain.forward.is_some()) {
        let is_same = |table: &Table| table.layer == base.layer && table.name == base.table;
        if foreign.tables.iter().any(is_same) {
            continue;
        }
        let own = chains.iter().filter(|chain| chain.layer == base.layer && chain.table == base.table);
        let own = own.map(|chain| Chain { name: chain.chain.clone(), forward: chain.forward, rules: Vec::new() });
        let mut table =
            Table { keeper: Keeper::Nftables, layer: base.layer, name: base.table.clone(), chains: own.collect() };
        rules(socket, &mut table)?;
        foreign.tables.push(table);
    }
    Ok(foreign)
}

/// See [`super::glance`].
pub(super) fn glance(socket: &mut Socket, own: &str, families: &[Family], tag: &str) -> Result<Glance, NetworkError> {
    let chains = chains(socket, own)?;
    let concerns = |layer: Layer| families.iter().any(|family| layer.has(*family));
    let mut all = Glance::Settled;
    for base in chains.iter().filter(|chain| chain.forward.is_some() && concerns(chain.layer)) {
        let is_in = |chain: &&Listed| chain.layer == base.layer && chain.table == base.table;
        let mut places = chains.iter().filter(is_in).filter(|chain| is_place(chain.layer, &chain.chain)).peekable();
        if places.peek().is_none() {
            all = Glance::NoPlace;
            continue;
        }
        let mut has_ours = false;
        for place in places {
            let rules = listing(socket, place.layer, &place.table, &place.chain)?;
            let comments = rules.iter().filter_map(|rule| decode::rule(attributes(rule))?.comment);
            has_ours |= comments.into_iter().any(|comment| comment == tag);
        }
        if !has_ours {
            return Ok(Glance::Missing);
        }
    }
    Ok(all)
}

fn chains(socket: &mut Socket, own: &str) -> Result<Vec<Listed>, NetworkError> {
    let all = Message::new(kind::GET_CHAIN, flag::DUMP).fixed(&[0; 4]);
    let chains = socket.dump(&all, |received| listed(received).filter(|chain| chain.table != own));
    chains.map_err(NetworkError::kernel("list", "the chains of nftables"))
}

fn layer(received: &Received<'_>) -> Option<Layer> {
    Layer::from_number(*received.body.first()?)
}

fn listed(received: &Received<'_>) -> Option<Listed> {
    let (_, attributes) = received.split::<4>().filter(|_| received.kind == kind::NEW_CHAIN)?;
    let (table, chain) = (attributes.get(1)?.text()?.to_owned(), attributes.get(3)?.text()?.to_owned());
    Some(Listed { layer: layer(received)?, table, chain, forward: forward(attributes) })
}

/// Of a chain that is called for what is forwarded, whether its policy is to drop.
fn forward(chain: Attributes<'_>) -> Option<bool> {
    let hook = chain.get(4)?.nested().get(1)?.number_be()?;
    let policy = chain.get(5).and_then(|policy| policy.number_be());
    (hook == FORWARD).then_some(policy == Some(0))
}

/// Reads the chains that packets may come by, and those where rules of ours may be: other chains may be long.
fn rules(socket: &mut Socket, table: &mut Table) -> Result<(), NetworkError> {
    let is_first = |chain: &&Chain| chain.forward.is_some() || is_place(table.layer, &chain.name);
    let mut names: Vec<String> = table.chains.iter().filter(is_first).map(|chain| chain.name.clone()).collect();
    let (mut sets, mut next) = (Sets::new(), 0);
    while let Some(name) = names.get(next).cloned() {
        next += 1;
        let found = listing(socket, table.layer, &table.name, &name)?;
        let mut wanted = Vec::new();
        for rule in &found {
            decode::rules(attributes(rule), &sets, &mut wanted);
        }
        for set in wanted {
            if let Entry::Vacant(slot) = sets.entry(set) {
                let members = members(socket, table, slot.key())?;
                slot.insert(members);
            }
        }
        let rules: Vec<_> =
            found.iter().flat_map(|rule| decode::rules(attributes(rule), &sets, &mut Vec::new())).collect();
        for rule in &rules {
            if let Action::Jump(target) | Action::Goto(target) = &rule.action
                && !names.contains(target)
            {
                names.push(target.clone());
            }
        }
        if let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == name) {
            chain.rules = rules;
        }
    }
    Ok(())
}

/// The rules of a chain as they are listed; none when it has gone since we looked: so says the generation when we go on.
fn listing(socket: &mut Socket, layer: Layer, table: &str, chain: &str) -> Result<Vec<Vec<u8>>, NetworkError> {
    let mut ask = Message::new(kind::GET_RULE, flag::DUMP).fixed(&[layer.number(), 0, 0, 0]);
    ask.text(1, table);
    ask.text(2, chain);
    let found = socket.dump(&ask, |received| {
        let (_, rule) = received.split::<4>().filter(|_| received.kind == kind::NEW_RULE)?;
        // Not every kernel honours the filter.
        let belongs = self::layer(received)? == layer && rule.get(1)?.text()? == table && rule.get(2)?.text()? == chain;
        belongs.then(|| received.body.get(4..).map(<[u8]>::to_vec)).flatten()
    });
    match found {
        Err(failure) if failure.is(Errno::NOENT) => Ok(Vec::new()),
        found => found.map_err(NetworkError::kernel("list the rules of", format!("{table} {chain}"))),
    }
}

/// What is in a set.
fn members(socket: &mut Socket, table: &Table, set: &str) -> Result<Members, NetworkError> {
    let mut ask = Message::new(kind::GET_ELEMENT, flag::DUMP).fixed(&[table.layer.number(), 0, 0, 0]);
    ask.text(1, &table.name);
    ask.text(2, set);
    let found = socket.dump(&ask, |received| {
        let (_, list) = received.split::<4>().filter(|_| received.kind == kind::NEW_ELEMENT)?;
        let elements = list.get(3).into_iter().flat_map(|list| list.nested());
        Some(elements.map(|element| decode::member(element.nested())).collect::<Result<Vec<_>, ()>>())
    });
    match found {
        Err(failure) if failure.is(Errno::NOENT) => Ok(None),
        found => {
            let lists = found.map_err(NetworkError::kernel("list the elements of", set))?;
            Ok(lists
                .into_iter()
                .collect::<Result<Vec<_>, ()>>()
                .ok()
                .map(|lists| lists.into_iter().flatten().collect()))
        }
    }
}

/// See [`super::is_stirred`].
pub(super) fn is_stirred(received: &Received<'_>, own: &str) -> bool {
    let Some(((_, attributes), layer)) = received.split::<4>().zip(layer(received)) else { return false };
    let text = |kind| attributes.get(kind).and_then(|text| text.text()).unwrap_or_default();
    if text(1) == own {
        return false;
    }
    let is_ours = || {
        let comment = decode::rule(attributes).and_then(|rule| rule.comment);
        comment.is_some_and(|comment| comment.strip_prefix(own).is_some_and(|rest| rest.starts_with(':')))
    };
    match received.kind {
        kind::NEW_CHAIN => forward(attributes) == Some(true),
        kind::DEL_RULE => is_ours(),
        kind::NEW_RULE => (text(2) == "FORWARD" || is_place(layer, text(2))) && !is_ours(),
        _ => false,
    }
}
