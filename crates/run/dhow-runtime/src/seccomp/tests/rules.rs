//! What rules mean, one meaning at a time; and what is refused.

use super::machine::{Data, decide, run};
use super::{ALLOW, ENOSYS, EPERM, KILL_PROCESS, KILL_THREAD, TRAP, errno, oci, rule};
use crate::error::RuntimeError;
use crate::seccomp::Filter;
use crate::seccomp::calls::Abi::{self, I386, X32, X86_64};
use oci_spec::runtime::LinuxSeccompAction;

fn compile(json: &str) -> Filter {
    Filter::compile(&oci(json)).unwrap()
}

/// A profile that refuses all but what these rules say.
fn denying(rules: &str) -> Filter {
    compile(&format!(
        r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{rules}, {{"names": ["removexattrat", "pwritev2"], "action": "SCMP_ACT_ALLOW"}}]}}"#
    ))
}

#[track_caller]
fn check(filter: &Filter, abi: Abi, name: &str, arguments: &[u64], expected: u32) {
    let decided = decide(filter, &Data::of(abi, name, arguments));
    assert_eq!(decided, expected, "{abi:?} {name} {arguments:x?}: {decided:#x}");
}

#[test]
fn every_action_becomes_what_the_kernel_calls_it() {
    let actions = [
        ("SCMP_ACT_KILL", KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", KILL_PROCESS),
        ("SCMP_ACT_TRAP", TRAP),
        ("SCMP_ACT_ERRNO", errno(77)),
        ("SCMP_ACT_NOTIFY", 0x7fc0_0000),
        ("SCMP_ACT_TRACE", 0x7ff0_0000 | 77),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_ALLOW", ALLOW),
    ];
    for (action, expected) in actions {
        let filter = denying(&format!(r#"{{"names": ["read"], "action": "{action}", "errnoRet": 77}}"#));
        check(&filter, X86_64, "read", &[], expected);
        check(&filter, X86_64, "dup", &[], EPERM);
        if action != "SCMP_ACT_NOTIFY" {
            let json = format!(r#"{{"defaultAction": "{action}", "defaultErrnoRet": 77}}"#);
            check(&compile(&json), X86_64, "read", &[], expected);
        }
    }
    check(&denying(r#"{"names": ["read"], "action": "SCMP_ACT_TRACE"}"#), X86_64, "read", &[], 0x7ff0_0001);
}

#[test]
fn every_operator_sees_all_64_bits() {
    let at = 0x1_0000_0005;
    let all = [at - 0x1_0000_0000, at - 1, at, at + 1, at + 0x1_0000_0000, 0, u64::MAX];
    type Holds = fn(u64, u64) -> bool;
    let operators: [(&str, Holds); 6] = [
        ("NE", |a, b| a != b),
        ("LT", |a, b| a < b),
        ("LE", |a, b| a <= b),
        ("EQ", |a, b| a == b),
        ("GE", |a, b| a >= b),
        ("GT", |a, b| a > b),
    ];
    for (operator, holds) in operators {
        let filter = denying(&format!(
            r#"{{"names": ["lseek"], "action": "SCMP_ACT_ALLOW",
                "args": [{{"index": 1, "value": {at}, "op": "SCMP_CMP_{operator}"}}]}}"#
        ));
        for argument in all {
            let expected = if holds(argument, at) { ALLOW } else { EPERM };
            check(&filter, X86_64, "lseek", &[0, argument], expected);
            // 32 bits of both there.
            let expected = if holds(argument & 0xffff_ffff, at & 0xffff_ffff) { ALLOW } else { EPERM };
            check(&filter, I386, "lseek", &[0, argument], expected);
        }
    }
    let filter = denying(
        r#"{"names": ["lseek"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 1, "value": 1095216660735, "valueTwo": 12884901889, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
    );
    for (argument, expected) in [(0x3_0000_0001, ALLOW), (0xff03_1234_5601, ALLOW), (0xf04_ffff_ff01, EPERM)] {
        assert_eq!(argument & 0xff_0000_00ff == 0x3_0000_0001, expected == ALLOW);
        check(&filter, X86_64, "lseek", &[0, argument], expected);
    }
}

#[test]
fn conditions_of_a_rule_must_all_be_met_and_rules_are_alternatives() {
    let filter = denying(
        r#"{"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]},
            {"names": ["lseek"], "action": "SCMP_ACT_LOG", "args": [{"index": 2, "value": 3, "op": "SCMP_CMP_EQ"}]}"#,
    );
    check(&filter, X86_64, "lseek", &[1, 2, 0], ALLOW);
    check(&filter, X86_64, "lseek", &[1, 0, 0], EPERM);
    check(&filter, X86_64, "lseek", &[0, 2, 0], EPERM);
    check(&filter, X86_64, "lseek", &[0, 0, 3], 0x7ffc_0000);
    check(&filter, X86_64, "lseek", &[1, 2, 3], ALLOW);
}

#[test]
fn conditions_on_one_argument_are_alternatives() {
    let filter = denying(
        r#"{"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 2, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 2, "op": "SCMP_CMP_EQ"},
            {"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}]}"#,
    );
    for (arguments, expected) in [([0, 0, 1], ALLOW), ([0, 0, 2], ALLOW), ([9, 0, 0], ALLOW), ([0, 0, 0], EPERM)] {
        check(&filter, X86_64, "lseek", &arguments, expected);
    }
}

#[test]
fn a_rule_without_conditions_counts_and_of_two_the_first() {
    let filter = denying(
        r#"{"names": ["read"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"}, {"names": ["read"], "action": "SCMP_ACT_LOG"},
            {"names": ["dup"], "action": "SCMP_ACT_ERRNO"}, {"names": ["dup"], "action": "SCMP_ACT_ALLOW"}"#,
    );
    check(&filter, X86_64, "read", &[1], ALLOW);
    // The first one did what happens anyway.
    check(&filter, X86_64, "dup", &[], ALLOW);
}

#[test]
fn each_interface_has_its_own_numbers() {
    let filter = denying(r#"{"names": ["execve", "_llseek"], "action": "SCMP_ACT_ALLOW"}"#);
    for (abi, allowed) in [(X86_64, vec![59, 466, 328]), (I386, vec![11, 140, 466, 379]), (X32, vec![520, 466, 547])] {
        for number in 0..=466 {
            let decided = decide(&filter, &Data::numbered(abi, number, &[]));
            assert_eq!(decided, if allowed.contains(&number) { ALLOW } else { EPERM }, "{abi:?} {number}");
        }
    }
    assert_eq!(decide(&filter, &Data::numbered(X32, 547, &[])), ALLOW);
}

#[test]
fn what_is_newer_than_the_profile_is_not_there() {
    let filter = denying(r#"{"names": ["read"], "action": "SCMP_ACT_ALLOW"}"#);
    for (abi, number) in [(X86_64, 467), (X86_64, 0x3fff_ffff), (I386, 467), (I386, u32::MAX), (X32, 548)] {
        assert_eq!(decide(&filter, &Data::numbered(abi, number, &[])), ENOSYS, "{abi:?} {number}");
    }
    let only_read = r#"{"defaultAction": "ACTION", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_TRAP"}]}"#;
    for (action, expected) in [
        ("SCMP_ACT_KILL", ENOSYS),
        ("SCMP_ACT_ALLOW", ALLOW),
        ("SCMP_ACT_LOG", 0x7ffc_0000),
        ("SCMP_ACT_TRACE", 0x7ff0_0001),
    ] {
        let filter = compile(&only_read.replace("ACTION", action));
        assert_eq!(decide(&filter, &Data::numbered(X86_64, 2, &[])), expected, "{action}");
    }
}

#[test]
fn an_interface_that_is_not_listed_is_deadly() {
    let filter = compile(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
    assert_eq!(decide(&filter, &Data::numbered(X86_64, 0, &[])), ALLOW);
    assert_eq!(decide(&filter, &Data::numbered(I386, 20, &[])), KILL_THREAD);
    assert_eq!(decide(&filter, &Data::numbered(X32, 0, &[])), KILL_THREAD);
    // A tracer's way to leave a call out.
    assert_eq!(decide(&filter, &Data { number: u32::MAX, architecture: 0xc000_003e, arguments: [0; 6] }), ALLOW);
    // The native one need not be listed.
    let filter = compile(r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_ARM"]}"#);
    assert_eq!(decide(&filter, &Data::numbered(X86_64, 0, &[])), ALLOW);
    assert_eq!(decide(&filter, &Data::numbered(I386, 20, &[])), ALLOW);
    assert_eq!(decide(&filter, &Data { number: 0, architecture: 0x4000_0028, arguments: [0; 6] }), KILL_THREAD);
}

#[test]
fn an_int_is_compared_as_the_kernel_sees_it() {
    let filter = denying(
        r#"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_GT"}]},
            {"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_GT"}]}"#,
    );
    check(&filter, X86_64, "socket", &[1 << 32 | 40], EPERM);
    check(&filter, X86_64, "socket", &[1 << 32 | 41], ALLOW);
    check(&filter, X86_64, "lseek", &[1 << 32 | 40], ALLOW);
}

#[test]
fn i386_multiplexers_are_bound_by_the_rules_of_their_calls() {
    let on = r#""args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]"#;
    let allowing = denying(&format!(
        r#"{{"names": ["bind", "semop"], "action": "SCMP_ACT_ALLOW"}},
            {{"names": ["socket"], "action": "SCMP_ACT_ALLOW", {on}}}"#
    ));
    check(&allowing, I386, "socketcall", &[2], ALLOW);
    check(&allowing, I386, "socketcall", &[3], EPERM);
    check(&allowing, I386, "ipc", &[1], ALLOW);
    check(&allowing, I386, "ipc", &[0x1_0001], ALLOW);
    check(&allowing, I386, "ipc", &[2], EPERM);
    check(&allowing, I386, "socket", &[40], ALLOW);
    // Its family cannot be seen, so nobody can say that it is 40.
    check(&allowing, I386, "socketcall", &[1], EPERM);

    let refusing = compile(&format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
            "syscalls": [{{"names": ["socket"], "action": "SCMP_ACT_ERRNO", {on}}}]}}"#
    ));
    check(&refusing, I386, "socket", &[40], EPERM);
    check(&refusing, I386, "socket", &[2], ALLOW);
    check(&refusing, I386, "socketcall", &[1], EPERM);
    check(&refusing, I386, "socketcall", &[2], ALLOW);
}

#[test]
fn a_native_call_costs_few_instructions() {
    let filter = crate::seccomp::docker_default_filter(&Default::default());
    for row in crate::seccomp::table::CALLS.iter().filter(|row| row.x86_64 != crate::seccomp::table::NONE) {
        let (_, steps) = run(filter.instructions(), &Data::of(X86_64, row.name(), &[0; 6]));
        let conditions = matches!(row.name(), "socket" | "personality" | "clone");
        assert!(steps <= if conditions { 24 } else { 13 }, "{}: {steps}", row.name());
    }
}

#[test]
fn flags_are_passed_on() {
    let options = |flags: &str| compile(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW"{flags}}}"#)).options;
    assert!(options("").allow_speculation);
    assert_eq!(options(r#", "flags": []"#), Default::default());
    let set = options(r#", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]"#);
    assert!(set.log && set.all_threads && !set.allow_speculation);
}

#[track_caller]
fn refused(json: &str, field: &str) {
    match Filter::compile(&oci(json)) {
        Err(RuntimeError::Invalid { field: named, .. }) => assert_eq!(named, format!("linux.seccomp.{field}")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_its_place() {
    refused(r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x.sock"}"#, "listenerPath");
    refused(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "defaultAction");
    refused(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#, "defaultErrnoRet");
    let with = |rule: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#);
    refused(&with(r#"{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}"#), "syscalls[0].names[1]");
    refused(&with(r#"{"names": [""], "action": "SCMP_ACT_KILL"}"#), "syscalls[0].names[0]");
    refused(&with(r#"{"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536}"#), "syscalls[0].errnoRet");
    let sixth = r#"{"names": ["x"], "action": "SCMP_ACT_KILL"}, {"names": ["x"], "action": "SCMP_ACT_KILL",
        "args": [{"index": 5, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}"#;
    refused(&with(sixth), "syscalls[1].args[1].index");
}

#[test]
fn a_filter_that_the_kernel_would_not_take_is_refused() {
    let with = |count: u64| {
        let mut profile = oci(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#);
        let value = |at: u64| {
            let mut rule = rule("mmap", LinuxSeccompAction::ScmpActTrap);
            let arg =
                oci_spec::runtime::LinuxSeccompArgBuilder::default().index(1usize).value(at << 32).build().unwrap();
            rule.set_args(Some(vec![arg]));
            rule
        };
        profile.set_syscalls(Some((0..count).map(value).collect()));
        Filter::compile(&profile)
    };
    let most = with(1000).unwrap();
    super::corpus::verify(most.instructions());
    for at in [0, 1, 999, 1000] {
        let expected = if at < 1000 { TRAP } else { ALLOW };
        check(&most, X86_64, "mmap", &[0, at << 32], expected);
    }
    for count in [1100, 70_000] {
        assert!(matches!(with(count), Err(RuntimeError::Invalid { .. })), "{count}");
    }
}
