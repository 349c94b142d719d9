//! Starting a container, and entering one that runs.

use crate::cgroup::Entry;
use crate::error::RuntimeError;
use crate::seccomp::Filter;
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use std::os::fd::{BorrowedFd, OwnedFd};

/// What the process gets as 0, 1 and 2.
#[derive(Debug)]
pub enum Stdio<'a> {
    /// These three, dup'ed. Pipes are given to the container's user (fchown), so that `/dev/stdout` can be opened again.
    Files([BorrowedFd<'a>; 3]),
    /// A pseudo terminal of the container's own devpts, also as /dev/console; its master comes back in [`Starting`].
    Terminal {
        /// Rows and columns at first.
        size: (u16, u16),
    },
}

/// Everything a start needs.
#[derive(Debug)]
pub struct Start<'a> {
    /// What to make. `root.path` is ignored, `linux.cgroupsPath` and `linux.seccomp` too: they come as below.
    pub spec: &'a Spec,
    /// The root filesystem: a detached mount, used up.
    pub root: BorrowedFd<'a>,
    /// 0, 1, 2.
    pub stdio: Stdio<'a>,
    /// The control group.
    pub cgroup: Entry<'a>,
    /// The seccomp filter, compiled.
    pub seccomp: Option<&'a Filter>,
    /// Namespaces to join instead of making, opened and verified by the caller: these take the place of `path` in
    /// `linux.namespaces`. A type that is neither here nor there is shared with the host.
    pub join: &'a [(LinuxNamespaceType, OwnedFd)],
}

/// A container's first process, set up and waiting at the gate. Dropped: it ends, and is reaped.
#[derive(Debug)]
pub struct Starting {
    // pid, pidfd, gate, error pipe, terminal master
}

/// A process of a container, after its exec. It is a child of the caller, who reaps it.
#[derive(Debug)]
pub struct Running {
    /// Its pid in the caller's pid namespace.
    pub pid: u32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
    /// The master of its terminal, non-blocking no, close-on-exec yes.
    pub terminal: Option<OwnedFd>,
}

/// Makes the container and sets it up as far as the gate. The calling process must be small and have one thread: it is
/// cloned with its memory.
///
/// # Errors
/// [`RuntimeError::Step`] names the step that failed. Nothing is left behind.
pub fn start(start: Start<'_>) -> Result<Starting, RuntimeError> {
    let _ = start;
    unimplemented!()
}

impl Starting {
    /// Its pid in the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        unimplemented!()
    }

    /// Opens the gate, and returns once the program of the container has been executed.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`] when it could not be; it has been reaped then.
    pub fn release(self) -> Result<Running, RuntimeError> {
        unimplemented!()
    }
}

/// A container to enter.
#[derive(Debug)]
pub struct Target<'a> {
    /// pidfd of its first process.
    pub pidfd: BorrowedFd<'a>,
    /// Its control group.
    pub cgroup: Entry<'a>,
    /// Its seccomp filter.
    pub seccomp: Option<&'a Filter>,
    /// The spec it was started with: which namespaces it has of its own.
    pub spec: &'a Spec,
}

/// Starts another process in a running container: all its namespaces, its root, its control group.
///
/// # Errors
/// As [`start`]; [`RuntimeError::Exec`].
pub fn enter(target: &Target<'_>, process: &Process, stdio: Stdio<'_>) -> Result<Running, RuntimeError> {
    let _ = (target, process, stdio);
    unimplemented!()
}
