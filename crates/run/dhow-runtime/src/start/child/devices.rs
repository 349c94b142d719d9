//! `/dev`: nodes and links.
//!
//! In a user namespace no node can be made, so the host's are bound. The host's node is held by a descriptor and looked
//! at before it is used: what has another number is not what its name says.

use super::Child;
use super::failure::{Context, Failure};
use super::mounts;
use super::place::{self, Wanted};
use super::root::root;
use crate::start::plan::devices::Device;
use dhow_sys::mount::{self, Depth};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Links that every container has, in `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Nodes, links, and then the read-only of those file systems that had to be filled before.
pub(super) fn devices(child: &mut Child<'_>) -> Result<(), Failure> {
    if child.container.own_dev {
        let root = root(child);
        let what = || "cannot open /dev".to_owned();
        let dev = place::directory(root, Path::new("/dev")).context(what)?;
        for device in &child.container.devices {
            let what = || format!("cannot make the device {}", device.path.display());
            let elsewhere = match device.path.parent() {
                Some(parent) if parent != Path::new("/dev") => Some(place::directory(root, parent).context(what)?),
                _ => None,
            };
            let directory = elsewhere.as_ref().unwrap_or(&dev);
            if child.container.in_user_namespace {
                bind(root, device)?
            } else {
                node(directory, device).context(what)?
            }
        }
        for (name, target) in LINKS {
            link(&dev, name, target).context(|| format!("cannot make the link /dev/{name}"))?;
        }
    }
    mounts::read_only(child)
}

/// Makes a node, unless just that node is there already.
fn node(directory: &OwnedFd, device: &Device) -> Result<(), Errno> {
    let name = device.path.file_name().ok_or(Errno::INVAL)?;
    let made = rustix::fs::mknodat(directory, name, device.kind, Mode::from_raw_mode(device.mode), device.number);
    match made {
        Err(Errno::EXIST) => {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let there = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            return if is(&there, device)? { Ok(()) } else { Err(Errno::EXIST) };
        }
        other => other?,
    }
    if device.owner == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(device.owner.0), Gid::from_raw(device.owner.1));
    rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn is(file: &OwnedFd, device: &Device) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(file)?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    Ok(kind == device.kind && stat.st_rdev == device.number)
}

/// Binds the host's node of the same name, read-only: it can be written to, but not changed.
fn bind(root: BorrowedFd<'_>, device: &Device) -> Result<(), Failure> {
    let what = || format!("cannot bind the device {}", device.path.display());
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let host = rustix::fs::openat(CWD, &device.path, flags, Mode::empty()).context(what)?;
    if !is(&host, device).context(what)? {
        return Err(Failure::because(format!("{} of the host is another device", device.path.display())));
    }
    let place = place::made(root, &device.path, Wanted::File).context(what)?;
    let clone = mount::clone_place(host.as_fd(), Depth::One).and_then(super::paths::read_only).context(what)?;
    mount::attach_to(clone, place.as_fd()).context(what)
}

/// Makes a link. In a /dev that the image brought along something of that name may be there; it stays, as do links that
/// lead where they should.
fn link(dev: &OwnedFd, name: &str, target: &str) -> Result<(), Errno> {
    match rustix::fs::symlinkat(target, dev, name) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}
