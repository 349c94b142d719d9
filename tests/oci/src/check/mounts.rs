//! The table of mounts, and what can be read and written through them.

use crate::report::{Report, members, texts};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// One line of `/proc/self/mountinfo` (proc(5)).
struct Mount {
    root: String,
    place: String,
    options: Vec<String>,
    propagation: Vec<String>,
    kind: String,
    of_file_system: Vec<String>,
}

fn table() -> Vec<Mount> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Mount> {
    let (before, behind) = line.split_once(" - ")?;
    let before: Vec<&str> = before.split(' ').collect();
    let behind: Vec<&str> = behind.split(' ').collect();
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: (*before.get(3)?).to_owned(),
        place: (*before.get(4)?).to_owned(),
        options: list(before.get(5)?),
        propagation: before[6..].iter().map(|word| word.split(':').next().unwrap_or(word).to_owned()).collect(),
        kind: (*behind.first()?).to_owned(),
        of_file_system: list(behind.get(2)?),
    })
}

/// `{"/place": {"type": .., "options": [..], "without": [..], "file_system": [..], "propagation": [..], "root": ..}}`:
/// what is mounted there last. `options` must be among those of the mount, `without` must not.
pub(crate) fn mounts(expected: &Value, report: &mut Report) {
    let table = table();
    for (place, wanted) in members(expected) {
        let Some(mount) = table.iter().rev().find(|mount| mount.place == place) else {
            if !wanted.is_null() {
                report.failed(place, "nothing is mounted there");
            }
            continue;
        };
        if wanted.is_null() {
            report.failed(place, "something is mounted there");
        }
        for (what, value) in members(wanted) {
            let name = format!("{place}.{what}");
            match what {
                "type" => report.expect_text(&name, value, &mount.kind),
                "root" => report.expect_text(&name, value, &mount.root),
                "options" => among(report, &name, value, &mount.options),
                "file_system" => among(report, &name, value, &mount.of_file_system),
                "without" => {
                    for word in texts(value) {
                        let found = &mount.options;
                        report.holds(&name, !found.iter().any(|o| o == word), || format!("{word} is in {found:?}"));
                    }
                }
                "propagation" => {
                    let found: Vec<&str> = mount.propagation.iter().map(String::as_str).collect();
                    report.expect(&name, &texts(value), &found);
                }
                _ => report.failed(&name, "there is no such check"),
            }
        }
    }
}

fn among(report: &mut Report, name: &str, wanted: &Value, found: &[String]) {
    for word in texts(wanted) {
        report.holds(name, found.iter().any(|option| option == word), || format!("{word} is not in {found:?}"));
    }
}

/// A list of places: nothing is mounted anywhere else, but for places below those that end with a slash.
pub(crate) fn only(expected: &Value, report: &mut Report) {
    let expected = texts(expected);
    for mount in table() {
        let known = expected.iter().any(|place| match place.strip_suffix('/') {
            Some(above) if !above.is_empty() => Path::new(&mount.place).starts_with(above),
            _ => *place == mount.place,
        });
        report.holds(&mount.place, known, || format!("a {} is mounted there", mount.kind));
    }
}

/// Paths that read as nothing and cannot be written, though they are there.
pub(crate) fn masked(expected: &Value, report: &mut Report) {
    for path in texts(expected) {
        let Some(about) = report.had(path, fs::metadata(path)) else { continue };
        if about.is_dir() {
            let names = fs::read_dir(path).map(|entries| entries.count());
            report.holds(path, matches!(names, Ok(0)), || format!("it has {names:?} entries"));
            let made = fs::create_dir(Path::new(path).join("made"));
            report.holds(path, made.is_err(), || "a directory can be made in it".to_owned());
        } else {
            let read = fs::read(path).map(|bytes| bytes.len());
            report.holds(path, matches!(read, Ok(0)), || format!("it reads as {read:?} bytes"));
        }
    }
}

/// Paths where nothing can be written.
pub(crate) fn read_only(expected: &Value, report: &mut Report) {
    for path in texts(expected) {
        let Some(about) = report.had(path, fs::metadata(path)) else { continue };
        let tried = if about.is_dir() {
            let new = Path::new(path).join("new");
            rustix::fs::open(&new, rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY, 0o600.into()).map(drop)
        } else {
            rustix::fs::open(path, rustix::fs::OFlags::WRONLY, 0.into()).map(drop)
        };
        let flag =
            rustix::fs::statvfs(path).is_ok_and(|about| about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
        // Procfs lets nobody make files at all, so that of its directories only the mount says it.
        let refused = tried == Err(rustix::io::Errno::ROFS) || about.is_dir() && tried == Err(rustix::io::Errno::NOENT);
        report.holds(path, refused, || format!("writing gives {tried:?}"));
        report.holds(path, flag, || "statvfs(2) does not say that it is read-only".to_owned());
    }
}

/// Directories where something can be written.
pub(crate) fn writable(expected: &Value, report: &mut Report) {
    for path in texts(expected) {
        let file = Path::new(path).join("written-by-the-check");
        let written = fs::write(&file, "x").and_then(|()| fs::remove_file(&file));
        report.had(path, written);
    }
}
