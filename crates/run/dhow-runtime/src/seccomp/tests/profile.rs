//! Profiles in docker's format: what applies, and how a mistake is told.

use super::machine::{Data, decide};
use super::{ALLOW, EPERM, errno};
use crate::error::RuntimeError;
use crate::seccomp::Filter;
use crate::seccomp::calls::Abi::{I386, X86_64};
use crate::seccomp::profile::parse_for;
use oci_spec::runtime::{Arch, Capability, LinuxSeccomp, LinuxSeccompAction};
use std::collections::HashSet;

fn parse(text: &str, capabilities: &[Capability]) -> Result<LinuxSeccomp, RuntimeError> {
    parse_for(text, &capabilities.iter().copied().collect::<HashSet<_>>(), (6, 1))
}

const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "comment": "unknown fields do no harm",
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}, "excludes": {}},
        {"name": "close", "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["both"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["neither"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
        {"names": ["not_amd64"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
        {"names": ["dup2"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.1"}},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "comment": "no AF_VSOCK",
            "args": [{"index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_NE"}]}
    ]
}"#;

fn names(profile: &LinuxSeccomp) -> Vec<String> {
    profile.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect()
}

#[test]
fn rules_apply_by_capability_architecture_and_kernel() {
    let always = ["read", "write", "close"];
    let then = ["arch_prctl", "ptrace", "socket"];
    let expect = |capabilities: &[Capability], some: &[&str]| {
        let profile = parse(PROFILE, capabilities).unwrap();
        let expected: Vec<&str> = always.iter().chain(some).chain(&then).copied().collect();
        assert_eq!(names(&profile), expected, "{capabilities:?}");
    };
    expect(&[], &["clone3", "neither"]);
    expect(&[Capability::SysAdmin], &["mount"]);
    expect(&[Capability::Bpf], &["clone3"]);
    expect(&[Capability::SysAdmin, Capability::Bpf], &["mount", "both"]);
}

#[test]
fn the_rest_is_taken_as_it_stands() {
    let profile = parse(PROFILE, &[]).unwrap();
    let arches = vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];
    assert_eq!(profile.architectures(), &Some(arches));
    let filter = Filter::compile(&profile).unwrap();
    assert_eq!(decide(&filter, &Data::of(X86_64, "read", &[])), ALLOW);
    assert_eq!(decide(&filter, &Data::of(X86_64, "dup", &[])), errno(13));
    assert_eq!(decide(&filter, &Data::of(X86_64, "clone3", &[])), errno(38));
    assert_eq!(decide(&filter, &Data::of(I386, "socket", &[40])), errno(13));
    assert_eq!(decide(&filter, &Data::of(I386, "socket", &[2])), ALLOW);
}

#[test]
fn the_plain_oci_format_is_read_too() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "flags": [],
        "syscalls": [{"names": ["dup"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let profile = parse(text, &[]).unwrap();
    assert_eq!(profile, serde_json::from_str(text).unwrap());
    assert_eq!(decide(&Filter::compile(&profile).unwrap(), &Data::of(I386, "dup", &[])), EPERM);
}

#[test]
fn nothing_said_is_nothing_filtered() {
    for text in ["{}", r#"{"defaultAction": "", "syscalls": []}"#, r#"{"defaultAction": null}"#] {
        let profile = parse(text, &[]).unwrap();
        assert_eq!(profile.default_action(), LinuxSeccompAction::ScmpActAllow);
        assert_eq!(decide(&Filter::compile(&profile).unwrap(), &Data::of(X86_64, "reboot", &[])), ALLOW);
    }
}

#[track_caller]
fn refused(text: &str, field: &str, problem: &str) {
    match parse(text, &[]) {
        Err(RuntimeError::Invalid { field: named, problem: told }) => {
            let place = if field.is_empty() { String::new() } else { format!(": {field}") };
            assert_eq!(named, format!("seccomp profile{place}"), "{text}");
            assert!(told.contains(problem), "{told}");
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    refused("", "", "not JSON");
    refused("[]", "", "not an object");
    refused(r#"{"defaultAction": "SCMP_ACT_ALLOW""#, "", "not JSON");
    refused(r#"{"defaultAction": "SCMP_ACT_NONE"}"#, "defaultAction", "SCMP_ACT_NONE");
    refused(r#"{"defaultAction": 1}"#, "defaultAction", "not a string");
    refused(r#"{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#, "defaultAction", "missing");
    refused(r#"{"syscalls": {}}"#, "syscalls", "not a list");
    let top = |rest: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", {rest}}}"#);
    refused(&top(r#""defaultErrnoRet": -1"#), "defaultErrnoRet", "-1");
    refused(&top(r#""defaultErrnoRet": 4294967296"#), "defaultErrnoRet", "4294967296");
    refused(&top(r#""architectures": ["SCMP_ARCH_X86", "x86"]"#), "architectures[1]", "x86");
    refused(&top(r#""flags": ["SECCOMP_FILTER_FLAG_X"]"#), "flags[0]", "SECCOMP_FILTER_FLAG_X");
    let both = r#""architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]"#;
    refused(&top(both), "archMap", "both");
    refused(&top(r#""archMap": [{"subArchitectures": []}]"#), "archMap[0].architecture", "missing");
    let rule = |rest: &str| top(&format!(r#""syscalls": [{{"action": "SCMP_ACT_KILL"}}, {{{rest}}}]"#));
    refused(&rule(r#""names": ["read"]"#), "syscalls[1].action", "missing");
    refused(&rule(r#""names": ["read"], "action": "KILL""#), "syscalls[1].action", "KILL");
    refused(&rule(r#""names": ["read", 0], "action": "SCMP_ACT_KILL""#), "syscalls[1].names[1]", "not a string");
    refused(&rule(r#""names": [""], "action": "SCMP_ACT_KILL""#), "syscalls[1].names[0]", "without a name");
    refused(&rule(r#""names": ["a"], "name": "b", "action": "SCMP_ACT_KILL""#), "syscalls[1].name", "both");
    refused(&rule(r#""name": "b", "action": "SCMP_ACT_ERRNO", "errnoRet": "x""#), "syscalls[1].errnoRet", "\"x\"");
    refused(&rule(r#""includes": {"minKernel": "4"}"#), "syscalls[1].includes.minKernel", "4.8");
    refused(&rule(r#""excludes": {"minKernel": "0.0"}"#), "syscalls[1].excludes.minKernel", "0.0");
    refused(&rule(r#""excludes": {"caps": "CAP_BPF"}"#), "syscalls[1].excludes.caps", "not a list");
    refused(&rule(r#""includes": []"#), "syscalls[1].includes", "not an object");
    let arg = |rest: &str| rule(&format!(r#""names": ["a"], "action": "SCMP_ACT_KILL", "args": [{{{rest}}}]"#));
    refused(&arg(r#""index": 6, "value": 0, "op": "SCMP_CMP_EQ""#), "syscalls[1].args[0].index", "0 to 5");
    refused(&arg(r#""index": 0, "value": 1.5, "op": "SCMP_CMP_EQ""#), "syscalls[1].args[0].value", "1.5");
    refused(&arg(r#""index": 0, "value": 0"#), "syscalls[1].args[0].op", "missing");
    refused(&arg(r#""index": 0, "value": 0, "op": "=""#), "syscalls[1].args[0].op", "=");
}

#[test]
fn the_kernel_that_runs_is_asked() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["dup"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "4.8"}},
        {"names": ["dup2"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "255.0"}}]}"#;
    assert_eq!(names(&crate::seccomp::parse_profile(text, &HashSet::new()).unwrap()), ["dup"]);
}
