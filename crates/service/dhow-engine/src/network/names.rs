//! How containers of a network find each other by name: zones, resolvers, and what containers are told of them.
//!
//! # Words
//!
//! - a **member** is a container on a network, with its addresses and names there;
//! - the **zone** of a network is a document of its members, made from the ledger (`zone.rs`);
//! - the **resolver** of a network is a process that answers from zones (`dhow_network::resolver`, `resolver.rs`).
//!
//! # Who answers whom
//!
//! Each user-defined network has a resolver of its own, so that what one network's containers send harms no other's. A
//! container on several is served by the resolver of the one it prefers, which is handed the zones of all of them. The
//! predefined network `bridge` has neither zone nor resolver, as in docker: who is on nothing else asks the host's servers.
//!
//! # On disk
//!
//! ```text
//! <run root>/<store id>/networks/    0700
//!     lock                           flock: who writes zones, or starts a resolver
//!     change                         flock, before the other: who has a running container served anew
//!     <network id>.sock              control socket of its resolver, renamed into place
//!     <network id>/zone.json         0755: the resolver is nobody
//! ```
//!
//! # Lifecycle
//!
//! ```text
//!     ready     sockets and a table inside the container's network namespace, a resolver where there is none
//!     join      zones written, handed in with the container's process: names are answered from here on
//!     publish   zones written again: a container has come, gone, or been renamed
//!     rejoin    the networks of a running container have changed, or its resolver is gone
//!     forget    the network is removed
//! ```
//!
//! A resolver lets a container go by itself when its process ends. Should it be killed, the keeper starts another with the
//! same sockets. Should that be killed at the same time, new ones are made ([`rejoin`]) by whoever comes first: who has a
//! container adopted, who starts another resolver of the network, or the command that a new keeper runs when it finds a
//! control socket where nobody listens.

pub(crate) mod files;
mod member;
mod rejoin;
mod resolver;
mod zone;

pub use member::{Member, members};
pub(crate) use member::{of_lease, renamed};
pub(crate) use rejoin::{Which, rejoin};
pub(crate) use resolver::RESOLVE;

use crate::container::request::HostConfig;
use crate::{Engine, EngineError};
use dhow_network::firewall::{Firewall, inside};
use dhow_network::netns::Netns;
use dhow_network::resolver::control::{Control, ControlError, Join, PerFamily, Request, Sockets, ready_for};
use dhow_network::resolver::resolv_conf::{Place, ResolvConf, Upstream};
use resolver::Directory;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

/// How often to begin again when a resolver ends, or is killed, while it is talked to.
const ATTEMPTS: u32 = 5;

/// A container that is to ask for names.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Its id.
    pub id: String,
    /// Which servers it is to have, and how.
    pub host: HostConfig,
    /// The networks it is on, the preferred one first.
    pub members: Vec<Member>,
}

impl Asker {
    /// None: it sees no names, and needs nothing.
    pub fn new(id: &str, host: &HostConfig, members: &[Member]) -> Option<Asker> {
        let sees = members.iter().any(|member| !member.predefined);
        sees.then(|| Asker { id: id.to_owned(), host: host.clone(), members: members.to_vec() })
    }
}

/// What a container needs to ask for names, made before there is a process in it.
#[derive(Debug)]
pub struct Ready {
    /// Holding it keeps the resolver from ending for want of containers.
    control: Control,
    /// It was started for us.
    started: bool,
    join: Join,
    sockets: Sockets,
}

/// The networks whose names a container sees, the preferred one first.
fn named(members: &[Member]) -> Vec<String> {
    members.iter().filter(|member| !member.predefined).map(|member| member.network.clone()).collect()
}

/// Whom a container's resolver asks what is nobody's name: nobody, where there is no way out.
fn upstreams(members: &[Member], host: &HostConfig, conf: &ResolvConf) -> Vec<Upstream> {
    if members.iter().all(|member| member.internal) {
        return Vec::new();
    }
    if host.dns.is_empty() {
        return conf.upstreams();
    }
    // Who names a server of the loopback means the container's own.
    let ask = |address: &IpAddr| Upstream { place: Place::Container, ..Upstream::of(*address) };
    host.dns.iter().take(dhow_network::resolver::resolv_conf::SERVERS_MAX).map(ask).collect()
}

/// Makes what a container needs to ask for names in its new network namespace, where `lo` is up; nothing where it sees none.
/// `run_dir` is that of the store. The calling thread is in the host's network namespace.
///
/// # Errors
/// Of sockets, the firewall inside, and the start of a resolver.
pub fn ready(run_dir: &Path, asker: &Asker, netns: &Netns) -> Result<Option<Ready>, EngineError> {
    let Some(mut ready) = Ready::begin(run_dir, asker)? else { return Ok(None) };
    let port = ready.listen(netns)?;
    Firewall::on(netns.netfilter()?, inside::TABLE).create(&inside::rules(port))?;
    Ok(Some(ready))
}

/// Leads port 53 inside to this one.
fn lead(netns: &Netns, port: u16) -> Result<(), EngineError> {
    Ok(Firewall::on(netns.netfilter()?, inside::TABLE).replace(&inside::rules(port))?)
}

