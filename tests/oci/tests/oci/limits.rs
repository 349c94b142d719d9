//! `process.rlimits`, `linux.resources`, `process.oomScoreAdj`.

use crate::case::case;
use serde_json::json;

#[test]
fn limits_of_the_process() {
    let Some(mut case) = case() else { return };
    case.set(
        "/process/rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_AS", "soft": 1_u64 << 40, "hard": 1_u64 << 41}, {"type": "RLIMIT_FSIZE", "soft": 1 << 20, "hard": u64::MAX},
            {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 2000}]),
    );
    case.expect(
        "rlimits",
        json!({"RLIMIT_NOFILE": [100, 200], "RLIMIT_CORE": [0, 0], "RLIMIT_AS": [1_u64 << 40, 1_u64 << 41],
            "RLIMIT_FSIZE": [1 << 20, null], "RLIMIT_NPROC": [1000, 2000]}),
    );
    case.run();
}

#[test]
fn a_soft_limit_above_the_hard_one_is_refused() {
    let Some(mut case) = case() else { return };
    case.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 300, "hard": 200}]));
    case.is_refused("RLIMIT_NOFILE");
}

#[test]
fn memory_and_processors_as_seen_from_inside() {
    let Some(mut case) = case() else { return };
    case.add(
        "/mounts",
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}),
    );
    case.set("/linux/resources/memory", json!({"limit": 64 << 20}));
    case.set("/linux/resources/cpu", json!({"shares": 512, "quota": 20000, "period": 100_000}));
    case.expect(
        "cgroup",
        json!({"files": {
            "memory": {"memory.limit_in_bytes|memory.max": "67108864|67108864"},
            "cpu": {"cpu.cfs_quota_us|cpu.max": "20000|20000 100000", "cpu.shares|cpu.weight": "512|59"},
        }}),
    );
    case.differs("runc", "cgroup.cpu.shares", "before 1.3.2 the weight for these shares was 20");
    case.differs("crun", "cgroup.cpu.shares", "before 1.23 the weight for these shares was 20");
    case.run();
}

#[test]
fn the_number_of_processes() {
    let Some(mut case) = case() else { return };
    case.set("/linux/resources/pids", json!({"limit": 7})).expect("pids_max", json!(7));
    case.run();
}

#[test]
fn the_score_of_the_out_of_memory_killer() {
    let Some(mut case) = case() else { return };
    case.set("/process/oomScoreAdj", json!(321)).expect("oom_score_adj", json!("321"));
    case.run();
}
