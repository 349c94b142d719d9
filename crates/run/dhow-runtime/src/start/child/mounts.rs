//! The mounts of the spec: each made without a place, given its attributes, then put on its place in the root.

mod cgroups;

use super::Child;
use super::failure::{Context, Failure};
use super::foreign;
use super::place::{self, Wanted};
use super::root::root;
use crate::start::plan::mounts::{Kind, Mount};
use dhow_sys::mount::{self, Change, Depth, FsContext, MountAttrFlags, MountError};
use rustix::fs::{FileType, PROC_SUPER_MAGIC};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// All of them, in order.
pub(super) fn mounts(child: &mut Child<'_>) -> Result<(), Failure> {
    let container = child.container;
    for (index, mount) in container.mounts.iter().enumerate() {
        match &mount.kind {
            Kind::Bind { .. } => {
                let source = child.sources[index].as_ref().expect("the sources of all binds were opened");
                put(mount, root(child), source)?;
            }
            Kind::Cgroup => {
                let made = cgroups::mount(mount, container.cgroup_namespace)?;
                put(mount, root(child), &made.mount)?;
                made.fill()?;
                if read_only_later(mount) {
                    child.read_only_later.push(made.mount);
                }
            }
            Kind::New { kind, source } => {
                let made = new(child, mount, kind, source)?;
                put(mount, root(child), &made)?;
                if read_only_later(mount) {
                    child.read_only_later.push(made);
                }
            }
        }
    }
    Ok(())
}

/// Gives a detached mount its attributes, and puts it on its place.
fn put(mount: &Mount, root: BorrowedFd<'_>, detached: &OwnedFd) -> Result<(), Failure> {
    let what = || format!("cannot mount on {}", mount.target.display());
    change(mount, detached.as_fd()).context(what)?;
    let place = find(mount, root, detached)?;
    mount::attach_to(detached, place.as_fd()).context(what)
}

/// Makes those read-only that were to have something made in them first.
pub(super) fn read_only(child: &mut Child<'_>) -> Result<(), Failure> {
    let change = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::NONE };
    for mount in std::mem::take(&mut child.read_only_later) {
        mount::change(mount.as_fd(), change, Depth::One).context(|| "cannot make a tmpfs read-only".to_owned())?;
    }
    Ok(())
}

/// Places for later mounts, and nodes, are made in a tmpfs, which is empty at first.
fn read_only_later(mount: &Mount) -> bool {
    let filled = mount.is_new("tmpfs") || mount.kind == Kind::Cgroup;
    filled && mount.change.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn change(mount: &Mount, detached: BorrowedFd<'_>) -> Result<(), MountError> {
    let mut change = mount.change;
    if !mount.is_bind() {
        // These were given as the file system was mounted.
        change = Change { propagation: change.propagation, ..Change::NONE };
    }
    mount::change(detached, mount.recursive, Depth::All)?;
    mount::change(detached, change, Depth::One)
}

/// A new file system.
fn new(child: &Child<'_>, mount: &Mount, kind: &str, source: &str) -> Result<OwnedFd, Failure> {
    let target = || format!("cannot mount on {}", mount.target.display());
    if kind != "proc" || !super::stays_unseen(child.join, child.container) {
        return of_ours(mount, kind, source).context(target);
    }
    let made = configured(foreign::procfs(child)?, mount, source).context(target)?;
    if rustix::fs::fstatfs(&made).context(target)?.f_type == PROC_SUPER_MAGIC {
        return Ok(made);
    }
    Err(Failure::because(format!("{}: what came for a procfs is none", target())))
}

fn of_ours(mount: &Mount, kind: &str, source: &str) -> Result<OwnedFd, MountError> {
    match FsContext::open(kind).and_then(|context| configured(context, mount, source)) {
        // Without a network namespace of our own user namespace there is none to be shown: the host's, read-only.
        Err(e) if kind == "sysfs" && e.errno() == Some(Errno::PERM) => {
            let host = mount::open_tree_at(Path::new("/sys"), Depth::All)?;
            let change = Change { set: mount.change.set | MountAttrFlags::MOUNT_ATTR_RDONLY, ..mount.change };
            mount::change(host.as_fd(), change, Depth::One)?;
            Ok(host)
        }
        other => other,
    }
}

fn configured(context: FsContext, mount: &Mount, source: &str) -> Result<OwnedFd, MountError> {
    if !source.is_empty() {
        context.set_string("source", OsStr::new(source))?;
    }
    for (key, value) in &mount.options {
        match value {
            Some(value) => context.set_string(key, OsStr::new(value))?,
            None => context.set_flag(key)?,
        }
    }
    let mut attributes = mount.change.set;
    if read_only_later(mount) {
        attributes -= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    context.mount(attributes)
}

/// Finds or makes the place of a mount.
fn find(mount: &Mount, root: BorrowedFd<'_>, detached: &OwnedFd) -> Result<OwnedFd, Failure> {
    let target = &mount.target;
    let what = || format!("cannot find or make the place {}", target.display());
    if mount.is_new("proc") || mount.is_new("sysfs") {
        // What is written to below /proc and /sys must be what it seems (CVE-2019-19921, CVE-2023-27561, CVE-2023-28642).
        place::made(root, target, Wanted::Directory).context(what)?;
        return match place::plain(root, target) {
            Ok(place) if place::kind_of(&place).context(what)? == FileType::Directory => Ok(place),
            Ok(_) | Err(Errno::LOOP) => {
                Err(Failure::because(format!("{} must be an ordinary directory", target.display())))
            }
            Err(e) => Err(e).context(what),
        };
    }
    let source = place::kind_of(detached).context(what)?;
    let wanted = if source == FileType::Directory { Wanted::Directory } else { Wanted::File };
    let place = place::made(root, target, wanted).context(what)?;
    spare_procfs(target, &place)?;
    Ok(place)
}

/// Files of /proc that may be hidden by a mount, as container tools have done for long; all of them only inform.
const PROC_FILES: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
];

/// Whoever reads and writes in /proc, we among them, must find procfs there (CVE-2019-16884).
fn spare_procfs(target: &Path, place: &OwnedFd) -> Result<(), Failure> {
    let within = || format!("cannot look at the place {}", target.display());
    let on_procfs = rustix::fs::fstatfs(place).context(within)?.f_type == PROC_SUPER_MAGIC;
    if !on_procfs || PROC_FILES.iter().any(|file| Path::new(file) == target) {
        return Ok(());
    }
    Err(Failure::because(format!("{} cannot be mounted on: it is inside of /proc", target.display())))
}
