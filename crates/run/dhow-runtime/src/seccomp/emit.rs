//! From a policy to a program.
//!
//! ```text
//!     architecture? -- x86-64 --> number >= 1 << 30? -- no ---> tree of x86-64 numbers -> answer
//!                  \                                \- yes --> tree of x32 numbers         or: conditions -> answer
//!                   \- i386 ---> tree of i386 numbers
//!                    \- other -> the thread is killed
//! ```
//!
//! A tree is a binary search over runs of numbers with the same answer, of which docker's profile has about sixty: six
//! or seven comparisons for any call. Only such instructions are used before an unconditional answer as the kernel
//! (from 5.11) can follow when it loads the filter: it notes the numbers that are always allowed, and does not run the
//! filter for them at all.

use super::assemble::{Assembler, Compare, Label};
use super::calls::{Abi, X32_BIT};
use super::policy::{Action, Condition, Numbers, Policy, Rule, Test, Verdict};
use dhow_sys::seccomp::Instruction;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*`.
const AUDIT_X86_64: u32 = 0xc000_003e;
const AUDIT_I386: u32 = 0x4000_0003;

/// The whole program. It may be longer than the kernel takes.
pub(super) fn program(policy: &Policy) -> Vec<Instruction> {
    let mut out = Assembler::with_capacity(640);
    // The last written is the first and nearest: the native calls.
    let i386 = policy.numbers(Abi::I386).map(|numbers| {
        let tree = tree(&mut out, policy, numbers, 0);
        out.load(NUMBER, tree)
    });
    let x32 = match policy.numbers(Abi::X32) {
        Some(numbers) => tree(&mut out, policy, numbers, X32_BIT),
        None => no_x32(&mut out, policy.default),
    };
    let native = match policy.numbers(Abi::X86_64) {
        Some(numbers) => tree(&mut out, policy, numbers, 0),
        None => out.answer(Action::KILL_THREAD.0),
    };
    let number = out.branch(Compare::GreaterOrEqual, X32_BIT, x32, native);
    let number = out.load(NUMBER, number);
    let other = out.answer(Action::KILL_THREAD.0);
    let other = match i386 {
        Some(i386) => out.branch(Compare::Equal, AUDIT_I386, i386, other),
        None => other,
    };
    let architecture = out.branch(Compare::Equal, AUDIT_X86_64, number, other);
    out.load(ARCHITECTURE, architecture);
    out.finish()
}

/// x32 calls where the profile has none of them: killed as those of any interface it does not list, but for -1. That is no
/// call of x32; a tracer puts it in the place of a call that is not to happen.
fn no_x32(out: &mut Assembler, default: Action) -> Label {
    let skipped = out.answer(default.0);
    let killed = out.answer(Action::KILL_THREAD.0);
    out.branch(Compare::Equal, u32::MAX, skipped, killed)
}

/// Numbers from `start` up to the next run's share an answer.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u32,
    verdict: Verdict,
}

fn tree(out: &mut Assembler, policy: &Policy, numbers: &Numbers, base: u32) -> Label {
    let runs = runs(policy, numbers, base);
    search(out, policy, &runs)
}

fn runs(policy: &Policy, numbers: &Numbers, base: u32) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(128);
    let mut push = |start, verdict| {
        if runs.last().is_none_or(|last| last.verdict != verdict) {
            runs.push(Run { start, verdict });
        }
    };
    let beyond = Verdict::Always(policy.beyond(numbers));
    let known = numbers.largest.map_or(numbers.verdicts.len(), |largest| usize::from(largest) + 1);
    for (number, verdict) in (base..).zip(&numbers.verdicts[..known]) {
        let verdict = if *verdict == Verdict::Default { Verdict::Always(policy.default) } else { *verdict };
        push(number, verdict);
    }
    push(base + u32::try_from(known).expect("the table is short"), beyond);
    runs
}

fn search(out: &mut Assembler, policy: &Policy, runs: &[Run]) -> Label {
    match runs {
        [] => out.answer(policy.default.0),
        [one] => leaf(out, policy, one.verdict),
        [around, one, after] if around.verdict == after.verdict && one.start + 1 == after.start => {
            let no = leaf(out, policy, around.verdict);
            let yes = leaf(out, policy, one.verdict);
            out.branch(Compare::Equal, one.start, yes, no)
        }
        _ => {
            let middle = runs.len() / 2;
            let above = search(out, policy, &runs[middle..]);
            let below = search(out, policy, &runs[..middle]);
            out.branch(Compare::GreaterOrEqual, runs[middle].start, above, below)
        }
    }
}

fn leaf(out: &mut Assembler, policy: &Policy, verdict: Verdict) -> Label {
    match verdict {
        Verdict::Default => out.answer(policy.default.0),
        Verdict::Always(action) => out.answer(action.0),
        Verdict::Chain(chain) => {
            let otherwise = out.answer(policy.default.0);
            policy.chain(chain).rev().fold(otherwise, |next, rule| conditions(out, rule, next))
        }
    }
}

fn conditions(out: &mut Assembler, rule: &Rule, otherwise: Label) -> Label {
    let met = out.answer(rule.action.0);
    let narrow = |c: &Condition| rule.narrow & (1 << c.argument) != 0;
    rule.conditions.iter().rev().fold(met, |met, c| condition(out, c, narrow(c), met, otherwise))
}

/// The two halves of a 64-bit word.
#[derive(Debug, Clone, Copy)]
struct Halves {
    low: u32,
    high: u32,
}

impl Halves {
    fn of(word: u64) -> Halves {
        Halves { low: word as u32, high: (word >> 32) as u32 }
    }
}

/// A filter sees 32 bits at a time: first the upper half is compared, then, if that leaves it open, the lower one. Of a
/// narrow argument there is only the lower half.
fn condition(out: &mut Assembler, condition: &Condition, narrow: bool, met: Label, otherwise: Label) -> Label {
    let offset = ARGUMENTS + 8 * u32::from(condition.argument);
    let value = condition.value;
    match condition.test {
        Test::Equal { mask } => equal(out, offset, value, mask, narrow, met, otherwise),
        Test::NotEqual => equal(out, offset, value, u64::MAX, narrow, otherwise, met),
        Test::Greater => order(out, offset, Compare::Greater, value, narrow, met, otherwise),
        Test::GreaterOrEqual => order(out, offset, Compare::GreaterOrEqual, value, narrow, met, otherwise),
        Test::Less => order(out, offset, Compare::GreaterOrEqual, value, narrow, otherwise, met),
        Test::LessOrEqual => order(out, offset, Compare::Greater, value, narrow, otherwise, met),
    }
}

fn equal(out: &mut Assembler, offset: u32, value: u64, mask: u64, narrow: bool, yes: Label, no: Label) -> Label {
    let (value, mask) = (Halves::of(value & mask), Halves::of(mask));
    let low = equal_half(out, offset, value.low, mask.low, yes, no);
    if narrow { low } else { equal_half(out, offset + 4, value.high, mask.high, low, no) }
}

fn equal_half(out: &mut Assembler, offset: u32, value: u32, mask: u32, yes: Label, no: Label) -> Label {
    if mask == 0 {
        return yes;
    }
    let mut label = out.branch(Compare::Equal, value, yes, no);
    if mask != u32::MAX {
        label = out.and(mask, label);
    }
    out.load(offset, label)
}

fn order(out: &mut Assembler, offset: u32, how: Compare, value: u64, narrow: bool, yes: Label, no: Label) -> Label {
    let value = Halves::of(value);
    let low = out.branch(how, value.low, yes, no);
    let low = out.load(offset, low);
    if narrow {
        return low;
    }
    let same = out.branch(Compare::Equal, value.high, low, no);
    let high = out.branch(Compare::Greater, value.high, yes, same);
    out.load(offset + 4, high)
}
