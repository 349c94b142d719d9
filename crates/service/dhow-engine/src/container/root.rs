//! The root filesystem of a container: made with it, mounted at each start.
//!
//! ```text
//! containers/<id>/rootfs/           what is written: a snapshot (see dhow-rootfs), where it lies on the disk
//! ```
//!
//! An image's layers are stacked. A directory of the host is bound as it is, or becomes the layer of an overlay
//! (`--rootfs PATH:O`). The upper of such an overlay cannot lie inside its lower, nor on a file system that holds no
//! upper; then it lies in a tmpfs that belongs to the mount alone, and what was written is gone with the last process.

pub(super) mod host;

use super::request::RootSource;
use super::stored::{Storage, Stored};
use crate::{Engine, EngineError};
use dhow_rootfs::mount_plan::probe;
use dhow_rootfs::snapshots::{Copy, Overlay, SnapshotError, Snapshots, Stack, choose};
use dhow_state::{ContainerRow, ImageRow, Operation};
use dhow_sys::mount::{Aside, FsContext, MountAttrFlags, MountError, aside, attach, clone_tree};
use oci_spec::runtime::Spec;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// The name of the snapshot in the container's directory.
const NAME: &str = "rootfs";

/// Where the way to make snapshots is remembered, in the store's run directory: trying it out costs a mount.
const REMEMBERED: &str = "snapshots";

/// A root filesystem, mounted and detached.
pub(super) struct Root {
    pub(super) mount: OwnedFd,
    /// What to keep open as long as the container runs.
    pub(super) claim: Option<OwnedFd>,
    directory: Option<PathBuf>,
    overlay: bool,
}

/// Makes what a container needs for its root filesystem in `dir`, its directory, which is still in the work directory.
pub(super) fn prepare(
    engine: &Engine,
    operation: &Operation<'_>,
    dir: &Path,
    root: &RootSource,
    image: Option<&ImageRow>,
) -> Result<Storage, EngineError> {
    match (root, image) {
        (RootSource::Directory { path, overlay }, _) => {
            let place = directory(path)?;
            match *overlay {
                false => Ok(Storage::Directory),
                true => prepare_overlay(engine, operation, dir, &place),
            }
        }
        (RootSource::Image(_), Some(image)) => {
            let storage = way(engine, operation)?;
            if storage == Storage::Copy {
                // Copying takes a while: nobody is to remove a layer meanwhile.
                for layer in &image.layers {
                    operation.lease_layer(layer)?;
                }
            }
            snapshots(storage, dir).prepare(NAME, &stack(engine, image))?;
            Ok(storage)
        }
        (RootSource::Image(name), None) => Err(EngineError::NoSuchImage(name.clone())),
    }
}

fn prepare_overlay(
    engine: &Engine,
    operation: &Operation<'_>,
    dir: &Path,
    lower: &Path,
) -> Result<Storage, EngineError> {
    if engine.state.root().starts_with(lower) || way(engine, operation)? == Storage::Copy {
        let place = dir.join(NAME);
        std::fs::create_dir(&place).map_err(|e| EngineError::io("make", place.display(), e))?;
        return Ok(Storage::Memory);
    }
    snapshots(Storage::Overlay, dir).prepare(NAME, &Stack::from_bottom([lower]))?;
    Ok(Storage::Overlay)
}

/// Mounts it.
pub(super) fn mount(
    row: &ContainerRow,
    stored: &Stored,
    dir: &Path,
    image: Option<&Stack>,
) -> Result<Root, EngineError> {
    let place = match &stored.root {
        RootSource::Directory { path, .. } => Some(directory(path)?),
        RootSource::Image(_) => None,
    };
    let overlay = matches!(stored.storage, Storage::Overlay | Storage::Memory);
    let (mount, claim) = match (stored.storage, &place) {
        (Storage::Directory, Some(place)) => (clone_tree(place)?, None),
        (Storage::Memory, Some(place)) => (in_memory(&dir.join(NAME), place)?, None),
        (storage, _) => {
            let stack = match (&place, image) {
                (Some(place), _) => Stack::from_bottom([place]),
                (None, Some(stack)) => stack.clone(),
                (None, None) => return Err(EngineError::NoSuchImage(stored.image())),
            };
            resume(row, storage, dir, &stack)?
        }
    };
    Ok(Root { mount, claim, directory: place, overlay })
}

/// Takes the snapshot up and mounts it: the mount, and the claim on it.
fn resume(
    row: &ContainerRow,
    storage: Storage,
    dir: &Path,
    stack: &Stack,
) -> Result<(OwnedFd, Option<OwnedFd>), EngineError> {
    let snapshots = snapshots(storage, dir);
    let mut active = snapshots.resume(NAME, stack)?;
    let mut mount = active.mount();
    if matches!(mount, Err(SnapshotError::InUse { .. })) {
        wait_for_claim(&dir.join(NAME))?;
        active = snapshots.resume(NAME, stack)?;
        mount = active.mount();
    }
    let mount = mount.map_err(|e| match e {
        SnapshotError::InUse { .. } => EngineError::Conflict {
            message: format!("the root filesystem of container {} is in use", row.id),
            hint: Some("try again".to_owned()),
        },
        other => other.into(),
    })?;
    let claim = active.claim().map(|fd| fd.try_clone_to_owned()).transpose();
    Ok((mount, claim.map_err(|e| EngineError::io("duplicate", "the claim on the root filesystem", e))?))
}

