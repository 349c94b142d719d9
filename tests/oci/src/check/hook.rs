//! What a hook sees: appended as one line of JSON to a file, for the test to read when all is over.

use crate::report::status;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Words behind the name: `fail` (ends with 3, after a word on standard error), `hang` (never ends by itself), `deaf` (does
/// not read the state).
pub(crate) fn record(file: &str, name: &str, words: &[&str]) -> ExitCode {
    let mut state = String::new();
    if !words.contains(&"deaf") {
        let _ = std::io::stdin().read_to_string(&mut state);
    }
    let link =
        |name: &str| fs::read_link(format!("/proc/self/{name}")).map(|l| l.display().to_string()).unwrap_or_default();
    let list = |path: &str| {
        let entries = fs::read_dir(path).into_iter().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned())).collect();
        names.sort();
        names
    };
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let kind =
        ["mnt", "net", "uts", "ipc", "pid"].map(|kind| (kind.to_owned(), Value::from(link(&format!("ns/{kind}")))));
    let line = json!({
        "name": name,
        "state": serde_json::from_str(&state).unwrap_or(Value::Null),
        "arguments": std::env::args().collect::<Vec<_>>(),
        "environment": std::env::vars().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>(),
        "namespaces": serde_json::Map::from_iter(kind),
        "descriptors": list("/proc/self/fd"),
        "root": list("/"),
        "mounts": table.lines().filter_map(|l| l.split(' ').nth(4)).collect::<Vec<_>>(),
        "cwd": link("cwd"),
        "effective": status("CapEff"),
        "user": status("Uid"),
        "seccomp": status("Seccomp"),
        "cgroup": fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
    });
    let written = fs::OpenOptions::new().append(true).create(true).open(file);
    if written.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).is_err() {
        return ExitCode::from(4);
    }
    if words.contains(&"hang") {
        loop {
            std::thread::park();
        }
    }
    if words.contains(&"fail") {
        let _ = std::io::stderr().write_all(b"this hook does not want to\n");
        return ExitCode::from(3);
    }
    ExitCode::SUCCESS
}
