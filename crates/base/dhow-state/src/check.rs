//! Comparing the ledger with what is on disk, and putting right what can be: [`State::check`].
//!
//! Three steps: look at everything while writers are kept out; with `repair`, in the same transaction, move away
//! what has no row; then, alone, hash the blobs if that was asked for. Nothing that has a row and is sound is ever
//! touched, and no image is ever removed: an image that lost its bytes is healed by loading it again, for which its
//! rows stay.

mod finding;
mod scan;

pub use finding::{Done, Finding, FindingKind};

use crate::error::StateError;
use crate::layout::place;
use crate::operation::Operation;
use crate::rows::{BlobRow, ContentKind, Durability, Timestamp};
use crate::state::State;
use crate::sweep::Leave;
use crate::write::Write;
use dhow_spec::Digest;
use rustix::fs::{Mode, OFlags};
use scan::Scan;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

/// Time enough to lock a file that was made for it.
const LOCKING: Duration = Duration::from_millis(50);

/// What a check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckOptions {
    /// Remove what has no owner, end operations of dead processes, take damaged blobs away.
    pub repair: bool,
    /// Read every blob and compare its digest.
    pub verify_blobs: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckReport {
    /// Everything that is not as it should be. Empty when the store is sound.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether anything is left that was not put right.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|f| f.done == Done::Removed)
    }

    /// Bytes of what has no owner, or of what was removed.
    pub fn bytes(&self) -> u64 {
        self.findings.iter().map(|f| f.bytes).sum()
    }
}

impl State {
    /// Compares the ledger with what is on disk. `now` is when the operation begins that a repair needs.
    ///
    /// # Errors
    /// [`StateError::OpenedReadOnly`] for a repair of a store opened for reading; of the ledger and the file system.
    /// What cannot be read is an error, not a finding.
    pub fn check(&self, options: &CheckOptions, now: Timestamp) -> Result<CheckReport, StateError> {
        if options.repair && self.is_read_only() {
            return Err(StateError::OpenedReadOnly { operation: "repair the store" });
        }
        if self.store_id().is_empty() {
            return Ok(CheckReport::default());
        }
        let mut findings = Vec::new();
        let damage = self.read(|r| r.quick_check())?;
        findings.extend(damage.into_iter().map(|line| Finding::new(FindingKind::DamagedLedger, line)));
        self.check_operations(options.repair, &mut findings)?;

        let bad = if options.verify_blobs { self.verify_blobs()? } else { Vec::new() };
        let found = match options.repair {
            true => self.scan_and_repair(now, bad)?,
            false => self.ledger().read_alone(|r| Scan::of(self, r, bad))?.findings,
        };
        findings.extend(found);
        self.check_locks(options.repair, &mut findings)?;
        Ok(CheckReport { findings })
    }

    fn check_operations(&self, repair: bool, findings: &mut Vec<Finding>) -> Result<(), StateError> {
        for operation in self.dead_operations()? {
            let subject = format!("{} ({}) of process {}", operation.id, operation.kind, operation.owner.pid);
            let mut finding = Finding::new(FindingKind::DeadOperation, subject);
            if repair {
                self.end(operation.id, Leave::Nothing)?;
                finding.done = Done::Removed;
            }
            findings.push(finding);
        }
        Ok(())
    }

    fn check_locks(&self, repair: bool, findings: &mut Vec<Finding>) -> Result<(), StateError> {
        let mut stale = self.locks_directory().stale(repair)?;
        if !stale.is_empty() && !repair {
            // Who takes a lock makes its file first. It is nobody's if nobody has it a while later.
            std::thread::sleep(LOCKING);
            let still = self.locks_directory().stale(false)?;
            stale.retain(|path| still.contains(path));
        }
        for path in stale {
            let mut finding = Finding::new(FindingKind::StaleLock, path.display().to_string()).at(path);
            if repair {
                finding.done = Done::Removed;
            }
            findings.push(finding);
        }
        Ok(())
    }

    /// Scans and, in the same transaction, moves what must go into the work directory of an operation that ends at once.
    fn scan_and_repair(&self, now: Timestamp, bad: Vec<Digest>) -> Result<Vec<Finding>, StateError> {
        let operation = self.begin("check", now)?;
        // Committed before the move below: were it interrupted, everything moved lies in the work directory.
        let mut scan = self.write(Durability::Crash, |w| {
            let scan = Scan::of(self, w, bad)?;
            self.set_aside(w, &operation, &scan)?;
            Ok::<_, StateError>(scan)
        })?;
        for finding in &mut scan.findings {
            let removable =
                finding.path.as_ref().is_some_and(|p| scan.remove.iter().any(|r| self.root().join(r) == *p));
            if removable || (finding.kind == FindingKind::OrphanRun) {
                finding.done = Done::Removed;
            }
        }
        operation.commit(Durability::Crash, |_| Ok::<_, StateError>(()))?;
        Ok(scan.findings)
    }

    fn set_aside(&self, w: &Write<'_>, operation: &Operation<'_>, scan: &Scan) -> Result<(), StateError> {
        let layout = self.layout()?;
        for path in &scan.remove {
            layout.set_aside(path, operation.id())?;
        }
        for run in &scan.remove_runs {
            self.locks_directory().remove_container(run)?;
        }
        for (kind, digest) in &scan.lost {
            // Stays when an image or a lease needs it: loading the image again finds the row without the bytes.
            w.delete_unneeded(operation.id(), *kind, digest)?;
        }
        Ok(())
    }

    /// The blobs of which the bytes are not what their names say. Writers may be at work meanwhile.
    fn verify_blobs(&self) -> Result<Vec<Digest>, StateError> {
        let mut bad = Vec::new();
        for row in self.read(|r| r.blobs_all())? {
            if self.is_damaged(&row)? {
                bad.push(row.digest);
            }
        }
        Ok(bad)
    }

    /// Whether a blob that can be opened has other bytes than its digest says.
    fn is_damaged(&self, row: &BlobRow) -> Result<bool, StateError> {
        let layout = self.layout()?;
        let relative = place(ContentKind::Blob, &row.digest);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = match rustix::fs::openat(layout.fd(), &relative, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            // Missing, or no file at all: the scan tells.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Ok(false),
            Err(e) => return Err(StateError::io("open", layout.root().join(relative), e)),
        };
        let mut hasher = row.digest.algorithm().hasher();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish() != row.digest),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == std::io::ErrorKind::IsADirectory => return Ok(false),
                // The disk gives the bytes back no more: as lost as if they were wrong.
                Err(_) => return Ok(true),
            }
        }
    }
}

/// The images that need any of these, each once.
fn dependants(
    r: &crate::read::Read<'_>,
    lost: &[(ContentKind, Digest)],
) -> Result<Vec<(Digest, Vec<String>)>, StateError> {
    let mut images = std::collections::BTreeMap::<Digest, BTreeSet<String>>::new();
    for (kind, digest) in lost {
        let users = match kind {
            ContentKind::Blob => r.images_using_blob(digest)?,
            ContentKind::Layer => r.images_using_layer(digest)?,
        };
        for image in users {
            images.entry(image).or_default().insert(format!("{} {digest}", kind.name()));
        }
    }
    Ok(images.into_iter().map(|(image, lost)| (image, lost.into_iter().collect())).collect())
}
