//! What comes over the control socket, and what goes to those who follow.

use super::client::Client;
use super::{Network, Resolver, Token};
use crate::resolver::control::{Join, PACKET_MAX, Reply, Request, Status, VERSION};
use dhow_sys::passing;
use rustix::event::epoll;
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::net::{SocketFlags, sockopt};
use serde::Serialize;
use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Somebody who tells what to serve.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// What is still to be told: who follows slowly is told the latest.
    news: VecDeque<News>,
    pub(super) follows: bool,
}

/// What there is to tell; what is told is how it is then.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    Listen,
    Network(String),
    Client(String),
    Whole,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Connection {
        Connection { socket, news: VecDeque::new(), follows: false }
    }

    /// Who does not read his answers gets none.
    pub(super) fn reply(&mut self, reply: &Reply) {
        let _ = passing::send(self.socket.as_fd(), &bytes(reply), &[]);
    }
}

/// A packet.
pub(super) fn bytes(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("messages have no maps with odd keys")
}

/// An error with its reasons, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let (mut line, mut next) = (error.to_string(), error.source());
    while let Some(reason) = next {
        line.push_str(": ");
        line.push_str(&reason.to_string());
        next = reason.source();
    }
    line
}

impl Resolver {
    pub(super) fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let Ok(socket) = rustix::net::accept_with(listener, flags) else { return };
            let peer = sockopt::socket_peercred(&socket).map(|peer| peer.uid.as_raw());
            if peer.is_ok_and(|user| user == self.owner || user == 0) {
                let _ = self.connect(Connection::new(socket));
            }
        }
    }

    pub(super) fn connect(&mut self, connection: Connection) -> io::Result<()> {
        let nth = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
        rustix::io::ioctl_fionbio(&connection.socket, true)?;
        let token = epoll::EventData::new_u64(Token::Connection(nth).number());
        epoll::add(&self.world.epoll, &connection.socket, token, epoll::EventFlags::IN)?;
        if nth == self.connections.len() {
            self.connections.push(None);
        }
        self.connections[nth] = Some(connection);
        Ok(())
    }

    /// Something happened on a connection.
    pub(super) fn packet(&mut self, nth: usize, flags: epoll::EventFlags) {
        if flags.contains(epoll::EventFlags::OUT) {
            self.tell(nth);
        }
        let mut packet = vec![0; PACKET_MAX];
        loop {
            let Some(Some(connection)) = self.connections.get_mut(nth) else { return };
            let mut descriptors = Vec::new();
            let reply = match passing::receive(connection.socket.as_fd(), &mut packet, &mut descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
                Ok(0) | Err(_) => return self.hang_up(nth),
                Ok(count) if count == packet.len() => Err("the request is too long".to_owned()),
                Ok(count) => self.request(nth, &packet[..count], descriptors),
            };
            if let Some(Some(connection)) = self.connections.get_mut(nth) {
                connection.reply(&reply.unwrap_or_else(|why| Reply::Refused { why }));
            }
            if !self.connections[nth].as_ref().is_some_and(|connection| connection.news.is_empty()) {
                self.tell(nth);
            }
        }
    }

    fn hang_up(&mut self, nth: usize) {
        if let Some(connection) = self.connections[nth].take() {
            let _ = epoll::delete(&self.world.epoll, &connection.socket);
        }
    }

    fn request(&mut self, nth: usize, packet: &[u8], mut descriptors: Vec<OwnedFd>) -> Result<Reply, String> {
        let request: Request = serde_json::from_slice(packet).map_err(|error| error.to_string())?;
        let mut only = || match descriptors.len() {
            1 => descriptors.pop().ok_or_else(String::new),
            other => Err(format!("one descriptor is needed, and {other} came")),
        };
        match request {
            Request::Begin(_) => return Err("it has begun already".to_owned()),
            Request::Listen => self.listen(only()?)?,
            Request::Network { network } => {
                let directory = only()?;
                self.serve_network(network, directory)?;
            }
            Request::Forget { network } => self.forget(&network),
            Request::Join(join) => self.join(join, descriptors)?,
            Request::Leave { id } => self.leave(&id),
            Request::Follow => self.follow(nth),
            Request::Status => return Ok(Reply::Status(self.status())),
            Request::Stop => self.stop = true,
        }
        Ok(Reply::Done)
    }

    fn listen(&mut self, listener: OwnedFd) -> Result<(), String> {
        let made = rustix::io::ioctl_fionbio(&listener, true).and_then(|()| {
            let token = epoll::EventData::new_u64(Token::Listener.number());
            epoll::add(&self.world.epoll, &listener, token, epoll::EventFlags::IN)
        });
        made.map_err(|error| format!("listen: {error}"))?;
        if let Some(old) = self.listener.replace(listener) {
            let _ = epoll::delete(&self.world.epoll, old);
        }
        self.news(&News::Listen);
        Ok(())
    }

    fn serve_network(&mut self, network: String, directory: OwnedFd) -> Result<(), String> {
        let made = Network::new(directory, &self.world.notify).map_err(|error| chain(&error))?;
        let old = self.world.networks.insert(network.clone(), made);
        self.unwatch(old);
        self.news(&News::Network(network));
        Ok(())
    }

    fn forget(&mut self, network: &str) {
        if let Some(old) = self.world.networks.remove(network) {
            self.unwatch(Some(old));
            self.news(&News::Network(network.to_owned()));
        }
    }

    /// The same directory has the same watch, however often it was handed in.
    fn unwatch(&mut self, old: Option<Network>) {
        if let Some(old) = old
            && self.world.networks.values().all(|network| network.watch != old.watch)
        {
            let _ = inotify::remove_watch(&self.world.notify, old.watch);
        }
    }

    fn join(&mut self, mut join: Join, mut descriptors: Vec<OwnedFd>) -> Result<(), String> {
        if join.listeners + join.container + join.host + usize::from(join.process) != descriptors.len() {
            return Err(format!("{} descriptors came, and not as many as it says", descriptors.len()));
        }
        if join.upstreams.len() > crate::resolver::resolv_conf::SERVERS_MAX {
            return Err("there are too many upstream servers".to_owned());
        }
        let id = join.id.clone();
        if std::mem::take(&mut join.keeps) {
            let there = self.slot_of(&id).and_then(|slot| self.clients[slot].as_ref());
            let there = there.ok_or("it is not served, and has no listening sockets to keep")?;
            let listeners = there.listeners().map_err(|error| error.to_string())?;
            join.listeners = listeners.len();
            descriptors.splice(..0, listeners);
        }
        // The new sockets may be the old ones: these are let go first.
        let slot = self.slot_of(&id).unwrap_or_else(|| {
            let free = self.clients.iter().position(Option::is_none);
            free.unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            })
        });
        // As far as a token has room for it.
        self.joined = self.joined.wrapping_add(1) & 0xffff_ffff;
        let place = (slot, self.joined);
        let client = Client::new(join, place, descriptors, &self.world.epoll).map_err(|error| error.to_string())?;
        if let Some(mut old) = self.clients[slot].replace(client) {
            old.close(&self.world.epoll);
        }
        self.news(&News::Client(id));
        Ok(())
    }

    fn leave(&mut self, id: &str) {
        if let Some(mut old) = self.slot_of(id).and_then(|slot| self.clients[slot].take()) {
            old.close(&self.world.epoll);
            self.news(&News::Client(id.to_owned()));
        }
    }

    /// The process of a client has ended.
    pub(super) fn ended(&mut self, slot: usize, nth: usize) {
        let client = self.clients.get(slot).and_then(Option::as_ref).filter(|client| client.nth == nth);
        if let Some(id) = client.map(|client| client.join.id.clone()) {
            self.leave(&id);
        }
    }

    fn slot_of(&self, id: &str) -> Option<usize> {
        self.clients.iter().position(|client| client.as_ref().is_some_and(|client| client.join.id == id))
    }

    fn status(&self) -> Status {
        let troubles = self.world.networks.iter().filter_map(|(id, n)| Some((id.clone(), n.trouble.clone()?)));
        Status {
            version: VERSION,
            pid: rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(),
            clients: self.clients.iter().flatten().map(|client| client.join.id.clone()).collect(),
            ports: self.clients.iter().flatten().map(Client::port).collect(),
            networks: self.world.networks.keys().cloned().collect(),
            followers: self.connections.iter().flatten().filter(|connection| connection.follows).count(),
            queries: self.world.queries,
            forwarded: self.world.forwarded,
            unanswered: self.world.unanswered,
            troubles: troubles.collect(),
        }
    }

    fn follow(&mut self, nth: usize) {
        let listen = self.listener.iter().map(|_| News::Listen);
        let networks = self.world.networks.keys().map(|id| News::Network(id.clone()));
        let clients = self.clients.iter().flatten().map(|client| News::Client(client.join.id.clone()));
        let all = listen.chain(networks).chain(clients).chain([News::Whole]).collect();
        if let Some(Some(connection)) = self.connections.get_mut(nth) {
            (connection.news, connection.follows) = (all, true);
        }
    }

    /// Tells those who follow.
    fn news(&mut self, news: &News) {
        for nth in 0..self.connections.len() {
            if let Some(connection) = self.connections[nth].as_mut().filter(|connection| connection.follows) {
                if !connection.news.contains(news) {
                    connection.news.push_back(news.clone());
                }
                self.tell(nth);
            }
        }
    }

    /// Tells as much as the other takes now.
    fn tell(&mut self, nth: usize) {
        while let Some(Some(connection)) = self.connections.get(nth) {
            let Some(news) = connection.news.front() else { break };
            let (packet, descriptors) = self.packet_of(news);
            match passing::send(connection.socket.as_fd(), &packet, &descriptors) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Too many descriptors under way, until the other has taken some.
                Err(error) if error.raw_os_error() == Some(Errno::TOOMANYREFS.raw_os_error()) => break,
                Err(_) => return self.hang_up(nth),
            }
            if let Some(Some(connection)) = self.connections.get_mut(nth) {
                connection.news.pop_front();
            }
        }
        if let Some(Some(connection)) = self.connections.get(nth) {
            let more = if connection.news.is_empty() { epoll::EventFlags::empty() } else { epoll::EventFlags::OUT };
            let token = epoll::EventData::new_u64(Token::Connection(nth).number());
            let _ = epoll::modify(&self.world.epoll, &connection.socket, token, epoll::EventFlags::IN | more);
        }
    }

    fn packet_of(&self, news: &News) -> (Vec<u8>, Vec<BorrowedFd<'_>>) {
        match news {
            News::Listen => (bytes(&Request::Listen), self.listener.iter().map(AsFd::as_fd).collect()),
            News::Whole => (bytes(&Reply::Whole), Vec::new()),
            News::Network(id) => match self.world.networks.get(id) {
                Some(network) => (bytes(&Request::Network { network: id.clone() }), vec![network.directory.as_fd()]),
                None => (bytes(&Request::Forget { network: id.clone() }), Vec::new()),
            },
            News::Client(id) => match self.slot_of(id).and_then(|slot| self.clients[slot].as_ref()) {
                Some(client) => {
                    (bytes(&Request::Join(client.join.clone())), client.descriptors().map(AsFd::as_fd).collect())
                }
                None => (bytes(&Request::Leave { id: id.clone() }), Vec::new()),
            },
        }
    }
}
