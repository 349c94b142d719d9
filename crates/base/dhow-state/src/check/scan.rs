//! One look at all rows and all directories, while writers are kept out. Changes nothing.

use super::finding::{Finding, FindingKind};
use crate::error::StateError;
use crate::layout::{BLOBS, CONTAINERS, INDEX, LAYERS, LEDGER, LOCK, LOG, Layout, RESERVE, WORK, container, place};
use crate::operation::matches;
use crate::read::Read;
use crate::rows::{ContentKind, Planned};
use crate::state::State;
use dhow_spec::Digest;
use rustix::fs::FileType;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What was seen, and what a repair would do about it.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) findings: Vec<Finding>,
    /// Paths relative to the data root that nobody owns.
    pub(super) remove: Vec<PathBuf>,
    /// Run directories that nobody owns.
    pub(super) remove_runs: Vec<String>,
    /// Rows of which the bytes are gone or wrong.
    pub(super) lost: Vec<(ContentKind, Digest)>,
}

impl Scan {
    /// Looks at everything. `bad` are the blobs that had wrong bytes when they were read.
    pub(super) fn of(state: &State, r: &Read<'_>, bad: Vec<Digest>) -> Result<Scan, StateError> {
        let layout = state.layout()?;
        let mut scan = Scan::default();
        // What an operation plans to remove is its business, until it is dead.
        let planned = r.plans_all()?;
        let mut known: BTreeSet<PathBuf> = planned.iter().map(planned_place).collect();
        scan.rows(state, r, &bad, &mut known)?;
        scan.containers(state, r, &planned, &mut known)?;
        for algorithm in layout.names(Path::new(BLOBS))? {
            let directory = Path::new(BLOBS).join(&algorithm);
            match algorithm.to_str() {
                Some("sha256" | "sha512") => scan.orphans(layout, &directory, &known, FindingKind::OrphanBlob)?,
                _ => scan.unknown(layout, &directory),
            }
        }
        scan.orphans(layout, Path::new(LAYERS), &known, FindingKind::OrphanLayer)?;
        scan.orphans(layout, Path::new(CONTAINERS), &known, FindingKind::OrphanContainer)?;
        let work = r.operations()?.iter().map(|o| crate::layout::work(o.id)).collect();
        scan.orphans(layout, Path::new(WORK), &work, FindingKind::OrphanWork)?;
        scan.strangers(layout, layout.names(Path::new("."))?);
        for (image, lost) in super::dependants(r, &scan.lost)? {
            let names: Vec<String> = r.tags_of(&image)?.into_iter().map(|tag| tag.name).collect();
            let detail = match names.is_empty() {
                true => format!("needs {}", lost.join(", ")),
                false => format!("{} needs {}", names.join(", "), lost.join(", ")),
            };
            scan.findings.push(Finding::new(FindingKind::BrokenImage, image.to_string()).because(detail));
        }
        Ok(scan)
    }

    /// Rows whose bytes are gone or wrong; adds every row's place to `known`.
    fn rows(
        &mut self,
        state: &State,
        r: &Read<'_>,
        bad: &[Digest],
        known: &mut BTreeSet<PathBuf>,
    ) -> Result<(), StateError> {
        let layout = state.layout()?;
        for blob in r.blobs_all()? {
            let at = place(ContentKind::Blob, &blob.digest);
            let stat = layout.stat(&at)?;
            let finding = |kind| Finding::new(kind, blob.digest.to_string()).at(layout.root().join(&at));
            let found = match &stat {
                None => Some(finding(FindingKind::MissingBlob)),
                Some(stat) if !matches(ContentKind::Blob, Some(blob.size), stat) => {
                    let detail = format!("{} bytes instead of {}", stat.st_size, blob.size);
                    Some(finding(FindingKind::WrongSize).because(detail))
                }
                // Again, now that nobody can have put another file there since.
                Some(_) if bad.contains(&blob.digest) && state.is_damaged(&blob)? => {
                    Some(finding(FindingKind::WrongDigest))
                }
                Some(_) => None,
            };
            if let Some(mut found) = found {
                if let Some(stat) = stat {
                    found.bytes = u64::try_from(stat.st_size).unwrap_or(0);
                    self.remove.push(at.clone());
                }
                self.findings.push(found);
                self.lost.push((ContentKind::Blob, blob.digest));
            }
            known.insert(at);
        }
        for layer in r.layers_all()? {
            let at = place(ContentKind::Layer, &layer.key);
            let there = layout.stat(&at)?.is_some_and(|stat| matches(ContentKind::Layer, None, &stat));
            if !there {
                let finding = Finding::new(FindingKind::MissingLayer, layer.key.to_string());
                self.findings.push(finding.at(layout.root().join(&at)));
                self.lost.push((ContentKind::Layer, layer.key));
            }
            known.insert(at);
        }
        Ok(())
    }

