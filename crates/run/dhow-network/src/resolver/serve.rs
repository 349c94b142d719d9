//! The resolver's process: one thread, one epoll, no allocation that a client could make grow.
//!
//! What bounds the memory: each container has at most [`stream::STREAMS`] connections with at most [`stream::ENOUGH`]
//! bytes to send each, one query per socket that was handed in, and [`client::WAITING`] more that wait for one.

mod client;
mod requests;
mod stream;

use super::control::{Begin, PACKET_MAX, Reply, Request, VERSION};
use super::zone::{Zone, ZoneError};
use super::{confine, message};
use client::Client;
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_sys::passing;
use requests::Connection;
use rustix::event::{Timespec, epoll};
use rustix::fs::inotify;
use rustix::rand::GetRandomFlags;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Events taken at once.
const EVENTS: usize = 64;
/// Deadlines are looked at no more often than this.
const GRAIN: Duration = Duration::from_millis(20);
/// Bytes that are received at once: at least the largest message.
const INBOX: usize = 64 * 1024;
/// Ids of queries that are drawn at once.
const LOTS: usize = 64;

/// The body of `dhow internal resolve`: serves what is handed in over the control socket that standard input is, until
/// there is nothing left to serve. The process must have one thread. Returns its exit code.
pub fn serve() -> u8 {
    let Ok(socket) = take_standard_input() else { return 1 };
    let begun =
        begin(&socket).and_then(|(begin, owner)| Resolver::new(&begin, owner).map_err(|error| error.to_string()));
    match begun {
        Ok(mut resolver) => {
            let mut connection = Connection::new(socket);
            connection.reply(&Reply::Done);
            resolver.connect(connection).map_or(1, |()| resolver.run())
        }
        Err(why) => {
            let _ = passing::send(socket.as_fd(), &requests::bytes(&Reply::Refused { why }), &[]);
            1
        }
    }
}

/// The control socket, which nobody else of us must hold: its end is how others know of ours.
fn take_standard_input() -> io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}

/// Hears how to run, and becomes harmless. Also returns who we were: only he may talk to us.
fn begin(socket: &OwnedFd) -> Result<(Begin, u32), String> {
    let mut bytes = vec![0; PACKET_MAX];
    let count = passing::receive(socket.as_fd(), &mut bytes, &mut Vec::new()).map_err(|e| e.to_string())?;
    let begin = match serde_json::from_slice(&bytes[..count]) {
        Ok(Request::Begin(begin)) if begin.version == VERSION => begin,
        Ok(Request::Begin(begin)) => return Err(format!("version {} is not known", begin.version)),
        _ => return Err("the first request has to be to begin".to_owned()),
    };
    let owner = rustix::process::geteuid().as_raw();
    leave_the_caller(&begin);
    confine::confine(begin.user).map_err(|error| requests::chain(&error))?;
    Ok((begin, owner))
}

/// The end of the session that we were started in is not ours, nor are its group, priority or terminal. What cannot be
/// left does no harm.
fn leave_the_caller(begin: &Begin) {
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"dhow-resolver");
    dhow_sys::inherited::leave_behind();
    if let Some(path) = &begin.group
        && let Ok(on) = Hierarchies::detect()
        && let Ok(group) = Cgroup::shared(&on, path)
    {
        let _ = group.join();
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Listener,
    Zones,
    Connection(usize),
    /// The client's slot, and which of its listeners, connections or sockets.
    Listen(usize, usize),
    Stream(usize, usize),
    Way(usize, usize),
    /// The client's slot, and which of those that have been in it.
    Process(usize, usize),
}

impl Token {
    fn number(self) -> u64 {
        let (kind, client, nth) = match self {
            Token::Listener => (0, 0, 0),
            Token::Zones => (1, 0, 0),
            Token::Connection(nth) => (2, 0, nth),
            Token::Listen(client, nth) => (3, client, nth),
            Token::Stream(client, nth) => (4, client, nth),
            Token::Way(client, nth) => (5, client, nth),
            Token::Process(client, nth) => (6, client, nth),
        };
        kind << 56 | (client as u64 & 0xff_ffff) << 32 | nth as u64 & 0xffff_ffff
    }

    fn of(number: u64) -> Token {
        let (client, nth) = ((number >> 32) as usize & 0xff_ffff, (number & 0xffff_ffff) as usize);
        match number >> 56 {
            0 => Token::Listener,
            1 => Token::Zones,
            2 => Token::Connection(nth),
            3 => Token::Listen(client, nth),
            4 => Token::Stream(client, nth),
            6 => Token::Process(client, nth),
            _ => Token::Way(client, nth),
        }
    }
}

/// A network that is served.
#[derive(Debug)]
struct Network {
    directory: OwnedFd,
    watch: i32,
    zone: Zone,
    trouble: Option<String>,
}

/// What all clients share.
#[derive(Debug)]
struct World {
    epoll: OwnedFd,
    /// Hears of documents that were replaced.
    notify: OwnedFd,
    networks: BTreeMap<String, Network>,
    /// What was received, and one message that is to be sent.
    inbox: Vec<u8>,
    answer: Vec<u8>,
    lots: Vec<u16>,
    now: Instant,
    /// Nothing is due before.
    due: Option<Instant>,
    queries: u64,
    forwarded: u64,
    unanswered: u64,
}

impl World {
    /// A number that nobody can guess.
    fn lot(&mut self) -> io::Result<u16> {
        if self.lots.is_empty() {
            let mut bytes = [0; 2 * LOTS];
            let count = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
            self.lots.extend(bytes[..count].chunks_exact(2).map(|two| u16::from_ne_bytes([two[0], two[1]])));
        }
        self.lots.pop().ok_or_else(|| io::ErrorKind::Interrupted.into())
    }

