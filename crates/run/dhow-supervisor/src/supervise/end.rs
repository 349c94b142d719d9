//! What is done once the container's process has ended.

use super::now;
use super::start::{OOM_SCORE, SOCKET};
use super::watch::{Heard, Watch};
use crate::plan::{ExitRecord, VERSION};
use crate::wire::Message;
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long processes that are left may keep quiet before their output is given up.
const IDLE: Duration = Duration::from_secs(1);
/// How long they may go on, where there is no control group to kill them by.
const DRAIN: Duration = Duration::from_secs(10);
/// How long clients have to take what there is and to say that they have recorded the end.
const FAREWELL: Duration = Duration::from_secs(10);

impl Watch {
    pub(super) fn end(mut self) {
        let code = self.reap();
        let finished = now();
        let group = self.group.take().or_else(|| self.brief.cgroup.as_deref().and_then(open_group));
        let oom_killed = group.as_ref().and_then(|group| group.oom_kills().ok()).is_some_and(|kills| kills > 0);
        if let Some(group) = &group {
            // Without a pid namespace of its own the container may leave processes behind; they hold its output open.
            if group.processes().map_or(true, |left| !left.is_empty()) {
                let _ = group.kill();
            }
        }
        self.drain();
        if let Some(log) = &mut self.log {
            let _ = log.finish(now());
        }
        if let Some(group) = &group {
            let _ = group.remove();
        }
        let record = ExitRecord { version: VERSION, code, started: self.brief.started, finished, oom_killed };
        let _ = record.write(&self.brief.run_dir);
        // Who looks for the socket from here on finds the record instead; who is on his way is let in.
        let _ = std::fs::remove_file(self.brief.run_dir.join(SOCKET));
        self.accept();
        self.let_go();
        let told = self.say_goodbye(&record);
        if !self.recorded {
            self.run_exited();
        }
        if let Some(log) = &self.log {
            log.nudge();
            let _ = log.sync();
        }
        self.linger(&told);
    }

    /// The exit status, or 128 + the signal; none when it cannot be told.
    fn reap(&self) -> Option<i32> {
        let status: WaitIdStatus =
            rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).ok()??;
        let signal = status.terminating_signal().map(|signal| 128 + signal);
        status.exit_status().or(signal)
    }

    /// Reads all output that is left. To its end, mostly; else until nothing has come for a while.
    fn drain(&mut self) {
        let idle = Timespec { tv_sec: i64::try_from(IDLE.as_secs()).expect("a second"), tv_nsec: 0 };
        // Nothing that is still in a terminal comes from a process that lives.
        let patience = if self.peer.is_some() { Timespec { tv_sec: 0, tv_nsec: 0 } } else { idle };
        let deadline = Instant::now() + DRAIN;
        while !self.sources.is_empty() && Instant::now() < deadline {
            let mut fds: Vec<_> = self.sources.iter().map(|source| PollFd::new(&source.fd, PollFlags::IN)).collect();
            let came = match poll(&mut fds, Some(&patience)) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other.is_ok_and(|n| n > 0),
            };
            if !came {
                break;
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            for n in (0..ready.len()).rev() {
                if ready[n] && !self.pump(n) {
                    self.sources.remove(n);
                }
            }
        }
        self.sources.clear();
    }

    /// Frees what whoever hears of the end may want at once: to remove the snapshot, to start the container again.
    fn let_go(&mut self) {
        self.kept.clear();
        self.peer = None;
        self.input = None;
        self.lock = None;
        if let Some(log) = &self.log {
            log.nudge();
        }
    }

    /// Tells everybody, and waits until one says that he has recorded it, or all are gone; but not for ever. Who was told.
    fn say_goodbye(&mut self, record: &ExitRecord) -> Vec<bool> {
        let bytes = record.to_bytes();
        let mut told = vec![false; self.clients.len()];
        let deadline = Instant::now() + FAREWELL;
        loop {
            for (client, told) in self.clients.iter_mut().zip(&mut told) {
                // One who has only just connected says his hello first.
                if !*told && client.streams.is_some() {
                    client.tell(Message::Exited(&bytes));
                    *told = true;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.recorded || left.is_zero() || self.clients.iter().all(|client| client.gone) {
                return told;
            }
            self.listen(Some(left));
        }
    }

    /// Stays until those who were told have taken all output, however slow they are: a pager shows a page at a time.
    fn linger(&mut self, told: &[bool]) {
        for (client, told) in self.clients.iter_mut().zip(told) {
            client.gone |= !told;
        }
        while self.clients.iter().any(|client| !client.gone && client.pending() > 0) {
            self.listen(None);
        }
    }

    /// Waits for clients to take what there is for them, or to say something.
    fn listen(&mut self, at_most: Option<Duration>) {
        let timeout = at_most.map(|at_most| Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).expect("seconds"),
            tv_nsec: at_most.subsec_nanos().into(),
        });
        let mut buffer = [0; 4096];
        let present = || self.clients.iter().filter(|client| !client.gone);
        let mut fds: Vec<_> = present()
            .map(|client| {
                let out = if client.pending() > 0 { PollFlags::OUT } else { PollFlags::empty() };
                PollFd::new(&client.socket, PollFlags::IN | out)
            })
            .collect();
        let _ = poll(&mut fds, timeout.as_ref());
        let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let recorded = &mut self.recorded;
        for (client, events) in self.clients.iter_mut().filter(|client| !client.gone).zip(events) {
            client.flush();
            if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                client.hear(&mut buffer, &mut |heard| *recorded |= matches!(heard, Heard::Recorded));
            }
        }
    }

    fn run_exited(&self) {
        if let Some((program, arguments)) = self.brief.exited.split_first() {
            // Ours is not for it, and for the container that it may start again.
            let _ = std::fs::write(OOM_SCORE, self.brief.oom_score.to_string());
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            // It lives on alone. When it cannot be executed, the next command finds the exit record.
            let _ = command.spawn();
        }
    }
}

fn open_group(path: &Path) -> Option<Cgroup> {
    Cgroup::open(&Hierarchies::detect().ok()?, path).ok()
}
