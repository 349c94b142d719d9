//! Control groups, version 1, hybrid and version 2: made, limited, entered, frozen, emptied, removed.

use crate::error::RuntimeError;
use oci_spec::runtime::LinuxResources;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The hierarchies of this host.
#[derive(Debug, Clone)]
pub struct Hierarchies {}

impl Hierarchies {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`.
    ///
    /// # Errors
    /// When they cannot be read, or no hierarchy is mounted.
    pub fn detect() -> Result<Hierarchies, RuntimeError> {
        unimplemented!()
    }
}

/// One group: a directory in each hierarchy that controls something.
#[derive(Debug)]
pub struct Cgroup {}

/// How a process gets into a group as it is made.
#[derive(Debug)]
pub enum Entry<'c> {
    /// Version 2: `clone3(CLONE_INTO_CGROUP)` with this directory.
    Clone(BorrowedFd<'c>),
    /// Version 1 and hybrid: the new process writes `0` to each of these `cgroup.procs` itself.
    Write(Vec<BorrowedFd<'c>>),
    /// No group at all.
    None,
}

/// Counters of a group, where the kernel has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of memory in use, without the cache that can be given back at once.
    pub memory: u64,
    /// The limit in bytes; `u64::MAX` for none.
    pub memory_limit: u64,
    /// CPU time in nanoseconds.
    pub cpu: u64,
    /// Processes and threads.
    pub pids: u64,
    /// How often the kernel has killed something in it for want of memory.
    pub oom_kills: u64,
}

impl Cgroup {
    /// Makes the group `path` (relative to the root of the hierarchies, as `dhow/<store id>/<container id>`) with these
    /// limits and, unless `resources.devices` is absent, its device rules. A group left by a dead one is taken over.
    ///
    /// # Errors
    /// Which limit could not be set, and why. Nothing is left behind.
    pub fn create(on: &Hierarchies, path: &Path, resources: &LinuxResources) -> Result<Cgroup, RuntimeError> {
        let _ = (on, path, resources);
        unimplemented!()
    }

    /// Takes up a group that is there.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(on: &Hierarchies, path: &Path) -> Result<Cgroup, RuntimeError> {
        let _ = (on, path);
        unimplemented!()
    }

    /// How a new process gets in.
    pub fn entry(&self) -> Entry<'_> {
        unimplemented!()
    }

    /// Changes limits; what is absent stays.
    ///
    /// # Errors
    /// Which could not be set.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), RuntimeError> {
        let _ = resources;
        unimplemented!()
    }

    /// Stops every process in it, and waits until they are; or lets them go on.
    ///
    /// # Errors
    /// Of the file system.
    pub fn freeze(&self, frozen: bool) -> Result<(), RuntimeError> {
        let _ = frozen;
        unimplemented!()
    }

    /// Kills every process in it, frozen ones too, and waits until it is empty.
    ///
    /// # Errors
    /// Of the file system; when it did not get empty in ten seconds.
    pub fn kill(&self) -> Result<(), RuntimeError> {
        unimplemented!()
    }

    /// The processes in it, as pids of this pid namespace.
    ///
    /// # Errors
    /// Of the file system.
    pub fn processes(&self) -> Result<Vec<u32>, RuntimeError> {
        unimplemented!()
    }

    /// What it has used.
    ///
    /// # Errors
    /// Of the file system.
    pub fn stats(&self) -> Result<Stats, RuntimeError> {
        unimplemented!()
    }

    /// Removes it, empty groups below it first. Fine when it is gone already.
    ///
    /// # Errors
    /// When somebody is still in it.
    pub fn remove(&self) -> Result<(), RuntimeError> {
        unimplemented!()
    }
}
