//! The kernel's listing of a rule as a [`Rule`]: a small machine of registers that knows what was loaded into them.

use super::foreign::{Action, Pattern, Rule, Test, state};
use crate::Family;
use crate::netlink::{Attribute, Attributes};
use std::collections::BTreeMap;

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    In,
    Out,
    Family,
    /// Only these bits of the connection's state.
    State(u32),
    /// Only these bits of what is known of it.
    Status(u32),
    Unknown,
}

/// `IPS_DST_NAT`.
pub(super) const DST_NAT: u32 = 0x20;

/// What is in a set or verdict map; nothing for one that says more than that.
pub(super) type Members = Option<Vec<(Vec<u8>, Option<Action>)>>;
/// Those that are known, by name.
pub(super) type Sets = BTreeMap<String, Members>;

/// A rule as it is listed: handle, expressions, user data. One that looks its verdict up counts as several. The names of
/// sets that would have to be known are added to `wanted`.
pub(super) fn rules(listed: Attributes<'_>, sets: &Sets, wanted: &mut Vec<String>) -> Vec<Rule> {
    let Some(handle) = listed.get(3).and_then(|handle| handle.value.try_into().ok()) else { return Vec::new() };
    let comment = listed.get(7).and_then(|data| user_comment(data.value));
    let rule = Rule { handle: u64::from_be_bytes(handle), comment, tests: Vec::new(), action: Action::Continue };
    let mut reader = Reader { rule, registers: Registers::default(), sets, wanted, branches: None };
    for expression in listed.get(4).into_iter().flat_map(|list| list.nested()) {
        reader.read(expression.nested());
    }
    let Reader { rule, branches, .. } = reader;
    let Some(branches) = branches else { return vec![rule] };
    let branch = |(test, action)| {
        let mut branch = Rule { action, ..rule.clone() };
        branch.tests.push(test);
        branch
    };
    branches.into_iter().map(branch).collect()
}

/// A rule that is on its own: what others have to do with it is left out.
pub(super) fn rule(listed: Attributes<'_>) -> Option<Rule> {
    rules(listed, &Sets::new(), &mut Vec::new()).pop()
}

/// An element of a set, of its listing; `Err` when it is more than a key and perhaps a verdict.
pub(super) fn member(element: Attributes<'_>) -> Result<(Vec<u8>, Option<Action>), ()> {
    let key = element.get(1).and_then(|key| key.nested().get(1)).ok_or(())?;
    if number(element.get(3)).unwrap_or(0) != 0 {
        return Err(()); // the end of an interval
    }
    let verdict = element.get(2).and_then(|value| value.nested().get(2));
    Ok((key.value.to_vec(), verdict.map(|verdict| action(verdict.nested()))))
}

/// nft's own comments: type, length, text.
fn user_comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            return Some(text(value));
        }
        data = behind;
    }
    None
}

/// Up to the first zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Sixteen words, of which the kernel's registers of 16 bytes are four each.
#[derive(Debug, Default)]
struct Registers([Option<Loaded>; 16]);

impl Registers {
    fn word(number: u32) -> usize {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if number < 8 { number.saturating_sub(1) * 4 } else { number - 8 }
    }

    fn put(&mut self, number: Option<u32>, loaded: Loaded) {
        if let Some(slot) = number.and_then(|number| self.0.get_mut(Registers::word(number))) {
            *slot = Some(loaded);
        }
    }

    fn get(&self, number: Option<u32>) -> Loaded {
        number.and_then(|number| *self.0.get(Registers::word(number))?).unwrap_or(Loaded::Unknown)
    }
}

fn number(attribute: Option<Attribute<'_>>) -> Option<u32> {
    attribute.and_then(|attribute| attribute.number_be())
}

/// What is known by an expression.
struct Reader<'s> {
    rule: Rule,
    registers: Registers,
    sets: &'s Sets,
    wanted: &'s mut Vec<String>,
    /// What a verdict map says.
    branches: Option<Vec<(Test, Action)>>,
}

