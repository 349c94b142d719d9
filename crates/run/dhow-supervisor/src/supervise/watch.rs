//! The loop: one poll(2) over the container's process, its output and input, and those who are connected.
//!
//! Output is read in blocks, logged, then sent on. Nothing here waits for a client: what he does not take waits in a
//! bounded buffer, and once that is full the output is not read for a while; the container notices when its pipe is full.

use super::clients::{Client, Greeting};
use super::input::Input;
use super::keeping::Keeping;
use super::place::Place;
use super::pump::Transit;
use super::slate::{Life, Slate, Slot};
use super::start::admit;
use super::{now, resume};
use crate::log::{Stream, Writer};
use crate::plan::{KeeperPlan, LogPlan, Plan, Stdin};
use crate::wire::{self, Message};
use dhow_runtime::cgroup::Cgroup;
use dhow_sys::terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes taken in from a client at once.
const HEARD: usize = 16 * 1024;
/// How often a log that could not be written is tried again when there is no output, and to let in who could not be.
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
    #[serde(default)]
    pub(super) exited_always: bool,
    /// When the gate was opened, nanoseconds since the Unix epoch. Since version 2 the slate has it.
    #[serde(default)]
    pub(super) started: i64,
    /// What the launcher's `oom_score_adj` was.
    pub(super) oom_score: i32,
    /// Pid and start time of the container's first process.
    #[serde(default)]
    pub(super) process: Option<(u32, u64)>,
    #[serde(default)]
    pub(super) supervisor_cgroup: Option<PathBuf>,
    #[serde(default)]
    pub(super) keeper: Option<KeeperPlan>,
    /// Whether `exited` is run from the program that we are, because we are another than it was: its file may be gone, or
    /// be of an older version.
    #[serde(default)]
    pub(super) by_itself: bool,
}

