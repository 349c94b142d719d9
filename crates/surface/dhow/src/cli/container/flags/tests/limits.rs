//! Limits and devices: what their values mean, and what docker refuses.

use super::super::value;
use super::{fault, host};
use dhow_engine::container::request::{Device, HostConfig, Resources, Throttle, Ulimit};

#[test]
fn limits() {
    let limits = |flags: &[&str]| host(flags).resources;
    assert_eq!(
        limits(&[
            "-m",
            "64m",
            "--memory-swap=-1",
            "--memory-reservation",
            "32M",
            "--memory-swappiness",
            "0",
            "-c",
            "512",
            "--cpus",
            "1.5",
            "--cpuset-cpus",
            "0-1",
            "--cpuset-mems",
            "0",
            "--pids-limit",
            "-1",
            "--blkio-weight",
            "300",
            "--blkio-weight-device",
            "/dev/sda:20",
            "--device-read-bps",
            "/dev/sda:1mb",
            "--device-write-bps",
            "/dev/sda:1k",
            "--device-read-iops",
            "/dev/sda:1000",
            "--device-write-iops",
            "/dev/sda:0",
        ]),
        Resources {
            memory: Some(64 << 20),
            memory_swap: Some(-1),
            memory_reservation: Some(32 << 20),
            memory_swappiness: Some(0),
            cpu_shares: Some(512),
            nano_cpus: Some(1_500_000_000),
            cpuset_cpus: Some("0-1".to_owned()),
            cpuset_mems: Some("0".to_owned()),
            pids: Some(-1),
            blkio_weight: Some(300),
            blkio_weight_device: vec![Throttle { device: "/dev/sda".into(), rate: 20 }],
            device_read_bps: vec![Throttle { device: "/dev/sda".into(), rate: 1 << 20 }],
            device_write_bps: vec![Throttle { device: "/dev/sda".into(), rate: 1 << 10 }],
            device_read_iops: vec![Throttle { device: "/dev/sda".into(), rate: 1000 }],
            device_write_iops: vec![Throttle { device: "/dev/sda".into(), rate: 0 }],
            ..Resources::default()
        }
    );
    let period = Resources { cpu_period: Some(50_000), cpu_quota: Some(-1), ..Resources::default() };
    assert_eq!(limits(&["--cpu-period", "50000", "--cpu-quota=-1"]), period);
    let zeros = [
        "-m=0",
        "--memory-swap=0",
        "--memory-swappiness=-1",
        "-c=0",
        "--cpus=0",
        "--pids-limit=0",
        "--blkio-weight=0",
        "--cpu-period=0",
        "--cpu-quota=0",
        "--cpuset-cpus=",
        "--shm-size=0",
        "--memory-reservation=0",
    ];
    assert_eq!(host(&zeros), HostConfig::default());
    assert_eq!(host(&["--shm-size", "1g"]).shm_size, Some(1 << 30));
    assert_eq!(host(&["--oom-score-adj", "-500"]).oom_score_adj, Some(-500));
    assert_eq!(host(&["--cgroup-parent", "/x"]).cgroup_parent.as_deref(), Some("/x"));
}

