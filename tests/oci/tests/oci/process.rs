//! `process`: arguments, environment, directory, descriptors, signals.

use crate::case::case;
use serde_json::json;
use std::fs;

#[test]
fn arguments_environment_directory_and_descriptors() {
    let Some(mut case) = case() else { return };
    case.set("/process/args", json!(["/check", "/expected.json", "two words", "", "ünï"]));
    case.set("/process/env", json!(["PATH=/bin", "EMPTY=", "TWO=a=b", "UNI=ü"]));
    case.set("/process/cwd", json!("/etc"));
    case.expect("arguments", json!(["/check", "/expected.json", "two words", "", "ünï"]));
    case.expect("environment", json!(["PATH=/bin", "EMPTY=", "TWO=a=b", "UNI=ü"])).expect("cwd", json!("/etc"));
    case.expect("descriptors", json!([0, 1, 2])).expect("session", json!(true)).expect("pid", json!(1));
    case.differs("runc", "environment", "it sets HOME when there is none");
    case.differs("crun", "environment", "it sets HOME when there is none");
    case.run();
}

#[test]
fn a_program_is_found_in_the_path() {
    let Some(mut case) = case() else { return };
    let bin = case.bundle.root().join("opt/bin");
    fs::create_dir_all(&bin).unwrap();
    fs::hard_link(case.bundle.root().join("check"), bin.join("found")).unwrap();
    case.set("/process/args", json!(["found", "/expected.json"]))
        .set("/process/env", json!(["PATH=/not/there:/opt/bin"]));
    case.expect("arguments", json!(["found", "/expected.json"]));
    case.run();
}

#[test]
fn a_missing_directory_is_made() {
    let Some(mut case) = case() else { return };
    case.set("/process/cwd", json!("/srv/app"))
        .expect("cwd", json!("/srv/app"))
        .expect("modes", json!({"/srv/app": "755"}));
    case.run();
}

#[test]
fn no_new_privileges() {
    for set in [true, false] {
        let Some(mut case) = case() else { return };
        case.set("/process/noNewPrivileges", json!(set)).expect("no_new_privileges", json!(set));
        case.run();
    }
}

#[test]
fn signals_are_as_new() {
    let Some(mut case) = case() else { return };
    // The check ignores SIGPIPE itself, as programs in Rust do: signal 13.
    case.expect("signals", json!({"SigBlk": "0000000000000000", "SigIgn": "0000000000001000"}));
    for runtime in ["runc", "crun"] {
        case.differs(runtime, "signals", "what the caller ignores stays ignored");
    }
    case.run();
}

#[test]
fn what_cannot_be_executed_is_refused() {
    let Some(mut case) = case() else { return };
    case.set("/process/args", json!(["/not/there"]));
    case.is_refused("no such file or directory");
    case.set("/process/args", json!(["/etc"]));
    case.is_refused("is a directory");
    case.set("/process/args", json!([]));
    case.is_refused("process.args");
    case.set("/process/args", json!(["/check"])).set("/process/cwd", json!("relative"));
    case.is_refused("process.cwd");
}

#[test]
fn standard_input_without_a_writer_is_the_null_device_of_the_container() {
    let Some(mut case) = case() else { return };
    case.expect("links", json!({"/proc/self/fd/0": "/dev/null"}));
    for runtime in ["runc", "crun"] {
        case.differs(runtime, "links", "it gets an empty file here (runtimes.rs)");
    }
    case.run();
}

#[test]
fn labels_of_a_security_module_that_is_not_there_are_refused() {
    let modules = fs::read_to_string("/proc/self/attr/current").unwrap_or_default();
    if !modules.trim_matches('\0').is_empty() {
        eprintln!("SKIPPED: this host has a security module");
        return;
    }
    for (field, text) in [("apparmorProfile", "AppArmor is not in use"), ("selinuxLabel", "SELinux is not in use")] {
        let Some(mut case) = case() else { return };
        case.spec["process"][field] = json!("no-such-label");
        case.differs("crun", "refused", "it takes no notice of it").differs("runc", "refused", "it may, too");
        case.is_refused(text);
    }
}
