//! Looking after networks: their resolvers, and our firewall table.
//!
//! ```text
//!     <run root>/<store id>/networks/
//!         <network id>.sock    a resolver's control socket, renamed into place: we connect, and follow
//!         lock                 of who starts resolvers
//! ```
//!
//! A resolver that dies while it serves containers is followed by another, which is handed the same step by step: nothing
//! here waits. When somebody else takes our table apart, or a resolver was killed that nobody followed, a command is run
//! that makes anew what the ledger says. A resolver is not trusted: it reads what containers send.

use super::deaths::Deaths;
use super::this_program;
use crate::plan::NetworksPlan;
use dhow_network::firewall;
use dhow_network::resolver::control::{Begin, Control, Heir, Record};
use dhow_sys::lock::{Locked, Share, Wait};
use rustix::fs::{AtFlags, Mode, OFlags, inotify};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};
use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DIRECTORY: &str = "networks";
const ENDING: &str = ".sock";
const LOCK: &str = "lock";
/// How long to wait before somebody is tried again who had no time.
const AGAIN: Duration = Duration::from_millis(100);
/// The table is made anew no more often than this, whoever takes it apart.
const PAUSE: Duration = Duration::from_millis(500);
/// Packets of one resolver that are heard before the others have their turn.
const TURN: usize = 64;

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Networks {
    plan: NetworksPlan,
    directory: OwnedFd,
    notify: OwnedFd,
    resolvers: Vec<Resolver>,
    firewall: Option<firewall::Watch>,
    reload: Reload,
}

/// Somebody who answers for names.
#[derive(Debug)]
struct Resolver {
    /// The name of its socket.
    name: OsString,
    stage: Stage,
    deaths: Deaths,
}

#[derive(Debug)]
enum Stage {
    /// What it had is told by itself; until that is all, what it was handed is kept.
    Followed { control: Control, record: Record, handed: Option<Record> },
    /// It has just been started, and is handed what the one before it had.
    Heir { control: Control, heir: Heir },
    /// It has died, and none has taken its place yet.
    Dead(Record),
    /// Too many others wanted to connect just now.
    Knock(Instant),
    /// It has died before it could say what it had.
    Lost,
    /// Nothing is left to do.
    Over,
}

/// Making our table anew.
#[derive(Debug, Default)]
struct Reload {
    wanted: bool,
    last: Option<Instant>,
    /// A command that does it.
    running: Option<OwnedFd>,
}

