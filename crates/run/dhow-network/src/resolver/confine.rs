//! Giving up all that a resolver does not need, before it reads the first byte of a stranger.
//!
//! Afterwards: a user that nobody else is, no group, no capability and no way to get one, a root directory that is empty
//! and read-only, no core dump, no tracing, no child, and of all system calls those of [`CALLS`]. It cannot make a socket,
//! and can open nothing but for reading.

use super::zone::LOAD_FLAGS;
use dhow_runtime::RuntimeError;
use dhow_runtime::seccomp::Filter;
use dhow_sys::mount::{FsContext, MountError};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSeccompOperator, LinuxSyscall,
};
use rustix::mount::MountAttrFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};
use std::ffi::OsStr;
use std::io;

/// How many descriptors may be open, at least, where we may say so.
const FILES: u64 = 1 << 16;

/// The calls of a poll loop on descriptors that are there already; for those with an argument, see [`filter`].
const CALLS: &[&str] = &[
    "accept4",
    "brk",
    "clock_gettime",
    "close",
    "connect",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "exit",
    "exit_group",
    "fchdir",
    "fcntl",
    "futex",
    "getpid",
    "getrandom",
    "getsockname",
    "getsockopt",
    "gettid",
    "inotify_add_watch",
    "inotify_init1",
    "inotify_rm_watch",
    "madvise",
    "mremap",
    "munmap",
    "read",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "sigaltstack",
    "tgkill",
    "write",
    "writev",
];

/// Why a resolver would not be as harmless as it has to be.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfineError {
    /// There are other threads, which would keep everything.
    #[error("only a process of one thread can give everything up, and this one has {0}")]
    Threads(usize),
    /// The empty root could not be made.
    #[error("an empty root directory")]
    Root(#[from] MountError),
    /// A call was refused.
    #[error("{what}")]
    Call {
        /// What it was to do.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The filter of system calls.
    #[error("the filter of system calls")]
    Filter(#[from] RuntimeError),
}

/// Gives everything up. Who is not root keeps his user and root directory, and gives up the rest.
///
/// # Errors
/// [`ConfineError`] says what could not be given up. What came before it is gone then: the process is to end.
pub(super) fn confine(user: u32) -> Result<(), ConfineError> {
    let failed = |what| move |source: rustix::io::Errno| ConfineError::Call { what, source: source.into() };
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(ConfineError::Threads(threads));
    }
    // Compiled first: it takes memory, and its names are not there to be had later.
    let filter = filter()?;
    limits().map_err(failed("limits of resources"))?;
    if rustix::process::geteuid().is_root() {
        empty_root()?;
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(user));
        rustix::thread::set_thread_groups(&[]).map_err(failed("give up groups"))?;
        rustix::thread::set_thread_res_gid(group, group, group).map_err(failed("change the group"))?;
        for capability in 0..64 {
            // Beyond the last one that the kernel knows: EINVAL.
            if rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << capability))
                .is_err()
            {
                break;
            }
        }
        rustix::thread::set_thread_res_uid(user, user, user).map_err(failed("change the user"))?;
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, none).map_err(failed("give up capabilities"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("be no one's to trace"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("never get privileges again"))?;
    Ok(filter.load()?)
}

fn limits() -> Result<(), rustix::io::Errno> {
    // Each container brings some fifty.
    let allowed = rustix::process::getrlimit(Resource::Nofile).maximum;
    let files = allowed.map(|files| if rustix::process::geteuid().is_root() { files.max(FILES) } else { files });
    let raised = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files });
    raised.or_else(|_| rustix::process::setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }))?;
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, nothing)?;
    rustix::process::setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) })
}

