//! Requests over images, and requests that make no sense.

use super::super::{Merged, merge};
use super::{Scratch, host, request, strings};
use crate::container::request::{Bind, Config, HostConfig, LogConfig, Namespace, Resources, RestartPolicy, Seccomp};
use dhow_spec::ImageConfig;
use dhow_spec::image_config::RunConfig;

fn image(config: RunConfig) -> ImageConfig {
    ImageConfig { config, ..ImageConfig::default() }
}

fn merged(config: Config, options: HostConfig, run: RunConfig, unified: bool) -> Result<Merged, String> {
    let scratch = Scratch::new();
    let host = host(&scratch, unified);
    merge(&request(config, options), Some(&image(run)), &host).map_err(|e| e.to_string())
}

fn words(list: &[&str]) -> Option<Vec<String>> {
    Some(strings(list))
}

/// Entry point and arguments: of the request, of the image, what comes out.
#[test]
fn entry_point_and_command() {
    type Words<'a> = Option<&'a [&'a str]>;
    let cases: [(Words<'_>, Words<'_>, Words<'_>, Words<'_>, &[&str]); 12] = [
        (None, None, Some(&["/e"]), Some(&["c"]), &["/e", "c"]),
        (None, Some(&["x"]), Some(&["/e"]), Some(&["c"]), &["/e", "x"]),
        (Some(&["/f"]), None, Some(&["/e"]), Some(&["c"]), &["/f"]),
        (Some(&["/f"]), Some(&["x"]), Some(&["/e"]), Some(&["c"]), &["/f", "x"]),
        (Some(&[]), Some(&["x"]), Some(&["/e"]), Some(&["c"]), &["x"]),
        (Some(&[]), None, Some(&["/e"]), Some(&["c"]), &[]),
        (Some(&[""]), Some(&["x"]), Some(&["/e"]), None, &["x"]),
        (None, None, None, Some(&["c", "d"]), &["c", "d"]),
        (None, Some(&[]), None, Some(&["c"]), &["c"]),
        (None, None, Some(&[""]), Some(&["c"]), &["c"]),
        (None, None, None, None, &[]),
        (None, None, Some(&[]), Some(&[]), &[]),
    ];
    for (entrypoint, cmd, image_entrypoint, image_cmd, expected) in cases {
        let config = Config { entrypoint: entrypoint.map(strings), cmd: cmd.map(strings), ..Config::default() };
        let run = RunConfig {
            entrypoint: image_entrypoint.map(strings),
            cmd: image_cmd.map(strings),
            ..RunConfig::default()
        };
        let found = merged(config, HostConfig::default(), run, false).map(|m| m.command);
        match expected {
            [] => assert_eq!(found, Err("no command specified".to_owned())),
            expected => assert_eq!(found, Ok(strings(expected))),
        }
    }
}

#[test]
fn what_the_image_says_where_the_request_is_silent() {
    let run = RunConfig {
        user: "www:www".to_owned(),
        env: strings(&["PATH=/bin", "A=image", "B=image", "C=image"]),
        cmd: words(&["run"]),
        working_dir: "/srv/../data/".to_owned(),
        labels: [("a".to_owned(), "image".to_owned()), ("b".to_owned(), "image".to_owned())].into(),
        stop_signal: "SIGQUIT".to_owned(),
        ..RunConfig::default()
    };
    let config = merged(Config::default(), HostConfig::default(), run.clone(), false).unwrap().config;
    assert_eq!(config.user.as_deref(), Some("www:www"));
    assert_eq!(config.env, run.env);
    assert_eq!(config.working_dir.as_deref(), Some("/data"));
    assert_eq!(config.labels, run.labels);
    assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
    assert_eq!((config.cmd, config.entrypoint), (words(&["run"]), None));

    let own = Config {
        user: Some("7".to_owned()),
        env: strings(&["X=own", "B=own", "C"]),
        working_dir: Some("/a//b/.".to_owned()),
        labels: [("b".to_owned(), "own".to_owned())].into(),
        stop_signal: Some("9".to_owned()),
        ..Config::default()
    };
    let config = merged(own, HostConfig::default(), run, false).unwrap().config;
    assert_eq!(config.user.as_deref(), Some("7"));
    assert_eq!(config.env, ["X=own", "B=own", "C", "PATH=/bin", "A=image"]);
    assert_eq!(config.working_dir.as_deref(), Some("/a/b"));
    assert_eq!(config.labels.into_iter().map(|(k, v)| k + "=" + &v).collect::<Vec<_>>(), ["a=image", "b=own"]);
    assert_eq!(config.stop_signal.as_deref(), Some("9"));
}

#[test]
fn without_an_image() {
    let scratch = Scratch::new();
    let config = Config { cmd: words(&["sh"]), ..Config::default() };
    let found = merge(&request(config, HostConfig::default()), None, &host(&scratch, false)).unwrap();
    assert_eq!((found.command, found.warnings), (strings(&["sh"]), vec![]));
}

fn refused(config: Config, options: HostConfig) -> String {
    let run = RunConfig { cmd: words(&["sh"]), ..RunConfig::default() };
    merged(config, options, run, false).unwrap_err()
}

#[test]
fn configurations_that_make_no_sense() {
    let some = |text: &str| Some(text.to_owned());
    let long = "x".repeat(65);
    for (config, problem) in [
        (
            Config { working_dir: some("srv"), ..Config::default() },
            "the working directory 'srv' is invalid, it needs to be an absolute path",
        ),
        (Config { stop_signal: some("SIGNONE"), ..Config::default() }, "invalid signal: SIGNONE"),
        (Config { env: strings(&["=x"]), ..Config::default() }, "invalid environment variable: =x"),
        (
            Config { hostname: Some(long.clone()), ..Config::default() },
            &format!("hostname {long:?} is too long (maximum 64 bytes)"),
        ),
    ] {
        assert_eq!(refused(config, HostConfig::default()), problem);
    }
    let named = || Config { hostname: some("box"), ..Config::default() };
    let other = |id: &str| Namespace::Container(id.to_owned());
    for (config, options, problem) in [
        (
            named(),
            HostConfig { network: other("c"), ..HostConfig::default() },
            "conflicting options: hostname and the network mode",
        ),
        (
            named(),
            HostConfig { uts: Namespace::Host, ..HostConfig::default() },
            "conflicting options: hostname and the UTS mode",
        ),
        (
            Config::default(),
            HostConfig { network: other(""), ..HostConfig::default() },
            "invalid network mode: invalid container format container:<name|id>",
        ),
    ] {
        assert_eq!(refused(config, options), problem);
    }
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
fn options_that_make_no_sense() {
    let default = HostConfig::default;
    let map = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    for (options, problem) in [
        (
            HostConfig { auto_remove: true, restart: RestartPolicy::Always, ..default() },
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            HostConfig { cap_add: strings(&["nonsense"]), ..default() },
            "invalid CapAdd: unknown capability: \"CAP_NONSENSE\"",
        ),
        (
            HostConfig { cap_drop: strings(&["CAP_CAP_CHOWN"]), ..default() },
            "invalid CapDrop: unknown capability: \"CAP_CAP_CHOWN\"",
        ),
        (
            HostConfig { annotations: map("", "x"), ..default() },
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ),
        (
            HostConfig { oom_score_adj: Some(1001), ..default() },
            "Invalid value 1001, range for oom score adj is [-1000, 1000]",
        ),
        (
            HostConfig { binds: vec![bind("/x", "/a/..")], ..default() },
            "invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
        ),
        (
            HostConfig { binds: vec![bind("x", "/a")], ..default() },
            "invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute",
        ),
        (
            HostConfig { binds: vec![bind("/x", "/a"), bind("/y", "/b/../a/")], ..default() },
            "Duplicate mount point: /a",
        ),
        (HostConfig { binds: vec![bind("/x", "/a")], tmpfs: map("/a", ""), ..default() }, "Duplicate mount point: /a"),
        (HostConfig { tmpfs: map("a", ""), ..default() }, "invalid mount path: 'a' mount path must be absolute"),
        (HostConfig { tmpfs: map("/", ""), ..default() }, "invalid specification: destination can't be '/'"),
        (HostConfig { tmpfs: map("/a", "nope"), ..default() }, "invalid tmpfs option \"nope\""),
        (
            HostConfig { log: LogConfig { driver: "none".to_owned(), options: map("a", "b") }, ..default() },
            "invalid logging opts for driver none",
        ),
        (
            HostConfig { sysctls: map("net.core.somaxconn", "1"), network: Namespace::Host, ..default() },
            "sysctl \"net.core.somaxconn\" not allowed in host network namespace",
        ),
        (
            HostConfig { sysctls: map("kernel.sem", "1"), ipc: Namespace::Host, ..default() },
            "sysctl \"kernel.sem\" is not allowed in the hosts ipc namespace",
        ),
        (
            HostConfig { sysctls: map("kernel.panic", "1"), ..default() },
            "sysctl \"kernel.panic\" is not in a separate kernel namespace",
        ),
        (
            HostConfig { sysctls: map("net/../kernel/panic", "1"), ..default() },
            "sysctl 'net/../kernel/panic' is not allowed",
        ),
    ] {
        assert_eq!(refused(Config::default(), options), problem);
    }
}

#[test]
fn limits_that_make_no_sense() {
    let default = Resources::default;
    let text = |text: &str| Some(text.to_owned());
    for (limits, problem) in [
        (Resources { memory: Some(6 << 20 >> 1), ..default() }, "Minimum memory limit allowed is 6MB"),
        (Resources { memory_reservation: Some(1), ..default() }, "Minimum memory reservation allowed is 6MB"),
        (
            Resources { memory: Some(8 << 20), memory_reservation: Some(9 << 20), ..default() },
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            Resources { memory: Some(8 << 20), memory_swap: Some(7 << 20), ..default() },
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            Resources { memory_swap: Some(7 << 20), ..default() },
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            Resources { memory_swappiness: Some(101), ..default() },
            "Invalid value: 101, valid memory swappiness range is 0-100",
        ),
        (
            Resources { nano_cpus: Some(1), cpu_period: Some(1000), ..default() },
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ),
        (
            Resources { nano_cpus: Some(1), cpu_quota: Some(1000), ..default() },
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            Resources { nano_cpus: Some(4_000_000_001), ..default() },
            "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available",
        ),
        (
            Resources { cpu_period: Some(999), ..default() },
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (Resources { cpu_quota: Some(999), ..default() }, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (Resources { cpuset_cpus: text("0-x"), ..default() }, "Invalid value 0-x for cpuset cpus: invalid format: 0-x"),
        (
            Resources { cpuset_cpus: text("3-4"), ..default() },
            "Requested CPUs are not available - requested 3-4, available: 0-3",
        ),
        (
            Resources { cpuset_mems: text("2"), ..default() },
            "Requested memory nodes are not available - requested 2, available: 0-1",
        ),
        (Resources { blkio_weight: Some(9), ..default() }, "Range of blkio weight is from 10 to 1000"),
        (Resources { blkio_weight: Some(1001), ..default() }, "Range of blkio weight is from 10 to 1000"),
    ] {
        let options = HostConfig { resources: limits, ..HostConfig::default() };
        assert_eq!(refused(Config::default(), options), problem);
    }
}

#[test]
fn what_follows_from_limits() {
    let of = |resources, unified| {
        let run = RunConfig { cmd: words(&["sh"]), ..RunConfig::default() };
        let options = HostConfig { resources, ..HostConfig::default() };
        let merged = merged(Config::default(), options, run, unified).unwrap();
        (merged.host.resources, merged.warnings)
    };
    let default = Resources::default;
    assert_eq!(of(default(), false), (default(), vec![]));
    let memory = Resources { memory: Some(8 << 20), ..default() };
    assert_eq!(of(memory.clone(), true).0.memory_swap, Some(16 << 20));
    let unlimited = Resources { memory_swap: Some(-1), ..memory.clone() };
    assert_eq!(of(unlimited.clone(), true).0, unlimited);
    let zeros = Resources {
        memory: Some(0),
        memory_swap: Some(0),
        nano_cpus: Some(0),
        cpu_shares: Some(0),
        cpuset_cpus: Some(String::new()),
        blkio_weight: Some(0),
        ..default()
    };
    assert_eq!(of(zeros, false), (default(), vec![]));
    let old = Resources { oom_kill_disable: true, memory_swappiness: Some(5), ..default() };
    let (kept, warnings) = of(old.clone(), false);
    assert_eq!(kept, old);
    assert_eq!(
        warnings,
        [
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running \
          out of resources."
        ]
    );
    let (kept, warnings) = of(old, true);
    assert_eq!((kept, warnings.len()), (default(), 2));
    assert!(warnings[0].ends_with("Memory swappiness discarded."), "{warnings:?}");
    assert_eq!(warnings[1], "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
}

/// Added, dropped, what is there: `ALL` added is stronger than `ALL` dropped.
#[test]
fn capabilities() {
    use super::super::capabilities::of;
    let scratch = Scratch::new();
    let host = host(&scratch, false);
    let has = |add: &[&str], drop: &[&str], privileged| {
        let options =
            HostConfig { cap_add: strings(add), cap_drop: strings(drop), privileged, ..HostConfig::default() };
        let mut names: Vec<_> = of(&options, &host).unwrap().into_iter().map(|c| c.to_string()).collect();
        names.sort();
        names
    };
    let default = has(&[], &[], false);
    assert_eq!(default.len(), 14);
    assert_eq!(has(&[], &["ALL"], false), Vec::<String>::new());
    assert_eq!(has(&["net_admin", "CAP_SYS_TIME"], &["ALL"], false), ["NET_ADMIN", "SYS_TIME"]);
    assert_eq!(has(&["ALL"], &[], false).len(), 41);
    assert_eq!(has(&["ALL"], &["sys_admin", "chown"], false).len(), 39);
    assert_eq!(has(&["ALL"], &["ALL"], false).len(), 41);
    assert_eq!(has(&["CHOWN"], &["CHOWN"], false), default);
    assert_eq!(has(&[], &["CHOWN"], false).len(), 13);
    assert_eq!(has(&[], &["ALL"], true).len(), 41);

    // A host that has few itself.
    scratch.write("proc/self/status", "CapEff:\t0000000000000003\n");
    assert_eq!(has(&["ALL"], &[], false), ["CHOWN", "DAC_OVERRIDE"]);
    let options = HostConfig { cap_add: strings(&["SYS_ADMIN"]), ..HostConfig::default() };
    assert_eq!(
        of(&options, &host).unwrap_err().to_string(),
        "capability not supported by your kernel or not available in the current environment: \"CAP_SYS_ADMIN\""
    );
}

#[test]
fn names_of_capabilities_are_stored_in_one_form() {
    let options = HostConfig {
        cap_add: strings(&["cap_net_admin", "all"]),
        cap_drop: strings(&["Chown"]),
        seccomp: Seccomp::Unconfined,
        ..HostConfig::default()
    };
    let run = RunConfig { cmd: words(&["sh"]), ..RunConfig::default() };
    let host = merged(Config::default(), options, run, false).unwrap().host;
    assert_eq!((host.cap_add, host.cap_drop), (strings(&["NET_ADMIN", "ALL"]), strings(&["CHOWN"])));
}
