//! `dhow-oci-check FILE`: compares what a process in a container sees with what the JSON document FILE expects, and says
//! each difference by name; ends with 1 if there is any.
//!
//! Also `dhow-oci-check call NAME`, which makes one system call and says what came of it, and `dhow-oci-check hook FILE
//! NAME`, which writes down what a hook sees. Runs as the program of a container, without anything else there: it needs no
//! library and no shell. Must not know which runtime made the container.
//!
//! # The document
//!
//! An object; each key names a check of one of the modules ([`CHECKS`]), its value is what that check expects. A key that
//! nobody knows is a difference, so that nothing goes unchecked by a slip.

#![allow(clippy::print_stdout, reason = "it is a command")]

mod calls;
mod devices;
mod hook;
mod mounts;
mod process;
mod report;
mod rights;
mod world;

use report::Report;
use serde_json::Value;
use std::process::ExitCode;

/// Looks at one thing.
type Check = fn(&Value, &mut Report);

const CHECKS: &[(&str, Check)] = &[
    ("affinity", process::affinity),
    ("arguments", process::arguments),
    ("calls", calls::calls),
    ("capabilities", rights::capabilities),
    ("cgroup", world::cgroup),
    ("contents", world::contents),
    ("cwd", process::cwd),
    ("descriptors", process::descriptors),
    ("devices", devices::devices),
    ("domainname", world::domainname),
    ("environment", process::environment),
    ("groups", rights::groups),
    ("hostname", world::hostname),
    ("links", devices::links),
    ("masked", mounts::masked),
    ("missing", world::missing),
    ("modes", world::modes),
    ("mounts", mounts::mounts),
    ("mounts_are_only", mounts::only),
    ("namespaces", world::namespaces),
    ("new_files", world::new_files),
    ("no_new_privileges", rights::no_new_privileges),
    ("oom_score_adj", process::oom_score_adj),
    ("owners", world::owners),
    ("personality", process::personality),
    ("pid", process::pid),
    ("pids_max", process::pids_max),
    ("read_only", mounts::read_only),
    ("rlimits", rights::rlimits),
    ("scheduling", process::scheduling),
    ("seccomp", rights::seccomp),
    ("session", process::session),
    ("signals", process::signals),
    ("time_offsets", world::time_offsets),
    ("umask", rights::umask),
    ("unreadable", devices::unreadable),
    ("user", rights::user),
    ("writable", mounts::writable),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words.as_slice() {
        ["call", name] => {
            println!("{}", calls::make(name));
            ExitCode::SUCCESS
        }
        ["hook", file, name, rest @ ..] => hook::record(file, name, rest),
        [file, ..] => check(file),
        [] => ExitCode::FAILURE,
    }
}

fn check(file: &str) -> ExitCode {
    let document = std::fs::read(file).map_err(|e| e.to_string());
    let document: Result<Value, _> =
        document.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
    let expected = match document {
        Ok(Value::Object(expected)) => expected,
        other => {
            println!("FAILED document: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::default();
    for (name, expected) in &expected {
        match CHECKS.iter().find(|(known, _)| known == name) {
            Some((_, check)) => check(expected, report.of(name)),
            None => report.of(name).failed("", "there is no such check"),
        }
    }
    println!("CHECKED {}", report.checked);
    if report.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
