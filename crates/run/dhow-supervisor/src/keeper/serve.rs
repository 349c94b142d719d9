//! The keeper's loop.

use super::succession;
use super::{Order, Post, SOCKET};
use crate::wire::{self, Inbox, Message};
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_sys::passing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::process::{WaitId, WaitIdOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// How long a keeper stays that has nothing to keep.
const IDLE: Duration = Duration::from_secs(3);
/// More than the largest message with descriptors: those of two are not taken for those of one.
const HEARD: usize = 64 * 1024;
/// A supervisor that dies so often
const DEATHS: usize = 5;
/// within so long
const WITHIN: Duration = Duration::from_secs(10);
/// is not followed by another for so long.
const REST: Duration = Duration::from_secs(10);
/// How long to wait for room.
const FULL: Duration = Duration::from_secs(1);

/// Somebody who is, or was, connected.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// None: he has died, and nobody has taken his place yet.
    pub(super) connection: Option<OwnedFd>,
    inbox: Inbox,
    /// What came and belongs to no whole message yet.
    came: Vec<OwnedFd>,
    /// What to do with what is kept; none: nothing is.
    pub(super) order: Option<Order>,
    pub(super) kept: Vec<OwnedFd>,
    deaths: Vec<Instant>,
    /// The program that we are to go on as.
    upgrade: Option<OwnedFd>,
}

/// See [`super`].
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) post: Post,
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) entries: Vec<Entry>,
    /// Written to by the handler of SIGCHLD.
    children: std::os::unix::net::UnixStream,
    idle_since: Instant,
    /// Until when nobody is let in, because there is no room for one more descriptor.
    full_until: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(post: Post, lock: OwnedFd, listener: OwnedFd) -> io::Result<Keeper> {
        let (children, signal) = std::os::unix::net::UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        children.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, signal)?;
        Ok(Keeper { post, lock, listener, entries: Vec::new(), children, idle_since: Instant::now(), full_until: None })
    }

    /// Serves until there has been nothing to keep for a while.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            self.reap();
            self.accept(self.entries.is_empty());
            self.upgrade();
            for entry in &mut self.entries {
                entry.follow_the_dead();
            }
            self.entries.retain(|entry| entry.connection.is_some() || entry.order.is_some());
            if !self.entries.is_empty() {
                self.idle_since = Instant::now();
            } else if self.idle_since.elapsed() >= IDLE && self.is_over()? {
                return Ok(());
            }
        }
    }

    /// Nobody finds us from here on. Who did before is served: the next looks for the lock until we give it up.
    fn is_over(&mut self) -> io::Result<bool> {
        let _ = std::fs::remove_file(self.post.dir.join(SOCKET));
        self.accept(true);
        if self.entries.is_empty() {
            self.leave_the_group();
            return Ok(true);
        }
        self.listener = crate::supervise::listen_as(&self.post.dir, SOCKET, 4096)?;
        Ok(false)
    }

    /// Nobody removes a group that he is in, and the last supervisor has gone before.
    fn leave_the_group(&self) {
        if let (Some(path), Ok(on)) = (&self.post.group, Hierarchies::detect())
            && Cgroup::leave(&on).is_ok()
        {
            let _ = Cgroup::prune(&on, path);
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let due = self.entries.iter().filter_map(Entry::due).min();
        let idle = self.entries.is_empty().then(|| self.idle_since + IDLE);
        self.full_until = self.full_until.filter(|until| *until > Instant::now());
        let timeout = due.into_iter().chain(idle).chain(self.full_until).min().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        let let_in = if self.full_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.listener, let_in), PollFd::new(&self.children, PollFlags::IN)];
        let connections = self.entries.iter().filter_map(|entry| entry.connection.as_ref());
        fds.extend(connections.map(|connection| PollFd::new(connection, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready: Vec<bool> = fds[2..].iter().map(|fd| !fd.revents().is_empty()).collect();
        let connected = self.entries.iter_mut().filter(|entry| entry.connection.is_some());
        for (entry, _) in connected.zip(ready).filter(|(_, ready)| *ready) {
            entry.hear();
        }
        Ok(())
    }

    /// Our children are supervisors that took the place of others.
    fn reap(&mut self) {
        let mut bytes = [0; 64];
        while io::Read::read(&mut self.children, &mut bytes).is_ok_and(|n| n > 0) {}
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        while let Ok(Some(_)) = rustix::process::waitid(WaitId::All, options) {}
    }

    /// Lets in who waits; with `hear`, hears him at once.
    fn accept(&mut self, hear: bool) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let socket = match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::AGAIN) => return,
                // Who waits goes on waiting.
                Err(_) => {
                    self.full_until = Some(Instant::now() + FULL);
                    return;
                }
            };
            let peer = rustix::net::sockopt::socket_peercred(&socket).map(|credentials| credentials.uid);
            if peer.is_ok_and(|uid| uid == rustix::process::geteuid()) {
                let mut entry = Entry::new(Some(socket), None, Vec::new());
                if hear {
                    entry.hear();
                }
                self.entries.push(entry);
            }
        }
    }

    /// Becomes the program that somebody has brought.
    fn upgrade(&mut self) {
        for n in 0..self.entries.len() {
            let Some(program) = self.entries[n].upgrade.take() else { continue };
            let answer = match crate::supervise::is_this(&program) {
                Ok(true) => wire::SAME,
                Ok(false) => {
                    let _ = succession::execute(self, n, program.as_fd());
                    wire::FAILED
                }
                Err(_) => wire::FAILED,
            };
            if let Some(connection) = &self.entries[n].connection {
                let _ = passing::send(connection.as_fd(), &Message::Answer(answer).to_bytes(), &[]);
            }
        }
    }
}