impl Brief {
    pub(super) fn of(plan: &Plan, oom_score: i32, process: (u32, u64)) -> Brief {
        Brief {
            run_dir: plan.run_dir.clone(),
            log: plan.log.clone(),
            cgroup: plan.cgroup.clone(),
            stdin: plan.stdin,
            exited: plan.exited.clone(),
            exited_always: plan.exited_always,
            started: 0,
            oom_score,
            process: Some(process),
            supervisor_cgroup: plan.supervisor_cgroup.clone(),
            keeper: plan.keeper.clone(),
            by_itself: false,
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
    Input(&'m [u8], Option<Slot>),
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
    /// Until when nobody is let in.
    pub(super) full_until: Option<Instant>,
    pub(super) clients: Vec<Client>,
    pub(super) log: Option<Writer>,
    pub(super) slate: Slate,
    /// What output goes through.
    pub(super) transit: Transit,
    /// Where we ought to be and could not go; none: we are there.
    pub(super) away: Option<Place>,
    /// None: nobody is to keep copies.
    pub(super) keeping: Option<Keeping>,
    /// How many were connected to the supervisor before and have not come back. Nothing is read before they have,
    pub(super) expected: usize,
    /// but for ever.
    pub(super) grace: Instant,
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
    /// When output was taken last, nanoseconds since the Unix epoch.
    pub(super) took: i64,
}

/// What the poll has shown, taken down before anything is done about it.
#[derive(Debug, Default)]
struct Ready {
    ended: bool,
    connection: bool,
    input: bool,
    keeper: bool,
    sources: [bool; 2],
    /// Readable, writable, hung up.
    clients: Vec<(bool, bool, bool)>,
}

impl Watch {
    /// Watches to the end, and does what is to be done then.
    pub(super) fn run(mut self) {
        match self.slate.life() {
            // Whoever was to open it has not come to that.
            Life::AtTheGate => return self.give_up(),
            Life::Recorded => return self.end_again(),
            Life::Running | Life::Ended => {}
        }
        // Their last words may be here already.
        let heard = vec![(false, false, false); self.clients.len()];
        self.serve_clients(&heard);
        if self.lean {
            dhow_sys::program::give_back();
        }
        let settled = Instant::now() + SETTLED;
        while let Ok(ready) = self.wait(settled) {
            if ready.ended {
                break;
            }
            self.serve(&ready);
            self.go_on_as_another();
            if !self.lean && Instant::now() >= settled && self.is_quiet() {
                if let Some(group) = self.still_to_join.take() {
                    // Out of reach of who ends the launcher's session, as far as can be.
                    let _ = group.join();
                }
                // Comes back only when it did not work: then the memory is kept.
                let _ = resume::execute_anew(&self, None);
                self.lean = true;
            }
        }
        self.end();
    }

    /// Becomes the program that a client has brought, if one has.
    fn go_on_as_another(&mut self) {
        for n in 0..self.clients.len() {
            let Some(program) = self.clients[n].upgrade.take() else { continue };
            let answer = match is_this(&program) {
                Ok(true) => wire::SAME,
                // What is held back is in no memory that goes along.
                Ok(false) if self.log.as_ref().is_some_and(|log| log.held_back() > 0) => wire::BUSY,
                Ok(false) => {
                    if let Some(group) = self.still_to_join.take() {
                        let _ = group.join();
                    }
                    let is_ours = self.brief.exited.first().is_some_and(|program| is_our_file(program));
                    let before = self.brief.by_itself;
                    self.brief.by_itself |= is_ours;
                    let asked = program.try_clone();
                    self.clients[n].upgrade = asked.ok();
                    let _ = resume::execute_anew(self, Some(program.as_fd()));
                    self.clients[n].upgrade = None;
                    self.brief.by_itself = before;
                    wire::FAILED
                }
                Err(_) => wire::FAILED,
            };
            self.clients[n].tell(Message::Answer(answer));
        }
    }

    /// Whether those are waited for who were connected to the supervisor before.
    fn is_waiting(&mut self) -> bool {
        if self.expected > 0 && Instant::now() >= self.grace {
            self.expected = 0;
            self.forget_the_missing();
        }
        self.expected > 0
    }

    /// The input of those who did not come back has ended.
    fn forget_the_missing(&mut self) {
        for (slot, _) in self.slate.slots() {
            if !self.clients.iter().any(|client| client.slot == Some(slot)) {
                self.slate.free(slot);
                self.end_of_input();
            }
        }
    }

    /// Whether nothing is on its way anywhere.
    fn is_quiet(&self) -> bool {
        self.clients.iter().all(|client| client.pending() == 0)
            && self.input.as_ref().is_none_or(|input| input.pending() == 0)
            && self.log.as_ref().is_none_or(|log| log.held_back() == 0)
    }

    /// Whether some client has enough to do: what he was sent before is on its way to him, even if we are killed, so that
    /// only the chunk at hand is ever missing. It is as slow as the slowest who looks on, as in docker.
    pub(super) fn is_paused(&self) -> bool {
        self.clients.iter().any(|client| client.pending() > 0)
    }

    fn timeout(&self, settled: Instant) -> Option<Duration> {
        let held = self.log.as_ref().is_some_and(|log| log.held_back() > 0).then_some(RETRY);
        let lean = (!self.lean).then(|| settled.saturating_duration_since(Instant::now()));
        // While something is on its way, its arrival is waited for and not the clock.
        let lean = lean.filter(|left| !left.is_zero() || self.is_quiet());
        let keeper =
            self.keeping.as_ref().and_then(Keeping::due).map(|due| due.saturating_duration_since(Instant::now()));
        let grace = (self.expected > 0).then(|| self.grace.saturating_duration_since(Instant::now()));
        let full = self.full_until.map(|until| until.saturating_duration_since(Instant::now()));
        held.into_iter().chain(lean).chain(keeper).chain(grace).chain(full).min()
    }

    fn wait(&mut self, settled: Instant) -> io::Result<Ready> {
        let waiting = self.is_waiting();
        self.full_until = self.full_until.filter(|until| *until > Instant::now());
        let paused = waiting || self.is_paused();
        let listen = self.input.as_ref().is_none_or(Input::has_room);
        let mut fds = Vec::with_capacity(4 + self.sources.len() + self.clients.len());
        fds.push(PollFd::new(&self.pidfd, if waiting { PollFlags::empty() } else { PollFlags::IN }));
        let let_in = if self.full_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        fds.push(PollFd::new(&self.listener, let_in));
        let keeper = self.keeping.as_ref().and_then(|keeping| keeping.connection.as_ref());
        fds.extend(keeper.map(|connection| PollFd::new(connection, PollFlags::IN | PollFlags::RDHUP)));
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
        let mut ready = Ready { ended: !waiting && any(0), connection: any(1), ..Ready::default() };
        let mut at = 2;
        if keeper.is_some() {
            ready.keeper = any(at);
            at += 1;
        }
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
            self.close_input();
        }
        self.acknowledge();
        if ready.connection {
            self.accept();
        }
        let due = self.keeping.as_ref().and_then(Keeping::due).is_some_and(|due| Instant::now() >= due);
        if ready.keeper {
            self.keeper_is_gone();
        } else if due {
            self.keep();
        }
        if let Some(log) = &mut self.log
            && log.held_back() > 0
        {
            // Told again with each attempt; the container does not stop for it.
            let _ = log.retry(now());
        }
    }

    /// Readable, writable, hung up: what is to be done about each client.
    pub(super) fn serve_clients(&mut self, ready: &[(bool, bool, bool)]) {
        let mut clients = std::mem::take(&mut self.clients);
        let mut buffer = Vec::new();
        let expected = self.expected;
        for (client, (readable, writable, hung_up)) in clients.iter_mut().zip(ready) {
            if *writable || client.pending() > 0 {
                client.flush();
            }
            if *readable {
                buffer.resize(HEARD, 0);
                client.hear(&mut buffer, &mut |heard| self.heard(&heard));
            } else if *hung_up {
                client.gone = true;
            }
            // What came with the last words of the start, or to the supervisor before.
            client.act(&mut |heard| self.heard(&heard));
            self.greet(client);
        }
        let mut input_lost = false;
        clients.retain(|client| {
            if client.gone {
                input_lost |= client.brings_input();
                if let Some(slot) = client.slot {
                    self.slate.free(slot);
                }
            }
            !client.gone
        });
        if self.expected == 0 {
            self.slate.set_attached(clients.iter().filter(|client| client.is_counted()).count());
        }
        self.clients = clients;
        if input_lost {
            self.end_of_input();
        }
        if expected > 0 && self.expected == 0 {
            self.forget_the_missing();
        }
    }

    /// Answers who has said his hello, and hears what he has said after it.
    pub(super) fn greet(&mut self, client: &mut Client) {
        while let Some(greeting) = client.greeting.take() {
            match greeting {
                Greeting::Hello(bits) => {
                    client.wants(bits);
                    let version = if client.comes_back { wire::WIRE } else { 1 };
                    client.put(&Message::Welcome { version }.to_bytes());
                    if client.comes_back {
                        let allotted = if client.brings_input() { self.slate.allot() } else { None };
                        client.slot = allotted.map(|(slot, _)| slot);
                        self.tell_numbers(client, allotted.map_or(0, |(_, key)| key), [0, 0]);
                    }
                }
                // That of an earlier run: he finds out how it ended.
                Greeting::Back { process, .. } if process != self.process() => client.gone = true,
                Greeting::Back { streams, key, had, .. } => self.welcome_back(client, streams, key, had),
            }
            client.act(&mut |heard| self.heard(&heard));
        }
    }

    fn process(&self) -> u64 {
        self.brief.process.map_or(0, |(pid, start_time)| wire::process(pid, start_time))
    }

    /// Where the streams are, but for what is to be sent once more.
    fn tell_numbers(&self, client: &mut Client, key: u64, again: [u64; 2]) {
        let input = client.slot.map_or(0, |slot| self.slate.input_total(slot));
        client.told = input;
        let [stdout, stderr] = [Stream::Stdout, Stream::Stderr].map(|s| self.slate.total(s) - again[s as usize]);
        client.put(&Message::Numbers { process: self.process(), key, stdout, stderr, input }.to_bytes());
    }

    /// Sends what he has not had of the last chunk: more was never on its way.
    fn welcome_back(&mut self, client: &mut Client, bits: u8, key: u64, had: [u64; 2]) {
        client.wants(bits);
        client.comes_back = true;
        client.slot = self.slate.slot(key);
        client.put(&Message::Welcome { version: wire::WIRE }.to_bytes());
        let last = self.slate.state();
        let missing = self.slate.total(last.stream).saturating_sub(had[last.stream as usize]);
        let missing = usize::try_from(missing).map_or(last.length, |missing| missing.min(last.length));
        let mut again = [0; 2];
        again[last.stream as usize] = missing as u64;
        self.tell_numbers(client, if client.slot.is_some() { key } else { 0 }, again);
        if missing > 0 {
            client.output(last.stream, &self.slate.chunk()[last.length - missing..]);
        }
        self.expected = self.expected.saturating_sub(usize::from(client.is_counted()));
    }

    /// Tells those who bring input how much of it was taken.
    fn acknowledge(&mut self) {
        for client in &mut self.clients {
            let Some(slot) = client.slot else { continue };
            let total = self.slate.input_total(slot);
            if client.told != total {
                client.told = total;
                client.tell(Message::Accepted(total));
            }
        }
    }

    pub(super) fn heard(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Input(bytes, slot) => {
                if let Some(input) = &mut self.input {
                    input.push(*slot, bytes);
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
            if !input.flush(&self.slate) {
                self.close_input();
            }
        }
    }

    /// Nobody holds it open then; the keeper has what it need not have any more.
    pub(super) fn close_input(&mut self) {
        if let Some(input) = self.input.take() {
            input.close();
            self.keep();
        }
    }

    fn flush_input(&mut self) -> bool {
        let terminal = self.peer.is_some();
        let slate = &self.slate;
        self.input.as_mut().is_none_or(|input| {
            // Woken without anything to write: nobody reads any more.
            let unread = input.pending() == 0 && !terminal;
            input.flush(slate) && !unread
        })
    }

    pub(super) fn accept(&mut self) {
        loop {
            match admit(self.listener.as_fd()) {
                Ok(Some(socket)) => self.clients.push(Client::new(socket)),
                Ok(None) => return,
                Err(_) => {
                    self.full_until = Some(Instant::now() + RETRY);
                    return;
                }
            }
        }
    }
}

/// Whether that path leads, or led, to the program that runs.
fn is_our_file(program: &std::ffi::OsStr) -> bool {
    match rustix::fs::open(program, rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty()) {
        Ok(file) => is_this(&file).unwrap_or(false),
        Err(e) => e == Errno::NOENT,
    }
}

/// Whether that is the program that runs.
pub(crate) fn is_this(program: &OwnedFd) -> io::Result<bool> {
    let (ours, theirs) = (rustix::fs::stat("/proc/self/exe")?, rustix::fs::fstat(program)?);
    let identity = |s: &rustix::fs::Stat| (s.st_dev, s.st_ino, s.st_ctime, s.st_ctime_nsec);
    Ok(identity(&ours) == identity(&theirs))
}
