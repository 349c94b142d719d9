//! What a filter decides: a verdict for each number of each interface, from rules in the order of a profile.
//!
//! Follows the OCI runtime specification's `linux.seccomp`, and where that is silent what runc does with libseccomp:
//!
//! - a rule without conditions counts for its call whatever other rules say of it, before or after; of two, the first;
//! - of rules with conditions the first one that is met counts (libseccomp leaves open which);
//! - a rule with the default action is left out, for that is what happens anyway (so a later one can still allow);
//! - the conditions of one rule must all be met, unless two of them are about the same argument: then any of them will do;
//! - a call that is newer than every call the profile names fails with `ENOSYS`, not with the default action, unless that
//!   lets calls through: programs then fall back to an older call, where `EPERM` would be taken for a refusal.
//!
//! Must not know instructions, or where rules come from.

use super::calls::{Abi, Call};

/// What the kernel is told: `SECCOMP_RET_*`, with errno or what a tracer gets in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Action(pub(super) u32);

impl Action {
    pub(super) const KILL_THREAD: Action = Action(0);
    pub(super) const KILL_PROCESS: Action = Action(0x8000_0000);
    pub(super) const TRAP: Action = Action(0x0003_0000);
    pub(super) const NOTIFY: Action = Action(0x7fc0_0000);
    pub(super) const LOG: Action = Action(0x7ffc_0000);
    pub(super) const ALLOW: Action = Action(0x7fff_0000);
    pub(super) const ENOSYS: Action = Action::errno(38);
    pub(super) const EPERM: Action = Action::errno(1);

    pub(super) const fn errno(errno: u16) -> Action {
        Action(0x0005_0000 | errno as u32)
    }

    pub(super) const fn trace(message: u16) -> Action {
        Action(0x7ff0_0000 | message as u32)
    }

    /// The call happens, whoever else is told of it.
    fn lets_through(self) -> bool {
        self == Action::ALLOW || self == Action::LOG
    }

    fn is_trace(self) -> bool {
        self.0 & 0xffff_0000 == Action::trace(0).0
    }
}

/// How an argument is compared, both unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// In the bits of the mask.
    Equal {
        mask: u64,
    },
    /// In all bits.
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One condition of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u8,
    pub(super) test: Test,
    pub(super) value: u64,
}

impl Condition {
    /// Whether any argument at all meets it.
    fn holds_always(&self, narrow: bool) -> bool {
        let seen = if narrow { u64::from(u32::MAX) } else { u64::MAX };
        matches!(self.test, Test::Equal { mask } if mask & seen == 0)
    }
}

/// A rule with conditions, for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) action: Action,
    /// All must be met.
    pub(super) conditions: Vec<Condition>,
    /// Arguments of which only the lower half counts, a bit for each.
    pub(super) narrow: u8,
}

/// What happens to a call number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Default,
    Always(Action),
    /// The chain of that number: the first rule that is met, else the default.
    Chain(u16),
}

/// The verdicts of one interface.
#[derive(Debug)]
pub(super) struct Numbers {
    /// By call number.
    pub(super) verdicts: Vec<Verdict>,
    /// The largest number that a rule names.
    pub(super) largest: Option<u16>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) default: Action,
    interfaces: [Option<Numbers>; 3],
    /// Places in `rules`.
    chains: Vec<Vec<u16>>,
    rules: Vec<Rule>,
}

