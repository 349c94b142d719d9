//! Making a group in every hierarchy, and what must be there above it.

use super::directory::{failed, is_gone, make_group, open_directory, read, write};
use super::hierarchy::{Hierarchies, Hierarchy, Version};
use super::patience::Patience;
use super::{Cgroup, Member, end, open_member};
use crate::error::RuntimeError;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How often to begin anew when others make and remove the same groups.
const ATTEMPTS: usize = 20;

/// How long processes of a group that is taken over may still be on their way out.
const LEAVING: Duration = Duration::from_secs(2);

/// Makes the group, without limits. Nothing is left behind when it fails, but for groups above it.
pub(super) fn make(on: &Hierarchies, path: &Path) -> Result<Cgroup, RuntimeError> {
    let mut cgroup = Cgroup { on: on.clone(), path: path.to_owned(), members: Vec::with_capacity(on.all.len()) };
    for (index, hierarchy) in on.all.iter().enumerate() {
        let made = make_in(hierarchy, path, true);
        match made.and_then(|()| member(index, hierarchy, path)) {
            Ok(member) => cgroup.members.push(member),
            Err(error) => {
                // The first error is the one to tell.
                let _ = cgroup.remove();
                return Err(error);
            }
        }
    }
    Ok(cgroup)
}

/// Takes up the group where it is, and makes it where it is not. What was made stays, also when it fails.
pub(super) fn make_or_open(on: &Hierarchies, path: &Path) -> Result<Cgroup, RuntimeError> {
    let mut members = Vec::with_capacity(on.all.len());
    for (index, hierarchy) in on.all.iter().enumerate() {
        let make_and_open = || make_in(hierarchy, path, false).and_then(|()| member(index, hierarchy, path));
        let mut made = make_and_open();
        // Somebody may find it unused and remove it before it is used.
        for _ in 0..ATTEMPTS {
            if !made.as_ref().is_err_and(says_gone) {
                break;
            }
            made = make_and_open();
        }
        members.push(made?);
    }
    Ok(Cgroup { on: on.clone(), path: path.to_owned(), members })
}

fn member(index: usize, hierarchy: &Hierarchy, path: &Path) -> Result<Member, RuntimeError> {
    open_member(index, hierarchy, path)
        .map_err(|e| failed(format_args!("cannot open {} ({})", path.display(), hierarchy.label()), e))
}

/// Makes the group in one hierarchy; where one of this name is there, it stays, or is made anew.
fn make_in(hierarchy: &Hierarchy, path: &Path, anew: bool) -> Result<(), RuntimeError> {
    let root = hierarchy.root.as_fd();
    let mut tried = Errno::NOENT;
    for _ in 0..ATTEMPTS {
        match make_group(root, path) {
            Ok(()) => return ready(hierarchy, path),
            Err(Errno::NOENT) => prepare_above(hierarchy, path)?,
            Err(Errno::EXIST) if anew => take_over(hierarchy, path)?,
            // Who makes it may not be done with it.
            Err(Errno::EXIST) => return ready(hierarchy, path),
            Err(errno) => return Err(cannot_make(hierarchy, path, errno)),
        }
        tried = Errno::EXIST;
    }
    Err(cannot_make(hierarchy, path, tried))
}

fn cannot_make(hierarchy: &Hierarchy, path: &Path, errno: Errno) -> RuntimeError {
    failed(format_args!("cannot make {} ({})", path.display(), hierarchy.label()), errno)
}

fn take_over(hierarchy: &Hierarchy, path: &Path) -> Result<(), RuntimeError> {
    let removed = Patience::new(LEAVING).and_then(|patience| end::remove_tree(hierarchy.root.as_fd(), path, &patience));
    removed.map_err(|e| {
        let why = if e == Errno::BUSY { ", which has processes in it" } else { "" };
        failed(format_args!("cannot take over {}{why} ({})", path.display(), hierarchy.label()), e)
    })
}

/// Sees to it that the group that was just made can have processes and limits.
fn ready(hierarchy: &Hierarchy, path: &Path) -> Result<(), RuntimeError> {
    let lacks = || -> Result<bool, Errno> {
        let group = open_directory(hierarchy.root.as_fd(), path)?;
        if hierarchy.version == Version::V2 {
            let on = read(group.as_fd(), "cgroup.controllers")?;
            return Ok(hierarchy.controllers.iter().any(|c| !on.split_ascii_whitespace().any(|on| on == c)));
        }
        // Without processors nobody is let in. Those above get their memory nodes first, so a group that has inherited
        // processors has inherited both.
        Ok(hierarchy.has("cpuset") && read(group.as_fd(), "cpuset.cpus")?.trim().is_empty())
    };
    // A hierarchy that controls nothing needs nothing.
    if hierarchy.version == Version::V1 && !hierarchy.has("cpuset") || hierarchy.controllers.is_empty() {
        return Ok(());
    }
    let lacks = lacks().map_err(|e| cannot_make(hierarchy, path, e))?;
    if !lacks {
        return Ok(());
    }
    let done = prepare_above(hierarchy, path).and_then(|()| {
        if hierarchy.has("cpuset") && hierarchy.version == Version::V1 {
            let group = open_directory(hierarchy.root.as_fd(), path).map_err(|e| cannot_make(hierarchy, path, e))?;
            inherit_cpuset(group.as_fd(), path)?;
        }
        Ok(())
    });
    if done.is_err() {
        let _ = super::directory::remove_group(hierarchy.root.as_fd(), path);
    }
    done
}

