//! The loop: one poll(2) over the container's process, its output and input, and those who are connected.
//!
//! Output is read in blocks, logged, then sent on. Nothing here waits for a client: what he does not take waits in a
//! bounded buffer, and once that is full the output is not read for a while; the container notices when its pipe is full.

use super::clients::{Client, OUTBOX_MAX};
use super::input::Input;
use super::{now, resume};
use crate::log::{Stream, Writer};
use crate::plan::{LogPlan, Plan, Stdin};
use dhow_runtime::cgroup::Cgroup;
use dhow_sys::terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes read at once.
pub(super) const BLOCK: usize = 64 * 1024;
/// Bytes taken in from a client at once.
const HEARD: usize = 16 * 1024;
/// How often a log that could not be written is tried again when there is no output.
const RETRY: Duration = Duration::from_secs(1);
/// How long a container has to have run before the memory of its start is given up. Most that end soon do so before.
const SETTLED: Duration = Duration::from_millis(500);

/// What of the plan is needed after the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Brief {
    pub(super) run_dir: PathBuf,
    pub(super) log: Option<LogPlan>,
    pub(super) cgroup: Option<PathBuf>,
    pub(super) stdin: Stdin,
    pub(super) exited: Vec<OsString>,
    /// When the gate was opened, nanoseconds since the Unix epoch.
    pub(super) started: i64,
    /// What the launcher's `oom_score_adj` was.
    pub(super) oom_score: i32,
}

impl Brief {
    pub(super) fn of(plan: &Plan, started: i64, oom_score: i32) -> Brief {
        Brief {
            run_dir: plan.run_dir.clone(),
            log: plan.log.clone(),
            cgroup: plan.cgroup.clone(),
            stdin: plan.stdin,
            exited: plan.exited.clone(),
            started,
            oom_score,
        }
    }
}

/// The reading end of a pipe, or the master of a terminal. Does not block.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) fd: OwnedFd,
    pub(super) stream: Stream,
}

/// What a client asks for.
pub(super) enum Heard<'m> {
    Input(&'m [u8]),
    EndOfInput,
    Window(u16, u16),
    Recorded,
}

/// A container that runs.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) brief: Brief,
    pub(super) pidfd: OwnedFd,
    pub(super) sources: Vec<Source>,
    pub(super) input: Option<Input>,
    /// The other end of the terminal, held open: else the master says "hung up" whenever the container has closed it for
    /// a moment.
    pub(super) peer: Option<OwnedFd>,
    pub(super) listener: OwnedFd,
    pub(super) clients: Vec<Client>,
    pub(super) log: Option<Writer>,
    /// Held to the end.
    pub(super) lock: Option<OwnedFd>,
    /// Open as long as the container runs, for their own sake.
    pub(super) kept: Vec<OwnedFd>,
    /// The container's group, from the start on; looked up again after an execution anew.
    pub(super) group: Option<Cgroup>,
    /// The group of supervisors, where joining it altogether takes the kernel milliseconds in which nothing else is done.
    pub(super) still_to_join: Option<Cgroup>,
    /// Whether the memory of the start has been given up.
    pub(super) lean: bool,
    pub(super) recorded: bool,
    pub(super) buffer: Vec<u8>,
}

/// What the poll has shown, taken down before anything is done about it.
#[derive(Debug, Default)]
struct Ready {
    ended: bool,
    connection: bool,
    input: bool,
    sources: [bool; 2],
    /// Readable, writable, hung up.
    clients: Vec<(bool, bool, bool)>,
}

impl Watch {
    /// Watches to the end, and does what is to be done then.
    pub(super) fn run(mut self) {
        let settled = Instant::now() + SETTLED;
        while let Ok(ready) = self.wait(settled) {
            if ready.ended {
                break;
            }
            self.serve(&ready);
            if !self.lean && Instant::now() >= settled && self.is_quiet() {
                if let Some(group) = self.still_to_join.take() {
                    // Out of reach of who ends the launcher's session, as far as can be.
                    let _ = group.join();
                }
                // Comes back only when it did not work: then the memory is kept.
                let _ = resume::execute_anew(&mut self);
                self.lean = true;
            }
        }
        self.end();
    }

