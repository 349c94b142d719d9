//! A unit of work that a crash can interrupt anywhere: [`Operation`].
//!
//! See the crate's documentation for its life. What is here is the owner's side; ending an operation, which
//! recovery does for the dead, stands in `sweep`.

use crate::error::StateError;
use crate::layout::{self, BLOBS, CONTAINERS, LAYERS, place, random};
use crate::rows::{BlobRow, ContentKind, Durability, LayerRow, OperationId, Timestamp};
use crate::state::State;
use crate::sweep::Leave;
use crate::write::Write;
use dhow_spec::{Algorithm, Digest};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Stat};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Work in progress, with a directory of its own, under way until [`Operation::commit`].
///
/// Dropping it rolls back: what it published goes again unless something else came to need it, and so do its work
/// directory and its rows. Errors in that are swallowed, for a destructor can tell nobody; what is left is still
/// recorded, and is removed by the recovery that follows the end of this process.
///
/// Threads may share it. None of its methods may be called inside a transaction of its state.
pub struct Operation<'s> {
    state: &'s State,
    id: OperationId,
    work: PathBuf,
    /// Counts what was leased and might not be on disk.
    leased: AtomicU64,
    /// What `leased` stood at when everything was last flushed.
    flushed: AtomicU64,
    open: bool,
}

