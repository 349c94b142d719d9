//! Random profiles: the program decides every call as the rules do.

use super::corpus::verify;
use super::machine::{Data, run};
use super::oracle::Oracle;
use crate::seccomp::Filter;
use crate::seccomp::table::CALLS;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator, LinuxSyscall,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn names() -> impl Strategy<Value = String> {
    // Multiplexed, narrow, with a number of its own on x32, on one interface only, and unknown.
    let odd = vec![
        "socket",
        "accept",
        "send",
        "semop",
        "shmget",
        "ioctl",
        "clone",
        "personality",
        "execve",
        "read",
        "pwritev2",
        "socketcall",
        "ipc",
        "waitpid",
        "uretprobe",
        "removexattrat",
        "not_a_call",
    ];
    prop_oneof![select(odd).prop_map(str::to_owned), (0..CALLS.len()).prop_map(|at| CALLS[at].name().to_owned())]
}

fn words() -> impl Strategy<Value = u64> {
    let odd = vec![0, 1, 2, 38, 40, 0xffff, 0x1_0001, u32::MAX.into(), 1 << 32, 1 << 32 | 40, u64::MAX, u64::MAX << 32];
    prop_oneof![4 => select(odd), 1 => any::<u64>(), 1 => any::<u32>().prop_map(u64::from)]
}

fn args() -> impl Strategy<Value = LinuxSeccompArg> {
    use LinuxSeccompOperator::*;
    let ops = vec![ScmpCmpNe, ScmpCmpLt, ScmpCmpLe, ScmpCmpEq, ScmpCmpGe, ScmpCmpGt, ScmpCmpMaskedEq];
    (0usize..6, words(), proptest::option::of(words()), select(ops)).prop_map(|(index, value, second, op)| {
        let arg = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
        match second {
            Some(second) => arg.value_two(second).build().unwrap(),
            None => arg.build().unwrap(),
        }
    })
}

fn actions() -> impl Strategy<Value = (LinuxSeccompAction, Option<u32>)> {
    use LinuxSeccompAction::*;
    let actions = vec![
        ScmpActKill,
        ScmpActKillThread,
        ScmpActKillProcess,
        ScmpActTrap,
        ScmpActErrno,
        ScmpActTrace,
        ScmpActLog,
        ScmpActAllow,
    ];
    (select(actions), select(vec![None, Some(0), Some(1), Some(38), Some(4095)]))
}

fn rules(conditions: std::ops::Range<usize>) -> impl Strategy<Value = LinuxSyscall> {
    let several = proptest::collection::vec(names(), 1..4);
    let args = proptest::collection::vec(args(), conditions);
    (several, actions(), args).prop_map(|(names, (action, errno), args)| {
        let mut rule = LinuxSyscall::default();
        rule.set_names(names);
        rule.set_action(action);
        rule.set_errno_ret(errno);
        rule.set_args((!args.is_empty()).then_some(args));
        rule
    })
}

fn profiles(count: std::ops::Range<usize>, conditions: std::ops::Range<usize>) -> impl Strategy<Value = LinuxSeccomp> {
    let arches = vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32, Arch::ScmpArchArm];
    let arches = proptest::option::of(proptest::sample::subsequence(arches, 0..=4));
    (actions(), arches, proptest::collection::vec(rules(conditions), count)).prop_map(
        |((action, errno), arches, rules)| {
            let mut profile = LinuxSeccomp::default();
            profile.set_default_action(action);
            profile.set_default_errno_ret(errno);
            profile.set_architectures(arches);
            profile.set_syscalls(Some(rules));
            profile
        },
    )
}

/// A call that has a chance to be named in the profile, with arguments that have a chance to be compared there.
fn call(profile: &LinuxSeccomp, seed: (u8, Index, Index, [Index; 6], u32)) -> Data {
    let (kind, rule, name, arguments, any) = seed;
    let rules = profile.syscalls().as_deref().unwrap_or_default();
    let named = (!rules.is_empty()).then(|| rule.get(rules).names()).filter(|names| !names.is_empty());
    let row = named.and_then(|names| CALLS.iter().find(|row| row.name() == name.get(names).as_str()));
    let row = row.unwrap_or_else(|| name.get(&CALLS));
    let multiplexer = if kind & 64 == 0 { 102 } else { 117 };
    let (architecture, number) = match kind % 8 {
        0..3 => (0xc000_003e, u32::from(row.x86_64)),
        3 => (0x4000_0003, u32::from(row.i386)),
        4 => (0x4000_0003, multiplexer),
        5 => (0xc000_003e, 1 << 30 | u32::from(row.x32)),
        6 => (0xc000_003e, if kind & 8 == 0 { any % 600 } else { any }),
        _ => (if kind & 8 == 0 { 0x4000_0003 } else { any }, any % 600),
    };
    let mut values: Vec<u64> = rules.iter().flat_map(|rule| rule.args().iter().flatten()).flat_map(around).collect();
    values.extend((0..25).chain([1 << 32, 0x1_0001]));
    let mut arguments = arguments.map(|index| *index.get(&values));
    if architecture == 0x4000_0003 {
        arguments = arguments.map(|argument| argument & 0xffff_ffff);
    }
    Data { number, architecture, arguments }
}

fn around(arg: &LinuxSeccompArg) -> impl Iterator<Item = u64> + use<> {
    let (value, second) = (arg.value(), arg.value_two().unwrap_or_default());
    [value, second, value.wrapping_add(1), value.wrapping_sub(1), value | second, value ^ 1 << 32, value & 0xffff_ffff]
        .into_iter()
}

type Seeds = Vec<(u8, Index, Index, [Index; 6], u32)>;

fn seeds() -> impl Strategy<Value = Seeds> {
    proptest::collection::vec(any::<(u8, Index, Index, [Index; 6], u32)>(), 60)
}

fn agrees(profile: &LinuxSeccomp, seeds: Seeds) -> Result<(), TestCaseError> {
    // Too long for the kernel: that is an answer too, and the corpus tests it.
    let Ok(filter) = Filter::compile(profile) else { return Ok(()) };
    verify(filter.instructions());
    let oracle = Oracle::new(profile);
    for seed in seeds {
        let data = call(profile, seed);
        let expected = oracle.decide(&data);
        prop_assert_eq!(run(filter.instructions(), &data).0, expected, "{:?}", data);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_decide_as_the_rules_do((profile, seeds) in (profiles(0..12, 0..4), seeds())) {
        agrees(&profile, seeds)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// With jumps that are too far for one instruction.
    #[test]
    fn long_programs_decide_as_the_rules_do((profile, seeds) in (profiles(40..90, 1..3), seeds())) {
        agrees(&profile, seeds)?;
    }
}
