//! `linux.maskedPaths` and `linux.readonlyPaths`.

use crate::case::case;
use serde_json::json;
use std::fs;

#[test]
fn the_usual_ones() {
    let Some(mut case) = case() else { return };
    case.add("/linux/maskedPaths", json!("/proc/cpuinfo")).expect("masked", json!(["/proc/cpuinfo"]));
    case.expect("read_only", json!(["/proc/fs", "/proc/irq", "/proc/sys", "/proc/sys/kernel/hostname"]));
    case.run();
}

#[test]
fn files_and_directories_of_the_root() {
    let Some(mut case) = case() else { return };
    fs::write(case.bundle.root().join("etc/secret"), "secret").unwrap();
    fs::create_dir(case.bundle.root().join("etc/secrets")).unwrap();
    fs::write(case.bundle.root().join("etc/secrets/key"), "secret").unwrap();
    fs::create_dir(case.bundle.root().join("etc/fixed")).unwrap();
    fs::write(case.bundle.root().join("etc/fixed/file"), "fixed").unwrap();
    case.set("/linux/maskedPaths", json!(["/etc/secret", "/etc/secrets", "/not/there", "/proc/irq"]));
    case.set("/linux/readonlyPaths", json!(["/etc/fixed", "/also/not/there", "/proc/sys"]));
    case.expect("masked", json!(["/etc/secret", "/etc/secrets", "/proc/irq"]));
    case.expect("read_only", json!(["/etc/fixed", "/etc/fixed/file", "/proc/sys"]));
    case.expect("missing", json!(["/not", "/also"])).expect("writable", json!(["/etc"]));
    case.expect("contents", json!({"/etc/fixed/file": "fixed"}));
    case.run();
}

#[test]
fn none_at_all() {
    let Some(mut case) = case() else { return };
    case.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    case.expect("mounts_are_only", json!(["/", "/proc", "/dev/", "/sys"]));
    case.run();
}
