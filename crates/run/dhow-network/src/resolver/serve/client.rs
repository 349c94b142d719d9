//! One container: its listeners, its connections, and its queries on their way to upstream servers.

use super::stream::{STREAMS, Stream};
use super::{Token, World, zones};
use crate::resolver::answer::{self, Asker, Verdict, judge};
use crate::resolver::control::Join;
use crate::resolver::forward::{Job, Origin, PENALTY, Progress, UNREACHABLE, Way, Worth};
use crate::resolver::message::{Query, code};
use crate::resolver::resolv_conf::{Place, SERVERS_MAX};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, sockopt};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// Queries that wait for a socket.
pub(super) const WAITING: usize = 128;
/// Datagrams that are taken from one listener before the next has its turn.
const BATCH: usize = 16;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) join: Join,
    slot: usize,
    /// Which of all clients; one that comes into the slot later has another.
    pub(super) nth: usize,
    listeners: Vec<(OwnedFd, bool)>,
    process: Option<OwnedFd>,
    streams: Vec<Option<Stream>>,
    ways: Vec<Way>,
    waiting: VecDeque<Box<Job>>,
    /// Until when each server comes last.
    penalties: [Option<Instant>; SERVERS_MAX],
    /// Until when a server counts as one that cannot be reached.
    unreachable: [Option<Instant>; SERVERS_MAX],
    /// Of the last connection.
    serial: u64,
}

impl Client {
    pub(super) fn new(
        join: Join,
        (slot, nth): (usize, usize),
        descriptors: Vec<OwnedFd>,
        epoll: &OwnedFd,
    ) -> io::Result<Client> {
        let mut left = descriptors.into_iter();
        let process = if join.process { left.next_back() } else { None };
        if let Some(process) = &process {
            let token = epoll::EventData::new_u64(Token::Process(slot, nth).number());
            epoll::add(epoll, process, token, epoll::EventFlags::IN)?;
        }
        let mut listeners = Vec::new();
        for (which, fd) in left.by_ref().take(join.listeners).enumerate() {
            rustix::io::ioctl_fionbio(&fd, true)?;
            let stream = sockopt::socket_type(&fd)? == SocketType::STREAM;
            let token = epoll::EventData::new_u64(Token::Listen(slot, which).number());
            epoll::add(epoll, &fd, token, epoll::EventFlags::IN)?;
            listeners.push((fd, stream));
        }
        let mut ways = Vec::new();
        for (which, fd) in left.enumerate() {
            let place = if which < join.container { Place::Container } else { Place::Host };
            ways.push(Way::new(fd, place)?);
        }
        Ok(Client {
            join,
            slot,
            nth,
            listeners,
            process,
            streams: Vec::new(),
            ways,
            waiting: VecDeque::new(),
            penalties: [None; SERVERS_MAX],
            unreachable: [None; SERVERS_MAX],
            serial: 0,
        })
    }

