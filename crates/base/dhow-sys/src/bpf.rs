//! eBPF programs that decide which devices the processes of a cgroup (version 2) may open: bpf(2).
//!
//! Loading, attaching, looking up, replacing; what a program says is decided elsewhere. The kernel runs all programs
//! that are attached from a group up to the root, and every one must agree. All of it needs CAP_BPF (or CAP_SYS_ADMIN)
//! and CAP_NET_ADMIN in the first user namespace.

use std::ffi::c_long;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction: the kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and source.
    pub code: u8,
    /// Destination and source register, packed by [`Instruction::new`].
    registers: u8,
    /// For jumps: how many instructions to skip. For loads: where from, in bytes.
    pub offset: i16,
    /// A constant.
    pub immediate: i32,
}

impl Instruction {
    /// An instruction on the registers `destination` and `source` (0 to 10).
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
        // Two bit fields in C, which the compiler fills from the end that the byte order says.
        let registers = if cfg!(target_endian = "little") {
            (destination & 0xf) | (source << 4)
        } else {
            (source & 0xf) | (destination << 4)
        };
        Instruction { code, registers, offset, immediate }
    }

    /// The destination register.
    pub const fn destination(self) -> u8 {
        if cfg!(target_endian = "little") { self.registers & 0xf } else { self.registers >> 4 }
    }

    /// The source register.
    pub const fn source(self) -> u8 {
        if cfg!(target_endian = "little") { self.registers >> 4 } else { self.registers & 0xf }
    }
}