/// Makes what is missing above `path`, and lets each of those groups hand on what it has.
fn prepare_above(hierarchy: &Hierarchy, path: &Path) -> Result<(), RuntimeError> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
    above.reverse();
    hand_on_controllers(hierarchy, hierarchy.root.as_fd(), Path::new("/"))?;
    for path in above {
        let is_new = match make_group(hierarchy.root.as_fd(), path) {
            Ok(()) => true,
            // NOENT: somebody is removing one above.
            Err(Errno::EXIST | Errno::NOENT) => false,
            Err(errno) => return Err(cannot_make(hierarchy, path, errno)),
        };
        match prepare(hierarchy, path, is_new) {
            // Removed as soon as it was made: the attempt to make one below will tell.
            Err(error) if says_gone(&error) => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// Whether the error is that a group is not there any more.
fn says_gone(error: &RuntimeError) -> bool {
    matches!(error, RuntimeError::Step { errno: Some(errno), .. } if is_gone(Errno::from_raw_os_error(*errno)))
}

/// Lets a group hand on what it has.
fn prepare(hierarchy: &Hierarchy, path: &Path, is_new: bool) -> Result<(), RuntimeError> {
    if hierarchy.version == Version::V1 && !hierarchy.has("cpuset") {
        return Ok(());
    }
    let group: OwnedFd = open_directory(hierarchy.root.as_fd(), path).map_err(|e| cannot_make(hierarchy, path, e))?;
    if hierarchy.version == Version::V2 {
        return hand_on_controllers(hierarchy, group.as_fd(), path);
    }
    // Those below inherit from the start, which saves reading and writing at each start. Where it does not work, and below
    // groups that others have made, `ready` does it by hand.
    if is_new {
        let _ = write(group.as_fd(), "cgroup.clone_children", "1");
    }
    inherit_cpuset(group.as_fd(), path)
}

/// Version 1: a new group has no processors and no memory nodes, and takes those of the one above it. The nodes first, see
/// [`ready`].
fn inherit_cpuset(group: BorrowedFd<'_>, path: &Path) -> Result<(), RuntimeError> {
    let above =
        open_directory(group, c"..").map_err(|e| failed(format_args!("cannot open {}/..", path.display()), e))?;
    for file in ["cpuset.mems", "cpuset.cpus"] {
        let copy = || -> Result<(), Errno> {
            if read(group, file)?.trim().is_empty() {
                write(group, file, read(above.as_fd(), file)?.trim())?;
            }
            Ok(())
        };
        copy().map_err(|e| failed(format_args!("cannot set {file} of {} to that above it", path.display()), e))?;
    }
    Ok(())
}

/// Version 2: lets the groups below have the controllers. What cannot be had is gone without: a limit that needs it is
/// refused later, by name.
fn hand_on_controllers(hierarchy: &Hierarchy, group: BorrowedFd<'_>, path: &Path) -> Result<(), RuntimeError> {
    if hierarchy.version == Version::V1 || hierarchy.controllers.is_empty() {
        return Ok(());
    }
    let read =
        |file| read(group, file).map_err(|e| failed(format_args!("cannot read {file} of {}", path.display()), e));
    let (there, on) = (read("cgroup.controllers")?, read("cgroup.subtree_control")?);
    let wanted: Vec<String> = there
        .split_ascii_whitespace()
        .filter(|c| !on.split_ascii_whitespace().any(|on| on == *c))
        .map(|c| format!("+{c}"))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    match write(group, "cgroup.subtree_control", &wanted.join(" ")) {
        // BUSY: there are processes in this group. Some controllers it would take nevertheless, and turn into a group of
        // threads by that, below which nobody could put a process.
        Ok(()) | Err(Errno::BUSY) => {}
        // One of them is the reason (`cpu` while there are real-time processes): the others without it.
        Err(_) => {
            for one in &wanted {
                let _ = write(group, "cgroup.subtree_control", one);
            }
        }
    }
    Ok(())
}
