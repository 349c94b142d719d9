//! Snapshots by overlayfs: nothing is copied, writes go to a directory of their own.
//!
//! What the kernel would show wrongly is put right here: the root of the tree gets the attributes of the topmost layer's
//! root, an empty directory lies beneath a single layer, so that its whiteouts are not shown as devices, and layers under
//! an opaque root are left out. One thing stays: a whiteout in a directory that no lower layer has is listed by
//! readdir(3), though it cannot be opened.
//!
//! A committed layer keeps the marks that the kernel made in it (`trusted.overlay.origin`, `.impure`, `.uuid`): as a
//! lower directory they mean nothing.

use super::place::{Place, exists_is_fine, make_private};
use super::{Active, Committed, SnapshotError, Snapshots, Stack, View, clone_file};
use crate::mount_plan::{Capabilities, MountPlan, Writable};
use dhow_sys::tree::Tree;
use std::path::{Path, PathBuf};

/// The name of the empty directory in the base. No id begins with a dot.
const EMPTY: &str = ".empty";

/// Snapshots by overlayfs, their written parts in one base directory.
#[derive(Debug, Clone)]
pub struct Overlay {
    base: PathBuf,
    capabilities: Capabilities,
}

impl Overlay {
    /// Snapshots in `base`, an absolute path, mounted by what [`probe`](crate::mount_plan::probe) found.
    pub fn new(base: impl Into<PathBuf>, capabilities: Capabilities) -> Overlay {
        Overlay { base: base.into(), capabilities }
    }

    fn active(&self, id: &str, place: Place, stack: &Stack, layers: &[PathBuf]) -> Result<Active, SnapshotError> {
        let plan = match layers {
            // Nothing beneath, nothing to overlay.
            [] => MountPlan::Bind { dir: place.fs(), read_only: false },
            _ => MountPlan::new(layers, Some(Writable::in_directory(place.dir())), &self.capabilities)?,
        };
        Ok(Active::new(id, place, stack, plan))
    }
}

impl Snapshots for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn prepare(&self, id: &str, stack: &Stack) -> Result<Active, SnapshotError> {
        let layers = stack.visible()?;
        let place = Place::create(&self.base, id, |place| {
            let Writable { upper, work } = Writable::in_directory(place.dir());
            make_private(&work).map_err(SnapshotError::io("create", &work))?;
            let upper_root = Tree::create(&upper).map_err(SnapshotError::io("create", &upper))?;
            match layers.first() {
                Some(top) => {
                    let top_root = Tree::open(top).map_err(SnapshotError::io("open layer", top))?;
                    clone_file::copy_root(&top_root, &upper_root)
                        .map_err(SnapshotError::io("set the attributes of", &upper))
                }
                None => Ok(()),
            }
        })?;
        self.active(id, place, stack, &layers)
    }

    fn resume(&self, id: &str, stack: &Stack) -> Result<Active, SnapshotError> {
        self.active(id, Place::open(&self.base, id)?, stack, &stack.visible()?)
    }

    fn view(&self, _id: &str, stack: &Stack) -> Result<View, SnapshotError> {
        let mut layers = stack.visible()?;
        if layers.len() < 2 {
            let empty = self.base.join(EMPTY);
            make_private(&self.base).or_else(exists_is_fine).map_err(SnapshotError::io("create", &self.base))?;
            match Tree::create(&empty) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(SnapshotError::Io { operation: "create", path: empty, source: e });
                }
                _ => layers.push(empty),
            }
        }
        Ok(View { place: None, plan: MountPlan::new(&layers, None, &self.capabilities)? })
    }

    fn commit(&self, active: Active, to: &Path) -> Result<Committed, SnapshotError> {
        let (_claim, place, stack) = active.into_claimed()?;
        place.move_out(to)?;
        Ok(Committed { dir: to.to_owned(), stack: stack.with(to) })
    }

    fn discard(&self, active: Active) -> Result<(), SnapshotError> {
        let (_claim, place, _) = active.into_claimed()?;
        place.remove()
    }

    fn release(&self, view: View) -> Result<(), SnapshotError> {
        view.place.map_or(Ok(()), |place| place.remove())
    }
}
