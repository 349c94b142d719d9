//! Control groups, version 1, hybrid and version 2: made, limited, entered, frozen, emptied, removed.
//!
//! Follows cgroups(7), the kernel's `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst`, and the OCI runtime
//! specification for what the limits mean. Must not know containers: a group is a path below the roots of the
//! hierarchies. All files are reached from directory fds that are opened once.
//!
//! # Words
//!
//! - a **hierarchy** is a tree of groups; version 1 has one for each controller or a few of them, version 2 is one;
//! - a host is **hybrid** when controllers are on version 1 and version 2 is there too, for keeping track of processes:
//!   then processes are killed and frozen through version 2, which does both without races;
//! - the **way in** of a process is an [`Entry`].
//!
//! # The price of getting in
//!
//! Writing a pid to `cgroup.procs` takes a lock that makes the first writer after a pause wait for an RCU grace period:
//! 4 to 9 ms. A lone thread that writes `0` to `tasks` (version 1) does not take it, nor does `CLONE_INTO_CGROUP`
//! (version 2). Those are the ways in of [`Entry`]; where neither will do, [`warm`] pays ahead of time.

mod apply;
mod devices;
mod directory;
mod end;
mod freeze;
mod hierarchy;
mod limits;
mod make;
mod patience;
mod stats;

pub use hierarchy::{Hierarchies, warm};
pub use stats::Stats;

use crate::error::RuntimeError;
use directory::{failed, open_directory, refused};
use hierarchy::{Hierarchy, Version};
use oci_spec::runtime::LinuxResources;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// One group: a directory in each hierarchy that controls something.
#[derive(Debug)]
pub struct Cgroup {
    on: Hierarchies,
    path: PathBuf,
    members: Vec<Member>,
}

/// The group in one hierarchy.
struct Member {
    /// Index into [`Hierarchies::all`].
    hierarchy: usize,
    directory: OwnedFd,
    /// Version 1: where a lone thread writes `0` to get in.
    tasks: Option<OwnedFd>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({}, {:?}, {:?})", self.hierarchy, self.directory, self.tasks)
    }
}

/// How a process gets into a group as it is made.
#[derive(Debug)]
pub enum Entry<'c> {
    /// Version 2: `clone3(CLONE_INTO_CGROUP)` with this directory.
    Clone(BorrowedFd<'c>),
    /// Version 1: the new process, while it has only one thread, writes `0` (and no pid) to each of these itself.
    Write(Vec<BorrowedFd<'c>>),
    /// Hybrid: both.
    CloneAndWrite(BorrowedFd<'c>, Vec<BorrowedFd<'c>>),
    /// No group at all.
    None,
}

impl<'c> Entry<'c> {
    /// The directory for `CLONE_INTO_CGROUP`, when there is a use for it.
    pub fn clone_into(&self) -> Option<BorrowedFd<'c>> {
        match self {
            Entry::Clone(directory) | Entry::CloneAndWrite(directory, _) => Some(*directory),
            Entry::Write(_) | Entry::None => None,
        }
    }

    /// The files that the new process writes `0` to while it has only one thread.
    pub fn write_to(&self) -> &[BorrowedFd<'c>] {
        match self {
            Entry::Write(files) | Entry::CloneAndWrite(_, files) => files,
            Entry::Clone(_) | Entry::None => &[],
        }
    }
}

impl Cgroup {
    /// Makes the group `path` (relative to the root of the hierarchies, as `dhow/<store id>/<container id>`) with these
    /// limits and, unless `resources.devices` is absent or empty, its device rules. A group left by a dead one is taken
    /// over: removed with all below it, and made anew. Groups above it that are missing are made, and stay.
    ///
    /// # Errors
    /// Which limit could not be set, and why: [`RuntimeError::Invalid`] for values that make no sense and
    /// [`RuntimeError::Unsupported`] for limits that this host cannot keep, both before anything is made; or that a
    /// group of this name has processes in it. Nothing is left behind.
    pub fn create(on: &Hierarchies, path: &Path, resources: &LinuxResources) -> Result<Cgroup, RuntimeError> {
        check_path(path)?;
        let plan = apply::Plan::new(on, resources)?;
        let cgroup = make::make(on, path)?;
        if let Err(error) = plan.carry_out(&cgroup, true) {
            // The first error is the one to tell; what cannot be removed now is taken over by the next who comes.
            let _ = cgroup.remove();
            return Err(error);
        }
        Ok(cgroup)
    }

