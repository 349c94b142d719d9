//! Killing what is in a group, and removing it.
//!
//! Nothing here trusts what it finds: a container may make groups below its own, of any depth, name and number, and its
//! processes fork while they are being killed.

use super::directory::{
    failed, groups_below, is_gone, number_of, open_directory, open_file, read, read_all, refused, remove_group, visit,
    write,
};
use super::freeze::{await_frozen_v1, thaw_v1};
use super::hierarchy::{Hierarchies, Version};
use super::patience::Patience;
use super::{Cgroup, Member, check_path};
use crate::error::RuntimeError;
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How long killed processes may take to end.
const TO_KILL: Duration = Duration::from_secs(10);

/// How long processes may be on their way out of a group that is to be removed.
const LEAVING: Duration = Duration::from_secs(2);

/// How long to try to freeze before killing one by one: it only helps against processes that fork.
const TO_FREEZE: Duration = Duration::from_millis(200);

/// Where the kernel announces nothing.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// How many processes are held by pidfd at a time.
const AT_ONCE: usize = 256;

impl Cgroup {
    /// Kills every process in it, frozen ones too, and waits until it is empty.
    ///
    /// # Errors
    /// Of the file system; when it did not get empty in ten seconds.
    pub fn kill(&self) -> Result<(), RuntimeError> {
        let error = |e| failed(format_args!("cannot kill the processes of {}", self.name()), e);
        let patience = Patience::new(TO_KILL).map_err(error)?;
        let empty = match self.unified() {
            Some(member) if kill_all_v2(member).map_err(error)? => {
                // Frozen by version 1 they cannot die.
                if let Some(freezer) = self.in_v1("freezer") {
                    thaw_v1(freezer).or_else(|e| if is_gone(e) { Ok(()) } else { Err(e) }).map_err(error)?;
                }
                self.await_empty_v2(member, &patience).map_err(error)?
            }
            _ => self.kill_each(&patience).map_err(error)?,
        };
        if !empty {
            let left = self.processes()?;
            return Err(refused(format!("processes of {} do not end: {left:?}", self.name())));
        }
        Ok(())
    }

    /// The processes in it and in groups below it, as pids of this pid namespace.
    ///
    /// # Errors
    /// Of the file system.
    pub fn processes(&self) -> Result<Vec<u32>, RuntimeError> {
        pids(self.of_record()).map_err(|e| failed(format_args!("cannot read cgroup.procs of {}", self.name()), e))
    }

    /// Removes it, groups below it first, and waits for processes that are about to end. Fine when it is gone already.
    ///
    /// # Errors
    /// When somebody is still in it. All hierarchies are tried.
    pub fn remove(&self) -> Result<(), RuntimeError> {
        let patience = Patience::new(LEAVING).map_err(|e| failed(format_args!("cannot remove {}", self.name()), e))?;
        let mut first = Ok(());
        for member in &self.members {
            let hierarchy = self.of(member);
            let removed = remove_tree(hierarchy.root.as_fd(), &self.path, &patience)
                .map_err(|e| failed(format_args!("cannot remove {} ({})", self.name(), hierarchy.label()), e));
            first = first.and(removed);
        }
        first
    }

