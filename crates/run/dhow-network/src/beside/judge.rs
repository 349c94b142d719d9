//! What others' rules make of our packets, and what has to be done about it: pure functions over a [`Foreign`].
//!
//! Our packets are of few kinds ([`Way`]). Each is taken through each chain that the kernel calls for what is forwarded; a
//! rule counts when it holds for all packets of that kind. What falls through to a policy of drop, or meets a rule that drops
//! all of them, is dropped by default; a rule that names our bridge and drops is meant, and stays as it is.

use super::foreign::{Action, Chain, Foreign, Keeper, Layer, Pattern, Rule, Table, Test, state};
use super::walk::{self, Fate, fate};
use super::{Advice, Guest, Links, Way, advice};

/// A change of somebody's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which kind of table.
    pub layer: Layer,
    /// Its name.
    pub table: String,
    /// In which chain.
    pub chain: String,
    /// What.
    pub change: Change,
}

impl Edit {
    /// Where, as nft calls it.
    pub fn place(&self) -> String {
        format!("chain {} of table {} {}", self.chain, self.layer.name(), self.table)
    }
}

/// What is changed in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A rule goes, by its handle.
    Delete(u64),
    /// A rule comes, ahead of the one with this handle, or behind all.
    Insert {
        /// See above.
        before: Option<u64>,
        /// The rule; its handle means nothing.
        rule: Rule,
    },
}

/// What there is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// For us: what is to go first.
    pub edits: Vec<Edit>,
    /// For somebody else.
    pub advice: Vec<Advice>,
}

/// Where programs provide for others' rules: chains of the table `filter` that they call early and never flush, or flush
/// and tell. Ours go behind those of the administrator in there: what these drop stays dropped.
const PLACES: [(Layer, &str); 4] = [
    (Layer::Ip, "DOCKER-USER"),
    (Layer::Ip6, "DOCKER-USER"),
    (Layer::Ip, "ufw-before-forward"),
    (Layer::Ip6, "ufw6-before-forward"),
];

/// Whether a chain of this name is a place for others' rules.
pub(super) fn is_place(layer: Layer, chain: &str) -> bool {
    PLACES.contains(&(layer, chain))
}

/// What our rules in others' tables are known by.
pub fn tag(table: &str, bridge: &str) -> String {
    format!("{table}:{bridge}")
}

/// What has to be done for these networks of ours, which are all there are: rules of ours for any other go. `table` is the
/// name of our own table.
pub fn judge(foreign: &Foreign, table: &str, guests: &[Guest], links: &Links) -> Judgement {
    let mut judgement = Judgement::default();
    for other in &foreign.tables {
        for guest in guests {
            one(other, guest, links, &tag(table, &guest.bridge), &mut judgement);
        }
        let of_nobody = |found: &str| {
            let bridge = found.strip_prefix(table).and_then(|rest| rest.strip_prefix(':'));
            bridge.is_some_and(|bridge| guests.iter().all(|guest| guest.bridge != bridge))
        };
        delete(other, of_nobody, &mut judgement.edits);
    }
    judgement
}

/// One network in one table.
fn one(table: &Table, guest: &Guest, links: &Links, tag: &str, judgement: &mut Judgement) {
    let ours = |found: &str| found == tag;
    let mut bare = table.clone();
    for chain in &mut bare.chains {
        chain.rules.retain(|rule| !rule.comment.as_deref().is_some_and(ours));
    }
    let mut wanted: Vec<Edit> = Vec::new();
    for base in bare.chains.iter().filter(|chain| chain.forward.is_some()) {
        let blocked = blocked(&bare, base, guest);
        if blocked.is_empty() {
            continue;
        }
        let place = blocked.first().and_then(|way| place(&bare, base, guest, *way));
        let mut left = blocked.clone();
        if let Some(place) = place {
            let edits = help(&bare, base, place, &blocked, Helper { guest, links, tag }, &mut left);
            wanted.extend(edits.into_iter().filter(|edit| !wanted.contains(edit)).collect::<Vec<_>>());
        }
        if !left.is_empty() {
            let of_ufw = place.is_some_and(|place| is_closed(&place.name));
            let new = advice::advice(table, base, guest, left, of_ufw);
            // ufw has one command for both families.
            if judgement.advice.iter().all(|known| known.commands != new.commands) {
                judgement.advice.push(new);
            }
        }
    }
    if !is_there(table, &wanted, tag) {
        delete(table, ours, &mut judgement.edits);
        judgement.edits.extend(wanted);
    }
}

