//! Whole specs. What is expected lies in `golden/`; `UPDATE_GOLDEN=1` writes it anew, to be read before it is committed.

use super::super::{Files, build};
use super::{Scratch, container, host, strings};
use crate::container::request::{Bind, Config, Device, HostConfig, Namespace, Resources, Seccomp, Throttle, Ulimit};
use crate::container::view::Container;
use oci_spec::runtime::User;
use serde_json::Value;
use std::path::Path;

/// The order of sets and maps is not kept by the type of the spec.
fn sorted(value: &mut Value, key: &str) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.iter_mut().for_each(|(key, value)| sorted(value, key));
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|value| sorted(value, ""));
            if matches!(key, "bounding" | "permitted" | "effective") {
                list.sort_by_key(ToString::to_string);
            }
        }
        _ => {}
    }
}

fn files() -> Files {
    Files {
        hostname: Some("/c/hostname".into()),
        hosts: Some("/c/hosts".into()),
        resolv_conf: Some("/c/resolv.conf".into()),
        init: Some("/usr/bin/dhow".into()),
        shm: None,
    }
}

fn user() -> User {
    let mut user = User::default();
    user.set_additional_gids(Some(vec![0, 10]));
    user
}

fn check(name: &str, container: &Container, unified: bool, prepare: impl Fn(&Scratch)) {
    let scratch = Scratch::new();
    let host = host(&scratch, unified);
    prepare(&scratch);
    let spec = build(container, &user(), Some("/root"), &files(), &host).unwrap();
    let mut value = serde_json::to_value(&spec).unwrap();
    // The profile has tests where it is made; here it matters whether there is one.
    if let Some(profile) = value["linux"].get_mut("seccomp") {
        *profile = Value::from("a profile");
    }
    sorted(&mut value, "");
    let found = serde_json::to_string_pretty(&value).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/container/spec/tests/golden/{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}.json:{}", number + 1);
    }
    assert_eq!(found, expected, "{name}");
}

fn bind(source: &str, target: &str) -> Bind {
    Bind {
        source: source.into(),
        target: target.to_owned(),
        read_only: false,
        propagation: None,
        non_recursive: false,
        create_source: true,
    }
}

#[test]
fn default() {
    check("default", &container(Config::default(), HostConfig::default()), false, |_| ());
}

#[test]
fn default_where_control_groups_are_version_2() {
    let scratch = Scratch::new();
    let host = host(&scratch, true);
    let kinds = |options| {
        let container = container(Config::default(), options);
        let spec = build(&container, &user(), None, &files(), &host).unwrap();
        let list = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
        list.iter().map(|n| n.typ().to_string()).collect::<Vec<_>>()
    };
    let own = ["mnt", "network", "uts", "pid", "ipc", "cgroup"].map(str::to_owned);
    let own = own.map(|n| if n == "network" { "net".to_owned() } else { n });
    assert_eq!(kinds(HostConfig::default()), own);
    let host_group = HostConfig { cgroupns: Namespace::Host, ..HostConfig::default() };
    assert_eq!(kinds(host_group), own[..5]);
}

#[test]
fn privileged() {
    let options = HostConfig {
        privileged: true,
        // Both say what is there already.
        cap_add: strings(&["NET_ADMIN"]),
        devices: vec![Device { source: "/dev/null".into(), target: "/dev/null".into(), permissions: "r".into() }],
        ..HostConfig::default()
    };
    check("privileged", &container(Config::default(), options), false, |scratch| {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
        std::fs::create_dir_all(scratch.join("dev/snd")).unwrap();
        std::fs::create_dir_all(scratch.join("dev/pts")).unwrap();
        let make = |name: &str, kind, mode, device| {
            let path = scratch.join("dev").join(name);
            mknodat(CWD, &path, kind, Mode::from_raw_mode(mode), device).unwrap();
            rustix::fs::chmod(&path, Mode::from_raw_mode(mode)).unwrap();
        };
        make("sda", FileType::BlockDevice, 0o660, makedev(8, 0));
        make("null", FileType::CharacterDevice, 0o666, makedev(1, 3));
        make("console", FileType::CharacterDevice, 0o600, makedev(5, 1));
        make("snd/timer", FileType::CharacterDevice, 0o660, makedev(116, 33));
        make("pts/0", FileType::CharacterDevice, 0o620, makedev(136, 0));
        make("initctl", FileType::Fifo, 0o600, 0);
        std::os::unix::fs::symlink("/dev/sda", scratch.join("dev/link")).unwrap();
        std::fs::write(scratch.join("dev/file"), "").unwrap();
    });
}

#[test]
fn namespaces_of_the_host() {
    let options = HostConfig {
        network: Namespace::Host,
        pid: Namespace::Host,
        ipc: Namespace::Host,
        uts: Namespace::Host,
        cgroupns: Namespace::Host,
        init: true,
        read_only: true,
        seccomp: Seccomp::Unconfined,
        systempaths_unconfined: true,
        ..HostConfig::default()
    };
    let config = Config { domainname: Some("example.org".to_owned()), ..Config::default() };
    check("host", &container(config, options), true, |_| ());
}

