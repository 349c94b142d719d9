//! One process, held by an fd that never comes to mean another: pidfd_open(2) and what takes a pidfd.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// The status as shells tell it: 128 + n for signal n.
    pub fn status(self) -> i32 {
        match self {
            Exit::Code(code) => code.into(),
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// Takes hold of the process that has this pid now. Whether it is the one that was meant is to be checked afterwards,
/// by its start time.
///
/// # Errors
/// What pidfd_open(2) says: `ESRCH` when nobody has it.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// Sends a signal; false when the process has ended.
///
/// # Errors
/// What pidfd_send_signal(2) says, but for `ESRCH`.
pub fn signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<bool> {
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Waits for the end of a child and reaps it.
///
/// # Errors
/// What waitid(2) says: `ECHILD` for who is no child of ours, or was reaped.
pub fn wait(pidfd: BorrowedFd<'_>) -> io::Result<Exit> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return Ok(exit(&status)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn exit(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code((code & 0xff) as u8),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

/// `struct pidfd_info`, in its first version.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

/// The process as the kernel describes it through its pidfd (Linux 6.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its pid in our pid namespace; none: it has been reaped.
    pub pid: Option<u32>,
    /// How it ended, once it was reaped, whoever did it (Linux 6.15).
    pub exit: Option<Exit>,
}

const INFO_PID: u64 = 1;
const INFO_EXIT: u64 = 8;

/// Asks for pid and end of a process. The pidfd must have been opened while the process was there.
///
/// # Errors
/// `Unsupported` before Linux 6.13; `ESRCH` when it has been reaped, before Linux 6.15.
pub fn describe(pidfd: BorrowedFd<'_>) -> io::Result<Description> {
    const OPCODE: rustix::ioctl::Opcode = rustix::ioctl::opcode::read_write::<Info>(0xff, 11);
    let mut info = Info { mask: INFO_PID | INFO_EXIT, ..Info::default() };
    // SAFETY: PIDFD_GET_INFO reads and writes a struct pidfd_info of the size that its number holds, which is this.
    let result = unsafe {
        let updater = rustix::ioctl::Updater::<'_, OPCODE, Info>::new(&mut info);
        rustix::ioctl::ioctl(pidfd, updater)
    };
    match result {
        Ok(()) => {}
        Err(Errno::NOTTY | Errno::INVAL) => return Err(io::Error::from(io::ErrorKind::Unsupported)),
        Err(e) => return Err(e.into()),
    }
    let signal = info.exit_code & 0x7f;
    let exit = if signal == 0 { Exit::Code((info.exit_code >> 8 & 0xff) as u8) } else { Exit::Signal(signal) };
    Ok(Description {
        pid: (info.mask & INFO_PID != 0 && info.pid != 0).then_some(info.pid),
        exit: (info.mask & INFO_EXIT != 0).then_some(exit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    #[test]
    #[expect(clippy::zombie_processes, reason = "waited for by its pidfd")]
    fn the_end_of_a_process_is_told_after_it_was_reaped() {
        let mut child = Command::new("sh").args(["-c", "read x; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        let supported = match describe(pidfd.as_fd()) {
            Ok(description) => {
                assert_eq!(description, Description { pid: Some(child.id()), exit: None });
                true
            }
            Err(e) => {
                assert_eq!(e.kind(), io::ErrorKind::Unsupported);
                false
            }
        };
        drop(child.stdin.take());
        assert_eq!(wait(pidfd.as_fd()).unwrap(), Exit::Code(7));
        assert!(!signal(pidfd.as_fd(), Signal::TERM).unwrap(), "it is gone");
        assert!(wait(pidfd.as_fd()).is_err());
        // Before 6.15 the kernel knows nothing more of it.
        if let (true, Ok(description)) = (supported, describe(pidfd.as_fd())) {
            assert_eq!(description.exit, Some(Exit::Code(7)));
        }
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "waited for by its pidfd")]
    fn signals_end_processes_and_are_told() {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert!(signal(pidfd.as_fd(), Signal::KILL).unwrap());
        assert_eq!(wait(pidfd.as_fd()).unwrap().status(), 137);
        assert!(open(u32::MAX).is_err());
    }
}