/// What is left to the administrator of changes that the kernel has refused.
pub(super) fn refused(foreign: &Foreign, guests: &[Guest], edits: &[Edit]) -> Vec<Advice> {
    let is_meant = |table: &&Table| edits.iter().any(|edit| edit.layer == table.layer && edit.table == table.name);
    let mut advice = Vec::new();
    for table in foreign.tables.iter().filter(is_meant) {
        for base in table.chains.iter().filter(|chain| chain.forward.is_some()) {
            for guest in guests {
                let blocked = blocked(table, base, guest);
                advice.extend((!blocked.is_empty()).then(|| advice::advice(table, base, guest, blocked, false)));
            }
        }
    }
    advice
}

/// Whether our rules in a table are already the ones that are wanted.
fn is_there(table: &Table, wanted: &[Edit], tag: &str) -> bool {
    table.chains.iter().all(|chain| {
        let present = chain.rules.iter().filter(|rule| rule.comment.as_deref() == Some(tag));
        let wanted = wanted.iter().filter(|edit| edit.chain == chain.name).filter_map(|edit| match &edit.change {
            Change::Insert { rule, .. } => Some((&rule.tests, &rule.action)),
            Change::Delete(_) => None,
        });
        present.map(|rule| (&rule.tests, &rule.action)).eq(wanted)
    })
}

fn delete(table: &Table, which: impl Fn(&str) -> bool, edits: &mut Vec<Edit>) {
    if table.keeper == Keeper::Legacy {
        return;
    }
    for chain in &table.chains {
        for rule in chain.rules.iter().filter(|rule| rule.comment.as_deref().is_some_and(&which)) {
            edits.push(Edit {
                layer: table.layer,
                table: table.name.clone(),
                chain: chain.name.clone(),
                change: Change::Delete(rule.handle),
            });
        }
    }
}

/// The kinds of our packets that a chain drops by default.
fn blocked(table: &Table, base: &Chain, guest: &Guest) -> Vec<Way> {
    let families = || guest.families.iter().filter(|family| table.layer.has(**family));
    let is_blocked = |way: &Way| families().any(|family| fate(table, base, guest, *way, *family) == Fate::Drop);
    guest.ways().into_iter().filter(is_blocked).collect()
}

/// Whom rules are for.
struct Helper<'h> {
    guest: &'h Guest,
    links: &'h Links,
    tag: &'h str,
}

/// Rules that let them through, put in the place for such; `left` is what they do not help.
fn help(
    table: &Table,
    base: &Chain,
    place: &Chain,
    blocked: &[Way],
    helper: Helper<'_>,
    left: &mut Vec<Way>,
) -> Vec<Edit> {
    let Helper { guest, links, tag } = helper;
    // What comes in is for ufw's own rules to let in: nobody goes around them.
    let may = |way: &&Way| !is_closed(&place.name) || !matches!(way, Way::Published | Way::Direct);
    let rules: Vec<(Way, Vec<Rule>)> =
        blocked.iter().filter(may).map(|way| (*way, rules(*way, &guest.bridge, links, tag))).collect();
    let at = end(place);
    let mut helped = table.clone();
    for chain in helped.chains.iter_mut().filter(|chain| chain.name == place.name) {
        chain.rules.splice(at..at, rules.iter().flat_map(|(_, rules)| rules.iter().cloned()));
    }
    *left = helped.chain(&base.name).map(|base| self::blocked(&helped, base, guest)).unwrap_or_default();
    let before = place.rules.get(at).map(|rule| rule.handle);
    let edit = |rule| Edit {
        layer: table.layer,
        table: table.name.clone(),
        chain: place.name.clone(),
        change: Change::Insert { before, rule },
    };
    rules.into_iter().filter(|(way, _)| !left.contains(way)).flat_map(|(_, rules)| rules).map(edit).collect()
}

