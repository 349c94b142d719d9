//! `cargo xtask tidy`: the rules of this workspace as checks.
//!
//! Each rule is a pure function from text or metadata to findings, with its own tests; this file collects what they look
//! at, prints what they found and then calls the tools that hold the rest (rustfmt, clippy, cargo-deny).

mod crates;
mod documents;
mod licences;
mod lists;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::project;

/// One thing that a rule has to say about one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A path below the workspace's root, perhaps with a line; or a crate's name.
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) weight: Weight,
}

/// Whether tidy fails over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Error,
    /// Printed, for a person to judge.
    Signal,
}

impl Finding {
    pub(crate) fn error(place: impl Into<String>, what: impl Into<String>) -> Self {
        Finding { place: place.into(), what: what.into(), weight: Weight::Error }
    }

    pub(crate) fn signal(place: impl Into<String>, what: impl Into<String>) -> Self {
        Finding { place: place.into(), what: what.into(), weight: Weight::Signal }
    }
}

/// A file of the project, as the rules see it.
pub(crate) struct File {
    /// Below the workspace's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All checks; fails when one of them does, after all cheap ones have spoken.
pub(crate) fn run() -> Result<(), Failure> {
    let files = project_files()?;
    let metadata = project::metadata()?;
    let deny =
        files.iter().find(|file| file.path == "deny.toml").ok_or_else(|| Failure::new("deny.toml is missing"))?;
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(sources::check(file));
    }
    findings.extend(crates::check(&metadata, &files));
    findings.extend(licences::check(&metadata, &deny.text));
    findings.extend(documents::check(&files, &crates::names(&metadata)));
    report(&findings)?;

    project::step(project::cargo().args(["fmt", "--all", "--check"]))?;
    if project::root().join("fuzz/Cargo.toml").exists() {
        project::step(project::cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    }
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
    project::step(project::cargo().args(clippy))?;
    if project::on_path("cargo-deny") {
        project::step(project::cargo().args(["deny", "check", "licenses", "bans", "sources"]))?;
    } else {
        eprintln!("xtask: cargo-deny is not installed; its rules of deny.toml were held by xtask itself");
    }
    Ok(())
}

fn report(findings: &[Finding]) -> Result<(), Failure> {
    for finding in findings {
        let kind = if finding.weight == Weight::Error { "error" } else { "signal" };
        eprintln!("{kind}: {}: {}", finding.place, finding.what);
    }
    match findings.iter().filter(|finding| finding.weight == Weight::Error).count() {
        0 => Ok(()),
        n => Err(Failure::new(format!("tidy: {n} rules broken"))),
    }
}

/// The project's own text files. Walked, not asked of git, so that a source archive without its history can be checked.
fn project_files() -> Result<Vec<File>, Failure> {
    let root = project::root();
    let mut paths = Vec::new();
    walk(&root, &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).map_err(Failure::at(&path))?;
        // Binary test data and fuzz corpora hold no rules of ours.
        if let Ok(text) = String::from_utf8(bytes) {
            let path = path.strip_prefix(&root).expect("walked from the root").to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
    Ok(files)
}

/// Folders that hold nothing written by a person: build output, history, raw figures, fuzz corpora.
const NOT_OURS: &[&str] = &["target", ".git", "runs", "corpus", "artifacts", "coverage"];

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::at(folder))? {
        let entry = entry.map_err(Failure::at(folder))?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(Failure::at(&entry.path()))?;
        if kind.is_dir() && !NOT_OURS.iter().any(|not_ours| name == *not_ours) {
            walk(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}
