//! `linux.personality`, `linux.timeOffsets`, `process.scheduler`, `process.ioPriority`.

use crate::case::{case, ours};
use serde_json::json;

#[test]
fn clocks_of_its_own() {
    let Some(mut case) = case() else { return };
    case.add("/linux/namespaces", json!({"type": "time"}));
    case.set(
        "/linux/timeOffsets",
        json!({"monotonic": {"secs": 172_800, "nanosecs": 5}, "boottime": {"secs": 604_800}}),
    );
    case.expect("namespaces", json!({"time": {"not": ours("time")}, "pid": {"not": ours("pid")}}));
    case.expect("time_offsets", json!(["monotonic 172800 5", "boottime 604800 0"])).expect("pid", json!(1));
    case.differs("runc", "start", "it knows them since 1.2").differs(
        "crun",
        "start",
        "before 1.9 it needed a user namespace",
    );
    case.run();
}

#[test]
fn offsets_without_a_time_namespace_are_refused() {
    let Some(mut case) = case() else { return };
    case.set("/linux/timeOffsets", json!({"boottime": {"secs": 604_800}}));
    case.differs("crun", "refused", "it takes no notice of them").differs("runc", "refused", "1.1 does not know them");
    case.is_refused("linux.timeOffsets");
}

#[test]
fn another_execution_domain() {
    let Some(mut case) = case() else { return };
    case.set("/linux/personality", json!({"domain": "LINUX32"})).expect("personality", json!("00000008"));
    case.differs("runc", "personality", "it knows the field since 1.2");
    case.run();
}

#[test]
fn policy_and_priorities() {
    let Some(mut case) = case() else { return };
    case.set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 7}));
    case.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    case.expect("scheduling", json!({"policy": "3", "nice": "7", "io": "2 6"}));
    case.differs("runc", "scheduling", "it knows them since 1.2").differs("crun", "scheduling", "since 1.9");
    case.run();
    case.set("/process/scheduler", json!({"policy": "SCHED_IDLE"})).expect("scheduling", json!({"policy": "5"}));
    case.run();
}

#[test]
fn priorities_that_make_no_sense_are_refused() {
    let Some(mut case) = case() else { return };
    case.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}));
    for runtime in ["runc", "crun"] {
        case.differs(runtime, "refused", "older ones do not know the field");
    }
    case.is_refused("process.ioPriority");
}
