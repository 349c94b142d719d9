//! What a process inherits from whoever started it besides memory and descriptors: personality(2), processors, priority,
//! scheduling policy, timer slack (sched(7), prctl(2)).
//!
//! Sets all of it to what a process has by default. Limits are not among them, and for whom this is good is decided
//! elsewhere.

use crate::raw;
use std::ffi::c_long;
use std::num::NonZeroU64;

/// Gives the calling thread the defaults, as far as it is allowed to: raising a priority, or leaving a real-time policy
/// that others gave it, may take a capability, and a seccomp filter around all of us may refuse any of this. What is
/// refused stays as it was.
pub fn leave_behind() {
    /// One bit for each processor, more than any kernel can have; those that are not there are left out by the kernel.
    static PROCESSORS: [u8; 1024] = [0xff; 1024];
    /// `struct sched_param`: SCHED_OTHER has only priority 0.
    static PRIORITY: i32 = 0;
    const SCHED_OTHER: c_long = 0;
    const PER_LINUX: c_long = 0;
    // SAFETY: takes a number.
    unsafe { raw::syscall(raw::PERSONALITY, PER_LINUX) };
    // SAFETY: reads as many bytes as it is told, at most.
    unsafe { raw::syscall(raw::SCHED_SETAFFINITY, 0_usize, PROCESSORS.len(), PROCESSORS.as_ptr()) };
    // SAFETY: reads a struct sched_param, which is one int.
    unsafe { raw::syscall(raw::SCHED_SETSCHEDULER, 0_usize, SCHED_OTHER, &raw const PRIORITY) };
    let _ = rustix::process::setpriority_process(None, 0);
    // Not 0, which stands for what our parent had when it made us.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(50_000));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::{Relation, clone};
    use crate::pidfd::{self, Exit};
    use std::os::fd::AsFd;

    #[test]
    fn what_was_set_is_gone() {
        let child = clone(&Relation::CHILD, || {
            const ADDR_NO_RANDOMIZE: c_long = 0x0004_0000;
            const SCHED_BATCH: c_long = 3;
            let one_processor: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];
            let priority: i32 = 0;
            // SAFETY: as above.
            unsafe {
                raw::syscall(raw::PERSONALITY, ADDR_NO_RANDOMIZE);
                raw::syscall(raw::SCHED_SETAFFINITY, 0_usize, one_processor.len(), one_processor.as_ptr());
                raw::syscall(raw::SCHED_SETSCHEDULER, 0_usize, SCHED_BATCH, &raw const priority);
            }
            rustix::process::setpriority_process(None, 5).expect("anybody may be nicer");
            rustix::thread::set_current_timer_slack(NonZeroU64::new(123_456)).expect("anybody may");
            let all = || {
                let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("procfs is mounted");
                // Behind the name: 16 is nice, 38 the policy.
                let fields: Vec<_> = stat.rsplit(')').next().expect("one at least").split_whitespace().collect();
                let personality = std::fs::read_to_string("/proc/thread-self/personality").expect("likewise");
                let slack = rustix::thread::current_timer_slack().expect("it can be read");
                let processors = rustix::thread::sched_getaffinity(None).expect("likewise").count();
                (personality.trim().to_owned(), fields[16].to_owned(), fields[38].to_owned(), slack, processors)
            };
            let of = |p: &str, n: &str, s: &str, slack, processors| {
                (p.to_owned(), n.to_owned(), s.to_owned(), slack, processors)
            };
            assert_eq!(all(), of("00040000", "5", "3", 123_456, 1));
            leave_behind();
            let present = std::fs::read_to_string("/proc/self/status").expect("procfs is mounted");
            let allowed =
                present.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).expect("it is there").trim();
            let (personality, nice, policy, slack, processors) = all();
            assert_eq!((personality.as_str(), nice.as_str(), policy.as_str(), slack), ("00000000", "0", "0", 50_000));
            u8::from(processors > 1 || allowed == "0")
        });
        assert_eq!(pidfd::wait(child.unwrap().pidfd.as_fd()).unwrap(), Exit::Code(1));
    }
}
