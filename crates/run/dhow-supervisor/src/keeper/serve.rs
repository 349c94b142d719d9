//! The keeper's loop.

use super::deaths::Deaths;
use super::networks::Networks;
use super::succession;
use super::{Order, Post, SOCKET};
use crate::plan::Byte;
use crate::supervise::{Identity, admit, identity};
use crate::wire::{self, Inbox, Message};
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_sys::passing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// How long a keeper stays that has nothing to keep.
const IDLE: Duration = Duration::from_secs(3);
/// More than the largest message with descriptors: those of two are not taken for those of one.
const HEARD: usize = 64 * 1024;
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
    kept: Vec<OwnedFd>,
    /// And what others have, too: it goes behind them.
    shared: Vec<Rc<OwnedFd>>,
    deaths: Deaths,
    /// The program that we are to go on as.
    pub(super) upgrade: Option<OwnedFd>,
}

/// What more than one of those who are kept have: open once, while the namespaces of most are the same.
#[derive(Debug, Default)]
struct Pool(Vec<(Identity, Weak<OwnedFd>)>);

impl Pool {
    fn share(&mut self, fd: OwnedFd) -> io::Result<Rc<OwnedFd>> {
        let identity = identity(fd.as_fd())?;
        self.0.retain(|(_, known)| known.strong_count() > 0);
        let known = self.0.iter().find(|(of, _)| *of == identity).and_then(|(_, known)| known.upgrade());
        Ok(known.unwrap_or_else(|| {
            let fd = Rc::new(fd);
            self.0.push((identity, Rc::downgrade(&fd)));
            fd
        }))
    }
}

/// See [`super`].
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) post: Post,
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) entries: Vec<Entry>,
    pool: Pool,
    /// None: nobody has told us of any, or they could not be had yet.
    networks: Option<Networks>,
    /// What it shares the lock of a byte of; nothing here depends on it.
    _shared: Option<File>,
    /// Written to by the handler of SIGCHLD.
    children: std::os::unix::net::UnixStream,
    idle_since: Instant,
    /// Until when nobody is let in, because there is no room for one more descriptor.
    full_until: Option<Instant>,
}

/// None: somebody has it for himself.
fn share(byte: &Byte) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = File::options().read(true).custom_flags(nofollow).open(&byte.path)?;
    Ok(dhow_sys::lock::share_byte(file.as_fd(), byte.offset)?.then_some(file))
}

