//! Limits, as they become files and values of either version.

use super::*;
use oci_spec::runtime::LinuxResources;

/// `linux.resources` from its JSON, as it comes in.
fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

fn show(settings: Vec<Setting>) -> Vec<String> {
    let show = |s: Setting| {
        let ways: Vec<String> = s.ways.iter().map(|(file, value)| format!("{file}={value}")).collect();
        format!("{}{}", ways.join(" | "), if s.may_lack { " (may lack)" } else { "" })
    };
    settings.into_iter().map(show).collect()
}

fn as_v1(json: &str) -> Vec<String> {
    check(&resources(json)).unwrap();
    show(v1(&resources(json)).unwrap())
}

fn as_v2(json: &str) -> Vec<String> {
    check(&resources(json)).unwrap();
    show(v2(&resources(json), &Present::default()).unwrap())
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_is_not_asked_for_is_not_written() {
    for json in [
        "{}",
        r#"{"memory":{},"cpu":{},"pids":{"limit":0},"blockIO":{},"network":{},"unified":{},"hugepageLimits":[]}"#,
        r#"{"memory":{"limit":0,"swap":0,"reservation":0,"kernel":0},"cpu":{"shares":0,"quota":0,"period":0,"cpus":""}}"#,
    ] {
        assert_eq!(as_v1(json), NOTHING);
        assert_eq!(as_v2(json), NOTHING);
    }
}

#[test]
fn memory() {
    let both = r#"{"memory":{"limit":1000,"swap":3000,"reservation":500}}"#;
    assert_eq!(
        as_v1(both),
        ["memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=3000", "memory.soft_limit_in_bytes=500"]
    );
    assert_eq!(as_v2(both), ["memory.swap.max=2000", "memory.max=1000", "memory.low=500"]);
    let no_swap = r#"{"memory":{"limit":1000,"swap":1000}}"#;
    assert_eq!(as_v2(no_swap), ["memory.swap.max=0 (may lack)", "memory.max=1000"]);
    let no_limit = r#"{"memory":{"limit":-1}}"#;
    assert_eq!(as_v1(no_limit), ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1 (may lack)"]);
    assert_eq!(as_v2(no_limit), ["memory.swap.max=max (may lack)", "memory.max=max"]);
    let any_swap = r#"{"memory":{"limit":1000,"swap":-1}}"#;
    assert_eq!(as_v1(any_swap), ["memory.limit_in_bytes=1000", "memory.memsw.limit_in_bytes=-1 (may lack)"]);
    assert_eq!(as_v2(any_swap), ["memory.swap.max=max (may lack)", "memory.max=1000"]);
    let behaviour = r#"{"memory":{"swappiness":0,"disableOOMKiller":true}}"#;
    assert_eq!(as_v1(behaviour), ["memory.swappiness=0", "memory.oom_control=1"]);
    assert_eq!(as_v2(r#"{"memory":{"disableOOMKiller":false}}"#), NOTHING);
}

#[test]
fn cpu() {
    let all = r#"{"cpu":{"shares":512,"period":100000,"quota":50000,"cpus":"0-1","mems":"0"}}"#;
    assert_eq!(
        as_v1(all),
        ["cpu.shares=512", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000", "cpuset.cpus=0-1", "cpuset.mems=0"]
    );
    assert_eq!(as_v2(all), ["cpu.weight=59", "cpu.max=50000 100000", "cpuset.cpus=0-1", "cpuset.mems=0"]);
    assert_eq!(as_v1(r#"{"cpu":{"quota":-5}}"#), ["cpu.cfs_quota_us=-1"]);
    assert_eq!(as_v2(r#"{"cpu":{"quota":-1}}"#), ["cpu.max=max"]);
    assert_eq!(as_v2(r#"{"cpu":{"quota":20000}}"#), ["cpu.max=20000"]);
    let period = resources(r#"{"cpu":{"period":50000}}"#);
    assert!(needs_cpu_max(&period) && !needs_cpu_max(&resources(all)));
    let present = Present { cpu_max: Some("20000 100000\n".to_owned()) };
    assert_eq!(show(v2(&period, &present).unwrap()), ["cpu.max=20000 50000"]);
    assert_eq!(show(v2(&period, &Present::default()).unwrap()), ["cpu.max=max 50000"]);
}

#[test]
fn shares_become_weights_as_in_runc() {
    // The ends and the middle are those of the test of opencontainers/cgroups.
    for (shares, weight) in
        [(2, 1), (3, 2), (10, 4), (512, 59), (1024, 100), (2048, 174), (262_143, 10_000), (262_144, 10_000)]
    {
        let written = as_v2(&format!(r#"{{"cpu":{{"shares":{shares}}}}}"#));
        assert_eq!(written, [format!("cpu.weight={weight}")], "{shares}");
    }
}

#[test]
fn the_other_controllers() {
    let others = r#"{"pids":{"limit":100},"hugepageLimits":[{"pageSize":"2MB","limit":4194304}],
        "rdma":{"mlx5_1":{"hcaHandles":3}}}"#;
    assert_eq!(
        as_v1(others),
        [
            "pids.max=100",
            "hugetlb.2MB.limit_in_bytes=4194304",
            "hugetlb.2MB.rsvd.limit_in_bytes=4194304 (may lack)",
            "rdma.max=mlx5_1 hca_handle=3 hca_object=max",
        ]
    );
    assert_eq!(as_v2(others)[1..3], ["hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304 (may lack)"]);
    assert_eq!(as_v2(r#"{"pids":{"limit":-1}}"#), ["pids.max=max"]);
    let network = r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}"#;
    assert_eq!(as_v1(network), ["net_cls.classid=1048577", "net_prio.ifpriomap=eth0 5"]);
}

#[test]
fn block_devices() {
    let io = r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}],
        "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
        "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}}"#;
    assert_eq!(
        as_v1(io),
        [
            "blkio.weight=500 | blkio.bfq.weight=500",
            "blkio.weight_device=8:0 10 | blkio.bfq.weight_device=8:0 10",
            "blkio.throttle.read_bps_device=8:0 600",
            "blkio.throttle.write_iops_device=8:16 0",
        ]
    );
    assert_eq!(
        as_v2(io),
        [
            "io.bfq.weight=500 | io.weight=4950",
            "io.bfq.weight=8:0 10 | io.weight=8:0 1",
            "io.max=8:0 rbps=600",
            "io.max=8:16 wiops=max",
        ]
    );
}

#[test]
fn unified_has_the_last_word_and_only_in_version_2() {
    let json = r#"{"memory":{"limit":1000},"unified":{"memory.max":"2000","cgroup.max.depth":"3"}}"#;
    assert_eq!(as_v2(json), ["memory.max=1000", "cgroup.max.depth=3", "memory.max=2000"]);
    let error = v1(&resources(json)).unwrap_err();
    assert!(matches!(error, RuntimeError::Unsupported { .. }), "{error}");
}

#[test]
fn limits_that_version_2_has_none_of() {
    for json in [
        r#"{"memory":{"swappiness":10}}"#,
        r#"{"memory":{"disableOOMKiller":true}}"#,
        r#"{"memory":{"kernelTCP":1000}}"#,
        r#"{"cpu":{"realtimeRuntime":1000}}"#,
        r#"{"blockIO":{"leafWeight":100}}"#,
        r#"{"network":{"classID":5}}"#,
    ] {
        let error = v2(&resources(json), &Present::default()).unwrap_err();
        assert!(matches!(error, RuntimeError::Unsupported { .. }), "{json}: {error}");
    }
}

#[test]
fn values_that_make_no_sense() {
    for (json, field) in [
        (r#"{"memory":{"limit":-2}}"#, "memory.limit"),
        (r#"{"memory":{"swap":1000}}"#, "memory.swap"),
        (r#"{"memory":{"limit":1000,"swap":999}}"#, "memory.swap"),
        (r#"{"memory":{"limit":-1,"swap":999}}"#, "memory.swap"),
        (r#"{"memory":{"swappiness":101}}"#, "memory.swappiness"),
        (r#"{"cpu":{"shares":1}}"#, "cpu.shares"),
        (r#"{"cpu":{"shares":262145}}"#, "cpu.shares"),
        (r#"{"cpu":{"period":999}}"#, "cpu.period"),
        (r#"{"cpu":{"period":1000001}}"#, "cpu.period"),
        (r#"{"cpu":{"quota":999}}"#, "cpu.quota"),
        (r#"{"cpu":{"idle":2}}"#, "cpu.idle"),
        (r#"{"cpu":{"cpus":"0-"}}"#, "cpu.cpus"),
        (r#"{"cpu":{"cpus":"3-1"}}"#, "cpu.cpus"),
        (r#"{"cpu":{"cpus":"0, 1"}}"#, "cpu.cpus"),
        (r#"{"cpu":{"mems":"0\n1"}}"#, "cpu.mems"),
        (r#"{"cpu":{"mems":"+1"}}"#, "cpu.mems"),
        (r#"{"cpu":{"mems":"0-7:3/2"}}"#, "cpu.mems"),
        (r#"{"blockIO":{"weight":9}}"#, "blockIO.weight"),
        (r#"{"blockIO":{"weight":1001}}"#, "blockIO.weight"),
        (r#"{"blockIO":{"weightDevice":[{"major":-1,"minor":0,"weight":10}]}}"#, "blockIO.weightDevice"),
        (r#"{"hugepageLimits":[{"pageSize":"2M","limit":1}]}"#, "hugepageLimits.pageSize"),
        (r#"{"hugepageLimits":[{"pageSize":"../2MB","limit":1}]}"#, "hugepageLimits.pageSize"),
        (r#"{"network":{"priorities":[{"name":"a b","priority":1}]}}"#, "network.priorities.name"),
        (r#"{"unified":{"../memory.max":"1"}}"#, "unified"),
        (r#"{"unified":{"cgroup.procs":"1"}}"#, "unified"),
        (r#"{"unified":{"nothing":"1"}}"#, "unified"),
    ] {
        match check(&resources(json)) {
            Err(RuntimeError::Invalid { field: named, .. }) => {
                assert_eq!(named, format!("linux.resources.{field}"), "{json}");
            }
            other => panic!("{json}: {other:?}"),
        }
    }
    for list in ["0", "0-3", "0-3,7,9-11", "0-10:2/4"] {
        check(&resources(&format!(r#"{{"cpu":{{"cpus":"{list}"}}}}"#))).unwrap();
    }
}