    /// The group `path` for processes that come and go, without limits: taken up where it is there, made where it is not.
    /// Nobody needs to remove it.
    ///
    /// # Errors
    /// When it can be neither made nor opened.
    pub fn shared(on: &Hierarchies, path: &Path) -> Result<Cgroup, RuntimeError> {
        check_path(path)?;
        make::make_or_open(on, path)
    }

    /// Takes up a group that is there. Where it is missing in some hierarchies (somebody was killed while making or
    /// removing it), it is what there is.
    ///
    /// # Errors
    /// When it is not there: [`RuntimeError::Step`] with `ENOENT`.
    pub fn open(on: &Hierarchies, path: &Path) -> Result<Cgroup, RuntimeError> {
        check_path(path)?;
        open_in(on, path, path)
    }

    /// The group in which a process of the group `path` really is, for another process to be put beside it. That is
    /// `path` itself unless, under version 2, something in it (systemd in a container) has divided it: then the kernel
    /// lets nobody into `path` any more.
    ///
    /// # Errors
    /// When there is no such process, or it is not at or below `path`, as far as version 2 is there to tell.
    pub fn beside(on: &Hierarchies, path: &Path, pid: u32) -> Result<Cgroup, RuntimeError> {
        check_path(path)?;
        let Some(unified) = on.all.iter().find(|h| h.version == Version::V2) else {
            return open_in(on, path, path);
        };
        let of_process = format!("/proc/{pid}/cgroup");
        let text = dhow_sys::procfs::read_text(&of_process).map_err(|e| {
            failed(format_args!("cannot read {of_process}"), Errno::from_io_error(&e).unwrap_or(Errno::IO))
        })?;
        let name = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        match Path::new(name).strip_prefix(&unified.root_name) {
            Ok(below) if below.starts_with(path) && on.is_unified() => open_in(on, path, below),
            Ok(below) if below.starts_with(path) => open_in(on, path, path),
            _ => Err(refused(format!("process {pid} is in {name} and not in {}", path.display()))),
        }
    }

