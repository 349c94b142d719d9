//! Paths that read as nothing, and paths that cannot be written.
//!
//! The root is still hostile here: another container with a part of it may change it at any time. So the host's null
//! device is used, and looked at first: with the container's own `/dev/null` a link in its place would have mounted
//! whatever it leads to, over files that were to be hidden (CVE-2025-31133). Places are held by descriptors, so that
//! what is mounted on is what was found (CVE-2025-52881).

use super::Child;
use super::failure::{Context, Failure};
use super::place;
use super::root::root;
use crate::start::plan::devices;
use dhow_sys::mount::{self, Change, Depth, FsContext, MountAttrFlags, MountError};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// `linux.maskedPaths`: an empty read-only directory over directories, the null device over anything else.
pub(super) fn mask(child: &mut Child<'_>) -> Result<(), Failure> {
    let mut null: Option<OwnedFd> = None;
    let mut nothing: Option<OwnedFd> = None;
    for path in &child.container.masked {
        let what = || format!("cannot hide {}", path.display());
        let Some(place) = existing(root(child), path).context(what)? else { continue };
        let directory = place::kind_of(&place).context(what)? == FileType::Directory;
        let cover = match (directory, &mut nothing) {
            (false, _) => {
                if null.is_none() {
                    null = Some(null_device()?);
                }
                mount::clone_place(null.as_ref().expect("it was just opened").as_fd(), Depth::One).and_then(read_only)
            }
            // A detached mount cannot be cloned before Linux 6.15, so the first is attached and the others cloned of it.
            (true, Some(first)) => mount::clone_place(first.as_fd(), Depth::One),
            (true, none) => {
                let first = empty_directory().context(what)?;
                mount::attach_to(&first, place.as_fd()).context(what)?;
                *none = Some(first);
                continue;
            }
        };
        cover.and_then(|cover| mount::attach_to(cover, place.as_fd())).context(what)?;
    }
    Ok(())
}

/// `linux.readonlyPaths`: each bound on itself, with what is mounted beneath.
pub(super) fn make_read_only(child: &mut Child<'_>) -> Result<(), Failure> {
    let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::NONE };
    for path in &child.container.read_only {
        let what = || format!("cannot make {} read-only", path.display());
        let Some(place) = existing(root(child), path).context(what)? else { continue };
        let bound = |place: BorrowedFd<'_>| -> Result<(), MountError> {
            let clone = mount::clone_place(place, Depth::All)?;
            mount::change(clone.as_fd(), change, Depth::All)?;
            mount::attach_to(clone, place)
        };
        bound(place.as_fd()).context(what)?;
    }
    Ok(())
}

/// What is not there needs neither.
fn existing(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Errno> {
    match place::existing(root, path) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The host's node can be read and written like this, but its mode, owner and times are not the container's to change.
pub(super) fn read_only(mount: OwnedFd) -> Result<OwnedFd, MountError> {
    let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::NONE };
    mount::change(mount.as_fd(), change, Depth::One)?;
    Ok(mount)
}

fn empty_directory() -> Result<OwnedFd, MountError> {
    FsContext::open("tmpfs")?.mount(
        MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
}

/// The host's null device, in whose tree we still are.
fn null_device() -> Result<OwnedFd, Failure> {
    let what = || "cannot open the host's /dev/null".to_owned();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let null = rustix::fs::openat(CWD, "/dev/null", flags, Mode::empty()).context(what)?;
    let stat = rustix::fs::fstat(&null).context(what)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || stat.st_rdev != devices::null() {
        return Err(Failure::because("/dev/null of the host is not the null device"));
    }
    Ok(null)
}
