//! Snapshots by copying: for kernels and file systems without overlayfs.
//!
//! All layers are merged into one tree, so preparing takes as long as the files are big, but for file systems that share
//! extents (btrfs, xfs). What is committed is a whole tree: its root hides whatever is below, and its stack is itself
//! alone.

use super::place::Place;
use super::{Active, Committed, SnapshotError, Snapshots, Stack, View, merge::merge};
use crate::below::OPAQUE;
use crate::mount_plan::MountPlan;
use dhow_sys::tree::{self, Target, Tree};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Snapshots by copying, the trees in one base directory.
#[derive(Debug, Clone)]
pub struct Copy {
    base: PathBuf,
}

impl Copy {
    /// Snapshots in `base`, an absolute path.
    pub fn new(base: impl Into<PathBuf>) -> Copy {
        Copy { base: base.into() }
    }

    fn build(&self, id: &str, stack: &Stack) -> Result<Place, SnapshotError> {
        let layers = stack.visible()?;
        Place::create(&self.base, id, |place| {
            let tree = Tree::create(&place.fs()).map_err(SnapshotError::io("create", place.fs()))?;
            merge(&layers, &tree)
        })
    }
}

fn plan(place: &Place, read_only: bool) -> MountPlan {
    MountPlan::Bind { dir: place.fs(), read_only }
}

impl Snapshots for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn prepare(&self, id: &str, stack: &Stack) -> Result<Active, SnapshotError> {
        let place = self.build(id, stack)?;
        let plan = plan(&place, false);
        Ok(Active::new(id, place, stack, plan))
    }

    fn resume(&self, id: &str, stack: &Stack) -> Result<Active, SnapshotError> {
        let place = Place::open(&self.base, id)?;
        let plan = plan(&place, false);
        Ok(Active::new(id, place, stack, plan))
    }

    fn view(&self, id: &str, stack: &Stack) -> Result<View, SnapshotError> {
        let place = self.build(id, stack)?;
        let plan = plan(&place, true);
        Ok(View { place: Some(place), plan })
    }

    fn commit(&self, active: Active, to: &Path) -> Result<Committed, SnapshotError> {
        let (_claim, place, _) = active.into_claimed()?;
        let root = Tree::open(&place.fs()).map_err(SnapshotError::io("open", place.fs()))?;
        match tree::set_xattr(Target::Fd(root.as_fd()), OsStr::new(OPAQUE), b"y") {
            // Where there are no such attributes nothing is ever stacked by them.
            Err(e) if Errno::from_io_error(&e) != Some(Errno::OPNOTSUPP) => {
                return Err(SnapshotError::Io { operation: "mark", path: place.fs(), source: e });
            }
            _ => {}
        }
        place.move_out(to)?;
        Ok(Committed { dir: to.to_owned(), stack: Stack::from_bottom([to]) })
    }

    fn discard(&self, active: Active) -> Result<(), SnapshotError> {
        let (_claim, place, _) = active.into_claimed()?;
        place.remove()
    }

    fn release(&self, view: View) -> Result<(), SnapshotError> {
        view.place.map_or(Ok(()), |place| place.remove())
    }
}
