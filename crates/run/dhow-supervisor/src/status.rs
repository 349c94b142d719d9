//! The exit status of a container's first process, also for who is not its parent.
//!
//! The parent reaps it. Anybody else has its pidfd, and asks the kernel once its parent has reaped it (the first process
//! of the host, or whoever reaps orphans): `PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15. As long as nobody has,
//! procfs has it. On an older kernel it may be lost.

use dhow_sys::pidfd::{self, Exit};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long whoever reaps orphans may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The exit status, or 128 + the signal; none when nobody can tell. For a process that has ended; `process` is its pid and
/// start time.
pub fn of(pidfd: BorrowedFd<'_>, process: Option<(u32, u64)>) -> Option<i32> {
    if let Ok(exit) = pidfd::wait(pidfd) {
        return Some(exit.status());
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = pidfd::describe(pidfd).ok().and_then(|description| description.exit);
        if let Some(exit) = told.or_else(|| process.and_then(|(pid, start)| of_zombie(pid, start))) {
            return Some(exit.status());
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What procfs says of a process that has ended and was not reaped (`exit_code` of proc_pid_stat(5)).
fn of_zombie(pid: u32, start_time: u64) -> Option<Exit> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    // Counted from the third.
    if fields.first() != Some(&"Z") || fields.get(19)?.parse() != Ok(start_time) {
        return None;
    }
    let code: i32 = fields.get(49)?.parse().ok()?;
    Some(match code & 0x7f {
        0 => Exit::Code((code >> 8 & 0xff) as u8),
        signal => Exit::Signal(signal),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_sys::process::ProcessIdentity;
    use std::os::fd::AsFd as _;
    use std::process::{Command, Stdio};

    #[test]
    fn a_zombie_tells_how_it_ended() {
        for (script, exit) in [("read x; exit 9", Exit::Code(9)), ("read x; kill -15 $$", Exit::Signal(15))] {
            let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
            let identity = ProcessIdentity::of(child.id()).unwrap();
            assert_eq!(of_zombie(child.id(), identity.start_time), None);
            let pidfd = pidfd::open(child.id()).unwrap();
            drop(child.stdin.take());
            let mut ended = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
            rustix::event::poll(&mut ended, None).unwrap();
            assert_eq!(of_zombie(child.id(), identity.start_time), Some(exit));
            assert_eq!(of_zombie(child.id(), identity.start_time + 1), None);
            child.wait().unwrap();
            // And once it was reaped by somebody else, the kernel does where it can.
            if pidfd::describe(pidfd.as_fd()).is_ok() {
                assert_eq!(of(pidfd.as_fd(), None), Some(exit.status()));
            }
        }
    }
}
