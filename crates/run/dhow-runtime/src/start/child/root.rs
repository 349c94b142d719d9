//! The container's root: attached in its own mount namespace, made the root, the host's tree taken away.

use super::Child;
use super::failure::{Context, Failure};
use dhow_sys::mount::{self, Change, Depth, MountAttrFlags, Propagation};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Nothing that is mounted here may show on the host. What the host mounts and unmounts until we leave its tree still
/// shows here, so that it can unmount what we hold a copy of.
pub(super) fn keep_mounts_in(_: &mut Child<'_>) -> Result<(), Failure> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).context(|| "cannot separate our mounts from the host's".to_owned())
}

/// Attaches the root on top of `/`. Lookups of host paths still begin below it, at the root directory we have, and no
/// directory on the host is needed to put it on.
///
/// A clone of a shared mount is one of its peers: what is mounted in it would show on the host. So it hears of the host's
/// mounts at most, and only if the spec wants that.
pub(super) fn attach(child: &mut Child<'_>) -> Result<(), Failure> {
    let propagation = match child.container.root_propagation {
        Some((Propagation::Slave, _)) => Propagation::Slave,
        _ => Propagation::Private,
    };
    let change = Change { propagation: Some(propagation), ..Change::NONE };
    mount::change(root(child), change, Depth::All).context(|| "cannot separate the root from the host".to_owned())?;
    let place = child.container.root_place.as_deref().filter(|place| place.is_dir());
    mount::attach(root(child), place.unwrap_or(Path::new("/"))).context(|| "cannot attach the root".to_owned())
}

/// Holds the root that we have as the container's root.
pub(super) fn open(child: &mut Child<'_>) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty()).context(|| "cannot open the root".to_owned())?;
    child.root = Some(root);
    Ok(())
}

/// Makes it the root and takes the host's tree away. With both places being `.` the old root lands on top of the new
/// one (pivot_root(2), "pivot_root(".", ".")"), and there is no directory to be made for it.
pub(super) fn pivot(child: &mut Child<'_>) -> Result<(), Failure> {
    rustix::process::fchdir(root(child)).context(|| "cannot enter the root".to_owned())?;
    rustix::process::pivot_root(".", ".").context(|| "cannot make it the root".to_owned())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context(|| "cannot take the host's tree away".to_owned())?;
    rustix::process::chdir("/").context(|| "cannot enter the root".to_owned())
}

/// Propagation, and read-only, which comes when nothing more is to be made in it.
pub(super) fn attributes(child: &mut Child<'_>) -> Result<(), Failure> {
    let container = child.container;
    if let Some((propagation, all)) = container.root_propagation {
        let change = Change { propagation: Some(propagation), ..Change::NONE };
        let depth = if all { Depth::All } else { Depth::One };
        mount::change(root(child), change, depth).context(|| "cannot set the propagation of the root".to_owned())?;
    }
    if container.root_read_only {
        let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::NONE };
        mount::change(root(child), change, Depth::One).context(|| "cannot make the root read-only".to_owned())?;
    }
    Ok(())
}

/// The root directory of the container.
pub(super) fn root<'c>(child: &'c Child<'_>) -> BorrowedFd<'c> {
    child.root.as_ref().expect("the steps that need it come after it is there").as_fd()
}