    /// Containers without a directory, and run directories without a container; adds every container's place to `known`.
    fn containers(
        &mut self,
        state: &State,
        r: &Read<'_>,
        planned: &[Planned],
        known: &mut BTreeSet<PathBuf>,
    ) -> Result<(), StateError> {
        let layout = state.layout()?;
        let mut ids: BTreeSet<String> = r.container_ids()?.into_iter().collect();
        let under_way = planned.iter().filter_map(|plan| match plan {
            Planned::Container(id) => Some(id.clone()),
            Planned::Content(..) => None,
        });
        let under_way: BTreeSet<String> = under_way.collect();
        for id in ids.difference(&under_way) {
            let at = container(id);
            let is_directory = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if !layout.stat(&at)?.is_some_and(is_directory) {
                let finding = Finding::new(FindingKind::MissingContainer, id.clone());
                self.findings.push(finding.at(layout.root().join(&at)));
            }
            known.insert(at);
        }
        ids.extend(under_way);
        for name in state.locks_directory().container_names()? {
            if !ids.contains(&name) {
                let path = state.container_run_dir(&name);
                self.findings.push(Finding::new(FindingKind::OrphanRun, name.clone()).at(path));
                self.remove_runs.push(name);
            }
        }
        Ok(())
    }

    fn orphans(
        &mut self,
        layout: &Layout,
        directory: &Path,
        known: &BTreeSet<PathBuf>,
        kind: FindingKind,
    ) -> Result<(), StateError> {
        for name in layout.names(directory)? {
            let at = directory.join(name);
            if !known.contains(&at) {
                let path = layout.root().join(&at);
                let mut finding = Finding::new(kind, at.display().to_string()).at(path.clone());
                finding.bytes = bytes_below(&path);
                self.findings.push(finding);
                self.remove.push(at);
            }
        }
        Ok(())
    }

    fn strangers(&mut self, layout: &Layout, names: Vec<OsString>) {
        // SQLite makes the journal while it turns a new file to write-ahead logging.
        let ours =
            [LEDGER, LOG, INDEX, LOCK, RESERVE, BLOBS, LAYERS, CONTAINERS, WORK, "ledger.db-journal", "lost+found"];
        for name in names {
            if !ours.iter().any(|o| name == OsStr::new(o)) {
                self.unknown(layout, Path::new(&name));
            }
        }
    }

    fn unknown(&mut self, layout: &Layout, at: &Path) {
        let finding = Finding::new(FindingKind::UnknownEntry, at.display().to_string());
        self.findings.push(finding.at(layout.root().join(at)));
    }
}

fn planned_place(plan: &Planned) -> PathBuf {
    match plan {
        Planned::Content(kind, digest) => place(*kind, digest),
        Planned::Container(id) => container(id),
    }
}

/// Bytes of the files below a path, for a person to read: what cannot be looked at counts as none.
fn bytes_below(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut left = vec![path.to_path_buf()];
    while let Some(path) = left.pop() {
        let Ok(stat) = rustix::fs::lstat(&path) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                left.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            }
            _ => bytes += u64::try_from(stat.st_size).unwrap_or(0),
        }
    }
    bytes
}
