//! What others' rules make of our packets, and what has to be done about it: pure functions over a [`Foreign`].
//!
//! Our packets are of few kinds ([`Way`]). Each is taken through each chain that the kernel calls for what is forwarded; a
//! rule counts when it holds for all packets of that kind. What falls through to a policy of drop, or meets a rule that drops
//! all of them, is dropped by default; a rule that names our bridge and drops is meant, and stays as it is.

use super::foreign::{Action, Chain, Foreign, Keeper, Layer, Pattern, Rule, Table, Test, state};
use super::{Advice, Guest, Way, advice};
use crate::Family;

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

/// What has to be done for these networks of ours. `table` is the name of our own table; rules of ours for any other network
/// go when it is all of them (`sweep`).
pub fn judge(foreign: &Foreign, table: &str, guests: &[Guest], sweep: bool) -> Judgement {
    let mut judgement = Judgement::default();
    for other in &foreign.tables {
        for guest in guests {
            one(other, guest, &tag(table, &guest.bridge), &mut judgement);
        }
        if sweep {
            let of_nobody = |found: &str| {
                let bridge = found.strip_prefix(table).and_then(|rest| rest.strip_prefix(':'));
                bridge.is_some_and(|bridge| guests.iter().all(|guest| guest.bridge != bridge))
            };
            delete(other, of_nobody, &mut judgement.edits);
        }
    }
    judgement
}

/// One network in one table.
fn one(table: &Table, guest: &Guest, tag: &str, judgement: &mut Judgement) {
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
        let (edits, left) = help(&bare, base, guest, &blocked, tag);
        wanted.extend(edits.into_iter().filter(|edit| !wanted.contains(edit)).collect::<Vec<_>>());
        if !left.is_empty() {
            judgement.advice.push(advice::advice(table, base, guest, left));
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
                advice.extend((!blocked.is_empty()).then(|| advice::advice(table, base, guest, blocked)));
            }
        }
    }
    advice
}

/// Whether our rules in a table are already the ones that are wanted.
fn is_there(table: &Table, wanted: &[Edit], tag: &str) -> bool {
    let mut present = Vec::new();
    for chain in &table.chains {
        let ours = chain.rules.iter().filter(|rule| rule.comment.as_deref() == Some(tag));
        present.extend(ours.map(|rule| (&chain.name, &rule.tests, &rule.action)));
    }
    let mut missing: Vec<_> = wanted
        .iter()
        .filter_map(|edit| match &edit.change {
            Change::Insert { rule, .. } => Some((&edit.chain, &rule.tests, &rule.action)),
            Change::Delete(_) => None,
        })
        .collect();
    present.len() == missing.len()
        && present
            .iter()
            .all(|one| missing.iter().position(|other| one == other).map(|at| missing.remove(at)).is_some())
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

/// Rules that let them through, put where the table provides for such; and what they do not help.
fn help(table: &Table, base: &Chain, guest: &Guest, blocked: &[Way], tag: &str) -> (Vec<Edit>, Vec<Way>) {
    let way = blocked.first().copied();
    let Some(place) = way.and_then(|way| place(table, base, guest, way)) else {
        return (Vec::new(), blocked.to_vec());
    };
    let rules: Vec<_> = blocked.iter().map(|way| rule(*way, &guest.bridge, tag)).collect();
    let at = end(place);
    let mut helped = table.clone();
    for chain in helped.chains.iter_mut().filter(|chain| chain.name == place.name) {
        chain.rules.splice(at..at, rules.iter().cloned());
    }
    let left = helped.chain(&base.name).map(|base| self::blocked(&helped, base, guest)).unwrap_or_default();
    let before = place.rules.get(at).map(|rule| rule.handle);
    let edits = blocked.iter().zip(rules).filter(|(way, _)| !left.contains(way)).map(|(_, rule)| Edit {
        layer: table.layer,
        table: table.name.clone(),
        chain: place.name.clone(),
        change: Change::Insert { before, rule },
    });
    (edits.collect(), left)
}

/// The place for our rules that all packets of a kind come by, the first one.
fn place<'t>(table: &'t Table, base: &Chain, guest: &Guest, way: Way) -> Option<&'t Chain> {
    if table.keeper == Keeper::Legacy || table.name != "filter" {
        return None;
    }
    let mut visited = Vec::new();
    let family = *guest.families.iter().find(|family| table.layer.has(**family))?;
    let mut walk = Walk { table, guest, way, family, visited: &mut visited, depth: 0, named: false };
    let _ = walk.chain(base);
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

