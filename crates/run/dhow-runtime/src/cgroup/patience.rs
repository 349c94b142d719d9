//! Waiting for the kernel: on events where it has some, and never for ever.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The end of a time that began when it was made. A timer of the kernel and no look at a clock, so that it can be waited
/// for together with everything else.
#[derive(Debug)]
pub(super) struct Patience {
    timer: OwnedFd,
}

impl Patience {
    /// Begins now.
    pub(super) fn new(lasting: Duration) -> Result<Patience, Errno> {
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let value = timespec(lasting);
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(Patience { timer })
    }

    /// Waits until something happens to one of these fds, `at_most` has passed, or the patience has ended: only then is
    /// the answer `false`.
    pub(super) fn wait(&self, fds: &[(BorrowedFd<'_>, PollFlags)], at_most: Option<Duration>) -> Result<bool, Errno> {
        let mut polled = vec![PollFd::new(&self.timer, PollFlags::IN)];
        polled.extend(fds.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)));
        let at_most = at_most.map(timespec);
        match rustix::event::poll(&mut polled, at_most.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(polled[0].revents().is_empty()),
            Err(errno) => Err(errno),
        }
    }

    /// Waits until `done` of a file that the kernel announces changes of (`cgroup.events`); `false` when the patience
    /// has ended before.
    pub(super) fn wait_for(&self, events: &OwnedFd, mut done: impl FnMut(&str) -> bool) -> Result<bool, Errno> {
        loop {
            // Reading arms the announcement, so a change after it ends the poll at once.
            if done(&super::directory::read_all(events.as_fd())?) {
                return Ok(true);
            }
            if !self.wait(&[(events.as_fd(), PollFlags::PRI)], None)? {
                return Ok(false);
            }
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
