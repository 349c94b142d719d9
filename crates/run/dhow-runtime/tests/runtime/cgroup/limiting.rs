//! Limits: set, changed, kept, and refused.

use super::{Place, file_of, hosts, json, spawn, until};
use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::Cgroup;
use std::os::unix::process::ExitStatusExt;

const MIB: u64 = 1 << 20;

fn memory(limit: u64, swap: u64) -> String {
    format!(r#"{{"memory":{{"limit":{},"swap":{}}}}}"#, limit * MIB, swap * MIB)
}

#[test]
fn limits_are_read_back() {
    for host in hosts() {
        let place = Place::new("limits", &host);
        let group = place.create(
            r#"{"memory":{"limit":16777216,"swap":33554432,"reservation":8388608},"pids":{"limit":33},
                "cpu":{"shares":512,"quota":20000,"period":50000,"cpus":"0","mems":"0"}}"#,
        );
        let expected = if place.on.is_unified() {
            [
                ("memory", "memory.max", "16777216"),
                ("memory", "memory.swap.max", "16777216"),
                ("memory", "memory.low", "8388608"),
                ("cpu", "cpu.weight", "59"),
                ("cpu", "cpu.max", "20000 50000"),
                ("cpuset", "cpuset.cpus", "0"),
                ("cpuset", "cpuset.mems", "0"),
                ("pids", "pids.max", "33"),
            ]
        } else {
            [
                ("memory", "memory.limit_in_bytes", "16777216"),
                ("memory", "memory.memsw.limit_in_bytes", "33554432"),
                ("memory", "memory.soft_limit_in_bytes", "8388608"),
                ("cpu", "cpu.shares", "512"),
                ("cpu", "cpu.cfs_quota_us", "20000"),
                ("cpu", "cpu.cfs_period_us", "50000"),
                ("cpuset", "cpuset.cpus", "0"),
                ("pids", "pids.max", "33"),
            ]
        };
        for (controller, file, value) in expected {
            assert_eq!(place.read(controller, file), value, "{}: {file}", host.0);
        }
        assert_eq!(group.stats().unwrap().memory_limit, 16 * MIB);
        group.remove().unwrap();
        assert!(!place.file("pids", "").exists());
    }
}

#[test]
fn what_is_not_asked_for_stays_as_the_kernel_has_it() {
    for host in hosts() {
        let place = Place::new("nothing", &host);
        let group = place.create("{}");
        assert_eq!(place.read("pids", "pids.max"), "max");
        assert_eq!(group.stats().unwrap().memory_limit, u64::MAX);
        if !place.on.is_unified() {
            assert_eq!(place.read("devices", "devices.list"), "a *:* rwm");
            let root = file_of(&place.on, "cpuset", "".as_ref());
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = std::fs::read_to_string(root.join(file)).unwrap();
                assert_eq!(place.read("cpuset", file), above.trim());
            }
        }
    }
}