impl Reader<'_> {
    fn read(&mut self, expression: Attributes<'_>) {
        let Some(name) = expression.get(1).and_then(|name| name.text()) else { return };
        let Some(data) = expression.get(2).map(|data| data.nested()) else {
            self.rule.tests.extend((!is_neutral(name)).then_some(Test::Unknown));
            return;
        };
        let get = |kind| data.get(kind);
        match name {
            // With a source register they set something.
            "meta" if get(1).is_some() => {
                let loaded = match number(get(2)) {
                    Some(6) => Loaded::In,
                    Some(7) => Loaded::Out,
                    Some(15) => Loaded::Family,
                    _ => Loaded::Unknown,
                };
                self.registers.put(number(get(1)), loaded);
            }
            "ct" if get(1).is_some() => {
                let loaded = match number(get(2)) {
                    Some(0) => Loaded::State(u32::MAX),
                    Some(2) => Loaded::Status(u32::MAX),
                    _ => Loaded::Unknown,
                };
                self.registers.put(number(get(1)), loaded);
            }
            "bitwise" => {
                let loaded = masked(self.registers.get(number(get(1))), data);
                self.registers.put(number(get(2)), loaded);
            }
            "cmp" => {
                let value = get(3).and_then(|value| value.nested().get(1)).map(|value| value.value).unwrap_or_default();
                self.rule.tests.push(compared(self.registers.get(number(get(1))), number(get(2)), value));
            }
            "lookup" => self.look_up(data),
            _ => self.decide(name, data),
        }
    }

    /// Expressions that end a rule, and those that nothing is known of.
    fn decide(&mut self, name: &str, data: Attributes<'_>) {
        let get = |kind| data.get(kind);
        match name {
            "immediate" if number(get(1)) == Some(0) => {
                let verdict = get(2).and_then(|value| value.nested().get(2)).map(|verdict| verdict.nested());
                self.rule.action = verdict.map_or(Action::Continue, action);
            }
            "reject" => self.rule.action = Action::Drop,
            // Somebody in user space decides: not to be meddled with.
            "queue" => self.rule.action = Action::Accept,
            "target" => match get(1).and_then(|name| name.text()) {
                Some("REJECT") => self.rule.action = Action::Drop,
                Some("NFQUEUE") => self.rule.action = Action::Accept,
                _ => {}
            },
            "match" => xtables(data, &mut self.rule),
            // A counter with a name, or a helper of connection tracking; else it is a limit.
            "objref" if matches!(number(get(1)), Some(1 | 3)) => {}
            _ if is_load(name) => self.registers.put(number(get(1)), Loaded::Unknown),
            _ if is_neutral(name) => {}
            _ => self.rule.tests.push(Test::Unknown),
        }
    }

    fn look_up(&mut self, data: Attributes<'_>) {
        let loaded = self.registers.get(number(data.get(2)));
        let name = data.get(1).and_then(|name| name.text()).unwrap_or_default();
        let is_known_kind = matches!(loaded, Loaded::In | Loaded::Out | Loaded::State(u32::MAX));
        let members = match self.sets.get(name).filter(|_| is_known_kind) {
            Some(Some(members)) => members,
            found => {
                if found.is_none() && is_known_kind {
                    self.wanted.push(name.to_owned());
                }
                self.rule.tests.push(Test::Unknown);
                return;
            }
        };
        let among = |keys: &[&[u8]], holds| one_of(loaded, keys, holds).unwrap_or(Test::Unknown);
        match number(data.get(3)) {
            Some(0) => {
                let branch = |(key, action): &(Vec<u8>, Option<Action>)| {
                    (among(&[key], true), action.clone().unwrap_or(Action::Continue))
                };
                self.branches = Some(members.iter().map(branch).collect());
            }
            Some(register) => {
                self.registers.put(Some(register), Loaded::Unknown);
                self.rule.tests.push(Test::Unknown);
            }
            None => {
                let keys: Vec<_> = members.iter().map(|(key, _)| key.as_slice()).collect();
                let inverted = number(data.get(5)).unwrap_or(0) & 1 != 0;
                self.rule.tests.push(among(&keys, !inverted));
            }
        }
    }
}

/// Whether what was loaded is one of these.
fn one_of(loaded: Loaded, keys: &[&[u8]], holds: bool) -> Option<Test> {
    match loaded {
        Loaded::In | Loaded::Out => {
            // In a set a name is as long as names can be.
            let names: Option<Vec<_>> = keys.iter().map(|key| pattern(key).filter(|_| key.len() == 16)).collect();
            Some(if loaded == Loaded::In { Test::In(names?, holds) } else { Test::Out(names?, holds) })
        }
        Loaded::State(_) => {
            let mut bits = keys.iter().map(|key| Some(u32::from_ne_bytes((*key).try_into().ok()?)));
            Some(tracked(bits.try_fold(0, |all, one| Some(all | one?))?, false, holds))
        }
        _ => None,
    }
}

/// Expressions that load something else, into the register that is their first attribute.
fn is_load(name: &str) -> bool {
    let loads = ["immediate", "payload", "exthdr", "rt", "socket", "osf", "hash", "numgen", "fib", "tunnel", "xfrm"];
    loads.contains(&name)
}

/// Expressions that neither match nor decide.
fn is_neutral(name: &str) -> bool {
    matches!(name, "counter" | "log" | "meta" | "ct" | "notrack" | "last" | "flow_offload")
}

fn masked(loaded: Loaded, data: Attributes<'_>) -> Loaded {
    let value = |kind| data.get(kind)?.nested().get(1)?.number();
    let is_mask = number(data.get(6)).unwrap_or(0) == 0 && value(5) == Some(0);
    match (loaded, value(4).filter(|_| is_mask)) {
        (Loaded::State(bits), Some(mask)) => Loaded::State(bits & mask),
        (Loaded::Status(bits), Some(mask)) => Loaded::Status(bits & mask),
        _ => Loaded::Unknown,
    }
}