#[test]
fn limits_that_are_none() {
    for (flag, value, problem) in [
        ("-m", "abc", "-m, --memory: invalid size: 'abc'"),
        ("-m", "-1", "-m, --memory: invalid size: '-1'"),
        ("--memory", "", "-m, --memory: invalid size: ''"),
        ("--memory-swap", "-2", "--memory-swap: invalid size: '-2'"),
        ("--memory-reservation", "5x", "--memory-reservation: invalid suffix: 'x'"),
        ("--shm-size", "x", "--shm-size: invalid size: 'x'"),
        ("-c", "x", "-c, --cpu-shares: strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("--cpus", "abc", "--cpus: failed to parse abc as a rational number"),
        ("--cpus", "0.0000000001", "--cpus: value is too precise"),
        ("--pids-limit", "1e3", "--pids-limit: strconv.ParseInt: parsing \"1e3\": invalid syntax"),
        ("--blkio-weight", "99999", "--blkio-weight: strconv.ParseUint: parsing \"99999\": value out of range"),
        ("--blkio-weight", "-1", "--blkio-weight: strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ("--oom-score-adj", "x", "--oom-score-adj: strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("--blkio-weight-device", "/dev/x:5", "--blkio-weight-device: invalid weight for device: /dev/x:5"),
        ("--blkio-weight-device", "x:50", "--blkio-weight-device: bad format for device path: x:50"),
        ("--device-read-bps", "abc", "--device-read-bps: bad format: abc"),
        (
            "--device-write-bps",
            "/dev/x:abc",
            "--device-write-bps: invalid rate for device: /dev/x:abc. The correct format is \
             <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
        ),
        (
            "--device-read-iops",
            "/dev/x:1k",
            "--device-read-iops: invalid rate for device: /dev/x:1k. The correct format is <device-path>:<number>. \
             Number must be a positive integer",
        ),
    ] {
        assert_eq!(fault(&[flag, value]), format!("{value:?} for {problem}"));
    }
    assert_eq!(fault(&["--memory-swappiness", "101"]), "invalid value: 101. Valid memory swappiness range is 0-100");
    assert_eq!(fault(&["-c", "-1"]), "invalid CPU shares (-1): value must be a positive integer");
}

#[test]
fn cpus() {
    for (text, expected) in [
        ("1", 1_000_000_000),
        ("0.5", 500_000_000),
        (".25", 250_000_000),
        ("2.", 2_000_000_000),
        ("1/4", 250_000_000),
        ("0.000000001", 1),
        ("+1", 1_000_000_000),
        ("9223372036", 9_223_372_036_000_000_000),
    ] {
        assert_eq!(value::cpus(text), Ok(expected), "{text}");
    }
    for text in ["", ".", "1/0", "1/3", "x", "1 ", "-1", "9223372037", "1/2/3", "1.5/2", &"9".repeat(60)] {
        assert!(value::cpus(text).is_err(), "{text}");
    }
}

#[test]
fn ulimits_and_sysctls() {
    let limit = |name: &str, soft, hard| Ulimit { name: name.to_owned(), soft, hard };
    assert_eq!(
        host(&["--ulimit", "nofile=1:2", "--ulimit", "core=0", "--ulimit", "core=-1", "--ulimit", "cpu=5:-1"]).ulimits,
        [limit("core", -1, -1), limit("cpu", 5, -1), limit("nofile", 1, 2)]
    );
    for (value, problem) in [
        ("nofile", "invalid ulimit argument: nofile"),
        ("as=1", "invalid ulimit type: as"),
        ("nofile=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("nofile=1:", "strconv.ParseInt: parsing \"\": invalid syntax"),
        ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
        ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        ("nofile=-1:1", "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 1"),
    ] {
        assert_eq!(fault(&["--ulimit", value]), format!("{value:?} for --ulimit: {problem}"));
    }
    let sysctls = host(&["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.sem=1 2=3"]).sysctls;
    assert_eq!(sysctls.get("kernel.sem").map(String::as_str), Some("1 2=3"));
    assert_eq!(sysctls.len(), 2);
    for value in ["kernel.panic=1", "net.x", "=1", "vm.x=1"] {
        assert_eq!(fault(&["--sysctl", value]), format!("{value:?} for --sysctl: sysctl '{value}' is not allowed"));
    }
}

#[test]
fn devices() {
    let device = |source: &str, target: &str, permissions: &str| Device {
        source: source.into(),
        target: target.to_owned(),
        permissions: permissions.to_owned(),
    };
    for (value, expected) in [
        ("/dev/a", device("/dev/a", "/dev/a", "rwm")),
        ("/dev/a:/dev/b", device("/dev/a", "/dev/b", "rwm")),
        ("/dev/a:rw", device("/dev/a", "/dev/a", "rw")),
        ("/dev/a:/dev/b:m", device("/dev/a", "/dev/b", "m")),
    ] {
        assert_eq!(host(&["--device", value]).devices, [expected]);
    }
    for (value, problem) in [
        ("", "bad format for path: "),
        (":/dev/b", "bad format for path: :/dev/b"),
        ("/a:/b:r:x", "bad format for path: /a:/b:r:x"),
        ("/dev/a:rr", "rr is not an absolute path"),
        ("/dev/a:/dev/b:x", "bad mode specified: x"),
        ("dev", "dev is not an absolute path"),
        ("vendor.com/class=all", "--device vendor.com/class=all: dhow cannot do CDI devices yet"),
    ] {
        assert_eq!(fault(&["--device", value]), problem);
    }
    let rules = ["--device-cgroup-rule", "c 1:3 rwm", "--device-cgroup-rule", "b *:* r"];
    assert_eq!(host(&rules).device_cgroup_rules, ["c 1:3 rwm", "b *:* r"]);
    assert_eq!(
        fault(&["--device-cgroup-rule", "c 1 r"]),
        "\"c 1 r\" for --device-cgroup-rule: invalid device cgroup format 'c 1 r'"
    );
}