    /// Reads the documents again that were replaced. To be called after a query was received and before it is judged: who
    /// asks after a document was replaced is answered from the new one.
    fn read_again(&mut self) {
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.notify, &mut space);
        let mut changed: Vec<i32> = Vec::new();
        while let Ok(event) = reader.next() {
            if !changed.contains(&event.wd()) {
                changed.push(event.wd());
            }
        }
        if changed.is_empty() {
            return;
        }
        for network in self.networks.values_mut() {
            // Of an overflow the watch is -1: anything may have changed.
            if changed.contains(&network.watch) || changed.contains(&-1) {
                network.read_again();
            }
        }
    }

    /// Something is due then.
    fn due_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

/// The zones of these networks that are served, in order.
fn zones<'w>(networks: &'w BTreeMap<String, Network>, ids: &[String]) -> Vec<&'w Zone> {
    ids.iter().filter_map(|id| Some(&networks.get(id)?.zone)).collect()
}

#[derive(Debug)]
struct Resolver {
    world: World,
    clients: Vec<Option<Client>>,
    connections: Vec<Option<Connection>>,
    /// How many clients there have been.
    joined: usize,
    listener: Option<OwnedFd>,
    owner: u32,
    linger: Option<Duration>,
    /// Since when there has been nothing to do.
    idle: Option<Instant>,
    stop: bool,
}

impl Resolver {
    fn new(begin: &Begin, owner: u32) -> io::Result<Resolver> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let events = epoll::EventFlags::IN;
        epoll::add(&epoll, &notify, epoll::EventData::new_u64(Token::Zones.number()), events)?;
        let now = Instant::now();
        let world = World {
            epoll,
            notify,
            networks: BTreeMap::new(),
            inbox: vec![0; INBOX],
            answer: Vec::with_capacity(message::DATAGRAM),
            lots: Vec::with_capacity(LOTS),
            now,
            due: None,
            queries: 0,
            forwarded: 0,
            unanswered: 0,
        };
        Ok(Resolver {
            world,
            clients: Vec::new(),
            connections: Vec::new(),
            joined: 0,
            listener: None,
            owner,
            linger: begin.linger.map(Duration::from_millis),
            idle: None,
            stop: false,
        })
    }

    fn run(mut self) -> u8 {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.stop {
            let timeout = self.timeout();
            events.clear();
            match epoll::wait(&self.world.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return 1,
            }
            self.world.now = Instant::now();
            for event in &events {
                self.event(Token::of(event.data.u64()), event.flags);
            }
            self.expire();
        }
        0
    }

    fn event(&mut self, token: Token, flags: epoll::EventFlags) {
        let world = &mut self.world;
        let mut client = |slot: usize, act: &mut dyn FnMut(&mut Client, &mut World)| {
            if let Some(Some(client)) = self.clients.get_mut(slot) {
                act(client, world);
            }
        };
        match token {
            Token::Listen(slot, nth) => client(slot, &mut |client, world| client.listened(nth, world)),
            Token::Stream(slot, nth) => client(slot, &mut |client, world| client.streamed(nth, flags, world)),
            Token::Way(slot, nth) => client(slot, &mut |client, world| client.answered(nth, world)),
            Token::Process(slot, nth) => self.ended(slot, nth),
            Token::Connection(nth) => self.packet(nth, flags),
            Token::Listener => self.accept(),
            Token::Zones => world.read_again(),
        }
    }

    /// How long to wait for events. None: for ever.
    fn timeout(&mut self) -> Option<Timespec> {
        let busy = self.linger.is_none() || self.clients.iter().any(Option::is_some) || self.is_asked();
        self.idle = if busy { None } else { self.idle.or(Some(self.world.now)) };
        let end = self.idle.zip(self.linger).map(|(since, linger)| since + linger);
        let next = [end, self.world.due].into_iter().flatten().min()?;
        let wait = next.saturating_duration_since(self.world.now).max(GRAIN);
        Timespec::try_from(wait).ok()
    }

    /// Whether somebody is connected who may ask for something.
    fn is_asked(&self) -> bool {
        self.connections.iter().flatten().any(|connection| !connection.follows)
    }

    /// Sees to what has waited too long.
    fn expire(&mut self) {
        if self.idle.zip(self.linger).is_some_and(|(since, linger)| self.world.now >= since + linger) {
            // Whoever is about to come in comes in first.
            self.accept();
            self.stop = !self.is_asked();
        }
        if self.world.due.is_some_and(|due| self.world.now >= due) {
            self.world.due = None;
            for client in self.clients.iter_mut().flatten() {
                client.expire(&mut self.world);
            }
        }
    }
}

impl Network {
    /// The watch is made before the document is read, so that no change is missed.
    fn new(directory: OwnedFd, notify: &OwnedFd) -> Result<Network, ZoneError> {
        rustix::process::fchdir(&directory).map_err(io::Error::from)?;
        let watch = inotify::add_watch(notify, c".", inotify::WatchFlags::MOVED_TO).map_err(io::Error::from)?;
        let zone = Zone::load(directory.as_fd())?;
        Ok(Network { directory, watch, zone, trouble: None })
    }

    fn read_again(&mut self) {
        match Zone::load(self.directory.as_fd()) {
            Ok(zone) => (self.zone, self.trouble) = (zone, None),
            Err(error) => self.trouble = Some(requests::chain(&error)),
        }
    }
}
