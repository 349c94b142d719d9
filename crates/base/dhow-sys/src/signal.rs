//! Signals by number, real-time ones among them: what people ask for by `STOPSIGNAL` and `kill -s`.

use rustix::io::Errno;
use rustix::process::Signal;
use std::io;
use std::os::fd::BorrowedFd;

/// The greatest number of a signal on Linux but for MIPS.
const LAST: i32 = 64;

/// Sends the signal of this number to a process; false when it has ended.
///
/// # Errors
/// `InvalidInput` for no number of a signal; what pidfd_send_signal(2) says, but for `ESRCH`.
pub fn send(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<bool> {
    if !(1..=LAST).contains(&number) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is of 1 to 64, so it is not zero and a signal of the kernel. It is unsafe for the numbers that
    // a C library keeps for its threads, which must not be handled or blocked in its own process; it is sent to another.
    let signal = unsafe { Signal::from_raw_unchecked(number) };
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn real_time_signals_are_sent_too() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        for number in [0, -1, 65] {
            assert_eq!(send(pidfd.as_fd(), number).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert!(send(pidfd.as_fd(), 37).unwrap());
        assert_eq!(child.wait().unwrap().signal(), Some(37));
        assert!(!send(pidfd.as_fd(), 15).unwrap());
    }
}