    /// Removes the group `path` and those above it, as far as nobody is in them and no group is below: what
    /// [`create`](Cgroup::create) and [`shared`](Cgroup::shared) made on the way and nobody needs any more. Whoever makes
    /// groups there meanwhile makes them again.
    ///
    /// # Errors
    /// Of the file system, but for those that say that a group is in use or gone.
    pub fn prune(on: &Hierarchies, path: &Path) -> Result<(), RuntimeError> {
        check_path(path)?;
        for hierarchy in on.all.iter() {
            for path in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
                match remove_group(hierarchy.root.as_fd(), path) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(Errno::BUSY) => break,
                    Err(e) => {
                        let label = hierarchy.label();
                        return Err(failed(format_args!("cannot remove {} ({label})", path.display()), e));
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves the calling process out of whatever group it is in, to the root: for who is the last in a group, and is to
    /// [`prune`](Cgroup::prune) it before he ends.
    ///
    /// # Errors
    /// Of the file system. All hierarchies are tried.
    pub fn leave(on: &Hierarchies) -> Result<(), RuntimeError> {
        let mut first = Ok(());
        for hierarchy in on.all.iter() {
            let left = write(hierarchy.root.as_fd(), "cgroup.procs", "0")
                .map_err(|e| failed(format_args!("cannot leave the group ({})", hierarchy.label()), e));
            first = first.and(left);
        }
        first
    }

    fn await_empty_v2(&self, member: &Member, patience: &Patience) -> Result<bool, Errno> {
        let events = match open_file(member.directory.as_fd(), "cgroup.events", OFlags::RDONLY) {
            Ok(events) => events,
            Err(errno) if is_gone(errno) => return Ok(true),
            Err(errno) => return Err(errno),
        };
        let empty = match patience.wait_for(&events, |lines| number_of(lines, "populated") == Some(0)) {
            // Removed by somebody else: so it was empty.
            Err(errno) if is_gone(errno) => true,
            other => other?,
        };
        // A process that has gone its own way in version 1 only. On a host without version 1 there is none.
        if empty && self.members.iter().any(|m| self.of(m).version == Version::V1) {
            return self.kill_each(patience);
        }
        Ok(empty)
    }

    /// Version 1: one by one, stopped meanwhile so that none can fork.
    fn kill_each(&self, patience: &Patience) -> Result<bool, Errno> {
        let freezer = self.in_v1("freezer");
        let v1 = freezer.or_else(|| self.in_v1("pids"));
        let member = v1.or_else(|| self.members.iter().find(|m| self.of(m).version == Version::V1));
        let member = member.unwrap_or_else(|| self.of_record());
        loop {
            if pids(member)?.is_empty() {
                return Ok(true);
            }
            if let Some(freezer) = freezer {
                // Not frozen is no reason not to kill: what is missed now is there in the next round.
                await_frozen_v1(freezer, &Patience::new(TO_FREEZE)?)?;
            }
            let killed = kill_listed(member);
            // Dead or not they must be let go on, also when that went wrong: a frozen process does not die.
            freezer.map_or(Ok(()), thaw_v1)?;
            for pidfd in killed? {
                if !patience.wait(&[(pidfd.as_fd(), PollFlags::IN)], None)? {
                    return Ok(false);
                }
            }
            if !patience.wait(&[], Some(Duration::ZERO))? {
                return Ok(false);
            }
        }
    }
}

/// `cgroup.kill`, since 5.14, kills also what is being forked; `false` where it is not to be had.
fn kill_all_v2(member: &Member) -> Result<bool, Errno> {
    match write(member.directory.as_fd(), "cgroup.kill", "1") {
        Ok(()) => Ok(true),
        // OPNOTSUPP: a group of threads, which a container may have made of it.
        Err(Errno::NOENT | Errno::OPNOTSUPP) => Ok(false),
        Err(Errno::NODEV) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Sends SIGKILL to all that are listed, and returns some of them to wait for.
///
/// A pid may name another process by the time it is opened. So the list is read again: a pid that is still on it
/// belonged to the group after it was opened, and what was opened either is that process or has ended.
fn kill_listed(member: &Member) -> Result<Vec<OwnedFd>, Errno> {
    let mut held = Vec::new();
    for some in pids(member)?.chunks(AT_ONCE) {
        held = some.iter().filter_map(|pid| Some((*pid, open(*pid)?))).collect();
        let still: HashSet<u32> = pids(member)?.into_iter().collect();
        held.retain(|(pid, _)| still.contains(pid));
        for (_, pidfd) in &held {
            match rustix::process::pidfd_send_signal(pidfd, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(held.into_iter().map(|(_, pidfd)| pidfd).collect())
}

/// `None` when it is gone.
fn open(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// The processes of the group and those below it.
fn pids(member: &Member) -> Result<Vec<u32>, Errno> {
    let mut pids = Vec::new();
    let add = |group: BorrowedFd<'_>| {
        match read(group, "cgroup.procs") {
            // 0 stands for processes of which this pid namespace does not know.
            Ok(lines) => pids.extend(lines.lines().filter_map(|l| l.parse::<u32>().ok()).filter(|pid| *pid != 0)),
            // A group of threads: its processes are listed above it.
            Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    };
    match visit(member.directory.as_fd(), add) {
        Ok(()) => Ok(pids),
        Err(errno) if is_gone(errno) => Ok(Vec::new()),
        Err(errno) => Err(errno),
    }
}

/// Removes the group and all below it, and waits for processes on their way out. Fine when it is gone.
pub(super) fn remove_tree(root: BorrowedFd<'_>, path: &Path, patience: &Patience) -> Result<(), Errno> {
    loop {
        match remove_group(root, path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(errno),
        }
        let group = match open_directory(root, path) {
            Ok(group) => group,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        remove_below(group.as_fd(), patience)?;
        match remove_group(root, path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) if await_leaving(group.as_fd(), patience)? => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Removes all groups below, the deepest first. One directory is open at a time, as in
/// [`visit`](super::directory::visit).
fn remove_below(top: BorrowedFd<'_>, patience: &Patience) -> Result<(), Errno> {
    let mut to_remove = vec![groups_below(top)?];
    let mut way: Vec<CString> = Vec::new();
    let mut below: Option<OwnedFd> = None;
    while let Some(names) = to_remove.last_mut() {
        let here = below.as_ref().map_or(top, AsFd::as_fd);
        if let Some(name) = names.pop() {
            match remove_group(here, &name) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::BUSY) => {}
                Err(errno) => return Err(errno),
            }
            let Ok(child) = open_directory(here, &name) else { continue };
            to_remove.push(groups_below(child.as_fd())?);
            way.push(name);
            below = Some(child);
            continue;
        }
        to_remove.pop();
        let Some(name) = way.pop() else { continue };
        let above = open_directory(here, c"..")?;
        let parent = if way.is_empty() { top } else { above.as_fd() };
        match remove_group(parent, &name) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Processes on their way out, or groups that were made meanwhile: look again at what is there.
            Err(Errno::BUSY) if await_leaving(here, patience)? => {
                if let Some(names) = to_remove.last_mut() {
                    names.push(name);
                }
            }
            Err(errno) => return Err(errno),
        }
        below = if way.is_empty() { None } else { Some(above) };
    }
    Ok(())
}

/// Waits until something has left the group; `false` when the patience ended first.
fn await_leaving(group: BorrowedFd<'_>, patience: &Patience) -> Result<bool, Errno> {
    if let Ok(events) = open_file(group, "cgroup.events", OFlags::RDONLY) {
        let empty = match read_all(events.as_fd()) {
            Ok(lines) => number_of(&lines, "populated") == Some(0),
            Err(errno) if is_gone(errno) => return Ok(true),
            Err(errno) => return Err(errno),
        };
        // Empty, and yet it cannot be removed: the kernel is not done with the last process, or a group below is new.
        let (fds, at_most) =
            if empty { (None, Some(LOOK_AGAIN)) } else { (Some((events.as_fd(), PollFlags::PRI)), None) };
        return patience.wait(fds.as_slice(), at_most);
    }
    // Version 1 announces nothing, but a process does when it ends.
    let first = read(group, "cgroup.procs").unwrap_or_default();
    match first.lines().next().and_then(|pid| open(pid.parse().ok()?)) {
        Some(pidfd) => patience.wait(&[(pidfd.as_fd(), PollFlags::IN)], None),
        None => patience.wait(&[], Some(LOOK_AGAIN)),
    }
}