impl Keeper {
    pub(super) fn new(post: Post, lock: OwnedFd, listener: OwnedFd) -> io::Result<Keeper> {
        let (children, signal) = std::os::unix::net::UnixStream::pair()?;
        signal.set_nonblocking(true)?;
        children.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, signal)?;
        let shared = post.share.as_ref().and_then(|byte| share(byte).ok()).flatten();
        Ok(Keeper {
            _shared: shared,
            post,
            lock,
            listener,
            entries: Vec::new(),
            pool: Pool::default(),
            networks: None,
            children,
            idle_since: Instant::now(),
            full_until: None,
        })
    }

    /// Takes over one of whom another keeper knew.
    pub(super) fn enter(
        &mut self,
        connection: Option<OwnedFd>,
        order: Order,
        mut kept: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let mut entry = Entry::new(connection);
        if order.asks {
            entry.upgrade = kept.pop();
        }
        if !kept.is_empty() {
            entry.take(order, kept, &mut self.pool)?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Serves until there has been nothing to keep for a while.
    pub(super) fn run(&mut self) -> io::Result<()> {
        // Others may have asked for the same as he who had it come to that.
        self.upgrade();
        // Those that the one before us has followed.
        self.look_after_networks();
        loop {
            self.wait()?;
            self.reap();
            self.accept(self.entries.is_empty());
            self.upgrade();
            for entry in &mut self.entries {
                entry.follow_the_dead();
            }
            self.look_after_networks();
            self.entries.retain(|entry| entry.connection.is_some() || entry.order.is_some());
            if !self.is_idle() {
                self.idle_since = Instant::now();
            } else if self.idle_since.elapsed() >= IDLE && self.is_over()? {
                return Ok(());
            }
        }
    }

    /// Whether nothing is kept, and nobody followed.
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && !self.networks.as_ref().is_some_and(Networks::is_busy)
    }

    /// Begins with it once somebody has said how.
    fn look_after_networks(&mut self) {
        if self.networks.is_none() {
            let plan = self.entries.iter().find_map(|entry| entry.order.as_ref()?.networks.as_ref());
            // What cannot be had now is tried again when something else happens.
            self.networks = plan.and_then(|plan| Networks::begin(&self.post.dir, plan.clone()).ok());
        }
        if let Some(networks) = &mut self.networks {
            networks.go_on();
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
        let idle = self.is_idle().then(|| self.idle_since + IDLE);
        self.full_until = self.full_until.filter(|until| *until > Instant::now());
        let networks = self.networks.as_ref().and_then(Networks::due);
        let timeout = due.into_iter().chain(idle).chain(self.full_until).chain(networks).min().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        let let_in = if self.full_until.is_some() { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.listener, let_in), PollFd::new(&self.children, PollFlags::IN)];
        let connections = self.entries.iter().filter_map(|entry| entry.connection.as_ref());
        fds.extend(connections.map(|connection| PollFd::new(connection, PollFlags::IN)));
        let besides = self.networks.iter().flat_map(Networks::descriptors);
        fds.extend(besides.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready: Vec<bool> = fds[2..].iter().map(|fd| !fd.revents().is_empty()).collect();
        let connected = self.entries.iter_mut().filter(|entry| entry.connection.is_some());
        let mut ready = ready.into_iter();
        for (entry, _) in connected.zip(ready.by_ref()).filter(|(_, ready)| *ready) {
            entry.hear(&mut self.pool);
        }
        if let Some(networks) = &mut self.networks {
            networks.hear(ready);
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
        loop {
            match admit(self.listener.as_fd()) {
                Ok(Some(socket)) => {
                    let mut entry = Entry::new(Some(socket));
                    if hear {
                        entry.hear(&mut self.pool);
                    }
                    self.entries.push(entry);
                }
                Ok(None) => return,
                Err(_) => {
                    self.full_until = Some(Instant::now() + FULL);
                    return;
                }
            }
        }
    }

    /// Becomes the program that somebody has brought.
    fn upgrade(&mut self) {
        let mut next = 0;
        while next < self.entries.len() {
            let n = next;
            next += 1;
            let Some(program) = self.entries[n].upgrade.take() else { continue };
            let answer = match crate::supervise::is_this(&program) {
                Ok(true) => wire::SAME,
                Ok(false) => {
                    // Nothing that was said to us is left unheard.
                    self.accept(true);
                    for entry in &mut self.entries {
                        entry.hear(&mut self.pool);
                    }
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
    pub(super) fn new(connection: Option<OwnedFd>) -> Entry {
        Entry { connection, ..Entry::default() }
    }

    /// All that is kept for him.
    pub(super) fn kept(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.kept.iter().map(OwnedFd::as_fd).chain(self.shared.iter().map(|fd| fd.as_fd()))
    }

    /// What was kept from before goes.
    fn take(&mut self, order: Order, mut kept: Vec<OwnedFd>, pool: &mut Pool) -> io::Result<()> {
        let shared = kept.split_off(kept.len().saturating_sub(order.shared));
        self.shared = shared.into_iter().map(|fd| pool.share(fd)).collect::<io::Result<_>>()?;
        self.kept = kept;
        self.order = Some(order);
        Ok(())
    }

    fn forget(&mut self) {
        self.order = None;
        self.kept.clear();
        self.shared.clear();
    }

    /// Reads what there is, up to the end.
    fn hear(&mut self, pool: &mut Pool) {
        let mut bytes = vec![0; HEARD];
        while let Some(connection) = &self.connection {
            match passing::receive(connection.as_fd(), &mut bytes, &mut self.came) {
                Ok(0) => self.connection = None,
                Ok(n) => {
                    self.inbox.push(&bytes[..n]);
                    if self.understand(pool).is_err() {
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
        self.forget();
    }

    fn understand(&mut self, pool: &mut Pool) -> io::Result<()> {
        while let Some(message) = self.inbox.next()? {
            match message {
                Message::Keep(bytes) => {
                    let order: Order = super::read(bytes)?;
                    if order.descriptors > self.came.len() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    let kept = self.came.drain(..order.descriptors).collect();
                    self.take(order, kept, pool)?;
                }
                Message::LetGo => self.forget(),
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
        dead.then(|| self.deaths.rest().unwrap_or_else(Instant::now))
    }

    /// Starts a successor for one who has died.
    fn follow_the_dead(&mut self) {
        let Some(order) = self.order.as_ref().filter(|_| self.connection.is_none()) else { return };
        if !self.deaths.one_more(Instant::now()) {
            return;
        }
        // One that cannot be started counts as one that died.
        let descriptors: Vec<BorrowedFd<'_>> = self.kept().collect();
        self.connection = succession::start(order, &descriptors).ok();
    }
}