impl Entry {
    pub(super) fn new(connection: Option<OwnedFd>, order: Option<Order>, kept: Vec<OwnedFd>) -> Entry {
        Entry { connection, order, kept, ..Entry::default() }
    }

    /// Reads what there is, up to the end.
    fn hear(&mut self) {
        let mut bytes = vec![0; HEARD];
        while let Some(connection) = &self.connection {
            match passing::receive(connection.as_fd(), &mut bytes, &mut self.came) {
                Ok(0) => self.connection = None,
                Ok(n) => {
                    self.inbox.push(&bytes[..n]);
                    if self.understand().is_err() {
                        self.refuse();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => self.connection = None,
                // No room for what came, for one.
                Err(_) => self.refuse(),
            }
        }
        self.inbox = Inbox::default();
        self.came.clear();
    }

    /// Hangs up on one who lives, and keeps nothing for him: what we have is out of date, and he is to have no successor.
    /// He comes again.
    fn refuse(&mut self) {
        self.connection = None;
        self.order = None;
        self.kept.clear();
    }

    fn understand(&mut self) -> io::Result<()> {
        while let Some(message) = self.inbox.next()? {
            match message {
                Message::Keep(bytes) => {
                    let order: Order = serde_json::from_slice(bytes)?;
                    if order.descriptors > self.came.len() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    // Those from before go.
                    self.kept = self.came.drain(..order.descriptors).collect();
                    self.order = Some(order);
                }
                Message::LetGo => {
                    self.order = None;
                    self.kept.clear();
                }
                Message::Upgrade => self.upgrade = self.came.pop(),
                Message::Hello { .. } => {
                    let welcome = Message::Welcome { version: wire::WIRE }.to_bytes();
                    if let Some(connection) = &self.connection {
                        passing::send(connection.as_fd(), &welcome, &[])?;
                    }
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Ok(())
    }

    /// When somebody is to be started in the place of one who died too often.
    fn due(&self) -> Option<Instant> {
        let dead = self.connection.is_none() && self.order.is_some();
        dead.then(|| self.deaths.last().map_or_else(Instant::now, |last| *last + REST))
    }

    /// Starts a successor for one who has died.
    fn follow_the_dead(&mut self) {
        let Some(order) = self.order.as_ref().filter(|_| self.connection.is_none()) else { return };
        let now = Instant::now();
        self.deaths.retain(|death| now.duration_since(*death) < WITHIN);
        if self.deaths.len() >= DEATHS && self.deaths.last().is_some_and(|last| now.duration_since(*last) < REST) {
            return;
        }
        self.deaths.push(now);
        // One that cannot be started counts as one that died.
        self.connection = succession::start(order, &self.kept).ok();
    }
}