impl Ready {
    /// With a resolver and the sockets outside; none where it sees no names.
    fn begin(run_dir: &Path, asker: &Asker) -> Result<Option<Ready>, EngineError> {
        let Asker { id, host, members } = asker;
        let networks = named(members);
        let Some(home) = networks.first() else { return Ok(None) };
        let (control, started) = Directory::make(run_dir)?.reach(home)?;
        let conf = files::asked(host, &files::of_host());
        let upstreams = upstreams(members, host, &conf);
        let mut sockets = Sockets::default();
        let failed = |e| EngineError::io("make", "sockets for asking name servers", e);
        sockets.ask_from(Place::Host, &upstreams, PerFamily::default()).map_err(failed)?;
        let ndots = conf.ndots().is_some_and(|dots| dots > 0);
        let join = Join { id: id.clone(), networks, upstreams, ndots, ..Join::default() };
        Ok(Some(Ready { control, started, join, sockets }))
    }

    /// Makes the sockets inside; the port to which 53 is to lead.
    fn listen(&mut self, netns: &Netns) -> Result<u16, EngineError> {
        let count = PerFamily::default();
        let (inside, port) = netns.with(|| ready_for(&self.join.upstreams, count))?;
        (self.sockets.listeners, self.sockets.container) = (inside.listeners, inside.container);
        Ok(port)
    }

    /// The same where it listens already, and goes on.
    fn keep_listening(&mut self, netns: &Netns) -> Result<(), EngineError> {
        let Ready { join, sockets, .. } = self;
        netns.with(|| sockets.ask_from(Place::Container, &join.upstreams, PerFamily::default()))?;
        join.keeps = true;
        Ok(())
    }

    /// Writes the zones of the container's networks from the ledger, which has its addresses, and has it served as long as
    /// its process is there.
    ///
    /// # Errors
    /// Of the ledger, of files, and of the resolver.
    pub fn join(self, engine: &Engine, process: BorrowedFd<'_>) -> Result<(), EngineError> {
        let (home, started) = self.hand_over(engine, process)?;
        if started {
            mend_others(engine, &home);
        }
        Ok(())
    }

    /// The network whose resolver serves it now, and whether that was started for it.
    fn hand_over(self, engine: &Engine, process: BorrowedFd<'_>) -> Result<(String, bool), EngineError> {
        let directory = Directory::make(engine.state.run_dir())?;
        directory.publish(engine, &self.join.networks)?;
        let mut sockets = self.sockets;
        let process = process.try_clone_to_owned().map_err(|e| EngineError::io("keep", "a process", e))?;
        sockets.process = Some(process);
        let home = &self.join.networks[0];
        let (mut control, mut started, mut attempts) = (self.control, self.started, 0);
        loop {
            match hand_in(&directory, &control, &self.join, &sockets) {
                Err(EngineError::Resolver(ControlError::Gone { .. })) if attempts < ATTEMPTS => attempts += 1,
                Err(EngineError::Resolver(ControlError::Silent { .. })) if attempts < ATTEMPTS => {
                    directory.give_up(home)?;
                    attempts += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok((home.clone(), started)),
            }
            let (another, is_new) = directory.reach(home)?;
            (control, started) = (another, started || is_new);
        }
    }
}

/// Nobody answered on this network: if somebody has, and was killed, others have nobody any more. Best effort, for theirs is
/// not what we were asked for.
fn mend_others(engine: &Engine, network: &str) {
    let _ = crate::container::mend_names(engine, Some(network));
}

fn hand_in(directory: &Directory, control: &Control, join: &Join, sockets: &Sockets) -> Result<(), EngineError> {
    for network in &join.networks {
        let zone = directory.zone(network)?;
        control.ask(&Request::Network { network: network.clone() }, &[zone.as_fd()])?;
    }
    Ok(control.join(join.clone(), sockets)?)
}

/// Writes the zones of these networks again, where they have any: what is asked from now on is answered from what the
/// ledger says now.
///
/// # Errors
/// Of the ledger and of files.
pub fn publish(engine: &Engine, networks: &[String]) -> Result<(), EngineError> {
    match Directory::open(engine.state.run_dir())? {
        Some(directory) => directory.publish_again(engine, networks),
        None => Ok(()),
    }
}

/// Has every resolver go on as the program that the keeper is. No question is lost.
///
/// # Errors
/// Of files.
pub(crate) fn renew(engine: &Engine) -> Result<(), EngineError> {
    Directory::open(engine.state.run_dir())?.map_or(Ok(()), |directory| directory.renew())
}

/// Removes the control sockets of resolvers that have ended: who finds them takes them for those of ones that were killed.
///
/// # Errors
/// Of files.
pub(crate) fn tidy(engine: &Engine) -> Result<(), EngineError> {
    Directory::open(engine.state.run_dir())?.map_or(Ok(()), |directory| directory.tidy())
}

/// Removes what there is of a network that is removed. Nobody is on it.
///
/// # Errors
/// Of files.
pub fn forget(engine: &Engine, network: &str) -> Result<(), EngineError> {
    let Some(directory) = Directory::open(engine.state.run_dir())? else { return Ok(()) };
    if directory.forget(network)? {
        // Who took it off that network was killed before it was answered by another. Best effort, as everywhere.
        let _ = crate::container::mend_names(engine, None);
    }
    Ok(())
}
