//! What a supervisor knows, as it goes to the next one: to itself, executed anew with the same pid, children, descriptors
//! and locks; to another program that takes its place in the same way; or to the keeper, for a supervisor that follows
//! when this one is killed.
//!
//! What has to be known goes along as a file in memory, which comes first, and the descriptors over a socket
//! (`SCM_RIGHTS`), just as a plan comes from a launcher. So all of them stay close-on-exec: when an execution fails half
//! way, nothing has leaked anywhere. The order of the descriptors is that of [`state`]. What changes all the time is in
//! the [`slate`](super::slate), which is one of them.

use super::clients::Client;
use super::input::Input;
use super::keeping::Keeping;
use super::place::{Place, without_environment};
use super::pump::{self, Transit};
use super::slate::{Life, Slate};
use super::spare::Spare;
use super::start;
use super::watch::{Brief, Source, Watch};
use crate::log::Stream;
use crate::wire::{Message, WIRE};
use dhow_sys::lock::Wait;
use dhow_sys::passing;
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// The version of [`Memory`].
const VERSION: u32 = 2;
/// How long output waits for those to come back who were connected to a supervisor that was killed.
const GRACE: Duration = Duration::from_secs(3);

/// All that a supervisor knows, but for its descriptors.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    /// None: 1, which had no slate.
    #[serde(default)]
    version: Option<u32>,
    brief: Brief,
    /// Whether each source is stderr.
    sources: Vec<bool>,
    input: bool,
    /// Whether its pipe is kept open by a [`Spare`]: a successor has that in place of it.
    #[serde(default)]
    spare: bool,
    /// Input that is in no pipe yet, with the key of who brought it; and such as is out of the transit pipe already.
    #[serde(default)]
    queue: Vec<(u64, Vec<u8>)>,
    #[serde(default)]
    rest: Vec<u8>,
    /// Whether no more input comes after it.
    #[serde(default)]
    input_ends: bool,
    /// Whether there is a terminal, whose other end is held.
    peer: bool,
    /// Whether there is a connection to the keeper.
    #[serde(default)]
    kept_by: bool,
    /// The keeper, where that is our child.
    #[serde(default)]
    keeper: Option<u32>,
    clients: Vec<Acquaintance>,
    /// Where a successor is to go, or we could not go: which parts of it there are. The last of the descriptors.
    #[serde(default)]
    place: Vec<String>,
    /// Begun lines of the log, of version 1.
    #[serde(default)]
    begun: [Vec<u8>; 2],
}

#[derive(Debug, Serialize, Deserialize)]
struct Acquaintance {
    streams: Option<u8>,
    /// What he said and was not a whole message yet.
    said: Vec<u8>,
    /// What is still to be sent to him.
    #[serde(default)]
    unsent: Vec<u8>,
    #[serde(default)]
    comes_back: bool,
    #[serde(default = "yes")]
    records: bool,
    /// The key of his input.
    #[serde(default)]
    key: u64,
    #[serde(default)]
    told: u64,
    /// Whether he waits for another program to run.
    #[serde(default)]
    upgrades: bool,
}

fn yes() -> bool {
    true
}

/// Whom the state is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heir {
    /// This process, as another program.
    Ourselves,
    /// A process that has yet to be made.
    Another,
}