#[test]
fn namespaces_of_other_containers() {
    let other = || Namespace::Container("other".to_owned());
    let options = HostConfig { network: other(), pid: other(), ipc: other(), init: true, ..HostConfig::default() };
    let container = container(Config::default(), options);
    let scratch = Scratch::new();
    let host = host(&scratch, false);
    let files = Files { shm: Some("/run/dhow/x/shm".into()), ..files() };
    let spec = build(&container, &user(), None, &files, &host).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    let kinds: Vec<_> = linux.namespaces().iter().flatten().map(|n| n.typ().to_string()).collect();
    assert_eq!(kinds, ["mnt", "uts"]);
    assert_eq!(linux.sysctl(), &None);
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.args().as_ref().unwrap()[0], "sh", "an init has no business in somebody else's pid namespace");
    let shm: Vec<_> = spec.mounts().iter().flatten().filter(|m| m.destination() == Path::new("/dev/shm")).collect();
    assert_eq!(shm.len(), 1);
    assert_eq!(shm[0].source().as_deref(), Some(Path::new("/run/dhow/x/shm")));
}

#[test]
fn many_flags() {
    let throttle = |rate| vec![Throttle { device: "/dev/null".into(), rate }];
    let options = HostConfig {
        binds: vec![
            bind("/data", "/srv/deep/data"),
            Bind { read_only: true, propagation: Some("rslave".to_owned()), ..bind("/sys", "/host/sys/") },
            Bind { non_recursive: true, ..bind("/c/my-hosts", "/etc/hosts") },
        ],
        tmpfs: [("/tmp".to_owned(), "size=64m,exec".to_owned()), ("/srv".to_owned(), String::new())].into(),
        init: true,
        read_only: true,
        cap_add: strings(&["NET_ADMIN"]),
        cap_drop: strings(&["CHOWN", "MKNOD"]),
        no_new_privileges: true,
        devices: vec![Device { source: "/dev/zero".into(), target: "/dev/nothing".into(), permissions: "r".into() }],
        device_cgroup_rules: strings(&["c 42:* rmw", "b *:7 r", "a *:* m"]),
        shm_size: Some(1 << 20),
        resources: Resources {
            memory: Some(64 << 20),
            memory_swap: Some(128 << 20),
            memory_reservation: Some(32 << 20),
            memory_swappiness: Some(0),
            oom_kill_disable: true,
            cpu_shares: Some(512),
            nano_cpus: Some(1_500_000_000),
            cpuset_cpus: Some("0-1".to_owned()),
            cpuset_mems: Some("0".to_owned()),
            pids: Some(-1),
            blkio_weight: Some(300),
            blkio_weight_device: throttle(20),
            device_read_bps: throttle(1000),
            device_write_bps: throttle(2000),
            device_read_iops: throttle(3000),
            device_write_iops: throttle(u64::MAX),
            ..Resources::default()
        },
        ulimits: vec![
            Ulimit { name: "nofile".to_owned(), soft: 1024, hard: 2048 },
            Ulimit { name: "core".to_owned(), soft: -1, hard: -1 },
        ],
        sysctls: [
            ("net.ipv4.ip_unprivileged_port_start".to_owned(), "80".to_owned()),
            ("kernel.msgmax".to_owned(), "65536".to_owned()),
        ]
        .into(),
        oom_score_adj: Some(-500),
        annotations: [("org.example".to_owned(), "x".to_owned())].into(),
        ..HostConfig::default()
    };
    let config = Config {
        hostname: Some("box".to_owned()),
        domainname: Some("example.org".to_owned()),
        tty: true,
        env: strings(&["A=1", "PATH=/bin", "HOME=/home/x", "A=2"]),
        working_dir: Some("/srv".to_owned()),
        ..Config::default()
    };
    check("many", &container(config, options), false, |_| ());
}

#[test]
fn what_has_gone_since() {
    let scratch = Scratch::new();
    let host = host(&scratch, false);
    let failed = |options| {
        build(&container(Config::default(), options), &user(), None, &files(), &host).unwrap_err().to_string()
    };
    let device = |source: &str| Device { source: source.into(), target: "/dev/x".into(), permissions: "rwm".into() };
    assert_eq!(
        failed(HostConfig { devices: vec![device("/dev/is-not-there")], ..HostConfig::default() }),
        "error gathering device information while adding custom device \"/dev/is-not-there\": no such file or directory"
    );
    assert_eq!(
        failed(HostConfig { devices: vec![device("/etc/passwd")], ..HostConfig::default() }),
        "error gathering device information while adding custom device \"/etc/passwd\": not a device node"
    );
    assert_eq!(
        failed(HostConfig { cap_add: strings(&["NONSENSE"]), ..HostConfig::default() }),
        "unknown capability: \"CAP_NONSENSE\""
    );
}