fn compared(loaded: Loaded, operation: Option<u32>, value: &[u8]) -> Test {
    let equal = match operation {
        Some(0) => true,
        Some(1) => false,
        _ => return Test::Unknown,
    };
    let bits = value.try_into().ok().map(u32::from_ne_bytes);
    match (loaded, bits) {
        (Loaded::In, _) => pattern(value).map_or(Test::Unknown, |pattern| Test::In(vec![pattern], equal)),
        (Loaded::Out, _) => pattern(value).map_or(Test::Unknown, |pattern| Test::Out(vec![pattern], equal)),
        (Loaded::Family, _) => match value {
            [2] => Test::Family(Family::V4, equal),
            [10] => Test::Family(Family::V6, equal),
            _ => Test::Unknown,
        },
        // One of the bits is set, or none is.
        (Loaded::State(mask), Some(0)) => tracked(mask, false, !equal),
        (Loaded::State(u32::MAX), Some(bits)) => tracked(bits, false, equal),
        (Loaded::Status(DST_NAT), Some(0)) => tracked(0, true, !equal),
        (Loaded::Status(DST_NAT), Some(DST_NAT)) => tracked(0, true, equal),
        _ => Test::Unknown,
    }
}

fn tracked(states: u32, translated: bool, holds: bool) -> Test {
    let states = u8::try_from(states & u32::from(state::ALL)).expect("four bits");
    Test::Tracked { states, translated, holds }
}

/// A name ends in a zero, unless more may follow it.
fn pattern(value: &[u8]) -> Option<Pattern> {
    let end = value.iter().position(|byte| *byte == 0);
    let text = std::str::from_utf8(&value[..end.unwrap_or(value.len())]).ok()?;
    Some(Pattern { text: text.to_owned(), open: end.is_none() })
}

fn action(verdict: Attributes<'_>) -> Action {
    let chain = || verdict.get(2).and_then(|chain| chain.text()).unwrap_or_default().to_owned();
    match number(verdict.get(1)).map(u32::cast_signed) {
        Some(0) => Action::Drop,
        Some(1) => Action::Accept,
        Some(-3) => Action::Jump(chain()),
        Some(-4) => Action::Goto(chain()),
        Some(-5) => Action::Return,
        _ => Action::Continue,
    }
}

/// A match of xtables, in a table that `iptables` keeps.
fn xtables(data: Attributes<'_>, rule: &mut Rule) {
    let info = data.get(3).map(|info| info.value).unwrap_or_default();
    match (data.get(1).and_then(|name| name.text()), number(data.get(2))) {
        (Some("comment"), _) => rule.comment = Some(text(info)),
        (Some("conntrack"), Some(2 | 3)) => rule.tests.push(conntrack(info)),
        _ => rule.tests.push(Test::Unknown),
    }
}

/// Where `struct xt_conntrack_mtinfo3` says which fields count, which of them the wrong way round, and the states.
pub(super) const CONNTRACK_FLAGS: usize = 146;
/// Its length in bytes.
pub(super) const CONNTRACK_SIZE: usize = 168;
/// `XT_CONNTRACK_STATE_DNAT`.
pub(super) const XT_DNAT: u16 = 0x80;
const XT_SNAT: u16 = 0x40;
const XT_UNTRACKED: u16 = 0x100;

/// `-m conntrack`, when it is about nothing but states.
pub(super) fn conntrack(info: &[u8]) -> Test {
    let field = |at: usize| Some(u16::from_ne_bytes(*info.get(CONNTRACK_FLAGS + at..)?.first_chunk()?));
    let (Some(flags), Some(inverted), Some(states)) = (field(0), field(2), field(4)) else { return Test::Unknown };
    if flags != 1 || states & (XT_SNAT | XT_UNTRACKED) != 0 {
        return Test::Unknown;
    }
    tracked(states.into(), states & XT_DNAT != 0, inverted & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{Message, attributes, messages};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn garbage_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), name in 0usize..12) {
            let _ = (user_comment(&bytes), conntrack(&bytes), pattern(&bytes));
            rules(attributes(&bytes), &Sets::new(), &mut Vec::new());
            let names = ["meta", "ct", "bitwise", "cmp", "lookup", "immediate", "match", "target", "reject", "queue", "objref", "fib"];
            let mut message = Message::new(0, 0).fixed(&[2, 0, 0, 0]);
            message.attribute(3, &1u64.to_be_bytes());
            message.nest(4, |list| list.nest(1, |one| {
                one.text(1, names[name]);
                one.attribute(2, &bytes);
            }));
            let bytes = message.finish(1).unwrap();
            let received = messages(&bytes).next().unwrap().unwrap();
            let read = rules(received.split::<4>().unwrap().1, &Sets::new(), &mut Vec::new());
            prop_assert_eq!(read.len(), 1);
        }
    }
}