/// The memory, and all descriptors that go with it. `place`: where the heir is to be, unless it is there.
pub(super) fn state<'a>(
    watch: &'a Watch,
    heir: Heir,
    place: Option<&'a Place>,
) -> io::Result<(File, Vec<BorrowedFd<'a>>)> {
    let stays = heir == Heir::Ourselves;
    let clients: &[Client] = if stays { &watch.clients } else { &[] };
    let connection = watch.keeping.as_ref().and_then(|keeping| keeping.connection.as_ref()).filter(|_| stays);
    let keys = watch.slate.slots();
    let acquaintance = |client: &Client| Acquaintance {
        streams: client.streams,
        said: client.inbox.rest().to_vec(),
        unsent: client.unsent().to_vec(),
        comes_back: client.comes_back,
        records: client.records,
        key: keys.iter().find(|(slot, _)| Some(*slot) == client.slot).map_or(0, |(_, key)| *key),
        told: client.told,
        upgrades: client.upgrade.is_some(),
    };
    // Another's clients bring it again.
    let waits = watch.input.as_ref().filter(|_| stays);
    let memory = Memory {
        version: Some(VERSION),
        brief: watch.brief.clone(),
        sources: watch.sources.iter().map(|source| source.stream == Stream::Stderr).collect(),
        input: watch.input.is_some(),
        spare: watch.input.as_ref().is_some_and(|input| input.spare.is_some()),
        queue: waits.map(|input| input.queued(&keys)).unwrap_or_default(),
        rest: waits.map(|input| input.rest().to_vec()).unwrap_or_default(),
        input_ends: waits.is_some_and(Input::has_ended),
        peer: watch.peer.is_some(),
        kept_by: connection.is_some(),
        keeper: watch.keeping.as_ref().and_then(|keeping| keeping.child).filter(|_| stays),
        clients: clients.iter().map(acquaintance).collect(),
        place: place.map(Place::kinds).unwrap_or_default(),
        begun: Default::default(),
    };
    let mut file = File::from(rustix::fs::memfd_create(c"dhow-supervisor", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(&memory)?)?;
    file.rewind()?;
    let lock = watch.lock.as_ref().ok_or(io::ErrorKind::NotFound)?;
    let mut all = vec![watch.slate.as_fd(), watch.transit.reader.as_fd(), watch.transit.writer.as_fd()];
    all.extend([watch.pidfd.as_fd(), watch.listener.as_fd(), lock.as_fd()]);
    all.extend(watch.sources.iter().map(|source| source.fd.as_fd()));
    if let Some(input) = &watch.input {
        let spare = input.spare.as_ref().map(AsFd::as_fd);
        let first = spare.filter(|_| !stays).unwrap_or(input.fd.as_fd());
        all.extend([first, input.transit.reader.as_fd(), input.transit.writer.as_fd()]);
        all.extend(spare.filter(|_| stays));
    }
    all.extend(watch.peer.iter().map(AsFd::as_fd));
    all.extend(connection.map(AsFd::as_fd));
    all.extend(clients.iter().map(|client| client.socket.as_fd()));
    all.extend(watch.kept.iter().map(AsFd::as_fd));
    all.extend(place.into_iter().flat_map(Place::descriptors));
    Ok((file, all))
}

/// Executes the program anew, or the other one if one is given. Returns only when that failed; nothing has changed then.
pub(super) fn execute_anew(watch: &Watch, program: Option<BorrowedFd<'_>>) -> io::Error {
    prepare(watch, program).map_or_else(|e| e, |mut command| command.exec())
}

fn prepare(watch: &Watch, program: Option<BorrowedFd<'_>>) -> io::Result<Command> {
    let (memory, descriptors) = state(watch, Heir::Ourselves, watch.away.as_ref())?;
    let mut all = vec![memory.as_fd()];
    all.extend(descriptors);
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    passing::send(ours.as_fd(), &Message::Resume { version: WIRE }.to_bytes(), &all)?;
    let path = program.map_or_else(|| "/proc/self/exe".to_owned(), |fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let mut arguments = std::env::args_os();
    let mut command = Command::new(path);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    without_environment(&mut command).args(arguments).stdin(theirs);
    Ok(command)
}

/// Takes up where the other left off. `keeper` is the connection over which the state came from it.
pub(super) fn take_up(mut descriptors: Vec<OwnedFd>, keeper: Option<OwnedFd>) -> io::Result<Watch> {
    if descriptors.is_empty() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let memory: Memory = remember(descriptors.remove(0))?;
    let place = descriptors.split_off(descriptors.len().saturating_sub(memory.place.len()));
    let away = find_place(memory.place, place, keeper.is_some());
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    let (mut slate, transit) = match memory.version {
        None => (of_version_1(memory.brief.started, &memory.begun)?, Transit::new()?),
        Some(version) if version <= VERSION => (Slate::open(next()?)?, Transit { reader: next()?, writer: next()? }),
        Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the state of a later version")),
    };
    let (pidfd, listener, lock) = (next()?, next()?, next()?);
    // A successor waits for the end of the one before. One who finds it taken after an execution anew has a successor
    // already, and is to end.
    match start::act(&lock, if keeper.is_some() { Wait::Block } else { Wait::No }) {
        Err(e) if keeper.is_some() || e.kind() == io::ErrorKind::WouldBlock => return Err(e),
        _ => {}
    }
    let mut sources = Vec::new();
    for is_stderr in memory.sources {
        let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
        sources.push(Source { fd: next()?, stream });
    }
    let mut input = match (memory.input, memory.version) {
        (false, _) => None,
        (true, None) => Some(Input::new(next()?)?),
        (true, Some(_)) => {
            let (first, transit) = (next()?, Transit { reader: next()?, writer: next()? });
            let (fd, spare) = match (memory.spare, keeper.is_some()) {
                (false, _) => (Some(first), None),
                (true, false) => (Some(first), Some(Spare::open(next()?))),
                (true, true) => {
                    let spare = Spare::open(first);
                    (spare.copy()?, Some(spare))
                }
            };
            // Without a writing end it has come to its end.
            fd.map(|fd| Input::over(fd, transit, spare)).transpose()?
        }
    };
    if let Some(input) = &mut input {
        input.settle(&slate);
        input.refill(&slate, memory.queue, memory.rest, memory.input_ends);
    }
    let peer = if memory.peer { Some(next()?) } else { None };
    let connection = if memory.kept_by { Some(next()?) } else { keeper };
    let mut clients = Vec::new();
    for acquaintance in memory.clients {
        clients.push(acquaintance.meet(next()?, &slate));
    }
    // Of the end, nothing is written a second time.
    let plan = memory.brief.log.as_ref().filter(|_| slate.life() < Life::Recorded);
    let log = pump::take_up(&mut slate, &transit, plan).unwrap_or_default();
    let keeping = memory.brief.keeper.clone().map(|plan| {
        let mut keeping = Keeping::new(plan, memory.brief.supervisor_cgroup.clone());
        keeping.take_up(connection, memory.keeper);
        keeping
    });
    let expected = slate.attached().saturating_sub(clients.iter().filter(|client| client.is_counted()).count());
    Ok(Watch {
        brief: memory.brief,
        pidfd,
        sources,
        input,
        peer,
        listener,
        full_until: None,
        clients,
        log,
        slate,
        transit,
        away,
        keeping,
        expected,
        grace: Instant::now() + GRACE,
        lock: Some(lock),
        kept: descriptors.collect(),
        lean: true,
        group: None,
        still_to_join: None,
        recorded: false,
        took: 0,
    })
}

fn remember(memory: OwnedFd) -> io::Result<Memory> {
    let mut bytes = Vec::new();
    let mut file = File::from(memory);
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Goes where the one before was, if we are another process. Where we ought to be, if that is elsewhere.
fn find_place(kinds: Vec<String>, descriptors: Vec<OwnedFd>, is_successor: bool) -> Option<Place> {
    let place = Some(Place::of(kinds, descriptors)).filter(|place| !place.is_empty())?;
    (!is_successor || place.enter().is_err()).then_some(place)
}

fn of_version_1(started: i64, begun: &[Vec<u8>; 2]) -> io::Result<Slate> {
    let mut slate = Slate::new()?;
    slate.start(started);
    for (stream, begun) in [Stream::Stdout, Stream::Stderr].into_iter().zip(begun) {
        slate.next(stream);
        slate.done(begun);
    }
    Ok(slate)
}

impl Acquaintance {
    fn meet(self, socket: OwnedFd, slate: &Slate) -> Client {
        let mut client = Client::new(socket);
        client.inbox.push(&self.said);
        client.streams = self.streams;
        client.comes_back = self.comes_back;
        client.records = self.records;
        client.slot = slate.slot(self.key);
        client.told = self.told;
        client.put(&self.unsent);
        if self.upgrades {
            // It has become true.
            client.put(&Message::Welcome { version: WIRE }.to_bytes());
        }
        client
    }
}
