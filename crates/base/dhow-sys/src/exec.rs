//! Becoming another program: execve(2), and leaving behind what would go along (signals, descriptors, keyrings).
//!
//! For a process that was made to become that program and nothing else. Which program, with which rights, is decided
//! elsewhere.

use crate::raw;
use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Strings as execve(2) takes them: pointers, and a null one at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

unsafe extern "C" {
    fn execve(path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int;
}

/// Replaces the program of this process. Only gives back an error.
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: three NUL-terminated things that outlive the call: a string and two lists of strings that end in null.
    unsafe { execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Sets every signal to its default action and blocks none. An ignored signal would stay ignored in the next program
/// (Rust's runtime ignores `SIGPIPE`), and a blocked one blocked.
///
/// # Errors
/// What rt_sigprocmask(2) says.
pub fn default_signals() -> io::Result<()> {
    /// `struct sigaction` of the kernel is 32 bytes at most; all zero it is `SIG_DFL` without flags and mask.
    static DEFAULT: [u64; 4] = [0; 4];
    static NONE: u64 = 0;
    const SIG_SETMASK: c_long = 2;
    for signal in 1..=64_i64 {
        // SIGKILL and SIGSTOP are refused, which is fine: theirs is the default.
        // SAFETY: reads a struct sigaction and, as the third argument is null, writes nothing; sets of signals have 8 bytes.
        unsafe { raw::syscall(raw::RT_SIGACTION, signal, &raw const DEFAULT, 0_usize, size_of::<u64>()) };
    }
    // SAFETY: reads a set of signals of 8 bytes and writes nothing.
    let result = unsafe { raw::syscall(raw::RT_SIGPROCMASK, SIG_SETMASK, &raw const NONE, 0_usize, size_of::<u64>()) };
    raw::checked(result).map(drop)
}

/// Closes every descriptor from 3 on but those in `keep`.
///
/// For a process that is about to execute a program: no owner of the other descriptors may use or drop them afterwards.
///
/// # Errors
/// What close_range(2) says (Linux 5.9).
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let close = |first: c_long, last: c_long| {
        if first > last {
            return Ok(());
        }
        // SAFETY: takes three numbers. What it does to owners of descriptors is said above.
        raw::checked(unsafe { raw::syscall(raw::CLOSE_RANGE, first, last, 0_i64) }).map(drop)
    };
    let mut keep: Vec<c_long> = keep.iter().map(|fd| c_long::from(fd.as_raw_fd())).collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep {
        close(first, kept - 1)?;
        first = first.max(kept + 1);
    }
    close(first, c_long::from(u32::MAX))
}

/// Gives this process a session keyring of its own, without the keys of who started it.
///
/// # Errors
/// What keyctl(2) says: `ENOSYS` without keyrings in the kernel.
pub fn new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: with no name given it reads no memory.
    raw::checked(unsafe { raw::syscall(raw::KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, 0_usize) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{Relation, clone};
    use crate::pidfd::{self, Exit};
    use std::os::fd::AsFd;

    #[test]
    fn the_program_sees_its_arguments_and_nothing_of_ours() {
        let kept = std::fs::File::open("/dev/null").unwrap();
        let also = rustix::io::fcntl_dupfd_cloexec(&kept, 120).unwrap();
        rustix::io::fcntl_setfd(&also, rustix::io::FdFlags::empty()).unwrap();
        let stray = rustix::io::fcntl_dupfd_cloexec(&kept, 100).unwrap();
        rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
        let script = "test \"$X\" = y && test \"$1\" = z && ! test -e /proc/self/fd/100 && test -e /proc/self/fd/120 && kill -PIPE $$; exit 3";
        let strings = |all: &[&str]| all.iter().map(|s| CString::new(*s).unwrap()).collect::<Vec<_>>();
        let (arguments, environment) = (strings(&["sh", "-c", script, "sh", "z"]), strings(&["X=y"]));
        let child = clone(&Relation::CHILD, || {
            default_signals().and_then(|()| close_all_but(&[kept.as_fd(), also.as_fd()])).expect("it works");
            execute(c"/bin/sh", &arguments, &environment);
            4
        });
        assert_eq!(pidfd::wait(child.unwrap().pidfd.as_fd()).unwrap(), Exit::Signal(13));
        drop(stray);
    }

    #[test]
    fn what_cannot_be_executed_is_an_error() {
        assert_eq!(execute(c"/nowhere", &[], &[]).kind(), io::ErrorKind::NotFound);
    }
}