/// Waits until nobody has the snapshot mounted: a supervisor whose command was killed before the supervisor had taken its
/// own lock has, until it notices.
fn wait_for_claim(place: &Path) -> Result<(), EngineError> {
    use dhow_sys::lock::{Locked, Share, Wait};
    let failed = |e| EngineError::io("wait for", place.display(), e);
    let directory = std::fs::File::open(place).map_err(failed)?;
    Locked::acquire(directory.as_fd(), Share::Shared, Wait::Block).map_err(failed)?;
    Ok(())
}

impl Root {
    /// What the host's directory needs beside its mount: other file systems below it come along, read-only if it is to
    /// stay as it is, and the stores of this machine are hidden.
    pub(super) fn complete(&self, engine: &Engine, spec: &mut Spec) -> Result<(), EngineError> {
        match &self.directory {
            Some(directory) => host::complete(engine, directory, self.overlay, spec),
            None => Ok(()),
        }
    }
}

/// The layers of an image.
pub(super) fn stack(engine: &Engine, image: &ImageRow) -> Stack {
    Stack::from_bottom(image.layers.iter().map(|key| engine.state.layer_path(key)))
}

/// The directory behind `--rootfs`, canonical.
fn directory(path: &Path) -> Result<PathBuf, EngineError> {
    let failed = |e| EngineError::io("open the root filesystem", path.display(), e);
    let place = std::fs::canonicalize(path).map_err(failed)?;
    match place.metadata().map_err(failed)?.is_dir() {
        true => Ok(place),
        false => Err(failed(std::io::ErrorKind::NotADirectory.into())),
    }
}

/// Claims the snapshot of a container that runs on it and has lost the claim; `Err` with none when somebody else is about it.
pub(super) fn claim(storage: Storage, dir: &Path) -> Result<Vec<OwnedFd>, Option<EngineError>> {
    match storage {
        Storage::Directory | Storage::Memory => Ok(Vec::new()),
        Storage::Overlay | Storage::Copy => {
            let claim = dhow_rootfs::snapshots::claim(dir, NAME).map_err(|e| Some(e.into()))?;
            Ok(vec![claim.ok_or(None)?])
        }
    }
}

fn snapshots(storage: Storage, dir: &Path) -> Box<dyn Snapshots> {
    match storage {
        Storage::Copy => Box::new(Copy::new(dir)),
        _ => Box::new(Overlay::new(dir, probe())),
    }
}

/// How snapshots are made on this data root. Tried out once in a boot.
fn way(engine: &Engine, operation: &Operation<'_>) -> Result<Storage, EngineError> {
    let file = engine.state.run_dir().join(REMEMBERED);
    match std::fs::read_to_string(&file).as_deref() {
        Ok("overlay") => return Ok(Storage::Overlay),
        Ok("copy") => return Ok(Storage::Copy),
        _ => {}
    }
    let scratch = operation.work().join("trial");
    std::fs::create_dir(&scratch).map_err(|e| EngineError::io("make", scratch.display(), e))?;
    let choice = choose(&scratch, &scratch);
    std::fs::remove_dir(&scratch).map_err(|e| EngineError::io("remove", scratch.display(), e))?;
    let (storage, word) = match choice.method {
        Some(_) => (Storage::Overlay, "overlay"),
        None => (Storage::Copy, "copy"),
    };
    // As a whole or not at all; without it the next one tries again.
    let beside = engine.state.run_dir().join(format!("{REMEMBERED}.{}", operation.id()));
    let _ = std::fs::write(&beside, word).and_then(|()| std::fs::rename(&beside, &file));
    Ok(storage)
}

/// An overlay over a directory, with its upper in a tmpfs that nobody else sees.
fn in_memory(place: &Path, lower: &Path) -> Result<OwnedFd, EngineError> {
    let tmpfs = FsContext::open("tmpfs")?;
    tmpfs.set_string("mode", OsStr::new("0700"))?;
    let tmpfs = tmpfs.mount(MountAttrFlags::empty())?;
    // An upper is named by a path, so for the time of the mount it has to have one.
    aside(Aside::Mounts, || {
        attach(tmpfs.as_fd(), place)?;
        let active = Overlay::new(place, probe()).prepare(NAME, &Stack::from_bottom([lower]))?;
        Ok::<_, InMemory>(active.mount()?)
    })
    .map_err(|e| match e {
        InMemory::Mount(e) => e.into(),
        InMemory::Snapshot(e) => e.into(),
    })
}

/// What can go wrong there.
enum InMemory {
    Mount(MountError),
    Snapshot(SnapshotError),
}

impl From<MountError> for InMemory {
    fn from(error: MountError) -> InMemory {
        InMemory::Mount(error)
    }
}

impl From<SnapshotError> for InMemory {
    fn from(error: SnapshotError) -> InMemory {
        InMemory::Snapshot(error)
    }
}