impl<'s> Operation<'s> {
    pub(crate) fn begin<T, E: From<StateError>>(
        state: &'s State,
        kind: &str,
        now: Timestamp,
        f: impl FnOnce(&Write<'_>, OperationId) -> Result<T, E>,
    ) -> Result<(Operation<'s>, T), E> {
        let id = OperationId(random()?);
        let owner = state.identity()?;
        let value = state.write(Durability::Crash, |w| {
            w.insert_operation(id, kind, owner, now)?;
            f(w, id)
        })?;
        let work = state.root().join(layout::work(id));
        // From here on dropping cleans up.
        let operation =
            Operation { state, id, work, leased: AtomicU64::new(0), flushed: AtomicU64::new(0), open: true };
        state.layout()?.make_directory(&layout::work(id))?;
        Ok((operation, value))
    }

    /// Its name.
    pub fn id(&self) -> OperationId {
        self.id
    }

    /// Its work directory: absolute, there, and removed at the end with all that is left in it.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Makes sure that the blob stays while this operation lasts; `None` when the store does not have it, or has its
    /// row but not its file, so that whoever brings it again heals the store.
    ///
    /// # Errors
    /// Of the ledger and of looking at the file.
    pub fn lease_blob(&self, digest: &Digest) -> Result<Option<BlobRow>, StateError> {
        self.state.write(Durability::Crash, |w| {
            let Some(row) = w.blob(digest)? else { return Ok(None) };
            let whole = self.is_there(ContentKind::Blob, digest, Some(row.size))?;
            if whole {
                self.take_lease(w, ContentKind::Blob, digest)?;
            }
            Ok(whole.then_some(row))
        })
    }

    /// Makes sure that the layer stays while this operation lasts; `None` as for [`Operation::lease_blob`].
    ///
    /// # Errors
    /// Of the ledger and of looking at the directory.
    pub fn lease_layer(&self, key: &Digest) -> Result<Option<LayerRow>, StateError> {
        self.state.write(Durability::Crash, |w| {
            let Some(row) = w.layer(key)? else { return Ok(None) };
            let whole = self.is_there(ContentKind::Layer, key, None)?;
            if whole {
                self.take_lease(w, ContentKind::Layer, key)?;
            }
            Ok(whole.then_some(row))
        })
    }

    /// Moves a file of the work directory, which the caller has verified, to where the blob belongs, and leases it.
    /// If the store has the blob by now, the file is left to be deleted.
    ///
    /// # Errors
    /// Of the ledger and of moving.
    pub fn publish_blob(&self, from: &Path, row: &BlobRow) -> Result<(), StateError> {
        rustix::fs::chmodat(CWD, from, Mode::from_raw_mode(0o444), AtFlags::empty())
            .map_err(|e| StateError::io("set the mode of", from, e))?;
        let boot = &self.state.identity()?.boot_id;
        self.publish(ContentKind::Blob, &row.digest, Some(row.size), from, |w| w.insert_blob(row, boot))
    }

    /// Moves a directory of the work directory to where the layer belongs, and leases it. If the store has the layer
    /// by now, the directory is left to be deleted.
    ///
    /// # Errors
    /// Of the ledger and of moving.
    pub fn publish_layer(&self, from: &Path, row: &LayerRow) -> Result<(), StateError> {
        let boot = &self.state.identity()?.boot_id;
        self.publish(ContentKind::Layer, &row.key, None, from, |w| w.insert_layer(row, boot))
    }

    fn publish(
        &self,
        kind: ContentKind,
        digest: &Digest,
        size: Option<u64>,
        from: &Path,
        insert: impl FnOnce(&Write<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let layout = self.state.layout()?;
        let to = place(kind, digest);
        if kind == ContentKind::Blob && digest.algorithm() != Algorithm::Sha256 {
            layout.make_directory(&Path::new(BLOBS).join(digest.algorithm().name()))?;
        }
        // Committed by itself: were the move below undone by nobody, this tells recovery where to look.
        self.state.write(Durability::Crash, |w| w.plan(self.id, kind, digest))?;
        self.state.write(Durability::Crash, |w| {
            let synced = w.synced(kind, digest)?;
            if synced.is_some() && self.is_there(kind, digest, size)? {
                w.delete_plan(self.id, kind, digest)?;
                return self.take_lease(w, kind, digest);
            }
            if synced == Some(true) {
                // A row that images rely on lost its file: what takes its place must be as safe as the row says.
                rustix::fs::syncfs(layout.fd()).map_err(|e| StateError::io("flush", layout.root(), e))?;
            }
            layout.set_aside(&to, self.id)?;
            layout.rename(from, &to)?;
            if synced == Some(true) {
                layout.sync_directory(to.parent().unwrap_or(Path::new(".")))?;
            }
            insert(w)?;
            self.take_lease(w, kind, digest)
        })
    }

    fn take_lease(&self, w: &Write<'_>, kind: ContentKind, digest: &Digest) -> Result<(), StateError> {
        w.lease(self.id, kind, digest)?;
        if w.synced(kind, digest)? != Some(true) {
            self.leased.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Whether the file or directory of a row is there and looks like it.
    fn is_there(&self, kind: ContentKind, digest: &Digest, size: Option<u64>) -> Result<bool, StateError> {
        let stat = self.state.layout()?.stat(&place(kind, digest))?;
        Ok(stat.is_some_and(|stat| matches(kind, size, &stat)))
    }

    /// Moves a directory of the work directory to where the container's belongs, which [`Write::plan_container`] was
    /// told when the operation began. The row comes with [`Operation::commit`].
    ///
    /// # Errors
    /// Of moving.
    pub fn place_container(&self, from: &Path, id: &str) -> Result<(), StateError> {
        let layout = self.state.layout()?;
        let to = layout::container(id);
        match layout.rename(from, &to) {
            // A store that was made before there were containers.
            Err(StateError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                layout.make_directory(Path::new(CONTAINERS))?;
                layout.rename(from, &to)
            }
            other => other,
        }
    }

    /// Takes the directory of a container, for which [`Write::begin_removal`] was called, out of the way, and removes
    /// it with its run directory. What cannot be removed stays in the work directory, for recovery to try again.
    ///
    /// # Errors
    /// Of moving it away: nothing has happened then.
    pub fn discard_container(&self, id: &str) -> Result<(), StateError> {
        let layout = self.state.layout()?;
        layout.set_aside(&layout::container(id), self.id)?;
        let _ = self.state.locks_directory().remove_container(id);
        let _ = layout.remove_work(self.id);
        Ok(())
    }

    /// Flushes everything that was published or leased so far to disk, so that [`Operation::commit`] may say so.
    /// What is leased after it needs another call.
    ///
    /// # Errors
    /// Of flushing.
    pub fn sync_published(&self) -> Result<(), StateError> {
        let leased = self.leased.load(Ordering::SeqCst);
        let layout = self.state.layout()?;
        // One call for thousands of files of many layers; fsync of each would be a disk flush of each.
        rustix::fs::syncfs(layout.fd()).map_err(|e| StateError::io("flush", layout.root(), e))?;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            layout.sync_directory(&Path::new(BLOBS).join(algorithm.name()))?;
        }
        layout.sync_directory(Path::new(LAYERS))?;
        self.flushed.store(leased, Ordering::SeqCst);
        Ok(())
    }

    /// Runs `f` and ends the operation in one transaction: either all of it happened or none.
    ///
    /// Before `f`, what this operation leased is marked as flushed, if [`Operation::sync_published`] was called after
    /// the last lease. Afterwards the files of [`Write::collect_garbage`] and the work directory are removed; what
    /// cannot be removed stays recorded and does not fail the commit, which has happened.
    ///
    /// # Errors
    /// Those of `f`, and of the ledger; the operation is rolled back then.
    pub fn commit<T, E: From<StateError>>(
        mut self,
        durability: Durability,
        f: impl FnOnce(&Write<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let flushed = self.leased.load(Ordering::SeqCst) == self.flushed.load(Ordering::SeqCst);
        // Nearly always empty by now. Before the transaction, so that the row can go with it.
        let empty = self.state.layout()?.remove_empty_work(self.id);
        let (value, ended) = self.state.write(durability, |w| {
            // Each statement costs its compilation, and what a container goes through leases nothing.
            let leases = !w.leases_of(self.id)?.is_empty();
            if flushed && leases {
                w.mark_synced(self.id)?;
            }
            let value = f(w)?;
            if leases {
                w.release_leases(self.id)?;
            }
            let planned = !w.plans_of(self.id)?.is_empty();
            if planned {
                w.delete_kept_plans(self.id)?;
            }
            let ended = empty && (!planned || w.plans_of(self.id)?.is_empty());
            if ended {
                w.delete_operation(self.id)?;
            }
            Ok::<_, E>((value, ended))
        })?;
        self.open = false;
        if !ended {
            let _ = self.state.end(self.id, Leave::Published);
        }
        Ok(value)
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if self.open {
            let _ = self.state.end(self.id, Leave::Nothing);
        }
    }
}

/// Whether a file looks like what a row says.
pub(crate) fn matches(kind: ContentKind, size: Option<u64>, stat: &Stat) -> bool {
    match (kind, FileType::from_raw_mode(stat.st_mode)) {
        (ContentKind::Blob, FileType::RegularFile) => size.is_none_or(|size| stat.st_size.cast_unsigned() == size),
        (ContentKind::Layer, FileType::Directory) => true,
        _ => false,
    }
}