/// Whether what comes in is none of ours in this place: ufw is asked for that by name (`ufw route allow`).
fn is_closed(place: &str) -> bool {
    place.starts_with("ufw")
}

/// The place for our rules that all packets of a kind come by, the first one.
fn place<'t>(table: &'t Table, base: &Chain, guest: &Guest, way: Way) -> Option<&'t Chain> {
    if table.keeper == Keeper::Legacy || table.name != "filter" {
        return None;
    }
    let family = *guest.families.iter().find(|family| table.layer.has(**family))?;
    let visited = walk::visited(table, base, guest, way, family);
    let name = visited.into_iter().find(|name| is_place(table.layer, name))?;
    table.chain(&name)
}

/// Behind all rules of a chain but a last one that takes all that is left.
fn end(chain: &Chain) -> usize {
    match chain.rules.split_last() {
        Some((last, others)) if last.tests.is_empty() && !matches!(last.action, Action::Jump(_) | Action::Continue) => {
            others.len()
        }
        _ => chain.rules.len(),
    }
}

/// Bridges of other programs, by the names that they give them.
const OTHERS: [&str; 7] = ["docker", "br-", "podman", "cni", "virbr", "lxdbr", "incusbr"];

/// What lets one kind of our packets through. What goes to other programs' bridges is for their own rules to judge: they
/// would not be asked any more.
pub(super) fn rules(way: Way, bridge: &str, links: &Links, tag: &str) -> Vec<Rule> {
    if way != Way::Out {
        return vec![rule(way, bridge, tag)];
    }
    let is_usual = |name: &str| OTHERS.iter().any(|start| name.starts_with(start));
    let out = |text: &str, open, action| {
        let mut rule = rule(Way::Out, bridge, tag);
        rule.tests.push(Test::Out(vec![Pattern { text: text.to_owned(), open }], true));
        Rule { action, ..rule }
    };
    let is_way_out = |name: &&String| links.ways_out.contains(name);
    let looks_like_theirs = |name: &&String| is_usual(name) || links.bridges.contains(name);
    let mut all: Vec<_> =
        links.ways_out.iter().filter(looks_like_theirs).map(|name| out(name, false, Action::Accept)).collect();
    let unusual = links.bridges.iter().filter(|name| !is_usual(name) && !is_way_out(name) && *name != bridge);
    all.extend(OTHERS.iter().map(|start| out(start, true, Action::Return)));
    all.extend(unusual.map(|name| out(name, false, Action::Return)));
    all.push(rule(way, bridge, tag));
    all
}

/// The plain one.
fn rule(way: Way, bridge: &str, tag: &str) -> Rule {
    let link = || vec![Pattern { text: bridge.to_owned(), open: false }];
    let tracked = |states, translated| Test::Tracked { states, translated, holds: true };
    let tests = match way {
        Way::Out => vec![Test::In(link(), true)],
        Way::Back => vec![Test::Out(link(), true), tracked(state::ESTABLISHED | state::RELATED, false)],
        Way::Published => vec![Test::Out(link(), true), tracked(0, true)],
        Way::Direct => vec![Test::Out(link(), true)],
        Way::Among => vec![Test::In(link(), true), Test::Out(link(), true)],
    };
    Rule { handle: 0, comment: Some(tag.to_owned()), tests, action: Action::Accept }
}