impl Networks {
    /// Begins with whoever is there.
    pub(super) fn begin(dir: &Path, plan: NetworksPlan) -> io::Result<Networks> {
        let path = dir.join(DIRECTORY);
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::open(&path, flags, Mode::empty())?;
        let notify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&notify, &path, inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::ONLYDIR)?;
        // A kernel without nftables has nothing to watch.
        let (firewall, present) = firewall::Watch::begin(&plan.table).ok().unzip();
        // Gone before we could hear of it.
        let reload = Reload { wanted: present == Some(false), ..Reload::default() };
        let mut networks = Networks { plan, directory, notify, resolvers: Vec::new(), firewall, reload };
        networks.look_around();
        Ok(networks)
    }

    /// Whether there is somebody to follow, or a command runs.
    pub(super) fn is_busy(&self) -> bool {
        !self.resolvers.is_empty() || self.reload.running.is_some()
    }

    /// What is to be waited for, in the order in which [`hear`](Networks::hear) is told of it.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = [
            Some(self.notify.as_fd()),
            self.firewall.as_ref().map(|w| w.as_fd()),
            self.reload.running.as_ref().map(|r| r.as_fd()),
        ];
        own.into_iter()
            .flatten()
            .chain(self.resolvers.iter().filter_map(|resolver| Some(resolver.stage.control()?.as_fd())))
    }

    /// Deals with those that have something to say.
    pub(super) fn hear(&mut self, mut ready: impl Iterator<Item = bool>) {
        let mut next = || ready.next().unwrap_or(false);
        let news = next();
        let harmed = self.firewall.is_some() && next();
        let reloaded = self.reload.running.is_some() && next();
        for resolver in self.resolvers.iter_mut().filter(|resolver| resolver.stage.control().is_some()) {
            if next() {
                resolver.hear();
            }
        }
        if harmed && let Some(firewall) = &mut self.firewall {
            self.reload.wanted |= firewall.hear();
        }
        if reloaded {
            self.reload.running = None;
        }
        if news {
            self.hear_of_others();
        }
    }

    /// When something is to be done though nobody says anything.
    pub(super) fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        let dead = self.resolvers.iter().filter_map(|resolver| resolver.due(now));
        let reload = self.reload.wanted && self.reload.running.is_none();
        let reload = reload.then(|| self.reload.last.map_or(now, |last| last + PAUSE));
        dead.chain(reload).min()
    }

    /// Does what is due.
    pub(super) fn go_on(&mut self) {
        for resolver in &mut self.resolvers {
            resolver.follow_the_dead(&self.plan.resolve);
        }
        let now = Instant::now();
        let knocking = |resolver: &Resolver| matches!(resolver.stage, Stage::Knock(at) if at <= now);
        let again: Vec<OsString> = self.resolvers.iter().filter(|r| knocking(r)).map(|r| r.name.clone()).collect();
        self.resolvers.retain(|resolver| !knocking(resolver));
        again.into_iter().for_each(|name| self.follow(name));
        // Only the ledger knows then who is without an answer.
        self.reload.wanted |= self.resolvers.iter().any(|resolver| matches!(resolver.stage, Stage::Lost));
        let over: Vec<OsString> =
            self.resolvers.iter().filter(|r| matches!(r.stage, Stage::Over)).map(|r| r.name.clone()).collect();
        over.iter().for_each(|name| self.tidy(name));
        self.resolvers.retain(|resolver| !matches!(resolver.stage, Stage::Over | Stage::Lost));
        let rested = self.reload.last.is_none_or(|last| last.elapsed() >= PAUSE);
        if self.reload.wanted && self.reload.running.is_none() && rested {
            self.reload.wanted = false;
            self.reload.last = Some(Instant::now());
            // Nobody has reaped it yet, so the pid is its own.
            self.reload.running = this_program(&self.plan.reload)
                .spawn()
                .ok()
                .and_then(|child| pidfd_open(rustix::process::Pid::from_child(&child), PidfdFlags::empty()).ok());
        }
    }

    /// Somebody has come into the directory.
    fn hear_of_others(&mut self) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.notify, &mut space);
        let (mut names, mut lost) = (Vec::new(), false);
        while let Ok(event) = reader.next() {
            lost |= event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
            names.extend(event.file_name().map(|name| os(name.to_bytes())));
        }
        for name in names {
            // Whoever had this name before is out of reach.
            self.resolvers.retain(|resolver| resolver.name != name);
            self.follow(name);
        }
        if lost {
            self.look_around();
        }
    }

    /// Follows all who are there and are not followed yet.
    fn look_around(&mut self) {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = os(entry.file_name().to_bytes());
            if self.resolvers.iter().all(|resolver| resolver.name != name) {
                self.follow(name);
            }
        }
    }

    /// Removes the socket of a resolver that has ended as it should: found later, it would be taken for that of one that was
    /// killed. Under the lock of those who start resolvers; where that is taken, another may be about to have the name.
    fn tidy(&self, name: &OsStr) {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(file) = rustix::fs::openat(&self.directory, LOCK, flags, Mode::RUSR | Mode::WUSR) else { return };
        if let Ok(Some(_held)) = Locked::acquire(file.as_fd(), Share::Exclusive, Wait::No)
            && matches!(Control::connect_at_once(&self.path(name)), Ok(None))
        {
            let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
    }

    /// Short enough for the address of a socket.
    fn path(&self, name: &OsStr) -> PathBuf {
        Path::new("/proc/self/fd").join(self.directory.as_raw_fd().to_string()).join(name)
    }

    fn follow(&mut self, name: OsString) {
        if !name.as_encoded_bytes().ends_with(ENDING.as_bytes()) {
            return;
        }
        let path = self.path(&name);
        let followed = Control::connect_at_once(&path).and_then(|control| {
            let Some(control) = control else { return Ok(None) };
            let record = Record::begin_to_follow(&control)?;
            Ok(Some(Stage::Followed { control, record, handed: None }))
        });
        let stage = match followed {
            Ok(Some(stage)) => stage,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Stage::Knock(Instant::now() + AGAIN),
            // Where nobody listens, one has ended, or was killed while nobody followed it.
            Ok(None) | Err(_) => Stage::Lost,
        };
        self.resolvers.push(Resolver { name, stage, deaths: Deaths::default() });
    }
}