/// There are more rules than could ever become a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Policy {
    /// Without a rule. What comes through another interface than these is no call that the filter understands.
    pub(super) fn new(default: Action, interfaces: &[Abi]) -> Policy {
        let numbers = |abi| interfaces.contains(&abi).then(Numbers::new);
        Policy { default, interfaces: Abi::ALL.map(numbers), chains: Vec::new(), rules: Vec::new() }
    }

    /// The next rule of the profile.
    pub(super) fn add(&mut self, call: Call, action: Action, conditions: &[Condition]) -> Result<(), TooMany> {
        self.note_largest(call);
        if action == self.default {
            return Ok(());
        }
        for abi in Abi::ALL {
            let narrow = call.narrow_arguments(abi);
            if let Some(number) = call.number(abi) {
                if one_argument_twice(conditions) {
                    for condition in conditions {
                        self.add_rule(abi, number, action, std::slice::from_ref(condition), narrow)?;
                    }
                } else {
                    self.add_rule(abi, number, action, conditions, narrow)?;
                }
            }
        }
        self.add_multiplexed(call, action, conditions)
    }

    fn note_largest(&mut self, call: Call) {
        for abi in Abi::ALL {
            let multiplexed = call.multiplexed().filter(|_| abi == Abi::I386).map(|way| way.number);
            let (Some(number), Some(numbers)) = (call.number(abi).or(multiplexed), &mut self.interfaces[abi as usize])
            else {
                continue;
            };
            numbers.largest = numbers.largest.max(Some(number));
        }
    }

    /// A call that i386 has in a multiplexer too. There its arguments lie in memory, where a filter cannot look: so a
    /// condition counts as met when the rule forbids, and as not met when it lets through.
    fn add_multiplexed(&mut self, call: Call, action: Action, conditions: &[Condition]) -> Result<(), TooMany> {
        let Some(way) = call.multiplexed() else { return Ok(()) };
        let narrow = call.narrow_arguments(Abi::I386);
        let mut holds = conditions.iter().map(|c| c.holds_always(narrow & (1 << c.argument) != 0));
        let certain = if one_argument_twice(conditions) { holds.any(|h| h) } else { holds.all(|h| h) };
        if action.lets_through() && !certain {
            return Ok(());
        }
        let which = Condition { argument: 0, test: Test::Equal { mask: way.mask }, value: way.call };
        self.add_rule(Abi::I386, way.number, action, &[which], narrow)
    }

    fn add_rule(
        &mut self,
        abi: Abi,
        number: u16,
        action: Action,
        conditions: &[Condition],
        narrow: u8,
    ) -> Result<(), TooMany> {
        let Some(numbers) = &mut self.interfaces[abi as usize] else { return Ok(()) };
        let verdict = &mut numbers.verdicts[usize::from(number)];
        if matches!(verdict, Verdict::Always(_)) {
            return Ok(());
        }
        if conditions.iter().all(|c| c.holds_always(narrow & (1 << c.argument) != 0)) {
            *verdict = Verdict::Always(action);
            return Ok(());
        }
        let rule = Rule { action, conditions: conditions.to_vec(), narrow };
        let place = u16::try_from(self.rules.len()).map_err(|_| TooMany)?;
        self.rules.push(rule);
        match *verdict {
            Verdict::Chain(chain) => self.chains[usize::from(chain)].push(place),
            _ => {
                *verdict = Verdict::Chain(u16::try_from(self.chains.len()).map_err(|_| TooMany)?);
                self.chains.push(vec![place]);
            }
        }
        Ok(())
    }

    /// The verdicts of an interface, if it may be used.
    pub(super) fn numbers(&self, abi: Abi) -> Option<&Numbers> {
        self.interfaces[abi as usize].as_ref()
    }

    /// The rules of a chain, first one first.
    pub(super) fn chain(&self, chain: u16) -> impl DoubleEndedIterator<Item = &Rule> {
        self.chains[usize::from(chain)].iter().map(|place| &self.rules[usize::from(*place)])
    }

    /// What happens to a number above the largest one that `numbers` names.
    pub(super) fn beyond(&self, numbers: &Numbers) -> Action {
        let permissive = self.default.lets_through() || self.default.is_trace();
        if permissive || numbers.largest.is_none() { self.default } else { Action::ENOSYS }
    }
}

impl Numbers {
    /// One more than the largest number of any call: x32 has 547.
    const COUNT: usize = 548;

    fn new() -> Numbers {
        Numbers { verdicts: vec![Verdict::Default; Numbers::COUNT], largest: None }
    }
}

fn one_argument_twice(conditions: &[Condition]) -> bool {
    let mut seen = 0u64;
    conditions.iter().any(|c| {
        let bit = 1 << c.argument;
        let twice = seen & bit != 0;
        seen |= bit;
        twice
    })
}
