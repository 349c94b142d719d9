//! The memory that the program itself lies in.

use rustix::mm::{Advice, madvise};
use std::ffi::{c_uchar, c_void};

unsafe extern "C" {
    /// The linker's names for the first byte of the program in memory, and for the one behind its code.
    static __executable_start: c_uchar;
    static etext: c_uchar;
}

/// Takes the code and the constants that this process has touched so far out of its memory, for a process that has started
/// up and will now use little of them. What it needs comes back from the file, which is in memory as long as anybody uses it.
///
/// The kernel brings in sixteen pages where one is touched, so a process that runs on little has much of a large program.
/// Where the kernel does not do it, nothing is lost but that.
pub fn give_back() {
    /// The largest pages that there are.
    const PAGE: usize = 64 * 1024;
    let (start, end) = ((&raw const __executable_start).addr(), (&raw const etext).addr());
    // Nothing but whole pages: what comes behind the code may be written to.
    let length = end.saturating_sub(start) / PAGE * PAGE;
    let start = (&raw const __executable_start).cast_mut().cast::<c_void>();
    // SAFETY: the linker puts what is only read (constants, then code) in front, up to `etext`, and what is ever written
    // to, relocations included, behind it. So the pages are those of the file, and the next access brings back the same.
    let _ = unsafe { madvise(start, length, Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_program_goes_on_as_it_was() {
        // Other tests, in other threads, would bring in what they run on.
        let own = std::env::current_exe().unwrap();
        let alone = ["program::tests::alone", "--exact", "--ignored", "--test-threads=1"];
        let output = std::process::Command::new(own).args(alone).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }

    #[test]
    #[ignore = "run by the other one, in a process of its own"]
    fn alone() {
        static CONSTANTS: [u64; 1024] = [0x5ca1_ab1e; 1024];
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        WRITTEN.store(7, Ordering::SeqCst);
        let texts: Vec<String> = ["a", "b"].map(str::to_owned).into();
        let resident = || {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let code =
                maps.split("\n").skip_while(|line| !line.contains(" r-xp ")).find(|line| line.starts_with("Rss:"));
            code.unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = resident();
        super::give_back();
        let after = resident();
        assert!(after < before, "{after} KiB of code after {before} KiB");
        assert!(CONSTANTS.iter().all(|n| *n == 0x5ca1_ab1e) && texts == ["a", "b"]);
        assert_eq!(WRITTEN.load(Ordering::SeqCst), 7);
    }
}
