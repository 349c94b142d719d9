//! How the calling thread is scheduled, and which kernel it takes this one for: sched_setattr(2), sched_setaffinity(2),
//! ioprio_set(2), personality(2).
//!
//! What [`inherited`](crate::inherited) sets to the defaults is set to something here. Which values make sense is for the
//! kernel to say.

use crate::raw;
use std::ffi::{c_int, c_long};
use std::io;

/// `struct sched_attr` of sched_setattr(2), in its first version.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Set by [`set`](Scheduling::set).
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// For SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// For SCHED_DEADLINE: nanoseconds.
    pub runtime: u64,
    /// Ditto.
    pub deadline: u64,
    /// Ditto.
    pub period: u64,
}

impl Scheduling {
    /// Sets it for the calling thread.
    ///
    /// # Errors
    /// What sched_setattr(2) says.
    pub fn set(mut self) -> io::Result<()> {
        self.size = u32::try_from(size_of::<Scheduling>()).expect("it has 48 bytes");
        // SAFETY: reads a struct sched_attr of the size that it begins with, and writes nothing but that size, when the
        // kernel knows no such struct, which is why it is our own copy.
        raw::checked(unsafe { raw::syscall(raw::SCHED_SETATTR, 0_i64, &raw mut self, 0_i64) }).map(drop)
    }
}

/// Lets the calling thread run on these processors only: bit `n % 8` of byte `n / 8` is processor `n`.
///
/// # Errors
/// What sched_setaffinity(2) says: `EINVAL` when none of them is there.
pub fn set_processors(mask: &[u8]) -> io::Result<()> {
    // SAFETY: reads as many bytes as it is told, at most.
    raw::checked(unsafe { raw::syscall(raw::SCHED_SETAFFINITY, 0_usize, mask.len(), mask.as_ptr()) }).map(drop)
}

const IOPRIO_WHO_PROCESS: c_long = 1;
const CLASS_SHIFT: c_int = 13;

/// Sets class (1 real-time, 2 best effort, 3 idle) and level (0 to 7) of the calling thread's input and output.
///
/// # Errors
/// What ioprio_set(2) says.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    let value = c_long::from(c_int::from(class) << CLASS_SHIFT | c_int::from(level));
    // SAFETY: takes three numbers.
    raw::checked(unsafe { raw::syscall(raw::IOPRIO_SET, IOPRIO_WHO_PROCESS, 0_i64, value) }).map(drop)
}

/// Class and level as [`set_io_priority`] sets them; class 0: as the priority of the thread is.
///
/// # Errors
/// What ioprio_get(2) says.
pub fn io_priority() -> io::Result<(u8, u8)> {
    // SAFETY: takes two numbers.
    let value = raw::checked(unsafe { raw::syscall(raw::IOPRIO_GET, IOPRIO_WHO_PROCESS, 0_i64) })?;
    Ok(((value >> CLASS_SHIFT & 7) as u8, (value & 7) as u8))
}

/// Sets the execution domain of the calling process, as `PER_LINUX32` (8).
///
/// # Errors
/// What personality(2) says.
pub fn personality(domain: u32) -> io::Result<()> {
    // SAFETY: takes a number.
    raw::checked(unsafe { raw::syscall(raw::PERSONALITY, c_long::from(domain)) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{Relation, clone};
    use crate::pidfd::{self, Exit};
    use std::os::fd::AsFd;

    #[test]
    fn what_is_set_can_be_seen() {
        let child = clone(&Relation::CHILD, || {
            const SCHED_BATCH: u32 = 3;
            Scheduling { policy: SCHED_BATCH, nice: 3, ..Scheduling::default() }.set().expect("anybody may be nicer");
            set_io_priority(2, 6).expect("anybody may");
            personality(8).expect("anybody may");
            set_processors(&[1]).expect("there is a first processor");
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs is mounted");
            let fields: Vec<_> = stat.rsplit(')').next().expect("one at least").split_whitespace().collect();
            let same = fields[16] == "3" && fields[38] == "3" && io_priority().is_ok_and(|found| found == (2, 6));
            let personality = std::fs::read_to_string("/proc/thread-self/personality").expect("procfs is mounted");
            let status = std::fs::read_to_string("/proc/thread-self/status").expect("likewise");
            let alone = status.lines().any(|line| line == "Cpus_allowed_list:\t0");
            u8::from(same) | u8::from(personality.trim() == "00000008") << 1 | u8::from(alone) << 2
        });
        assert_eq!(pidfd::wait(child.unwrap().pidfd.as_fd()).unwrap(), Exit::Code(7));
        assert!(set_processors(&[0]).is_err());
    }
}
