//! What is done once the container's process has ended.

use super::now;
use super::place::without_environment;
use super::slate::Ended;
use super::start::{OOM_SCORE, SOCKET};
use super::watch::{Heard, Watch};
use crate::plan::{ExitRecord, VERSION};
use crate::status;
use crate::wire::Message;
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FlockOperation;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
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
        let ended = self.settle();
        if let Some(group) = self.group() {
            // Without a pid namespace of its own the container may leave processes behind; they hold its output open.
            if group.processes().map_or(true, |left| !left.is_empty()) {
                let _ = group.kill();
            }
        }
        self.drain();
        if let Some(log) = &mut self.log {
            self.slate.set_time(now());
            let _ = log.conclude(self.slate.time(), &self.slate.ending());
            self.slate.ended_lines();
        }
        if let Some(group) = self.group() {
            let _ = group.remove();
        }
        let Ended { code, finished, oom_killed } = ended;
        let started = self.slate.started();
        let record = ExitRecord { version: VERSION, code, started, finished, oom_killed };
        let _ = record.write(&self.brief.run_dir);
        // Who looks for the socket from here on finds the record instead; who is on his way is let in.
        let _ = std::fs::remove_file(self.brief.run_dir.join(SOCKET));
        self.accept();
        self.let_go();
        let told = self.say_goodbye(&record);
        if !self.recorded || self.brief.exited_always {
            self.run_exited();
        }
        self.let_go_of_keeper();
        if let Some(log) = &self.log {
            log.nudge();
            let _ = log.sync();
        }
        self.linger(&told);
    }

    /// In place of one who was killed after he had let go of the container, perhaps before he ran the command.
    pub(super) fn end_again(mut self) {
        // It does nothing where somebody has recorded the end, and nothing of the container is ours any more.
        self.run_exited();
        self.let_go_of_keeper();
    }

    /// How it ended: found out once, whoever is killed.
    fn settle(&mut self) -> Ended {
        if let Some(ended) = self.slate.ended() {
            return ended;
        }
        let code = status::of(self.pidfd.as_fd(), self.brief.process);
        let finished = now();
        let kills = self.group().and_then(|group| group.oom_kills().ok());
        let ended = Ended { code, finished, oom_killed: kills.is_some_and(|kills| kills > 0) };
        self.slate.end(&ended);
        ended
    }

    /// The container's group, if it is there.
    fn group(&mut self) -> Option<&Cgroup> {
        if self.group.is_none() {
            self.group = self.brief.cgroup.as_deref().and_then(open_group);
        }
        self.group.as_ref()
    }

    /// The container has not come to its gate being opened: nothing of it is to be left, and no end is to be told of.
    pub(super) fn give_up(mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = std::fs::remove_file(self.brief.run_dir.join(SOCKET));
        if let Some(group) = self.group() {
            let _ = group.kill();
            let _ = group.remove();
        }
        // Last: whoever gets these begins the next start, and makes a group of the same name.
        self.let_go();
        self.let_go_of_keeper();
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
        self.slate.recorded();
        self.peer = None;
        if let Some(input) = self.input.take() {
            input.close();
        }
        // Expressly, and not by closing: the keeper has them too.
        for held in self.kept.drain(..).chain(self.lock.take()) {
            let _ = rustix::fs::flock(&held, FlockOperation::Unlock);
            // The sockets of published ports lie in it.
            let _ = dhow_sys::parcel::empty(held.as_fd());
        }
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
            // Those who have nothing to record may be asleep; what there is for them waits (see `linger`).
            if self.recorded || left.is_zero() || self.clients.iter().all(|client| client.gone || !client.records) {
                return told;
            }
            self.listen_to_clients(Some(left));
        }
    }

    /// Stays until those who were told have taken all output, however slow they are: a pager shows a page at a time.
    fn linger(&mut self, told: &[bool]) {
        for (client, told) in self.clients.iter_mut().zip(told) {
            client.gone |= !told;
        }
        while self.clients.iter().any(|client| !client.gone && client.pending() > 0) {
            self.listen_to_clients(None);
        }
    }

    /// Waits for clients to take what there is for them, or to say something.
    fn listen_to_clients(&mut self, at_most: Option<Duration>) {
        let timeout = at_most.map(|at_most| Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).expect("seconds"),
            tv_nsec: at_most.subsec_nanos().into(),
        });
        let mut buffer = [0; 4096];
        let mut clients = std::mem::take(&mut self.clients);
        let mut fds: Vec<_> = clients
            .iter()
            .filter(|client| !client.gone)
            .map(|client| {
                let out = if client.pending() > 0 { PollFlags::OUT } else { PollFlags::empty() };
                PollFd::new(&client.socket, PollFlags::IN | out)
            })
            .collect();
        let _ = poll(&mut fds, timeout.as_ref());
        let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        let mut recorded = false;
        for (client, events) in clients.iter_mut().filter(|client| !client.gone).zip(events) {
            client.flush();
            if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                client.hear(&mut buffer, &mut |heard| recorded |= matches!(heard, Heard::Recorded));
                self.greet(client);
            }
        }
        self.recorded |= recorded;
        self.clients = clients;
    }

    fn run_exited(&self) {
        // To whom it is elsewhere, what the container is made of may be something else; the next command finds the record.
        if self.away.is_some() {
            return;
        }
        if let Some((program, arguments)) = self.brief.exited.split_first() {
            // Ours is not for it, and for the container that it may start again.
            let _ = std::fs::write(OOM_SCORE, self.brief.oom_score.to_string());
            let path = if self.brief.by_itself { OsStr::new("/proc/self/exe") } else { program };
            let mut command = Command::new(path);
            without_environment(command.arg0(program).args(arguments));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            // It lives on alone. When it cannot be executed, the next command finds the exit record.
            let _ = command.spawn();
        }
    }
}

fn open_group(path: &Path) -> Option<Cgroup> {
    Cgroup::open(&Hierarchies::detect().ok()?, path).ok()
}