    /// Everything that was handed in, in the order of [`Join`].
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        let sockets = self.listeners.iter().map(|(fd, _)| fd).chain(self.ways.iter().map(|way| &way.fd));
        sockets.chain(&self.process)
    }

    /// Copies of its listening sockets.
    pub(super) fn listeners(&self) -> io::Result<Vec<OwnedFd>> {
        self.listeners.iter().map(|(fd, _)| fd.try_clone()).collect()
    }

    /// The port that it listens at.
    pub(super) fn port(&self) -> u16 {
        let address = self.listeners.first().and_then(|(fd, _)| rustix::net::getsockname(fd).ok());
        address.and_then(|address| SocketAddr::try_from(address).ok()).map_or(0, |address| address.port())
    }

    /// Stops listening; others may hold copies of the sockets, so that closing them is not enough.
    pub(super) fn close(&mut self, epoll: &OwnedFd) {
        for fd in self.listeners.iter().map(|(fd, _)| fd).chain(&self.process) {
            let _ = epoll::delete(epoll, fd);
        }
        for way in &mut self.ways {
            let _ = way.rest(epoll);
        }
    }

    pub(super) fn listened(&mut self, nth: usize, world: &mut World) {
        match self.listeners.get(nth) {
            Some((_, true)) => self.accept(nth, world),
            Some((_, false)) => self.datagrams(nth, world),
            None => {}
        }
    }

    fn datagrams(&mut self, nth: usize, world: &mut World) {
        let Some((fd, _)) = self.listeners.get(nth) else { return };
        let (mut batch, mut used) = ([const { None }; BATCH], 0);
        for place in &mut batch {
            let Some(room) = world.inbox.get_mut(used..used + answer::DATAGRAM_MAX) else { break };
            match rustix::net::recvfrom(fd, room, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
                // No query is longer than the room.
                Ok((size, whole, Some(address))) if whole == size => {
                    *place = Some((used..used + size, address));
                    used += size;
                }
                Err(Errno::INTR) | Ok(_) => {}
                Err(_) => break,
            }
        }
        world.read_again();
        let mut forward: Vec<(SocketAddrAny, Query)> = Vec::new();
        let World { networks, inbox, answer, queries, .. } = world;
        let zones = zones(networks, &self.join.networks);
        let asker = asker(&self.join, &zones, false);
        for (range, address) in batch.into_iter().flatten() {
            *queries += 1;
            answer.clear();
            match judge(&asker, &inbox[range], answer) {
                Verdict::Answered => send_to(fd, answer, &address),
                Verdict::Forward(query) => forward.push((address, query)),
                Verdict::Silence => {}
            }
        }
        for (address, query) in forward {
            self.forward(Origin::Datagram { listener: nth, address }, query, world);
        }
    }

    /// Sends a query upstream, unless it is on its way already: clients repeat themselves.
    fn forward(&mut self, origin: Origin, query: Query, world: &mut World) {
        let same = |job: &Job| job.origin == origin && job.query.id == query.id && job.query.question == query.question;
        let flying = self.ways.iter().filter_map(|way| way.flight.as_ref()).map(|flight| &*flight.job);
        if flying.chain(self.waiting.iter().map(|job| &**job)).any(same) {
            return self.forgotten(&origin);
        }
        world.forwarded += 1;
        let penalised: Vec<bool> = self
            .join
            .upstreams
            .iter()
            .zip(&self.penalties)
            .map(|(_, until)| until.is_some_and(|until| world.now < until))
            .collect();
        let mut job = Job::new(origin, query, &penalised, world.now);
        for (server, until) in self.unreachable.iter().enumerate() {
            if until.is_some_and(|until| world.now < until) {
                job.rule_out(server);
            }
        }
        self.start(job, world);
    }

    /// A query that is not answered counts no longer in its connection.
    fn forgotten(&mut self, origin: &Origin) {
        if let Some(stream) = self.stream_of(origin) {
            stream.pending = stream.pending.saturating_sub(1);
        }
    }

    /// Asks the next server that can be asked; else the job waits for a socket, or has failed.
    fn start(&mut self, mut job: Box<Job>, world: &mut World) {
        loop {
            let Some((server, expires)) = job.server(world.now) else { return self.fail(job, world) };
            let upstream = self.join.upstreams[server];
            let fitting = || self.ways.iter().enumerate().filter(|(_, way)| way.fits(&upstream, job.stream));
            let Some(nth) = fitting().find(|(_, way)| way.flight.is_none()).map(|(nth, _)| nth) else {
                if fitting().next().is_none() {
                    job.next();
                    continue;
                }
                return self.wait(job, world);
            };
            let Ok(id) = world.lot() else { return self.fail(job, world) };
            let token = Token::Way(self.slot, nth).number();
            match self.ways[nth].launch(&world.epoll, token, job, (server, upstream.address), (id, expires)) {
                Ok(()) => return world.due_at(expires),
                Err(back) => {
                    job = back;
                    self.penalise(server, world.now);
                    job.rule_out(server);
                }
            }
        }
    }

    fn wait(&mut self, job: Box<Job>, world: &mut World) {
        if self.waiting.len() >= WAITING {
            return self.fail(job, world);
        }
        world.due_at(job.deadline);
        self.waiting.push_back(job);
    }

    /// Something came over one of the sockets for asking.
    pub(super) fn answered(&mut self, nth: usize, world: &mut World) {
        // Who floods us with what is none of ours gets no more than this at a time.
        for _ in 0..BATCH {
            let Some(way) = self.ways.get_mut(nth) else { return };
            let token = Token::Way(self.slot, nth).number();
            let progress = way.progress(&world.epoll, token, &mut world.inbox);
            let Some(flight) = &way.flight else { return };
            match progress {
                Progress::Waiting => return,
                Progress::Failed => return self.refused(nth, world),
                Progress::Message(bytes) => match flight.job.judge(flight.id, &bytes) {
                    // Over a connection nothing else will come.
                    Worth::Nothing if way.stream => return self.disappointed(nth, None, world),
                    Worth::Nothing => {}
                    Worth::Failure => return self.disappointed(nth, Some(bytes), world),
                    Worth::Answer => return self.satisfied(nth, bytes, world),
                    Worth::Truncated => return self.truncated(nth, bytes, world),
                },
            }
        }
    }

    fn satisfied(&mut self, nth: usize, bytes: Vec<u8>, world: &mut World) {
        let Some(flight) = self.ways[nth].rest(&world.epoll) else { return };
        self.penalties[flight.server] = None;
        match flight.job.relay(bytes) {
            Some(bytes) => self.deliver(&flight.job.origin, &bytes, world),
            None => self.too_long(&flight.job, world),
        }
        self.pump(world);
    }

    /// The same server once more, over TCP; if that cannot be, the client hears that there is more.
    fn truncated(&mut self, nth: usize, bytes: Vec<u8>, world: &mut World) {
        let Some(mut flight) = self.ways[nth].rest(&world.epoll) else { return };
        flight.job.stream = true;
        flight.job.poor = flight.job.relay(bytes);
        self.start(flight.job, world);
        self.pump(world);
    }

    /// Another server, please, and this one never again.
    fn refused(&mut self, nth: usize, world: &mut World) {
        let Some(mut flight) = self.ways[nth].rest(&world.epoll) else { return };
        self.penalise(flight.server, world.now);
        self.unreachable[flight.server] = Some(world.now + UNREACHABLE);
        flight.job.rule_out(flight.server);
        self.start(flight.job, world);
        self.pump(world);
    }

    /// The next server, please.
    fn disappointed(&mut self, nth: usize, answer: Option<Vec<u8>>, world: &mut World) {
        let Some(mut flight) = self.ways[nth].rest(&world.epoll) else { return };
        match answer {
            Some(bytes) => flight.job.poor = flight.job.relay(bytes).or(flight.job.poor),
            None => self.penalise(flight.server, world.now),
        }
        flight.job.next();
        self.start(flight.job, world);
        self.pump(world);
    }

    /// All servers had their chances.
    fn fail(&mut self, mut job: Box<Job>, world: &mut World) {
        world.unanswered += 1;
        let bytes = job.poor.take().unwrap_or_else(|| {
            let mut bytes = Vec::new();
            answer::empty(&job.query, code::SERVER_FAILURE, matches!(job.origin, Origin::Stream { .. }), &mut bytes);
            bytes
        });
        self.deliver(&job.origin, &bytes, world);
    }

    fn too_long(&mut self, job: &Job, world: &mut World) {
        let mut bytes = Vec::new();
        answer::truncated(&job.query, &mut bytes);
        self.deliver(&job.origin, &bytes, world);
    }

    fn penalise(&mut self, server: usize, now: Instant) {
        self.penalties[server] = Some(now + PENALTY);
    }

    /// Gives free sockets to those who wait.
    fn pump(&mut self, world: &mut World) {
        for _ in 0..self.waiting.len() {
            if self.ways.iter().all(|way| way.flight.is_some()) {
                return;
            }
            if let Some(job) = self.waiting.pop_front() {
                self.start(job, world);
            }
        }
    }

    fn deliver(&mut self, origin: &Origin, bytes: &[u8], world: &mut World) {
        if let Origin::Datagram { listener, address } = origin {
            if let Some((fd, _)) = self.listeners.get(*listener) {
                send_to(fd, bytes, address);
            }
            return;
        }
        let (slot, now) = (self.slot, world.now);
        if let (Some(stream), Origin::Stream { slot: nth, .. }) = (self.stream_of(origin), origin) {
            stream.pending = stream.pending.saturating_sub(1);
            stream.push(bytes);
            let open = stream.flush(now) && stream.attend(&world.epoll, Token::Stream(slot, *nth).number());
            if !open {
                self.streams[*nth] = None;
            }
        }
    }

    fn stream_of(&mut self, origin: &Origin) -> Option<&mut Stream> {
        let Origin::Stream { slot, serial } = origin else { return None };
        self.streams.get_mut(*slot)?.as_mut().filter(|stream| stream.serial == *serial)
    }

    fn accept(&mut self, nth: usize, world: &mut World) {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd = match rustix::net::accept_with(&self.listeners[nth].0, flags) {
                Ok(fd) => fd,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return,
            };
            let Some(place) = self.place_for_stream() else { continue };
            self.serial += 1;
            let token = Token::Stream(self.slot, place).number();
            if let Ok(stream) = Stream::new(fd, self.serial, &world.epoll, token, world.now) {
                world.due_at(stream.expires);
                self.streams[place] = Some(stream);
            }
        }
    }

    /// A free place; else that of a connection on which nobody waits for an answer: the one that has been silent longest
    /// of those that never asked, or else of those that take their answers, or else of all.
    fn place_for_stream(&mut self) -> Option<usize> {
        if let Some(free) = self.streams.iter().position(Option::is_none) {
            return Some(free);
        }
        if self.streams.len() < STREAMS {
            self.streams.push(None);
            return Some(self.streams.len() - 1);
        }
        let silent = self.streams.iter().enumerate().filter_map(|(n, s)| Some((n, s.as_ref()?)));
        silent
            .filter(|(_, s)| s.pending == 0)
            .min_by_key(|(_, s)| (s.asked, s.has_answers(), s.expires))
            .map(|(n, _)| n)
    }

    pub(super) fn streamed(&mut self, nth: usize, flags: epoll::EventFlags, world: &mut World) {
        let Some(Some(stream)) = self.streams.get_mut(nth) else { return };
        let mut forward = Vec::new();
        let gone = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
        let open = !gone && stream.receive(&mut world.inbox) && {
            world.read_again();
            let World { networks, answer, queries, .. } = world;
            let zones = zones(networks, &self.join.networks);
            let asker = asker(&self.join, &zones, true);
            stream.take(world.now, |bytes| {
                *queries += 1;
                answer.clear();
                match judge(&asker, bytes, answer) {
                    Verdict::Answered => Some(answer.clone()),
                    Verdict::Forward(query) => {
                        forward.push(query);
                        None
                    }
                    Verdict::Silence => Some(Vec::new()),
                }
            }) && stream.flush(world.now)
        };
        if !open {
            self.streams[nth] = None;
            return;
        }
        let serial = stream.serial;
        for query in forward {
            self.forward(Origin::Stream { slot: nth, serial }, query, world);
        }
        let token = Token::Stream(self.slot, nth).number();
        if let Some(Some(stream)) = self.streams.get_mut(nth)
            && stream.serial == serial
            && !stream.attend(&world.epoll, token)
        {
            self.streams[nth] = None;
        }
    }

    /// Ends what has waited too long, and says what is due next.
    pub(super) fn expire(&mut self, world: &mut World) {
        let now = world.now;
        for nth in 0..self.ways.len() {
            if self.ways[nth].flight.as_ref().is_some_and(|flight| flight.expires <= now) {
                self.disappointed(nth, None, world);
            }
        }
        for _ in 0..self.waiting.len() {
            match self.waiting.pop_front() {
                Some(job) if job.deadline <= now => self.fail(job, world),
                Some(job) => self.waiting.push_back(job),
                None => {}
            }
        }
        for stream in self.streams.iter_mut() {
            if stream.as_ref().is_some_and(|stream| stream.expires <= now) {
                *stream = None;
            }
        }
        let flights = self.ways.iter().filter_map(|way| Some(way.flight.as_ref()?.expires));
        let streams = self.streams.iter().flatten().map(|stream| stream.expires);
        let next = flights.chain(streams).chain(self.waiting.iter().map(|job| job.deadline)).min();
        next.into_iter().for_each(|next| world.due_at(next));
    }
}

fn asker<'z>(join: &'z Join, zones: &'z [&'z crate::resolver::zone::Zone], stream: bool) -> Asker<'z> {
    Asker { client: &join.id, zones, ndots: join.ndots, forward: !join.upstreams.is_empty(), stream }
}

/// A client that does not take its answers asks again.
fn send_to(fd: &OwnedFd, bytes: &[u8], address: &SocketAddrAny) {
    let _ = rustix::net::sendto(fd.as_fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, address);
}