impl Stage {
    fn control(&self) -> Option<&Control> {
        match self {
            Stage::Followed { control, .. } | Stage::Heir { control, .. } => Some(control),
            Stage::Dead(_) | Stage::Knock(_) | Stage::Lost | Stage::Over => None,
        }
    }
}

impl Resolver {
    fn hear(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Followed { control, record, handed } => hear_one(control, record, handed),
            Stage::Heir { control, mut heir } => match heir.go_on(&control) {
                Ok(false) => Stage::Heir { control, heir },
                Ok(true) => match Record::begin_to_follow(&control) {
                    Ok(record) => Stage::Followed { control, record, handed: Some(heir.into_record()) },
                    Err(_) => Stage::Dead(heir.into_record()),
                },
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Stage::Heir { control, heir },
                Err(_) => Stage::Dead(heir.into_record()),
            },
            other => other,
        };
    }

    /// When another is to be started in its place, or it is to be tried again.
    fn due(&self, now: Instant) -> Option<Instant> {
        match self.stage {
            Stage::Knock(at) => return Some(at),
            Stage::Dead(_) => {}
            _ => return None,
        }
        Some(self.deaths.rest().filter(|_| self.deaths.are_many()).unwrap_or(now))
    }

    /// Starts another in the place of one that has died.
    fn follow_the_dead(&mut self, words: &[OsString]) {
        if !matches!(self.stage, Stage::Dead(_)) || !self.deaths.one_more(Instant::now()) {
            return;
        }
        let Stage::Dead(record) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        let network = self.name.to_str().and_then(|name| name.strip_suffix(ENDING)).unwrap_or_default();
        self.stage = succeed(words, Begin::of(network), record);
    }
}

/// Hears what a resolver was handed.
fn hear_one(control: Control, mut record: Record, handed: Option<Record>) -> Stage {
    for _ in 0..TURN {
        match record.receive(&control) {
            Ok(true) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            // One that says what makes no sense is not believed in anything, nor followed by another.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Stage::Over,
            Ok(false) | Err(_) => {
                let record = handed.filter(|_| !record.is_whole()).unwrap_or(record);
                return match record.has_clients() {
                    true => Stage::Dead(record),
                    false if record.is_whole() => Stage::Over,
                    false => Stage::Lost,
                };
            }
        }
    }
    let handed = handed.filter(|_| !record.is_whole());
    Stage::Followed { control, record, handed }
}

fn succeed(words: &[OsString], begin: Begin, record: Record) -> Stage {
    let mut command = this_program(words);
    let Ok((control, _reaped_with_all_others)) = Control::launch(&mut command) else { return Stage::Dead(record) };
    if rustix::io::ioctl_fionbio(&control, true).is_err() {
        return Stage::Dead(record);
    }
    match Heir::begin(&control, record, begin) {
        Ok(heir) => Stage::Heir { control, heir },
        Err((_, record)) => Stage::Dead(record),
    }
}

fn os(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(bytes).to_owned()
}
