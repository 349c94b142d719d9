//! A new process with a copy of our memory, in namespaces and a control group of its own: clone3(2).
//!
//! The child has a *copy* of the memory (no `CLONE_VM`), so it may do whatever a process may, and copying costs time
//! in proportion to our size: only small processes should call this. Which namespaces, and what the child does in them,
//! is decided elsewhere. `CLONE_INTO_CGROUP` needs Linux 5.7 and a version 2 hierarchy.

use crate::raw;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Kinds of namespaces, with the values of `CLONE_NEW*`.
pub use rustix::thread::ThreadNameSpaceType as Namespaces;

/// How the new process relates to us.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'a> {
    /// Namespaces to make for it; anything else it shares with us.
    pub namespaces: Namespaces,
    /// The version 2 control group that it begins in, as a directory fd; none: ours.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// It becomes a child of our parent, who hears of its end, and not ours (`CLONE_PARENT`).
    pub sibling: bool,
}

impl Relation<'_> {
    /// An ordinary child that shares all namespaces and the control group.
    pub const CHILD: Relation<'static> = Relation { namespaces: Namespaces::empty(), cgroup: None, sibling: false };

    /// Whether clone(2) can do it, too. The flag of time namespaces is part of the signal's number there.
    fn is_old(&self) -> bool {
        self.cgroup.is_none() && !self.namespaces.contains(Namespaces::TIME)
    }
}

/// A process that was made.
#[derive(Debug)]
pub struct Cloned {
    /// Its pid in our pid namespace.
    pub pid: u32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = 17;

/// `struct clone_args`, in the version that Linux 5.7 brought (88 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Makes a process that runs `child` on a copy of our memory and ends with the status it gives; 70 (`EX_SOFTWARE`) when
/// it panics.
///
/// To be called while there is one thread: what other threads hold locked (the allocator, standard output) stays locked
/// in the child for ever.
///
/// # Errors
/// What clone3(2) says.
pub fn clone(relation: &Relation<'_>, child: impl FnOnce() -> u8) -> io::Result<Cloned> {
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: u64::from(relation.namespaces.bits()) | CLONE_PIDFD,
        pidfd: (&raw mut pidfd).addr() as u64,
        // A sibling's end is told with our own exit signal; the kernel wants none here then.
        exit_signal: if relation.sibling { 0 } else { SIGCHLD },
        ..CloneArgs::default()
    };
    if relation.sibling {
        args.flags |= CLONE_PARENT;
    }
    if let Some(cgroup) = relation.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).expect("an open descriptor is not negative");
    }
    // SAFETY: `args` has the layout of the kernel's struct and the size that is told; `pidfd` outlives the call. Without
    // CLONE_VM and with no stack given the child goes on behind this call like one of fork(2), on a copy of this stack.
    // What a copy of the memory may hold that is half changed by other threads is behind their locks.
    let mut result = unsafe { raw::syscall(raw::CLONE3, &raw mut args, size_of::<CloneArgs>()) };
    if result == -1 && relation.is_old() && Errno::from_io_error(&io::Error::last_os_error()) == Some(Errno::NOSYS) {
        // A seccomp filter cannot look into a struct, so docker's makes clone3 look like a call of the future.
        // SAFETY: as above; clone(2) puts the pidfd where its third argument points, and takes the signal with the flags.
        result = unsafe {
            raw::syscall(raw::CLONE, args.flags | args.exit_signal, 0_usize, &raw mut pidfd, 0_usize, 0_usize)
        };
    }
    if result == 0 {
        // Nothing of the parent's may run here, neither by returning nor by unwinding.
        raw::_exit(catch_unwind(AssertUnwindSafe(child)).unwrap_or(70).into());
    }
    let pid = raw::checked(result)?;
    // SAFETY: the kernel has just put a new descriptor there, which nobody else knows of.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid: u32::try_from(pid).expect("pids are positive and small"), pidfd })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pidfd::{self, Exit};
    use std::os::fd::AsFd;

    #[test]
    fn a_child_has_a_copy_and_its_own_namespaces() {
        let mut number = 1;
        let ours = std::fs::read_link("/proc/self/ns/uts").unwrap();
        let relation = Relation { namespaces: Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME, ..Relation::CHILD };
        let child = clone(&relation, || {
            number += 1;
            let theirs = std::fs::read_link("/proc/self/ns/uts").ok();
            if theirs.is_some_and(|theirs| theirs != ours) { number } else { 99 }
        });
        let child = child.unwrap();
        assert_eq!(pidfd::wait(child.pidfd.as_fd()).unwrap(), Exit::Code(2));
        assert_eq!(number, 1);
    }

    #[test]
    fn who_panics_ends() {
        let child = clone(&Relation::CHILD, || std::panic::resume_unwind(Box::new(()))).unwrap();
        assert_eq!(pidfd::wait(child.pidfd.as_fd()).unwrap(), Exit::Code(70));
    }
}
