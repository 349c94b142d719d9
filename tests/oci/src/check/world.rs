//! Namespaces, names, kernel parameters, control groups, files.

use crate::report::{Report, members, texts};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// `{"net": "net:[4026531840]"}`, or with `{"not": ..}` in the place of the text: another one than that.
pub(crate) fn namespaces(expected: &Value, report: &mut Report) {
    for (name, wanted) in members(expected) {
        let link = fs::read_link(Path::new("/proc/self/ns").join(name));
        let Some(found) = report.had(name, link) else { continue };
        let found = found.to_string_lossy();
        match wanted["not"].as_str() {
            Some(other) => report.holds(name, other != found, || format!("it is {found}, as outside")),
            None => report.expect_text(name, wanted, &found),
        }
    }
}

/// The host name.
pub(crate) fn hostname(expected: &Value, report: &mut Report) {
    report.expect_text("", expected, &rustix::system::uname().nodename().to_string_lossy());
}

/// The NIS domain name.
pub(crate) fn domainname(expected: &Value, report: &mut Report) {
    report.expect_text("", expected, &rustix::system::uname().domainname().to_string_lossy());
}

/// `{"/path": "text"}`: the contents of files, white space at their ends and its amount aside. Kernel parameters are files
/// below `/proc/sys`.
pub(crate) fn contents(expected: &Value, report: &mut Report) {
    for (path, wanted) in members(expected) {
        if let Some(text) = report.had(path, fs::read_to_string(path)) {
            report.expect_text(path, wanted, &text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// Paths where nothing is.
pub(crate) fn missing(expected: &Value, report: &mut Report) {
    for path in texts(expected) {
        let there = fs::symlink_metadata(path);
        report.holds(path, there.is_err(), || "something is there".to_owned());
    }
}

/// `{"/path": "755"}`.
pub(crate) fn modes(expected: &Value, report: &mut Report) {
    for (path, wanted) in members(expected) {
        if let Some(about) = report.had(path, fs::metadata(path)) {
            report.expect_text(path, wanted, &format!("{:o}", about.permissions().mode() & 0o7777));
        }
    }
}

/// `{"/path": "0:0"}`.
pub(crate) fn owners(expected: &Value, report: &mut Report) {
    for (path, wanted) in members(expected) {
        if let Some(about) = report.had(path, fs::metadata(path)) {
            report.expect_text(path, wanted, &format!("{}:{}", about.uid(), about.gid()));
        }
    }
}

/// Files to make, for whoever looks at them from outside.
pub(crate) fn new_files(expected: &Value, report: &mut Report) {
    for path in texts(expected) {
        report.had(path, fs::write(path, "new"));
    }
}

/// `{"rooted": true, "files": {"memory": {"memory.limit_in_bytes": "1048576"}}}`: each group is the root of what can be
/// seen; and files of it, wherever that controller is mounted below `/sys/fs/cgroup`. Where the host has version 2 files
/// are looked for by the name behind the `|`.
pub(crate) fn cgroup(expected: &Value, report: &mut Report) {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if expected["rooted"] == true {
        report.holds("rooted", !text.is_empty(), || "/proc/self/cgroup is empty".to_owned());
        for line in text.lines() {
            report.holds("rooted", line.ends_with(":/"), || line.to_owned());
        }
    }
    for (controller, files) in members(&expected["files"]) {
        for (names, wanted) in members(files) {
            let (old, new) = names.split_once('|').unwrap_or((names, names));
            let (wanted_old, wanted_new) = wanted.as_str().and_then(|w| w.split_once('|')).unwrap_or_default();
            let both = [
                (Path::new("/sys/fs/cgroup").join(controller).join(old), wanted_old),
                (Path::new("/sys/fs/cgroup").join(new), wanted_new),
            ];
            let found = both.iter().find_map(|(path, wanted)| Some((fs::read_to_string(path).ok()?, wanted)));
            match found {
                Some((text, wanted)) => report.expect(old, wanted, &text.trim()),
                None => report.failed(old, "there is no such file"),
            }
        }
    }
}

/// `["monotonic 60 0", "boottime 120 0"]`.
pub(crate) fn time_offsets(expected: &Value, report: &mut Report) {
    let Some(text) = report.had("", fs::read_to_string("/proc/self/timens_offsets")) else { return };
    let found: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in texts(expected) {
        report.holds("", found.iter().any(|other| other == line), || format!("{line} is not in {found:?}"));
    }
}
