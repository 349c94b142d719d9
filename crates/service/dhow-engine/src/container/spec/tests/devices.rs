//! Devices and their rules.

use super::super::devices::of;
use super::{Scratch, host, strings};
use crate::container::request::{Device, HostConfig};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

fn found(options: &HostConfig) -> Result<(Vec<String>, Vec<String>), String> {
    let scratch = Scratch::new();
    let devices = of(options, &host(&scratch, false)).map_err(|e| e.to_string())?;
    let nodes = devices.nodes.iter().map(|n| {
        let kind = n.typ().as_str().to_owned();
        format!("{} {kind} {}:{} {:o}", n.path().display(), n.major(), n.minor(), n.file_mode().unwrap())
    });
    let rules = devices.rules.iter().skip(12).map(|r| format!("{} {r}", r.allow()));
    Ok((nodes.collect(), rules.collect()))
}

#[test]
fn one_a_link_to_one_and_a_directory() {
    let scratch = Scratch::new();
    let make = |name: &str, kind, device| {
        mknodat(CWD, scratch.join(name), kind, Mode::from_raw_mode(0o600), device).unwrap();
    };
    std::fs::create_dir_all(scratch.join("bus/1")).unwrap();
    make("one", FileType::CharacterDevice, makedev(42, 1));
    make("bus/1/two", FileType::BlockDevice, makedev(43, 2));
    make("bus/pipe", FileType::Fifo, 0);
    scratch.write("bus/file", "");
    std::os::unix::fs::symlink("one", scratch.join("link")).unwrap();
    // A link in a directory is not followed: it may lead anywhere.
    std::os::unix::fs::symlink("../one", scratch.join("bus/link")).unwrap();
    let with = |source: &str, permissions: &str| HostConfig {
        devices: vec![Device {
            source: scratch.join(source),
            target: "/dev/x".to_owned(),
            permissions: permissions.to_owned(),
        }],
        ..HostConfig::default()
    };
    assert_eq!(found(&with("one", "rw")), Ok((strings(&["/dev/x c 42:1 600"]), strings(&["true c 42:1 rw"]))));
    assert_eq!(found(&with("link", "m")), Ok((strings(&["/dev/x c 42:1 600"]), strings(&["true c 42:1 m"]))));
    assert_eq!(
        found(&with("bus", "r")),
        Ok((strings(&["/dev/x/1/two b 43:2 600", "/dev/x/pipe p 0:0 600"]), strings(&["true b 43:2 r"])))
    );
}

#[test]
fn rules() {
    let with = |rule: &str| HostConfig { device_cgroup_rules: strings(&[rule]), ..HostConfig::default() };
    for (rule, expected) in [
        ("c 1:3 rwm", "true c 1:3 rwm"),
        ("b *:* m", "true b *:* m"),
        ("a 7:* rr", "true a 7:* rr"),
        ("c 9223372036854775807:0 r", "true c 9223372036854775807:0 r"),
    ] {
        assert_eq!(found(&with(rule)).unwrap().1, [expected]);
    }
    for rule in [
        "",
        "c 1:3",
        "x 1:3 r",
        "c 1 r",
        "c 1:3 rwmr",
        "c 1:3 x",
        "c  1:3 r",
        "c +1:3 r",
        "c :3 r",
        "c 1:3 r ",
        "c 9223372036854775808:0 r",
    ] {
        assert_eq!(found(&with(rule)), Err(format!("invalid device cgroup rule format: '{rule}'")));
    }
}