    /// Its path, relative to the root of the hierarchies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How a new process gets in.
    pub fn entry(&self) -> Entry<'_> {
        let unified = self.unified().map(|m| m.directory.as_fd());
        let tasks: Vec<_> = self.members.iter().filter_map(|m| m.tasks.as_ref()).map(AsFd::as_fd).collect();
        match unified {
            Some(directory) if tasks.is_empty() => Entry::Clone(directory),
            Some(directory) => Entry::CloneAndWrite(directory, tasks),
            None if tasks.is_empty() => Entry::None,
            None => Entry::Write(tasks),
        }
    }

    /// Moves the calling process into it, with all its threads. May take milliseconds, see [`warm`].
    ///
    /// # Errors
    /// Of the file system.
    pub fn join(&self) -> Result<(), RuntimeError> {
        let alone = is_alone()?;
        for member in &self.members {
            let entered = match &member.tasks {
                Some(tasks) if alone => directory::write_to(tasks.as_fd(), "0"),
                _ => directory::write(member.directory.as_fd(), "cgroup.procs", "0"),
            };
            entered.map_err(|e| self.cannot_enter(member, e))?;
        }
        Ok(())
    }

    /// Moves the calling process into it as far as that costs next to nothing: in the hierarchies of version 1, when it has
    /// only one thread. Whether [`join`](Cgroup::join) is needed for the rest, at a time when nobody waits for it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn join_at_once(&self) -> Result<bool, RuntimeError> {
        if !is_alone()? {
            return Ok(true);
        }
        for member in &self.members {
            if let Some(tasks) = &member.tasks {
                directory::write_to(tasks.as_fd(), "0").map_err(|e| self.cannot_enter(member, e))?;
            }
        }
        Ok(self.unified().is_some())
    }

    fn cannot_enter(&self, member: &Member, errno: Errno) -> RuntimeError {
        failed(format_args!("cannot enter {} ({})", self.name(), self.of(member).label()), errno)
    }

    /// Changes limits; what is absent stays. Device rules, when there are any, take the place of those before.
    ///
    /// # Errors
    /// As [`create`](Cgroup::create); limits that came before the one that could not be set are changed.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), RuntimeError> {
        apply::Plan::new(&self.on, resources)?.carry_out(self, false)
    }

    fn name(&self) -> impl fmt::Display + '_ {
        self.path.display()
    }

    fn of(&self, member: &Member) -> &Hierarchy {
        &self.on.all[member.hierarchy]
    }

    /// Its directory in the hierarchy of version 2.
    fn unified(&self) -> Option<&Member> {
        self.members.iter().find(|m| self.of(m).version == Version::V2)
    }

    /// Its directory in the hierarchy of that controller.
    fn controlled_by(&self, controller: &str) -> Option<&Member> {
        self.members.iter().find(|m| self.of(m).has(controller))
    }

    /// Its directory in the hierarchy of version 1 of that controller.
    fn in_v1(&self, controller: &str) -> Option<&Member> {
        self.controlled_by(controller).filter(|m| self.of(m).version == Version::V1)
    }

    /// The hierarchy to ask which processes there are. The same ones are in all.
    fn of_record(&self) -> &Member {
        self.unified().or_else(|| self.in_v1("freezer")).or_else(|| self.in_v1("pids")).unwrap_or(&self.members[0])
    }
}

/// Whether the calling process has only one thread: one that writes `0` to `tasks` goes by itself.
fn is_alone() -> Result<bool, RuntimeError> {
    let tasks = rustix::fs::stat("/proc/self/task").map_err(|e| failed("cannot count our threads", e))?;
    // A directory for each thread, and the two links that each directory has.
    Ok(tasks.st_nlink == 3)
}

/// A path that leads down, and nowhere else.
fn check_path(path: &Path) -> Result<(), RuntimeError> {
    let goes_down = path.components().all(|c| matches!(c, Component::Normal(_)));
    if path.as_os_str().is_empty() || !goes_down {
        return Err(RuntimeError::Invalid {
            field: "linux.cgroupsPath".to_owned(),
            problem: format!("{:?} is not a relative path without `..`", path.display()),
        });
    }
    Ok(())
}

fn open_in(on: &Hierarchies, path: &Path, unified: &Path) -> Result<Cgroup, RuntimeError> {
    let mut members = Vec::with_capacity(on.all.len());
    for (index, hierarchy) in on.all.iter().enumerate() {
        let path = if hierarchy.version == Version::V2 { unified } else { path };
        match open_member(index, hierarchy, path) {
            Ok(member) => members.push(member),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(failed(format_args!("cannot open {} ({})", path.display(), hierarchy.label()), e)),
        }
    }
    if members.is_empty() {
        return Err(failed(format_args!("cannot open {}", path.display()), Errno::NOENT));
    }
    Ok(Cgroup { on: on.clone(), path: unified.to_owned(), members })
}

fn open_member(index: usize, hierarchy: &Hierarchy, path: &Path) -> Result<Member, Errno> {
    let directory = open_directory(hierarchy.root.as_fd(), path)?;
    let tasks = match hierarchy.version {
        Version::V1 => Some(directory::open_file(directory.as_fd(), "tasks", OFlags::WRONLY)?),
        Version::V2 => None,
    };
    Ok(Member { hierarchy: index, directory, tasks })
}