/// A program that the kernel's verifier refused, or that could not be loaded for another reason.
#[derive(Debug, thiserror::Error)]
#[error("BPF_PROG_LOAD: {source}{}{log}", if .log.is_empty() { "" } else { ": " })]
pub struct LoadError {
    /// The error number.
    pub source: io::Error,
    /// What the verifier had to say: its last lines.
    pub log: String,
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`. `name` is shown by tools: up to 15 letters, digits and `_`.
///
/// # Errors
/// `EPERM` without the capabilities, `ENOSYS` when the kernel was built without bpf(2), `EINVAL` or `EACCES` from the verifier.
pub fn load_device_program(name: &str, program: &[Instruction]) -> Result<OwnedFd, LoadError> {
    match load(name, program, &mut []) {
        Ok(fd) => Ok(fd),
        Err(source) => {
            // Only now with a log: it costs the verifier time, and is of no use when all is well.
            let mut log = vec![0u8; 64 * 1024];
            let log = match load(name, program, &mut log) {
                Ok(fd) => return Ok(fd),
                Err(_) => last_lines(&log, 5),
            };
            Err(LoadError { source, log })
        }
    }
}

/// Attaches a program to a group of version 2, beside those that others attached there. `replace`: in the place of that
/// program, in one step, so that the group is never without.
///
/// # Errors
/// What bpf(2) says: `EPERM` without the capabilities or when a group above forbids it, `EBADF` when `cgroup` is no
/// directory of a cgroup2 file system, `ENOENT` when `replace` is not attached to it.
pub fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let attributes = Attach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: if replace.is_some() { BPF_F_ALLOW_MULTI | BPF_F_REPLACE } else { BPF_F_ALLOW_MULTI },
        replace_bpf_fd: replace.map_or(0, raw),
    };
    // SAFETY: `Attach` is the part of union bpf_attr that BPF_PROG_ATTACH reads; it holds no pointer.
    unsafe { bpf(BPF_PROG_ATTACH, std::ptr::from_ref(&attributes).cast(), size_of::<Attach>()) }.map(drop)
}

/// Takes a program off a group.
///
/// # Errors
/// What bpf(2) says: `ENOENT` when it is not attached.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attach {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: as in `attach_device_program`; BPF_PROG_DETACH reads the same part of the union.
    unsafe { bpf(BPF_PROG_DETACH, std::ptr::from_ref(&attributes).cast(), size_of::<Attach>()) }.map(drop)
}

/// The ids of the device programs attached to this very group, in the order in which they are run.
///
/// # Errors
/// What bpf(2) says; `ENOSPC` when there are more than 64, which is the kernel's own limit.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0u32; 64];
    let mut attributes = Query {
        target_fd: raw(cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: 64,
        padding: 0,
    };
    // SAFETY: `Query` is the part of union bpf_attr that BPF_PROG_QUERY reads and writes. `prog_ids` points to
    // `prog_cnt` numbers of 32 bits, which are borrowed by nobody else during the call.
    unsafe { bpf(BPF_PROG_QUERY, std::ptr::from_mut(&mut attributes).cast(), size_of::<Query>()) }?;
    ids.truncate(attributes.prog_cnt as usize);
    Ok(ids)
}

/// Opens a loaded program by its id.
///
/// # Errors
/// What bpf(2) says: `ENOENT` when it is gone.
pub fn open_program(id: u32) -> io::Result<OwnedFd> {
    let attributes = ById { prog_id: id, next_id: 0, open_flags: 0 };
    // SAFETY: `ById` is the part of union bpf_attr that BPF_PROG_GET_FD_BY_ID reads; it holds no pointer.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, std::ptr::from_ref(&attributes).cast(), size_of::<ById>()) }?;
    // SAFETY: the kernel has just made this fd (close-on-exec, as all of bpf(2)), and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn load(name: &str, program: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut prog_name = [0u8; 16];
    for (to, from) in prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    let attributes = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    // SAFETY: `Load` is the first part of union bpf_attr as BPF_PROG_LOAD reads it. `insns` points to `insn_cnt`
    // instructions in the kernel's layout and `license` to a NUL-terminated string, both borrowed for longer than the
    // call; `log_buf` is null or points to `log_size` bytes that are ours alone.
    let fd = unsafe { bpf(BPF_PROG_LOAD, std::ptr::from_ref(&attributes).cast(), size_of::<Load>()) }?;
    // SAFETY: the kernel has just made this fd (close-on-exec, as all of bpf(2)), and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn last_lines(log: &[u8], count: usize) -> String {
    let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
    let text = String::from_utf8_lossy(&log[..end]);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

const BPF_PROG_LOAD: c_long = 5;
const BPF_PROG_ATTACH: c_long = 8;
const BPF_PROG_DETACH: c_long = 9;
const BPF_PROG_GET_FD_BY_ID: c_long = 13;
const BPF_PROG_QUERY: c_long = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 1 << 1;
const BPF_F_REPLACE: u32 = 1 << 2;

#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    /// Written by newer kernels only when more than this was passed; keeps the struct without holes.
    padding: u32,
}

#[repr(C)]
struct ById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
}

#[cfg(target_arch = "x86_64")]
const SYS_BPF: c_long = 321;
/// The table that all younger architectures share.
#[cfg(not(target_arch = "x86_64"))]
const SYS_BPF: c_long = 280;

unsafe extern "C" {
    /// syscall(2) of the C library: rustix has no bpf(2).
    fn syscall(number: c_long, ...) -> c_long;
}

/// bpf(2); the result is an fd or 0.
///
/// # Safety
/// `attributes` must point to `size` bytes of the union as `command` reads it, which the kernel may write to where the
/// command has results, and the pointers inside must be good for what the command does with them.
unsafe fn bpf(command: c_long, attributes: *const u8, size: usize) -> io::Result<i32> {
    // SAFETY: the caller answers for the memory; the other arguments are numbers.
    let result = unsafe { syscall(SYS_BPF, command, attributes, size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_the_layout_of_the_kernel() {
        assert_eq!(size_of::<Instruction>(), 8);
        let instruction = Instruction::new(0x61, 2, 1, 4, -1);
        assert_eq!((instruction.destination(), instruction.source()), (2, 1));
        #[cfg(target_endian = "little")]
        assert_eq!(instruction.registers, 0x12);
        assert_eq!(size_of::<Load>(), 64);
        assert_eq!(size_of::<Query>(), 32);
    }

    #[test]
    fn the_verifier_says_what_is_wrong() {
        assert!(rustix::process::geteuid().is_root(), "loading a program needs root");
        // Without `exit` at its end, or a value in r0.
        let error = load_device_program("dhow_test", &[Instruction::new(0x95, 0, 0, 0, 0)]).unwrap_err();
        if error.source.raw_os_error() == Some(38) {
            return; // A kernel without bpf(2).
        }
        assert!(error.log.contains("R0 !read_ok"), "{error}");
        let program = [Instruction::new(0xb7, 0, 0, 0, 1), Instruction::new(0x95, 0, 0, 0, 0)];
        load_device_program("dhow_test", &program).unwrap();
    }
}