    /// Whether nothing is on its way anywhere.
    fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| client.pending() == 0)
            && self.input.as_ref().is_none_or(|input| input.pending() == 0)
            && self.log.as_ref().is_none_or(|log| log.held_back() == 0)
    }

    /// Whether some client has enough to do.
    pub(super) fn is_paused(&self) -> bool {
        self.clients.iter().any(|client| client.pending() >= OUTBOX_MAX)
    }

    fn timeout(&self, settled: Instant) -> Option<Duration> {
        let held = self.log.as_ref().is_some_and(|log| log.held_back() > 0).then_some(RETRY);
        let lean = (!self.lean).then(|| settled.saturating_duration_since(Instant::now()));
        // While something is on its way, its arrival is waited for and not the clock.
        let lean = lean.filter(|left| !left.is_zero() || self.is_quiet());
        held.into_iter().chain(lean).min()
    }

    fn wait(&self, settled: Instant) -> io::Result<Ready> {
        let paused = self.is_paused();
        let listen = self.input.as_ref().is_none_or(Input::has_room);
        let mut fds = Vec::with_capacity(4 + self.sources.len() + self.clients.len());
        fds.push(PollFd::new(&self.pidfd, PollFlags::IN));
        fds.push(PollFd::new(&self.listener, PollFlags::IN));
        let input = self.input.as_ref().filter(|input| input.pending() > 0 || self.peer.is_none());
        if let Some(input) = input {
            let wanted = if input.pending() > 0 { PollFlags::OUT } else { PollFlags::empty() };
            fds.push(PollFd::new(&input.fd, wanted));
        }
        if !paused {
            fds.extend(self.sources.iter().map(|source| PollFd::new(&source.fd, PollFlags::IN)));
        }
        let clients = fds.len();
        fds.extend(self.clients.iter().map(|client| {
            let mut wanted = PollFlags::RDHUP;
            wanted.set(PollFlags::IN, listen || !client.brings_input());
            wanted.set(PollFlags::OUT, client.pending() > 0);
            PollFd::new(&client.socket, wanted)
        }));
        let timeout = self.timeout(settled).map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).expect("about a second"),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => {
                return Ok(Ready { clients: vec![(false, false, false); self.clients.len()], ..Ready::default() });
            }
            Err(e) => return Err(e.into()),
        }
        let any = |at: usize| !fds[at].revents().is_empty();
        let mut ready = Ready { ended: any(0), connection: any(1), ..Ready::default() };
        let mut at = 2;
        if input.is_some() {
            ready.input = any(at);
            at += 1;
        }
        for n in 0..if paused { 0 } else { self.sources.len() } {
            ready.sources[n] = any(at + n);
        }
        ready.clients = fds[clients..]
            .iter()
            .map(|fd| {
                let events = fd.revents();
                let hung_up = events.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::RDHUP);
                (events.contains(PollFlags::IN), events.contains(PollFlags::OUT), hung_up)
            })
            .collect();
        Ok(ready)
    }

    fn serve(&mut self, ready: &Ready) {
        // From the last on: one that has come to its end is removed.
        for n in (0..self.sources.len()).rev() {
            if ready.sources[n] && !self.pump(n) {
                self.sources.remove(n);
            }
        }
        self.serve_clients(&ready.clients);
        if (ready.input || self.input.as_ref().is_some_and(|input| input.pending() > 0)) && !self.flush_input() {
            self.input = None;
        }
        if ready.connection {
            self.accept();
        }
        if let Some(log) = &mut self.log
            && log.held_back() > 0
        {
            // Told again with each attempt; the container does not stop for it.
            let _ = log.retry(now());
        }
    }

    /// Reads a block of output, logs it, sends it on. False at its end.
    pub(super) fn pump(&mut self, n: usize) -> bool {
        let Source { fd, stream } = &self.sources[n];
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.reserve_exact(BLOCK);
        let result = rustix::io::read(fd, rustix::buffer::spare_capacity(&mut buffer));
        let goes_on = match result {
            Ok(0) => false,
            Ok(_) => {
                if let Some(log) = &mut self.log {
                    // What cannot be written now is held back, and beyond a bound counted (see `log`).
                    let _ = log.write(*stream, &buffer, now());
                }
                self.clients.iter_mut().for_each(|client| client.output(*stream, &buffer));
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        };
        self.buffer = buffer;
        goes_on
    }

    fn serve_clients(&mut self, ready: &[(bool, bool, bool)]) {
        let mut clients = std::mem::take(&mut self.clients);
        let mut buffer = Vec::new();
        for (client, (readable, writable, hung_up)) in clients.iter_mut().zip(ready) {
            if *writable {
                client.flush();
            }
            if *readable {
                buffer.resize(HEARD, 0);
                client.hear(&mut buffer, &mut |heard| self.heard(&heard));
            } else if *hung_up {
                client.gone = true;
            }
        }
        let mut input_lost = false;
        clients.retain(|client| {
            input_lost |= client.gone && client.brings_input();
            !client.gone
        });
        self.clients = clients;
        if input_lost {
            self.end_of_input();
        }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Input(bytes) => {
                if let Some(input) = &mut self.input {
                    input.push(bytes);
                }
            }
            Heard::EndOfInput => self.end_of_input(),
            Heard::Window(rows, columns) => {
                if let Some(peer) = &self.peer {
                    let _ = terminal::resize(peer.as_fd(), *rows, *columns);
                }
            }
            // There is nothing to record before the end.
            Heard::Recorded => {}
        }
    }

    /// The client who brought input has no more. A terminal has no end: who went may come back.
    fn end_of_input(&mut self) {
        if self.brief.stdin == Stdin::Once
            && self.peer.is_none()
            && let Some(input) = &mut self.input
        {
            input.end();
            if !input.flush() {
                self.input = None;
            }
        }
    }

    fn flush_input(&mut self) -> bool {
        let terminal = self.peer.is_some();
        self.input.as_mut().is_none_or(|input| {
            // Woken without anything to write: nobody reads any more.
            let unread = input.pending() == 0 && !terminal;
            input.flush() && !unread
        })
    }

    pub(super) fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(socket) = rustix::net::accept_with(&self.listener, flags) {
            // The directory keeps others out; this holds even when somebody opened it up.
            let peer = rustix::net::sockopt::socket_peercred(&socket).map(|credentials| credentials.uid);
            if peer.is_ok_and(|uid| uid == rustix::process::geteuid()) {
                self.clients.push(Client::new(socket));
            }
        }
    }
}