#[test]
fn updates_go_up_and_down() {
    for host in hosts() {
        let place = Place::new("update", &host);
        let group = place.create(&memory(16, 32));
        let pids = json(r#"{"pids":{"limit":5}}"#);
        group.update(&pids).unwrap();
        let v2 = place.on.is_unified();
        let (limit, both) = if v2 {
            ("memory.max", "memory.swap.max")
        } else {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        };
        for (up_to, swap_to) in [(64, 128), (64, 64), (8, 8), (8, 16), (32, 48)] {
            group.update(&json(&memory(up_to, swap_to))).unwrap();
            assert_eq!(place.read("memory", limit), (up_to * MIB).to_string());
            let swap = if v2 { swap_to - up_to } else { swap_to };
            assert_eq!(place.read("memory", both), (swap * MIB).to_string());
        }
        group.update(&json(r#"{"memory":{"limit":-1}}"#)).unwrap();
        assert_eq!(group.stats().unwrap().memory_limit, u64::MAX);
        assert_eq!(place.read("pids", "pids.max"), "5");
        // One of two numbers that belong together, and each of them smaller than before.
        for (update, now) in [
            (r#"{"cpu":{"quota":50000}}"#, "50000 100000"),
            (r#"{"cpu":{"period":20000}}"#, "50000 20000"),
            (r#"{"cpu":{"quota":1000,"period":10000}}"#, "1000 10000"),
            (r#"{"cpu":{"quota":-1}}"#, "max 10000"),
        ] {
            group.update(&json(update)).unwrap();
            let read = if v2 {
                place.read("cpu", "cpu.max")
            } else {
                let quota = place.read("cpu", "cpu.cfs_quota_us").replace("-1", "max");
                format!("{quota} {}", place.read("cpu", "cpu.cfs_period_us"))
            };
            assert_eq!(read, now, "{update}");
        }
    }
}

#[test]
fn a_limit_above_the_one_on_both_is_explained() {
    for host in hosts() {
        let place = Place::new("explained", &host);
        let group = place.create(&memory(16, 32));
        let raised = group.update(&json(r#"{"memory":{"limit":67108864}}"#));
        if place.on.is_unified() {
            raised.unwrap();
            continue;
        }
        let error = raised.unwrap_err().to_string();
        assert!(error.contains("cannot set memory.limit_in_bytes of dhow-test-"), "{error}");
        assert!(error.contains("while memory and swap together are limited to 33554432"), "{error}");
    }
}

#[test]
fn out_of_memory_is_death_and_is_counted() {
    for host in hosts() {
        let place = Place::new("oom", &host);
        let group = place.create(&memory(16, 16));
        assert_eq!(group.stats().unwrap().oom_kills, 0);
        let mut child = spawn(&group, "exec tail /dev/zero");
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{}: {status:?}", host.0);
        let stats = group.stats().unwrap();
        assert!(stats.oom_kills >= 1, "{stats:?}");
        assert_eq!(stats.memory_limit, 16 * MIB);
        assert!(stats.cpu > 0 && stats.pids == 0, "{stats:?}");

        // In a group below, as a container may have made, it counts as well.
        let below = place.group().join("below");
        let inner = Cgroup::create(&place.on, &below, &json("{}")).unwrap();
        let before = group.stats().unwrap().oom_kills;
        let status = spawn(&inner, "exec tail /dev/zero").wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{}: {status:?}", host.0);
        assert!(group.stats().unwrap().oom_kills > before);
    }
}

#[test]
fn a_fork_loop_ends_at_the_limit() {
    for host in hosts() {
        let place = Place::new("forks", &host);
        let group = place.create(r#"{"pids":{"limit":8}}"#);
        let script = "i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done";
        let mut shell = spawn(&group, script);
        // The shell gives up at the first fork that fails.
        let status = shell.wait().unwrap();
        assert!(!status.success() && status.code() != Some(99), "{status:?}");
        let processes = group.processes().unwrap();
        assert_eq!(processes.len(), 7, "{}: {processes:?}", host.0);
        assert_eq!(group.stats().unwrap().pids, 7);
        assert!(place.read("pids", "pids.events").starts_with("max "));
        assert_ne!(place.read("pids", "pids.events"), "max 0");
        group.kill().unwrap();
        assert!(group.processes().unwrap().is_empty());
    }
}

#[test]
fn quota_is_kept() {
    for host in hosts() {
        let place = Place::new("quota", &host);
        let group = place.create(r#"{"cpu":{"quota":10000,"period":100000}}"#);
        let mut child = spawn(&group, "while :; do :; done");
        until("it has been throttled", || {
            place
                .read("cpu", "cpu.stat")
                .lines()
                .any(|l| l.strip_prefix("nr_throttled ").is_some_and(|n| n.parse::<u64>().unwrap() > 2))
        });
        group.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn nothing_is_made_when_a_limit_cannot_be_kept() {
    for host in hosts() {
        let place = Place::new("refused", &host);
        for (resources, said) in [
            (r#"{"cpu":{"period":10}}"#, "invalid linux.resources.cpu.period: must be between"),
            (r#"{"cpu":{"cpus":"0-x"}}"#, "invalid linux.resources.cpu.cpus"),
            (r#"{"devices":[{"allow":true,"access":"q"}]}"#, "invalid linux.resources.devices[0]"),
        ] {
            let error = Cgroup::create(&place.on, &place.group(), &json(resources)).unwrap_err();
            assert!(matches!(error, RuntimeError::Invalid { .. }), "{error}");
            assert!(error.to_string().starts_with(said), "{error}");
        }
        if !place.on.has("net_cls") {
            let network = json(r#"{"network":{"classID":5}}"#);
            let error = Cgroup::create(&place.on, &place.group(), &network).unwrap_err();
            assert!(matches!(error, RuntimeError::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains("network.classID") && error.to_string().contains("net_cls"), "{error}");
        }
        assert!(!file_of(&place.on, "pids", &place.top).exists());

        // Only the kernel knows that there is no such processor.
        let processors = json(r#"{"cpu":{"cpus":"8000"}}"#);
        let error = Cgroup::create(&place.on, &place.group(), &processors).unwrap_err().to_string();
        if !place.on.is_unified() {
            assert!(error.contains("cannot set cpuset.cpus of dhow-test-"), "{error}");
        }
        for controller in ["pids", "cpuset", "memory", "unified"] {
            assert!(!place.file(controller, "").exists(), "{controller}");
        }
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for host in hosts() {
        for path in ["", "/", "/absolute", "a/../b", ".."] {
            for result in [
                Cgroup::create(&host.1, path.as_ref(), &json("{}")).map(drop),
                Cgroup::open(&host.1, path.as_ref()).map(drop),
            ] {
                assert!(matches!(result, Err(RuntimeError::Invalid { .. })), "{path:?}");
            }
        }
    }
}

#[test]
fn unified_is_written_as_it_stands() {
    for host in hosts() {
        let place = Place::new("unified", &host);
        let unified = r#"{"unified":{"pids.max":"44","memory.high":"1048576"}}"#;
        let created = Cgroup::create(&place.on, &place.group(), &json(unified));
        if !place.on.is_unified() {
            assert!(matches!(created, Err(RuntimeError::Unsupported { .. })));
            continue;
        }
        created.unwrap();
        assert_eq!(place.read("", "pids.max"), "44");
        assert_eq!(place.read("", "memory.high"), "1048576");
        let unknown = json(r#"{"unified":{"memory.nothing":"1"}}"#);
        let error = Cgroup::open(&place.on, &place.group()).unwrap().update(&unknown).unwrap_err();
        assert!(error.to_string().contains("memory.nothing"), "{error}");
    }
}

/// A block device of this machine, as `major` and `minor`.
fn disk() -> (u32, u32) {
    let disks = std::fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap());
    let is_disk = |name: &str| !["loop", "ram", "zram", "dm-", "sr"].iter().any(|no| name.starts_with(no));
    let disk = disks.into_iter().find(|entry| is_disk(&entry.file_name().to_string_lossy())).unwrap();
    let numbers = std::fs::read_to_string(disk.path().join("dev")).unwrap();
    let (major, minor) = numbers.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

#[test]
fn block_devices_are_throttled() {
    let (major, minor) = disk();
    for host in hosts() {
        let place = Place::new("throttle", &host);
        let one = |rate: u64| format!(r#"[{{"major":{major},"minor":{minor},"rate":{rate}}}]"#);
        let all = |bytes: u64, operations: u64| {
            format!(
                r#"{{"blockIO":{{"throttleReadBpsDevice":{0},"throttleWriteBpsDevice":{0},
                    "throttleReadIOPSDevice":{1},"throttleWriteIOPSDevice":{1}}}}}"#,
                one(bytes),
                one(operations)
            )
        };
        let group = place.create(&all(1_048_576, 100));
        let number = format!("{major}:{minor}");
        if place.on.is_unified() {
            let line = format!("{number} rbps=1048576 wbps=1048576 riops=100 wiops=100");
            assert_eq!(place.read("io", "io.max"), line);
        } else {
            for (file, value) in
                [("read_bps", "1048576"), ("write_bps", "1048576"), ("read_iops", "100"), ("write_iops", "100")]
            {
                let file = format!("blkio.throttle.{file}_device");
                assert_eq!(place.read("blkio", &file), format!("{number} {value}"), "{file}");
            }
        }
        // 0 takes it away.
        group.update(&json(&all(0, 0))).unwrap();
        let file = if place.on.is_unified() { "io.max" } else { "blkio.throttle.read_bps_device" };
        assert_eq!(place.read("blkio", file), "");
    }
}

#[test]
fn weights_and_huge_pages_where_the_kernel_has_them() {
    for host in hosts() {
        let place = Place::new("weights", &host);
        let v2 = place.on.is_unified();
        match Cgroup::create(&place.on, &place.group(), &json(r#"{"blockIO":{"weight":500}}"#)) {
            Ok(_) if place.file("blkio", "blkio.bfq.weight").exists() => {
                assert_eq!(place.read("blkio", "blkio.bfq.weight"), "500");
            }
            Ok(_) if place.file("io", "io.bfq.weight").exists() => {
                assert_eq!(place.read("io", "io.bfq.weight"), "default 500");
            }
            Ok(_) => assert_eq!(place.read("io", "io.weight"), "default 4950"),
            Err(error) => {
                assert!(matches!(error, RuntimeError::Unsupported { .. }), "{error}");
                assert!(error.to_string().contains("weight"), "{error}");
                assert!(!place.file("pids", "").exists());
            }
        }
        let huge = json(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#);
        let made = Cgroup::create(&place.on, &place.group(), &huge);
        if place.on.has("hugetlb") {
            made.unwrap();
            let file = if v2 { "hugetlb.2MB.max" } else { "hugetlb.2MB.limit_in_bytes" };
            assert_eq!(place.read("hugetlb", file), "4194304");
        } else {
            assert!(made.unwrap_err().to_string().contains("hugetlb"));
        }
    }
}
