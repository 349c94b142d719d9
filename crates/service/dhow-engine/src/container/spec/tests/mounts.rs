//! Mounts: order, what takes whose place, options, sources.

use super::super::mounts::{of, tmpfs_options};
use super::super::{Files, check_sources, make_sources};
use super::{Scratch, host};
use crate::container::request::{Bind, HostConfig, Namespace};
use std::path::Path;

fn bind(source: impl AsRef<Path>, target: &str) -> Bind {
    Bind {
        source: source.as_ref().to_owned(),
        target: target.to_owned(),
        read_only: false,
        propagation: None,
        non_recursive: false,
        create_source: false,
    }
}

fn targets(options: &HostConfig) -> Vec<String> {
    let scratch = Scratch::new();
    let files = Files { hosts: Some("/c/hosts".into()), hostname: Some("/c/hostname".into()), ..Files::default() };
    let mounts = of(options, &files, false, &host(&scratch, false)).unwrap();
    mounts.list.iter().map(|m| m.destination().display().to_string()).collect()
}

#[test]
fn outer_mounts_come_first_and_take_the_place_of_defaults() {
    let with = |list: &[&str]| HostConfig {
        binds: list.iter().map(|target| bind("/x", target)).collect(),
        ..HostConfig::default()
    };
    let defaults = ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"];
    let files = ["/etc/hostname", "/etc/hosts"];
    let expect = |front: &[&str], middle: &[&str]| -> Vec<String> {
        front.iter().chain(middle).map(|s| (*s).to_owned()).collect()
    };
    assert_eq!(targets(&with(&[])), expect(&defaults, &files));
    assert_eq!(
        targets(&with(&["/b/c/d", "/b", "/a", "/a/b"])),
        expect(&defaults, &["/b", "/a", "/a/b", "/etc/hostname", "/etc/hosts", "/b/c/d"])
    );
    assert_eq!(
        targets(&with(&["/dev"])),
        expect(&["/proc", "/sys", "/sys/fs/cgroup"], &["/dev", "/etc/hostname", "/etc/hosts"])
    );
    assert_eq!(
        targets(&with(&["/dev/shm/", "/etc/hosts"])),
        expect(&defaults[..6], &["/dev/shm", "/etc/hosts", "/etc/hostname"])
    );
    let none = HostConfig { ipc: Namespace::None, ..HostConfig::default() };
    assert_eq!(targets(&none), expect(&defaults[..6], &files));
}

#[test]
fn options_of_tmpfs() {
    for (text, expected) in [
        ("", "noexec,nosuid,nodev,rprivate"),
        ("size=1m", "noexec,nosuid,nodev,rprivate,size=1m"),
        ("exec,suid", "nodev,rprivate,exec,suid"),
        ("rw,ro", "noexec,nosuid,nodev,rprivate,ro"),
        ("shared,mode=700,mode=755", "noexec,nosuid,nodev,shared,mode=755"),
        ("defaults,uid=1,gid=2,nr_inodes=3", "noexec,nosuid,nodev,rprivate,uid=1,gid=2,nr_inodes=3"),
    ] {
        assert_eq!(tmpfs_options(text).unwrap().join(","), expected, "{text}");
    }
    assert_eq!(tmpfs_options("bogus"), Err("invalid tmpfs option \"bogus\"".to_owned()));
    assert_eq!(tmpfs_options("upperdir=/x"), Err("invalid tmpfs option \"upperdir\"".to_owned()));
    assert_eq!(tmpfs_options("rbind"), Err("invalid tmpfs option \"rbind\"".to_owned()));
}

#[test]
fn propagation_needs_a_source_that_has_it() {
    let scratch = Scratch::new();
    let host = host(&scratch, false);
    let root = |source: &str, propagation: &str| {
        let bind = Bind { propagation: Some(propagation.to_owned()), ..bind(source, "/x") };
        let options = HostConfig { binds: vec![bind], ..HostConfig::default() };
        of(&options, &Files::default(), false, &host).map(|m| m.propagation).map_err(|e| e.to_string())
    };
    assert_eq!(root("/proc/self", "rprivate"), Ok(None));
    assert_eq!(root("/proc/sys", "rshared"), Ok(Some("shared")));
    assert_eq!(root("/proc/sys", "slave"), Ok(Some("rslave")));
    assert_eq!(root("/sys", "rslave"), Ok(Some("rslave")));
    assert_eq!(root("/sys", "shared"), Err("path /sys is mounted on /sys but it is not a shared mount".to_owned()));
    assert_eq!(
        root("/etc", "rslave"),
        Err("path /etc is mounted on / but it is not a shared or slave mount".to_owned())
    );
}

#[test]
fn sources_of_binds() {
    let scratch = Scratch::new();
    let missing = scratch.join("a/b");
    let made = Bind { create_source: true, ..bind(&missing, "/x") };
    let wanted = bind(&missing, "/x");
    let with = |bind: &Bind| HostConfig { binds: vec![bind.clone()], ..HostConfig::default() };
    assert_eq!(
        check_sources(&with(&wanted)).unwrap_err().to_string(),
        format!("invalid mount config for type \"bind\": bind source path does not exist: {}", missing.display())
    );
    check_sources(&with(&made)).unwrap();
    assert!(!missing.exists());
    make_sources(&with(&made)).unwrap();
    assert!(missing.is_dir());
    make_sources(&with(&made)).unwrap();
    check_sources(&with(&wanted)).unwrap();
    scratch.write("file", "");
    let below = Bind { source: scratch.join("file/below"), ..made };
    // Not a directory: whatever is wrong is not hidden by making something.
    assert!(make_sources(&with(&below)).is_ok());
}
