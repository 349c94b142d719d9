//! The system calls that neither rustix nor the standard library has, by number: syscall(2) of the C library.
//!
//! Private to this crate: each caller says why its arguments are what the kernel expects.

use std::ffi::{c_int, c_long};
use std::io;

/// Numbers of the common table, the same on every architecture that joined it.
pub(crate) const CLONE3: c_long = 435;
/// Ditto.
pub(crate) const CLOSE_RANGE: c_long = 436;

/// Numbers that each architecture has its own of: those older than the common table.
#[cfg(target_arch = "x86_64")]
mod own {
    use std::ffi::c_long;
    pub(crate) const RT_SIGACTION: c_long = 13;
    pub(crate) const RT_SIGPROCMASK: c_long = 14;
    pub(crate) const CLONE: c_long = 56;
    pub(crate) const PERSONALITY: c_long = 135;
    pub(crate) const SCHED_SETSCHEDULER: c_long = 144;
    pub(crate) const SCHED_SETAFFINITY: c_long = 203;
    pub(crate) const KEYCTL: c_long = 250;
    pub(crate) const IOPRIO_SET: c_long = 251;
    pub(crate) const IOPRIO_GET: c_long = 252;
    pub(crate) const SCHED_SETATTR: c_long = 314;
}

#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
mod own {
    use std::ffi::c_long;
    pub(crate) const RT_SIGACTION: c_long = 134;
    pub(crate) const RT_SIGPROCMASK: c_long = 135;
    pub(crate) const CLONE: c_long = 220;
    pub(crate) const PERSONALITY: c_long = 92;
    pub(crate) const SCHED_SETSCHEDULER: c_long = 119;
    pub(crate) const SCHED_SETAFFINITY: c_long = 122;
    pub(crate) const KEYCTL: c_long = 219;
    pub(crate) const IOPRIO_SET: c_long = 30;
    pub(crate) const IOPRIO_GET: c_long = 31;
    pub(crate) const SCHED_SETATTR: c_long = 274;
}

pub(crate) use own::{
    CLONE, IOPRIO_GET, IOPRIO_SET, KEYCTL, PERSONALITY, RT_SIGACTION, RT_SIGPROCMASK, SCHED_SETAFFINITY, SCHED_SETATTR,
    SCHED_SETSCHEDULER,
};

unsafe extern "C" {
    /// syscall(2).
    pub(crate) fn syscall(number: c_long, ...) -> c_long;
    /// fcntl(2), of which the number is another on each architecture.
    pub(crate) fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    /// setsockopt(2), which goes through a call of its own or through another's, by architecture.
    pub(crate) fn setsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *const std::ffi::c_void,
        length: u32,
    ) -> c_int;
    /// getsockopt(2), likewise.
    pub(crate) fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut std::ffi::c_void,
        length: *mut u32,
    ) -> c_int;
    /// _exit(2): ends the process without running anything that was left for its end.
    pub(crate) safe fn _exit(status: c_int) -> !;
}

/// The result of a system call that gives -1 and `errno`.
pub(crate) fn checked(result: c_long) -> io::Result<c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
