//! Rules that one file alone can break: its name, its head, its length, words that must not stay.

use super::{File, Finding};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "types", "manager"];

/// Lines at which to stop and think, and at which to say why in the file.
const SIGNAL_LINES: usize = 600;
const MOST_LINES: usize = 800;

/// The marker that says why a file is long.
const LONG_BECAUSE: &str = "// long because ";

/// Split, so that this file does not break its own rule.
const UNFINISHED: &[&str] =
    &[concat!("to", "do!("), concat!("unimple", "mented!("), concat!("FIX", "ME"), concat!("TO", "DO")];

/// Host names of registries and mirrors, as (label, domain); whoever uses dhow or its tests says which they use.
/// The default domain of the reference grammar is no more than a word of that grammar and is not listed.
const HOSTS: &[(&str, &str)] = &[
    ("registry-1.docker", "io"),
    ("index.docker", "io"),
    ("hub.docker", "com"),
    ("quay", "io"),
    ("gcr", "io"),
    ("ghcr", "io"),
    ("registry.k8s", "io"),
    ("public.ecr", "aws"),
    ("mcr.microsoft", "com"),
    ("deb.debian", "org"),
    ("snapshot.debian", "org"),
    ("archive.ubuntu", "com"),
    ("security.ubuntu", "com"),
];

/// Where names of hosts are words of the reference grammar, or of cargo's own files.
const GRAMMAR: &[&str] = &["crates/base/dhow-spec/", "fuzz/", "Cargo.lock"];

/// Everything that a file can do wrong by itself.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(empty_name(&file.path));
    if !GRAMMAR.iter().any(|place| file.path.starts_with(place)) {
        findings.extend(hosts(file));
    }
    if file.path.ends_with(".rs") {
        findings.extend(head(file));
        findings.extend(length(file));
        findings.extend(unfinished(file));
    }
    findings
}

fn empty_name(path: &str) -> Option<Finding> {
    let empty = path.split('/').find(|part| {
        let stem = part.split('.').next().unwrap_or(part);
        EMPTY_NAMES.contains(&stem)
    })?;
    Some(Finding::error(path, format!("\"{empty}\" does not say what is inside; name the thing")))
}

fn head(file: &File) -> Option<Finding> {
    let missing = !file.text.starts_with("//! ");
    missing.then(|| {
        Finding::error(&file.path, "does not begin with //! (what it owns, what it must not know, which specification)")
    })
}

fn length(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let explained = file.text.lines().any(|line| line.trim_start().starts_with(LONG_BECAUSE));
    match lines {
        _ if explained => None,
        MOST_LINES.. => Some(Finding::error(
            &file.path,
            format!("{lines} lines: split it, or say \"{LONG_BECAUSE}...\" in a line of its own"),
        )),
        SIGNAL_LINES.. => {
            Some(Finding::signal(&file.path, format!("{lines} lines: stop and think whether it is two files")))
        }
        _ => None,
    }
}

fn unfinished(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(at, line)| {
            let word = UNFINISHED.iter().find(|word| line.contains(*word))?;
            Some(Finding::error(format!("{}:{}", file.path, at + 1), format!("{word} must not stay in the sources")))
        })
        .collect()
}

fn hosts(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (label, domain) in HOSTS {
        let host = format!("{label}.{domain}");
        for (at, line) in file.text.lines().enumerate() {
            if names_host(line, &host) {
                let place = format!("{}:{}", file.path, at + 1);
                findings.push(Finding::error(
                    place,
                    format!("names the host {host}; take it from the caller or the machine"),
                ));
            }
        }
    }
    findings
}

/// Whether `host` stands in the line as a host: not as the tail of a longer word ("logquay" is none, "eu.gcr" is one).
fn names_host(line: &str, host: &str) -> bool {
    let of_a_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    line.match_indices(host)
        .any(|(at, _)| !of_a_word(line[..at].chars().next_back()) && !of_a_word(line[at + host.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Weight;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    fn places(path: &str, text: &str) -> Vec<String> {
        check(&file(path, text)).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn a_good_file_is_left_alone() {
        assert_eq!(places("crates/base/dhow-sys/src/lib.rs", "//! Owns system calls.\n"), Vec::<String>::new());
    }

    #[test]
    fn names_that_say_nothing_are_found_in_files_and_folders() {
        assert_eq!(places("crates/a/src/utils.rs", "//! x\n"), ["crates/a/src/utils.rs"]);
        assert_eq!(places("crates/a/src/common/tar.rs", "//! x\n"), ["crates/a/src/common/tar.rs"]);
        assert!(places("crates/a/src/media_types.rs", "//! x\n").is_empty());
    }

    #[test]
    fn a_rust_file_opens_with_words() {
        assert_eq!(places("a/b.rs", "use std::fs;\n"), ["a/b.rs"]);
        assert!(places("a/b.sh", "#!/bin/sh\n").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let text = format!("//! x\nfn f() {{ {}) }}\n", UNFINISHED[0]);
        assert_eq!(places("a/b.rs", &text), ["a/b.rs:2"]);
    }

    #[test]
    fn long_files_are_signalled_then_refused_unless_they_say_why() {
        let long = |lines: usize| "//! x\n".repeat(lines);
        let weights = |text: &str| check(&file("a/b.rs", text)).iter().map(|f| f.weight).collect::<Vec<_>>();
        assert_eq!(weights(&long(599)), []);
        assert_eq!(weights(&long(600)), [Weight::Signal]);
        assert_eq!(weights(&long(800)), [Weight::Error]);
        assert_eq!(weights(&format!("{}{LONG_BECAUSE}one table\n", long(900))), []);
    }

    #[test]
    fn hosts_are_found_but_not_in_the_grammar_or_in_longer_words() {
        let host = format!("{}.{}", HOSTS[3].0, HOSTS[3].1);
        assert_eq!(places("a/b.sh", &format!("pull {host}/x\n")), ["a/b.sh:1"]);
        assert!(places("crates/base/dhow-spec/src/reference.rs", &format!("//! {host}/x\n")).is_empty());
        assert!(places("a/b.sh", &format!("pull x{host}/x\n")).is_empty());
    }
}
