//! What a profile says of a call, read straight from its rules: slow, without halves of words, trees or jumps.

use super::machine::Data;
use crate::seccomp::calls::{Abi, X32_BIT};
use crate::seccomp::table::{CALLS, IPC, NONE, Row};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

/// A profile with its names looked up.
pub(super) struct Oracle<'a> {
    profile: &'a LinuxSeccomp,
    rules: Vec<(&'a LinuxSyscall, Vec<&'static Row>)>,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(profile: &'a LinuxSeccomp) -> Oracle<'a> {
        let row = |name: &String| CALLS.iter().find(|row| row.name() == name.as_str());
        let rules = profile.syscalls().iter().flatten();
        Oracle { profile, rules: rules.map(|rule| (rule, rule.names().iter().filter_map(row).collect())).collect() }
    }

    pub(super) fn decide(&self, data: &Data) -> u32 {
        let default = self.profile.default_action().as_u32(self.profile.default_errno_ret());
        let listed = |arch| self.profile.architectures().iter().flatten().any(|a| *a == arch);
        let (abi, number) = match data.architecture {
            0xc000_003e if data.number < X32_BIT => (Abi::X86_64, data.number),
            0xc000_003e if listed(Arch::ScmpArchX32) => (Abi::X32, data.number - X32_BIT),
            0xc000_003e if data.number == u32::MAX => return default,
            0x4000_0003 if listed(Arch::ScmpArchX86) => (Abi::I386, data.number),
            _ => return 0,
        };
        let mut chain = Vec::new();
        let mut largest = None;
        for (rule, rows) in &self.rules {
            for row in rows {
                largest = largest.max(number_of(row, abi));
                if rule.action().as_u32(rule.errno_ret()) != default {
                    chain.extend(ways(rule, row, abi, number));
                }
            }
        }
        if let Some(way) = chain.iter().find(|way| way.tests.iter().all(|test| test.tautology())) {
            return way.action;
        }
        let permissive = matches!(default & 0xffff_0000, 0x7fff_0000 | 0x7ffc_0000 | 0x7ff0_0000);
        match chain.iter().find(|way| way.tests.iter().all(|test| test.met(data))) {
            Some(way) => way.action,
            None if largest.is_some_and(|largest| number > largest) && !permissive => 0x0005_0026,
            None => default,
        }
    }
}

fn number_of(row: &Row, abi: Abi) -> Option<u32> {
    let number = match abi {
        Abi::X86_64 => row.x86_64,
        Abi::I386 if row.i386 == NONE && row.multiplexed != NONE => multiplexer(row).0,
        Abi::I386 => row.i386,
        Abi::X32 => row.x32,
    };
    (number != NONE).then_some(number.into())
}

fn multiplexer(row: &Row) -> (u16, u64, u64) {
    if row.multiplexed > IPC {
        (117, u64::from(row.multiplexed - IPC), 0xffff)
    } else {
        (102, u64::from(row.multiplexed), u64::MAX)
    }
}

/// All tests met: this action.
struct Way {
    action: u32,
    tests: Vec<Test>,
}

struct Test {
    argument: usize,
    /// The bits that count at all.
    seen: u64,
    op: LinuxSeccompOperator,
    value: u64,
    second: u64,
}

/// How a rule speaks of this number, if it does.
fn ways(rule: &LinuxSyscall, row: &Row, abi: Abi, number: u32) -> Vec<Way> {
    let direct = [row.x86_64, row.i386, row.x32][abi as usize];
    let is_direct = direct != NONE && u32::from(direct) == number;
    let is_multiplexed = abi == Abi::I386 && row.multiplexed != NONE && u32::from(multiplexer(row).0) == number;
    if !is_direct && !is_multiplexed {
        return Vec::new();
    }
    let args = rule.args().as_deref().unwrap_or_default();
    let tests: Vec<Test> = args.iter().map(|arg| Test::new(arg, row, abi)).collect();
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index() == index).count() > 1);
    let action = rule.action().as_u32(rule.errno_ret());
    let tautology = if twice { tests.iter().any(Test::tautology) } else { tests.iter().all(Test::tautology) };
    let mut ways = Vec::new();
    if is_direct {
        if twice {
            ways.extend(tests.into_iter().map(|test| Way { action, tests: vec![test] }));
        } else {
            ways.push(Way { action, tests });
        }
    }
    if is_multiplexed {
        let (_, call, mask) = multiplexer(row);
        let test = Test {
            argument: 0,
            seen: 0xffff_ffff,
            op: LinuxSeccompOperator::ScmpCmpMaskedEq,
            value: mask,
            second: call,
        };
        if tautology || !matches!(action, 0x7fff_0000 | 0x7ffc_0000) {
            ways.push(Way { action, tests: vec![test] });
        }
    }
    ways
}

impl Test {
    fn new(arg: &LinuxSeccompArg, row: &Row, abi: Abi) -> Test {
        let narrow = abi != Abi::X86_64
            || match row.name() {
                "socket" | "socketpair" => arg.index() < 3,
                "fcntl" | "ioctl" => arg.index() < 2,
                "clone" | "personality" | "prctl" => arg.index() == 0,
                _ => false,
            };
        Test {
            argument: arg.index(),
            seen: if narrow { 0xffff_ffff } else { u64::MAX },
            op: arg.op(),
            value: arg.value(),
            second: arg.value_two().unwrap_or_default(),
        }
    }

    fn tautology(&self) -> bool {
        self.op == LinuxSeccompOperator::ScmpCmpMaskedEq && self.value & self.seen == 0
    }

    fn met(&self, data: &Data) -> bool {
        let argument = data.arguments[self.argument] & self.seen;
        let value = self.value & self.seen;
        match self.op {
            LinuxSeccompOperator::ScmpCmpNe => argument != value,
            LinuxSeccompOperator::ScmpCmpLt => argument < value,
            LinuxSeccompOperator::ScmpCmpLe => argument <= value,
            LinuxSeccompOperator::ScmpCmpEq => argument == value,
            LinuxSeccompOperator::ScmpCmpGe => argument >= value,
            LinuxSeccompOperator::ScmpCmpGt => argument > value,
            LinuxSeccompOperator::ScmpCmpMaskedEq => argument & value == self.second & value,
        }
    }
}