/// What lets one kind of our packets through.
pub(super) fn rule(way: Way, bridge: &str, tag: &str) -> Rule {
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

/// What becomes of all packets of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accept,
    Drop,
    /// Dropped by a rule that names our bridge.
    Meant,
    /// The chain says nothing about them.
    Through,
}

fn fate(table: &Table, base: &Chain, guest: &Guest, way: Way, family: Family) -> Fate {
    let mut walk = Walk { table, guest, way, family, visited: &mut Vec::new(), depth: 0, named: false };
    match walk.chain(base) {
        Fate::Through if base.forward == Some(true) => Fate::Drop,
        Fate::Through => Fate::Accept,
        decided => decided,
    }
}

/// As deep as the kernel jumps.
const DEPTH: u32 = 16;

struct Walk<'w> {
    table: &'w Table,
    guest: &'w Guest,
    way: Way,
    family: Family,
    /// The chains that all packets come by, in order.
    visited: &'w mut Vec<String>,
    depth: u32,
    /// A rule on the way here named our bridge.
    named: bool,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain) -> Fate {
        for rule in &chain.rules {
            if self.holds(rule) != Some(true) {
                continue;
            }
            let named = self.named || rule.tests.iter().any(|test| self.names(test));
            let (target, stays) = match &rule.action {
                Action::Accept => return Fate::Accept,
                Action::Drop if named => return Fate::Meant,
                Action::Drop => return Fate::Drop,
                Action::Return => return Fate::Through,
                Action::Continue => continue,
                Action::Jump(target) => (target, true),
                Action::Goto(target) => (target, false),
            };
            let Some(target) = self.table.chain(target).filter(|_| self.depth < DEPTH) else { continue };
            self.visited.push(target.name.clone());
            self.depth += 1;
            let before = std::mem::replace(&mut self.named, named);
            let fate = self.chain(target);
            self.named = before;
            self.depth -= 1;
            if fate != Fate::Through || !stays {
                return fate;
            }
        }
        Fate::Through
    }

    /// Whether a rule holds for all packets of this kind, or for none; nothing when that differs, or nobody knows.
    fn holds(&self, rule: &Rule) -> Option<bool> {
        let mut all = Some(true);
        for test in &rule.tests {
            match self.test(test) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => all = None,
            }
        }
        all
    }

    fn test(&self, test: &Test) -> Option<bool> {
        let (from_us, to_us, states, translated) = match self.way {
            Way::Out => (true, false, state::NEW, false),
            Way::Back => (false, true, state::ESTABLISHED, false),
            Way::Published => (false, true, state::NEW, true),
            Way::Direct => (false, true, state::NEW, false),
            Way::Among => (true, true, state::NEW, false),
        };
        match test {
            Test::In(names, holds) => self.links(names, from_us).map(|is| is == *holds),
            Test::Out(names, holds) => self.links(names, to_us).map(|is| is == *holds),
            Test::Tracked { states: wanted, translated: counts, holds } => {
                Some((wanted & states != 0 || *counts && translated) == *holds)
            }
            Test::Family(family, holds) => Some((*family == self.family) == *holds),
            Test::Unknown => None,
        }
    }

    fn links(&self, names: &[Pattern], is_ours: bool) -> Option<bool> {
        let all: Vec<_> = names.iter().map(|name| self.link(name, is_ours)).collect();
        if all.contains(&Some(true)) {
            return Some(true);
        }
        all.iter().all(|one| *one == Some(false)).then_some(false)
    }

    /// Whether the link is this one (or one of these), of which we know that it is our bridge or that it is not.
    fn link(&self, pattern: &Pattern, is_ours: bool) -> Option<bool> {
        let fits = match pattern.open {
            true => self.guest.bridge.starts_with(&pattern.text),
            false => self.guest.bridge == pattern.text,
        };
        match (is_ours, fits) {
            (true, fits) => Some(fits),
            // Another link than our bridge, and any other that fits, too.
            (false, true) if !pattern.open => Some(false),
            (false, _) if pattern.open && pattern.text.is_empty() => Some(true),
            (false, _) if !pattern.open && pattern.text == "lo" => Some(false),
            _ => None,
        }
    }

    fn names(&self, test: &Test) -> bool {
        let (Test::In(names, true) | Test::Out(names, true)) = test else { return false };
        names.iter().any(|name| !name.open && name.text == self.guest.bridge)
    }
}
