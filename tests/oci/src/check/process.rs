//! The process itself: how it was called, what it has open, how it is scheduled.

use crate::report::{Report, members, numbers, status, texts};
use serde_json::Value;
use std::fs;

/// All of them, in order.
pub(crate) fn arguments(expected: &Value, report: &mut Report) {
    let found: Vec<String> = std::env::args().collect();
    report.expect("", &texts(expected), &found.iter().map(String::as_str).collect());
}

/// All of it: `NAME=value`, in any order.
pub(crate) fn environment(expected: &Value, report: &mut Report) {
    let mut wanted: Vec<String> = texts(expected).into_iter().map(str::to_owned).collect();
    let mut found: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    wanted.sort();
    found.sort();
    report.expect("", &wanted, &found);
}

/// The working directory.
pub(crate) fn cwd(expected: &Value, report: &mut Report) {
    if let Some(found) = report.had("", std::env::current_dir()) {
        report.expect_text("", expected, &found.to_string_lossy());
    }
}

/// Just these numbers are open.
pub(crate) fn descriptors(expected: &Value, report: &mut Report) {
    let Some(entries) = report.had("", fs::read_dir("/proc/self/fd")) else { return };
    let open: Vec<(u64, String)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, target.to_string_lossy().into_owned()))
        })
        .collect();
    // The one that the list itself is read from.
    let ours = format!("/proc/{}/fd", std::process::id());
    let wanted = numbers(expected);
    let mut found: Vec<u64> = open.iter().filter(|(_, target)| *target != ours).map(|(number, _)| *number).collect();
    found.sort_unstable();
    report.holds("", wanted == found, || format!("expected {wanted:?}, found {open:?}"));
}

/// Its pid as it sees it.
pub(crate) fn pid(expected: &Value, report: &mut Report) {
    report.expect("", &expected.as_u64(), &Some(std::process::id().into()));
}

/// True: it leads a session.
pub(crate) fn session(expected: &Value, report: &mut Report) {
    let leads = rustix::process::getsid(None).is_ok_and(|session| session == rustix::process::getpid());
    report.expect("", &expected.as_bool(), &Some(leads));
}

/// `{"SigIgn": "0000000000000000"}`, as in `/proc/self/status`.
pub(crate) fn signals(expected: &Value, report: &mut Report) {
    for (name, wanted) in members(expected) {
        report.expect_text(name, wanted, &status(name).unwrap_or_default());
    }
}

/// As text.
pub(crate) fn oom_score_adj(expected: &Value, report: &mut Report) {
    line("/proc/self/oom_score_adj", expected, report);
}

/// As in `/proc/self/personality`.
pub(crate) fn personality(expected: &Value, report: &mut Report) {
    line("/proc/self/personality", expected, report);
}

fn line(path: &str, expected: &Value, report: &mut Report) {
    if let Some(text) = report.had("", fs::read_to_string(path)) {
        report.expect_text("", expected, text.trim());
    }
}

/// `Cpus_allowed_list` of `/proc/self/status`.
pub(crate) fn affinity(expected: &Value, report: &mut Report) {
    report.expect_text("", expected, &status("Cpus_allowed_list").unwrap_or_default());
}

/// `{"nice": "5", "policy": "3", "priority": "0", "io": "be 5"}`; what is missing is not looked at.
pub(crate) fn scheduling(expected: &Value, report: &mut Report) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields count from the name, which is field 2, in parentheses.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default().to_owned();
    for (name, wanted) in members(expected) {
        let found = match name {
            "nice" => field(19),
            "priority" => field(40),
            "policy" => field(41),
            "io" => io_priority(),
            _ => "there is no such check".to_owned(),
        };
        report.expect_text(name, wanted, &found);
    }
}

fn io_priority() -> String {
    match dhow_sys::schedule::io_priority() {
        Ok((class, level)) => format!("{class} {level}"),
        Err(error) => error.to_string(),
    }
}

/// How many processes there may be in its control group: tries to make this many more, and one above must fail.
pub(crate) fn pids_max(expected: &Value, report: &mut Report) {
    let wanted = expected.as_u64().unwrap_or_default();
    let mut children = Vec::new();
    // We are one ourselves.
    while (children.len() as u64) < wanted + 5 {
        let program = "/proc/self/exe";
        match std::process::Command::new(program).args(["call", "wait"]).stdin(std::process::Stdio::piped()).spawn() {
            Ok(child) => children.push(child),
            Err(_) => break,
        }
    }
    let made = children.len() as u64 + 1;
    for mut child in children {
        drop(child.stdin.take());
        let _ = child.wait();
    }
    report.expect("", &wanted, &made);
}
