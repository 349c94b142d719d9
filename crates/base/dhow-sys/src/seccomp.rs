//! Loading a seccomp filter: `seccomp(2)` with `SECCOMP_SET_MODE_FILTER`, and the form of its programs.
//!
//! What a filter says is decided elsewhere; here is only how the kernel takes it. A program that the kernel's verifier
//! does not like is refused with `EINVAL`, never run.

use std::ffi::{c_long, c_uint};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// One instruction of classic BPF: `struct sock_filter` of `<linux/filter.h>`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions a jump skips when its test is true.
    pub jump_true: u8,
    /// How many it skips when its test is false.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// How many instructions a program may have: `BPF_MAXINSNS`.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// How a filter is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Into every thread of the process, or into none (`TSYNC`).
    pub all_threads: bool,
    /// Every answer but «allow» is written to the kernel's log (`LOG`).
    pub log: bool,
    /// The processor may go on speculating past stores (`SPEC_ALLOW`): no mitigation on account of this filter.
    pub allow_speculation: bool,
    /// Who waits for a listener's answer can be killed, but not interrupted (`WAIT_KILLABLE_RECV`, Linux 5.19). Without a
    /// listener it means nothing and is left out.
    pub killable_wait: bool,
}

/// Loads a filter into the calling thread, for ever: it stays through exec and is inherited by children.
///
/// # Errors
/// `EACCES` without both CAP_SYS_ADMIN and `no_new_privs`; `EINVAL` for a program that is none; `ENOMEM` when the filters
/// of the thread became too long in sum; `ESRCH` when another thread cannot follow.
pub fn load(program: &[Instruction], options: Options) -> io::Result<()> {
    set_mode_filter(program, flags(options)).map(drop)
}

/// As [`load`], with a listener for what the filter answers with `SECCOMP_RET_USER_NOTIF`: an fd, close-on-exec. When the
/// last copy of it is closed those calls fail with `ENOSYS`.
///
/// # Errors
/// As [`load`]; `EBUSY` when a filter of this thread has a listener already.
pub fn load_with_listener(program: &[Instruction], options: Options) -> io::Result<OwnedFd> {
    let killable = if options.killable_wait { FLAG_WAIT_KILLABLE_RECV } else { 0 };
    let fd = set_mode_filter(program, flags(options) | FLAG_NEW_LISTENER | killable)?;
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just made this fd for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

const SET_MODE_FILTER: c_long = 1;

const FLAG_TSYNC: c_uint = 1;
const FLAG_LOG: c_uint = 1 << 1;
const FLAG_SPEC_ALLOW: c_uint = 1 << 2;
const FLAG_NEW_LISTENER: c_uint = 1 << 3;
const FLAG_TSYNC_ESRCH: c_uint = 1 << 4;
const FLAG_WAIT_KILLABLE_RECV: c_uint = 1 << 5;

#[cfg(target_arch = "x86_64")]
const SYS_SECCOMP: c_long = 317;
#[cfg(target_arch = "aarch64")]
const SYS_SECCOMP: c_long = 277;

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

unsafe extern "C" {
    /// syscall(2) of the C library: rustix has no seccomp.
    fn syscall(number: c_long, ...) -> c_long;
}

fn flags(options: Options) -> c_uint {
    // With TSYNC_ESRCH (Linux 5.7) a thread that cannot follow is an error, not a pid in the place of a success.
    let threads = if options.all_threads { FLAG_TSYNC | FLAG_TSYNC_ESRCH } else { 0 };
    let log = if options.log { FLAG_LOG } else { 0 };
    let speculation = if options.allow_speculation { FLAG_SPEC_ALLOW } else { 0 };
    threads | log | speculation
}

fn set_mode_filter(instructions: &[Instruction], flags: c_uint) -> io::Result<c_long> {
    if instructions.is_empty() || instructions.len() > MAX_INSTRUCTIONS {
        return Err(io::Error::from(rustix::io::Errno::INVAL));
    }
    let length = u16::try_from(instructions.len()).map_err(|_| io::Error::from(rustix::io::Errno::INVAL))?;
    let program = Program { length, instructions: instructions.as_ptr() };
    // SAFETY: the kernel reads a struct sock_fprog and `length` struct sock_filter behind its pointer. Both have exactly
    // that layout, are borrowed for longer than the call, and are not written to.
    let result = unsafe { syscall(SYS_SECCOMP, SET_MODE_FILTER, c_long::from(flags), std::ptr::from_ref(&program)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn instruction(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
        Instruction { code, jump_true, jump_false, operand }
    }

    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;

    /// `answer` for getppid of x86-64 and aarch64, «allow» for the rest.
    fn about_getppid(answer: u32) -> [Instruction; 4] {
        let getppid = if cfg!(target_arch = "x86_64") { 110 } else { 173 };
        [
            instruction(LOAD, 0, 0, 0),
            instruction(JUMP_EQUAL, getppid, 0, 1),
            instruction(RETURN, answer, 0, 0),
            instruction(RETURN, ALLOW, 0, 0),
        ]
    }

    fn getppid() -> c_long {
        let number = if cfg!(target_arch = "x86_64") { 110 } else { 173 };
        // SAFETY: getppid takes no argument and touches no memory.
        unsafe { syscall(number) }
    }

    /// A filter can only be loaded by root here: nothing is tested otherwise, and the test says so.
    fn in_a_thread(test: impl FnOnce() + Send + 'static) {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: loading a filter needs root");
            return;
        }
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_filter_answers_in_this_thread_only() {
        in_a_thread(|| {
            load(&about_getppid(0x0005_0000 | 77), Options { allow_speculation: true, ..Options::default() }).unwrap();
            assert_eq!(getppid(), -1);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(77));
        });
        assert!(getppid() >= 0);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        in_a_thread(|| {
            let refused = |program: &[Instruction]| load(program, Options::default()).unwrap_err().raw_os_error();
            assert_eq!(refused(&[]), Some(22));
            assert_eq!(refused(&[instruction(LOAD, 0, 0, 0)]), Some(22), "no return at the end");
            assert_eq!(refused(&[instruction(RETURN, ALLOW, 0, 0); MAX_INSTRUCTIONS + 1]), Some(22));
        });
    }

    #[test]
    fn a_listener_is_an_fd_that_closes_at_exec() {
        in_a_thread(|| {
            let program = about_getppid(0x7fc0_0000);
            let options = Options { killable_wait: true, log: true, ..Options::default() };
            let listener = load_with_listener(&program, options).unwrap();
            let flags = rustix::io::fcntl_getfd(&listener).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            assert_eq!(load_with_listener(&program, options).unwrap_err().raw_os_error(), Some(16), "one a thread");
            drop(listener);
            assert_eq!(getppid(), -1);
            assert_eq!(io::Error::last_os_error().raw_os_error(), Some(38), "nobody listens any more");
        });
    }
}