/// A file system of our own, in no mount namespace, with nothing in it.
fn empty_root() -> Result<(), ConfineError> {
    let failed = |what| move |source: rustix::io::Errno| ConfineError::Call { what, source: source.into() };
    let context = FsContext::open("tmpfs")?;
    for (key, value) in [("size", "4k"), ("nr_inodes", "1"), ("mode", "0555")] {
        context.set_string(key, OsStr::new(value))?;
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let root = context.mount(attributes)?;
    rustix::process::fchdir(&root).map_err(failed("enter the empty root"))?;
    rustix::process::chroot(".").map_err(failed("make the empty root ours"))
}

/// What is not allowed fails with `EPERM`.
fn filter() -> Result<Filter, RuntimeError> {
    let allow = |names: &[&str]| {
        let mut call = LinuxSyscall::default();
        call.set_names(names.iter().map(|&name| name.to_owned()).collect());
        call.set_action(LinuxSeccompAction::ScmpActAllow);
        call
    };
    let argument = |index: usize, mask: u64, value: u64| {
        LinuxSeccompArgBuilder::default()
            .index(index)
            .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
            .value(mask)
            .value_two(value)
            .build()
            .expect("all its fields are set")
    };
    // Memory is never executable that was not when the program began.
    const EXECUTABLE: u64 = 4;
    let mut memory = allow(&["mmap", "mprotect"]);
    memory.set_args(Some(vec![argument(2, EXECUTABLE, 0)]));
    // One way of opening, for reading; whether the kernel or the C library adds O_LARGEFILE is nobody's business.
    const LARGE_FILE: u64 = 0o100_000;
    let mut open = allow(&["openat"]);
    open.set_args(Some(vec![argument(2, 0xffff_ffff & !LARGE_FILE, u64::from(LOAD_FLAGS.bits()) & !LARGE_FILE)]));
    const FIONBIO: u64 = 0x5421;
    let mut nonblocking = allow(&["ioctl"]);
    nonblocking.set_args(Some(vec![argument(1, 0xffff_ffff, FIONBIO)]));
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActErrno);
    profile.set_default_errno_ret(Some(1));
    profile.set_architectures(Some(vec![Arch::ScmpArchX86_64]));
    profile.set_syscalls(Some(vec![allow(CALLS), memory, open, nonblocking]));
    Filter::compile(&profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::control::NOBODY_ELSE;
    use rustix::fs::{Mode, OFlags};
    use rustix::net::{AddressFamily, SocketType};
    use std::process::Command;

    const AGAIN: &str = "DHOW_TEST_CONFINED";

    /// In a child of a process of its own, whose only other thread waits: a child has one thread.
    #[test]
    fn what_was_given_up_is_gone() {
        if std::env::var_os(AGAIN).is_none() {
            let name = "resolver::confine::tests::what_was_given_up_is_gone";
            let mut again = Command::new(std::env::current_exe().unwrap());
            let output =
                again.args([name, "--exact", "--test-threads=1", "--nocapture"]).env(AGAIN, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        let child = dhow_sys::clone::clone(&dhow_sys::clone::Relation::CHILD, || {
            check();
            0
        });
        let end = dhow_sys::pidfd::wait(std::os::fd::AsFd::as_fd(&child.unwrap().pidfd)).unwrap();
        assert_eq!(end, dhow_sys::pidfd::Exit::Code(0));
    }

    fn check() {
        let (null, inside) = (std::fs::File::open("/dev/null").unwrap(), std::fs::File::open("/proc").unwrap());
        confine(NOBODY_ELSE).unwrap();
        let refused = Err(rustix::io::Errno::PERM);
        for family in [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX, AddressFamily::NETLINK] {
            assert_eq!(rustix::net::socket(family, SocketType::DGRAM, None).map(drop), refused);
        }
        let open = |flags: OFlags| rustix::fs::openat(&inside, "self/status", flags, Mode::empty()).map(drop);
        assert_eq!(open(LOAD_FLAGS), Ok(()), "only so");
        for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::CREATE, OFlags::PATH, OFlags::DIRECTORY] {
            assert_eq!(open(LOAD_FLAGS | flags), refused, "{flags:?}");
        }
        assert_eq!(
            rustix::fs::openat(rustix::fs::CWD, "/etc/passwd", LOAD_FLAGS, Mode::empty()).map(drop),
            Err(rustix::io::Errno::NOENT)
        );
        assert_eq!(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::CONT), refused);
        assert_eq!(rustix::process::chroot("."), refused);
        assert_eq!(rustix::io::ioctl_fionbio(&null, false), Ok(()));
        assert_eq!(rustix::io::ioctl_fionread(&null).map(drop), refused);
        assert!(Command::new("/proc/self/exe").spawn().is_err());
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
    }
}
