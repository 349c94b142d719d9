//! Tests of the flags: what values mean, what docker 28 refuses and with which words, what never makes it panic.

mod limits;
mod mounts;
mod networks;

use super::fault::Fault;
use super::{Create, Surroundings, environment};
use crate::cli::parse::{self, Count, Shape};
use dhow_engine::container::request::{
    Bind, Config, CreateRequest, HostConfig, Namespace, RestartPolicy, RootSource, Seccomp,
};
use proptest::prelude::*;
use std::ffi::OsString;
use std::io;
use std::path::Path;

const SHAPE: Shape = Shape { usage: "", about: "", aliases: "", count: Count::AtLeast(1) };

fn env(name: &str) -> Option<String> {
    match name {
        "SET" => Some("from outside".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str().unwrap_or_default() {
        "/here/vars" => Ok(b"\xef\xbb\xbf# comment\n\n  A=1 \nB\nSET\nEMPTY\n\tC=x # y\r\nD==".to_vec()),
        "/here/labels" => Ok(b"one=1\ntwo\n".to_vec()),
        "/here/blank" => Ok(b"A B=1".to_vec()),
        "/here/nameless" => Ok(b"A=1\n=2".to_vec()),
        "/here/bytes" => Ok(b"A=1\n\xff\xfe".to_vec()),
        "/here/profile.json" => Ok(b"{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n".to_vec()),
        _ => Err(io::Error::from_raw_os_error(2)),
    }
}

fn around() -> Surroundings<'static> {
    Surroundings { env: &env, read: &read, directory: Path::new("/here") }
}

fn create(words: &[&str]) -> Create {
    let words = std::iter::once("run").chain(words.iter().copied()).map(OsString::from).collect();
    match parse::parse_leading::<Create>(&SHAPE, words, Create::count) {
        Ok(Some(create)) => create,
        other => panic!("{:?}", other.err()),
    }
}

/// Of flags only, with an image behind them.
fn request(flags: &[&str]) -> CreateRequest {
    let words: Vec<_> = flags.iter().copied().chain(["busybox"]).collect();
    create(&words).requested(&around()).unwrap()
}

fn host(flags: &[&str]) -> HostConfig {
    request(flags).host
}

fn config(flags: &[&str]) -> Config {
    request(flags).config
}

fn fault(flags: &[&str]) -> String {
    let words: Vec<_> = flags.iter().copied().chain(["busybox"]).collect();
    match create(&words).requested(&around()).unwrap_err() {
        Fault::Value { flag, value, reason } => format!("{value:?} for {flag}: {reason}"),
        Fault::Whole(message) | Fault::Later(message, _) => message,
    }
}

#[test]
fn nothing_but_an_image() {
    let request = create(&["busybox", "ls", "-l", "--rm", "--", "-e"]).requested(&around()).unwrap();
    assert_eq!((request.name, request.platform), (None, None));
    assert_eq!(request.root, RootSource::Image("busybox".to_owned()));
    let words = ["ls", "-l", "--rm", "--", "-e"].map(str::to_owned).to_vec();
    let shown = Config { attach_stdout: true, attach_stderr: true, ..Config::default() };
    assert_eq!(request.config, Config { cmd: Some(words), ..shown.clone() });
    assert_eq!(request.host, HostConfig::default());
    assert_eq!(config(&[]), shown);
}

#[test]
fn streams() {
    let shown = |flags: &[&str]| {
        let c = config(flags);
        (c.attach_stdin, c.attach_stdout, c.attach_stderr, c.tty, c.open_stdin, c.stdin_once)
    };
    assert_eq!(shown(&["-it"]), (true, true, true, true, true, true));
    assert_eq!(shown(&["-i"]), (true, true, true, false, true, true));
    assert_eq!(shown(&["-a", "STDIN", "--attach=stderr"]), (true, false, true, false, false, false));
    assert_eq!(shown(&["-i", "-a", "stdout"]), (true, true, false, false, true, true));
    assert_eq!(fault(&["-a", "all"]), "\"all\" for -a, --attach: valid streams are STDIN, STDOUT and STDERR");
}

#[test]
fn what_runs() {
    let c = config(&[
        "-h",
        "box",
        "--domainname",
        "example.org",
        "-u",
        "7:8",
        "-w",
        "/srv",
        "--entrypoint",
        "/bin/sh",
        "--stop-signal",
        "9",
        "--stop-timeout",
        "-1",
    ]);
    assert_eq!(c.hostname.as_deref(), Some("box"));
    assert_eq!(c.domainname.as_deref(), Some("example.org"));
    assert_eq!((c.user.as_deref(), c.working_dir.as_deref()), (Some("7:8"), Some("/srv")));
    assert_eq!(c.entrypoint, Some(vec!["/bin/sh".to_owned()]));
    assert_eq!((c.stop_signal.as_deref(), c.stop_timeout), (Some("9"), Some(-1)));
    assert_eq!(config(&["--entrypoint", ""]).entrypoint, Some(vec![]));
    assert_eq!(config(&["--entrypoint="]).entrypoint, Some(vec![]));
    assert_eq!(config(&["-w", "", "-u="]), config(&[]));
    assert_eq!(request(&["--name", "n"]).name.as_deref(), Some("n"));
    assert_eq!(request(&["--platform", "linux/arm64/v8"]).platform.unwrap().to_string(), "linux/arm64/v8");
    assert_eq!(
        fault(&["--stop-timeout", "x"]),
        "\"x\" for --stop-timeout: strconv.ParseInt: parsing \"x\": invalid syntax"
    );
}

#[test]
fn variables() {
    let vars = |flags: &[&str]| config(flags).env;
    assert_eq!(vars(&["-e", "A=1", "-eB=2", "--env", "A=3"]), ["A=1", "B=2", "A=3"]);
    assert_eq!(
        vars(&["-e", "SET", "-e", "EMPTY", "-e", "UNSET", "-e", "X="]),
        ["SET=from outside", "EMPTY=", "UNSET", "X="]
    );
    assert_eq!(
        vars(&["-e", "A=2", "--env-file", "vars"]),
        ["A=1 ", "SET=from outside", "EMPTY=", "C=x # y", "D==", "A=2"]
    );
    assert_eq!(vars(&["-e", "-x=1"]), ["-x=1"]);
    for (flags, problem) in [
        (["-e", "=x"], "\"=x\" for -e, --env: invalid environment variable: =x"),
        (["-e", ""], "\"\" for -e, --env: invalid environment variable: "),
        (["--env-file", "none"], "open none: no such file or directory"),
        (["--env-file", "blank"], "invalid env file (blank): variable 'A B' contains whitespaces"),
        (["--env-file", "nameless"], "invalid env file (nameless): no variable name on line '=2'"),
        (["--env-file", "bytes"], "invalid env file (bytes): invalid utf8 bytes at line 2: [255 254]"),
    ] {
        assert_eq!(fault(&flags), problem);
    }
    let list = environment(&["A=1".to_owned()], &["vars".to_owned()], &around()).unwrap();
    assert_eq!(list.last().map(String::as_str), Some("A=1"));
}

#[test]
fn labels() {
    let labels = |flags: &[&str]| {
        let pairs: Vec<_> = config(flags).labels.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(" ")
    };
    assert_eq!(labels(&["-l", "a=1", "--label", "b", "-l", "a=2=3"]), "a=2=3 b=");
    // A bare word in a file of labels is looked up nowhere, as in docker.
    assert_eq!(labels(&["--label-file", "labels", "-l", "one=mine"]), "one=mine");
    assert_eq!(fault(&["-l", "=x"]), "\"=x\" for -l, --label: invalid label '=x': empty name");
    assert_eq!(fault(&["-l", "a b=x"]), "\"a b=x\" for -l, --label: label 'a b' contains whitespaces");
}

#[test]
fn switches() {
    let h = host(&["--rm", "--init", "--privileged", "--read-only", "--oom-kill-disable", "--no-healthcheck"]);
    assert!(h.auto_remove && h.init && h.privileged && h.read_only && h.resources.oom_kill_disable);
    assert_eq!(host(&["--rm", "--rm=false", "--privileged=0"]), HostConfig::default());
    // Taken, and without effect.
    let nothing = ["--userns", "host", "--isolation", "default", "--disable-content-trust", "--kernel-memory", "5m"];
    assert_eq!(host(&nothing), HostConfig::default());
}

#[test]
fn modes() {
    let other = || Namespace::Container("c".to_owned());
    assert_eq!(host(&["--pid", "host"]).pid, Namespace::Host);
    assert_eq!(host(&["--pid=container:c"]).pid, other());
    assert_eq!(host(&["--uts", "host"]).uts, Namespace::Host);
    for (mode, expected) in [
        ("", Namespace::Default),
        ("none", Namespace::None),
        ("private", Namespace::Private),
        ("shareable", Namespace::Shareable),
        ("host", Namespace::Host),
        ("container:c", other()),
    ] {
        assert_eq!(host(&["--ipc", mode]).ipc, expected);
    }
    assert_eq!(host(&["--cgroupns", "private"]).cgroupns, Namespace::Private);
    assert_eq!(host(&["--cgroupns", "host"]).cgroupns, Namespace::Host);
    for (flags, problem) in [
        (&["--pid", "x"][..], "--pid: invalid PID mode"),
        (&["--pid", "container:"], "--pid: invalid PID mode"),
        (&["--uts", "private"], "--uts: invalid UTS mode"),
        (&["--userns", "keep-id"], "--userns: invalid USER mode"),
        (&["--cgroupns", "x"], "--cgroupns: invalid CGROUP mode"),
        (&["--ipc", "x"], "invalid IPC mode: x"),
    ] {
        assert_eq!(fault(flags), problem);
    }
}

#[test]
fn restart_policies() {
    for (policy, expected) in [
        ("", RestartPolicy::No),
        ("no", RestartPolicy::No),
        ("no:0", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::UnlessStopped),
        ("on-failure", RestartPolicy::OnFailure(0)),
        ("on-failure:", RestartPolicy::OnFailure(0)),
        ("on-failure:3", RestartPolicy::OnFailure(3)),
    ] {
        assert_eq!(host(&["--restart", policy]).restart, expected, "{policy}");
    }
    let only = "invalid restart policy: maximum retry count can only be used with 'on-failure'";
    for (policy, problem) in [
        (":3", "invalid restart policy format: no policy provided before colon"),
        ("always:x", "invalid restart policy format: maximum retry count must be an integer"),
        ("on-failure:1:2", "invalid restart policy format: maximum retry count must be an integer"),
        ("on-failure:-1", "invalid restart policy: maximum retry count cannot be negative"),
        ("always:1", only),
        ("always:-1", &format!("{only} and cannot be negative")),
        (
            "x",
            "invalid restart policy: unknown policy 'x'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
    ] {
        assert_eq!(fault(&["--restart", policy]), problem);
    }
    assert_eq!(fault(&["--rm", "--restart", "always"]), "conflicting options: cannot specify both --restart and --rm");
    assert!(host(&["--rm", "--restart", "no"]).auto_remove);
}

#[test]
fn security() {
    for flags in [["--security-opt", "seccomp=unconfined"], ["--security-opt", "seccomp:unconfined"]] {
        assert_eq!(host(&flags).seccomp, Seccomp::Unconfined);
    }
    assert_eq!(host(&["--security-opt", "seccomp=builtin"]).seccomp, Seccomp::Default);
    assert_eq!(
        host(&["--security-opt", "seccomp=profile.json"]).seccomp,
        Seccomp::Profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}".to_owned())
    );
    for value in ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:1"] {
        assert!(host(&["--security-opt", value]).no_new_privileges);
    }
    assert!(!host(&["--security-opt", "no-new-privileges:false"]).no_new_privileges);
    assert!(host(&["--security-opt", "systempaths=unconfined"]).systempaths_unconfined);
    for value in ["apparmor=unconfined", "apparmor:unconfined", "label=disable", "label:disable"] {
        assert_eq!(host(&["--security-opt", value]), HostConfig::default());
    }
    for (value, problem) in [
        ("seccomp", "Invalid --security-opt: \"seccomp\""),
        ("seccomp=", "Invalid --security-opt: \"seccomp=\""),
        ("nonsense=1", "invalid --security-opt 2: \"nonsense=1\""),
        ("no-new-privileges=x", "invalid --security-opt 2: \"no-new-privileges=x\""),
        ("seccomp=none", "opening seccomp profile (none) failed: open none: no such file or directory"),
        ("apparmor=x", "--security-opt apparmor=x: dhow cannot apply AppArmor profiles yet"),
    ] {
        assert_eq!(fault(&["--security-opt", value]), problem);
    }
    assert!(
        fault(&["--security-opt", "seccomp=vars"]).starts_with("compacting json for seccomp profile (vars) failed")
    );
    let caps = host(&["--cap-add", "CAP_NET_ADMIN", "--cap-add", "all", "--cap-drop", "chown"]);
    // One form of them is made where they are judged.
    assert_eq!(
        (caps.cap_add, caps.cap_drop),
        (vec!["CAP_NET_ADMIN".to_owned(), "all".to_owned()], vec!["chown".to_owned()])
    );
    assert_eq!(host(&["--group-add", "x", "--group-add", "7"]).group_add, ["x", "7"]);
}

