//! `linux.seccomp`: what a filter does to calls.

use crate::case::case;
use serde_json::{Value, json};

/// A profile that allows all but these.
fn profile(rules: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules})
}

#[test]
fn without_a_filter_there_is_none() {
    let Some(mut case) = case() else { return };
    case.expect("seccomp", json!("0"))
        .expect("calls", json!({"mkdir": "ok", "personality": "ok", "socket": "ok", "keyctl": "ok"}));
    case.run_and(|_, root| {
        let _ = std::fs::remove_dir(root.join("tmp/made"));
        vec![]
    });
}

#[test]
fn actions_and_errors() {
    for no_new in [false, true] {
        let Some(mut case) = case() else { return };
        case.set("/process/noNewPrivileges", json!(no_new));
        let rules = json!([
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
            {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["keyctl"], "action": "SCMP_ACT_TRAP"},
            {"names": ["no_such_call"], "action": "SCMP_ACT_KILL"},
        ]);
        case.set("/linux/seccomp", profile(rules));
        case.expect("seccomp", json!("2")).expect("no_new_privileges", json!(no_new));
        case.expect("calls", json!({"mkdir": "PERM", "chmod": "OPNOTSUPP", "sethostname": "signal 31", "keyctl": "signal 31", "kill": "ok"}));
        case.run();
    }
}

#[test]
fn arguments() {
    let Some(mut case) = case() else { return };
    let rules = json!([
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
        {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
         "args": [{"index": 0, "value": 0x1000_0000, "valueTwo": 0x1000_0000, "op": "SCMP_CMP_MASKED_EQ"}]},
    ]);
    case.set("/linux/seccomp", profile(rules));
    let more = json!(["CAP_SYS_ADMIN"]);
    case.set("/process/capabilities", json!({"bounding": more, "effective": more, "permitted": more}));
    case.expect(
        "calls",
        json!({"personality": "ACCES", "socket": "ok", "socket-vsock": "AFNOSUPPORT", "unshare": "ok", "unshare-user": "PERM"}),
    );
    case.run();
}

#[test]
fn only_what_is_listed() {
    let Some(mut case) = case() else { return };
    // Docker's own idea: an error for all that is not allowed.
    let profile = dhow_runtime::seccomp::docker_default(&std::collections::HashSet::new());
    case.set("/linux/seccomp", serde_json::to_value(profile).unwrap());
    case.expect("seccomp", json!("2"));
    case.expect(
        "calls",
        json!({"mkdir": "ok", "keyctl": "PERM", "mount": "PERM", "unshare": "PERM", "unshare-user": "PERM",
        "socket": "ok", "socket-vsock": "PERM", "personality": "ok", "chroot": "PERM"}),
    );
    case.differs("runc", "calls.socket-vsock", "it lets the call through, though no rule allows it");
    case.run_and(|_, root| {
        let _ = std::fs::remove_dir(root.join("tmp/made"));
        vec![]
    });
}
