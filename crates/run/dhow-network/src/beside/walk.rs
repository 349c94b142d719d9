//! One kind of our packets on its way through somebody's chains.

use super::foreign::{Action, Chain, Pattern, Rule, Table, Test, state};
use super::{Guest, Way};
use crate::Family;

/// What becomes of all packets of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Accept,
    Drop,
    /// Dropped by a rule that names our bridge, or where another rule lets some of them through to it.
    Meant,
    /// The chain says nothing about them.
    Through,
}

/// Of a chain that the kernel calls, with its policy.
pub(super) fn fate(table: &Table, base: &Chain, guest: &Guest, way: Way, family: Family) -> Fate {
    let mut walk =
        Walk { table, guest, way, family, visited: &mut Vec::new(), depth: 0, steps: 0, named: false, opened: false };
    match walk.chain(base) {
        Fate::Drop if walk.opened => Fate::Meant,
        Fate::Through if base.forward == Some(true) => {
            if walk.opened {
                Fate::Meant
            } else {
                Fate::Drop
            }
        }
        Fate::Through => Fate::Accept,
        decided => decided,
    }
}

/// The chains that all packets of a kind come by, in order.
pub(super) fn visited(table: &Table, base: &Chain, guest: &Guest, way: Way, family: Family) -> Vec<String> {
    let mut visited = Vec::new();
    let mut walk =
        Walk { table, guest, way, family, visited: &mut visited, depth: 0, steps: 0, named: false, opened: false };
    let _ = walk.chain(base);
    visited
}

/// As deep as the kernel jumps.
const DEPTH: u32 = 16;
/// So many rules, and nothing is concluded any more: chains that jump to each other in a maze take for ever.
const STEPS: u32 = 200_000;

struct Walk<'w> {
    table: &'w Table,
    guest: &'w Guest,
    way: Way,
    family: Family,
    /// The chains that all packets come by, in order.
    visited: &'w mut Vec<String>,
    depth: u32,
    steps: u32,
    /// A rule on the way here named our bridge.
    named: bool,
    /// A rule lets some of what comes in through to our bridge, by name: somebody has thought of it.
    opened: bool,
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain) -> Fate {
        for rule in &chain.rules {
            self.steps += 1;
            if self.steps > STEPS {
                return Fate::Accept;
            }
            let named = self.named || rule.tests.iter().any(|test| self.names(test));
            match self.holds(rule) {
                Some(true) => {}
                None if rule.action == Action::Accept && matches!(self.way, Way::Published | Way::Direct) => {
                    self.opened |= named;
                    continue;
                }
                _ => continue,
            }
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

#[cfg(test)]
mod tests {
    use super::super::foreign::{Keeper, Layer};
    use super::*;

    fn chain(name: &str, forward: Option<bool>, rules: Vec<Rule>) -> Chain {
        Chain { name: name.to_owned(), forward, rules }
    }

    fn plain(tests: Vec<Test>, action: Action) -> Rule {
        Rule { handle: 9, comment: None, tests, action }
    }

    fn fate_of(way: Way, chains: Vec<Chain>) -> Fate {
        let table = Table { keeper: Keeper::Nftables, layer: Layer::Ip, name: "filter".to_owned(), chains };
        fate(&table, &table.chains[0], &Guest::new("dhow0", [Family::V4]), way, Family::V4)
    }

    fn link(text: &str) -> Vec<Pattern> {
        vec![Pattern { text: text.to_owned(), open: false }]
    }

    #[test]
    fn only_what_holds_for_all_packets_counts() {
        let drop = |rules| fate_of(Way::Out, vec![chain("f", Some(true), rules)]);
        assert_eq!(drop(vec![]), Fate::Drop);
        assert_eq!(drop(vec![plain(vec![Test::Unknown], Action::Accept)]), Fate::Drop);
        assert_eq!(drop(vec![plain(vec![Test::In(link("eth0"), true)], Action::Accept)]), Fate::Drop);
        assert_eq!(drop(vec![plain(vec![Test::In(link("eth0"), false)], Action::Accept)]), Fate::Accept);
        assert_eq!(drop(vec![plain(vec![Test::Out(link("eth0"), true)], Action::Accept)]), Fate::Drop);
        assert_eq!(drop(vec![plain(vec![Test::Family(Family::V6, true)], Action::Accept)]), Fate::Drop);
        assert_eq!(drop(vec![plain(vec![Test::In(link("dhow0"), true)], Action::Drop)]), Fate::Meant);
        let accepts = chain("f", Some(false), vec![plain(vec![Test::Unknown], Action::Drop)]);
        assert_eq!(fate_of(Way::Out, vec![accepts]), Fate::Accept);
    }

    #[test]
    fn who_goes_to_a_chain_does_not_come_back_to_the_next_rule() {
        let own = chain("own", None, vec![plain(vec![], Action::Return)]);
        let base = |action| chain("f", Some(true), vec![plain(vec![], action), plain(vec![], Action::Accept)]);
        assert_eq!(fate_of(Way::Out, vec![base(Action::Jump("own".into())), own.clone()]), Fate::Accept);
        assert_eq!(fate_of(Way::Out, vec![base(Action::Goto("own".into())), own]), Fate::Drop);
    }

    #[test]
    fn what_is_let_in_by_name_in_part_was_thought_of() {
        let some = plain(vec![Test::Out(link("dhow0"), true), Test::Unknown], Action::Accept);
        let base = || chain("f", Some(true), vec![some.clone()]);
        assert_eq!(fate_of(Way::Published, vec![base()]), Fate::Meant);
        assert_eq!(fate_of(Way::Back, vec![base()]), Fate::Drop);
    }

    #[test]
    fn a_maze_has_an_end() {
        let jumps = || (0..20).map(|_| plain(vec![], Action::Jump("f".into()))).collect();
        assert_eq!(fate_of(Way::Out, vec![chain("f", Some(true), jumps())]), Fate::Accept);
    }
}