#[test]
fn logs() {
    let log = host(&["--log-driver", "json-file", "--log-opt", "max-size=5m", "--log-opt", "max-file=2"]).log;
    assert_eq!((log.driver.as_str(), log.options.len()), ("json-file", 2));
    assert_eq!(host(&["--log-driver", "none"]).log.driver, "none");
    for (flags, problem) in [
        (["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (["--log-driver", "", "--log-opt", "tag=x"], "unknown log opt 'tag' for json-file log driver"),
    ] {
        assert_eq!(fault(&flags), problem);
    }
}

#[test]
fn what_comes_later_is_refused_by_name() {
    for (flags, problem) in [
        (&["--health-cmd", "true"][..], "--health-cmd: dhow cannot check the health of containers yet"),
        (&["--volumes-from", "c"], "--volumes-from: dhow cannot do volumes yet"),
        (&["--gpus", "all"], "--gpus: dhow cannot hand on GPUs yet; name their device nodes with --device"),
        (&["--isolation", "hyperv"], "--isolation: dhow cannot do what only Windows can"),
    ] {
        assert_eq!(fault(flags), problem);
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

proptest! {
    // Each case makes a hundred parsers.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nothing_typed_makes_it_panic(value in ".{0,24}", path in "[./:~a-z=,\"]{0,16}") {
        for flag in [
            "-a", "-e", "-l", "-m", "-c", "-v", "-u", "--cpus", "--device", "--device-cgroup-rule", "--device-read-bps",
            "--blkio-weight-device", "--env-file", "--ipc", "--pid", "--network", "--log-opt", "--memory-swap", "--mount",
            "--restart", "--rootfs", "--security-opt", "--sysctl", "--tmpfs", "--ulimit", "--platform", "--shm-size",
        ] {
            for text in [&value, &path, &format!("type=bind,{path}"), &format!("/dev/x:{value}")] {
                let words = ["run".to_owned(), format!("{flag}={text}"), "x".to_owned()].map(OsString::from).to_vec();
                if let Ok(Some(create)) = parse::parse_leading::<Create>(&SHAPE, words, Create::count) {
                    let _ = create.request("run", &around());
                }
            }
        }
    }

    #[test]
    fn binds_are_what_was_typed(source in "/[a-z/]{1,12}", target in "/[a-z]{1,12}", read_only: bool) {
        let text = format!("{source}:{target}{}", if read_only { ":ro" } else { "" });
        let found = host(&["-v", &text]).binds;
        prop_assert_eq!(found, vec![Bind { read_only, ..bind(&source, &target) }]);
    }
}
