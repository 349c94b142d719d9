//! Beside other firewalls: what our own table accepts is dropped all the same when another's forward chain drops by default
//! (ufw, dockerd, firewalld, a `policy drop` made by hand).
//!
//! Where that program provides a place for others' rules (`DOCKER-USER`, ufw's `before-forward` chains) ours are put there,
//! behind the administrator's own, each with our [`tag`] as its comment. Where it does not, an [`Advice`] says what to run.
//! Nothing is done about a rule that names our bridge and drops: somebody means it. And nobody is gone around: what goes to
//! other programs' bridges is left to their rules, and what comes in past ufw is for ufw to let in (`ufw route allow`).
//!
//! # Words
//!
//! - a [`Guest`] is a network of ours as others' firewalls meet it, a [`Way`] is a kind of its packets;
//! - [`Foreign`] is what others' tables say, as a value; [`judge`] makes a [`Judgement`] of it, which is a plan.
//!
//! # Lifecycle
//!
//! ```text
//!     settle(guests)   look, judge, change in one transaction: a network comes or goes, `network reload`, the keeper heard
//!                      that others' rules have changed
//!     glance(guest)    for the start of a container, which is in a hurry
//!     look, judge      the same as `settle` without changing anything
//! ```
//!
//! # Worked example
//!
//! ```no_run
//! use dhow_network::{Family, beside::{self, Guest}, firewall::Firewall, netns::Netns};
//! let (mut firewall, mut route) = (Firewall::open("dhow-0123abcd")?, Netns::own()?.route()?);
//! let settled = beside::settle(&mut firewall, &mut route, &[Guest::new("dhow0", [Family::V4])])?;
//! for advice in &settled.advice {
//!     eprintln!("{advice}");
//! }
//! # Ok::<(), dhow_network::NetworkError>(())
//! ```

mod advice;
mod decode;
mod dump;
mod encode;
pub mod foreign;
mod judge;
mod legacy;
mod walk;

pub use advice::Advice;
pub use foreign::Foreign;
pub use judge::{Change, Edit, Judgement, judge, tag};

use crate::firewall::{Firewall, Transaction};
use crate::netlink::{Received, Socket};
use crate::{Family, NetworkError, link, ports, route};
use foreign::Layer;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// How often a change is tried again because somebody else's transaction came in between.
const TRIES: u32 = 20;

/// A network of ours, as others' firewalls meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The name of its bridge.
    pub bridge: String,
    /// The families of its addresses.
    pub families: Vec<Family>,
    /// No way out of it and none into it.
    pub internal: bool,
    /// Its containers can be reached by their own addresses from outside.
    pub unprotected: bool,
    /// What its containers say to each other passes the host's rules, too (`br_netfilter`).
    pub bridged: bool,
    /// Ports of its containers that somebody has published and would like to have advice about.
    pub published: Vec<(ports::Protocol, u16)>,
}

impl Guest {
    /// An ordinary network.
    pub fn new(bridge: impl Into<String>, families: impl Into<Vec<Family>>) -> Guest {
        let (bridge, families) = (bridge.into(), families.into());
        Guest { bridge, families, internal: false, unprotected: false, bridged: false, published: Vec::new() }
    }

    /// The kinds of its packets that have to get through.
    fn ways(&self) -> Vec<Way> {
        match (self.internal, self.unprotected) {
            (true, _) if self.bridged => vec![Way::Among],
            (true, _) => Vec::new(),
            (false, true) => vec![Way::Out, Way::Direct, Way::Back],
            (false, false) => vec![Way::Out, Way::Back, Way::Published],
        }
    }
}

/// A kind of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// From a container to elsewhere.
    Out,
    /// Answers to it.
    Back,
    /// To a published port.
    Published,
    /// To a container's own address.
    Direct,
    /// Between containers of one network.
    Among,
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Way::Out => "what goes out from containers",
            Way::Back => "the answers to containers",
            Way::Published => "what comes to published ports",
            Way::Direct => "what comes to containers",
            Way::Among => "what goes between containers",
        }
    }
}

/// What was done, and what is left to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Changes of others' tables.
    pub edits: Vec<Edit>,
    /// For the administrator.
    pub advice: Vec<Advice>,
}

/// What others' tables say of what is forwarded: one question where there are none. In the network namespace that the
/// firewall was opened in, which has to be the calling thread's.
///
/// # Errors
/// What the kernel says.
pub fn look(firewall: &mut Firewall) -> Result<Foreign, NetworkError> {
    let (socket, table) = firewall.parts();
    let mut foreign = dump::dump(socket, table)?;
    foreign.tables.extend(legacy::tables().map_err(NetworkError::system("list", "the rules of iptables-legacy"))?);
    Ok(foreign)
}

/// What a glance tells, for a start that is in a hurry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// Others have no say in what is forwarded, or each of them has rules of ours for this network.
    Settled,
    /// There is a place for rules of ours, and they are not in it.
    Missing,
    /// Others have a say, and no place for rules of ours.
    NoPlace,
}

/// A glance at others' tables, however long they are.
///
/// # Errors
/// What the kernel says.
pub fn glance(firewall: &mut Firewall, guest: &Guest) -> Result<Glance, NetworkError> {
    let (socket, table) = firewall.parts();
    let tag = tag(table, &guest.bridge);
    let glance = dump::glance(socket, table, &guest.families, &tag)?;
    Ok(if glance == Glance::Settled && !legacy::families().is_empty() { Glance::NoPlace } else { glance })
}

/// Other links of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Those that a default route goes by.
    pub ways_out: Vec<String>,
    /// Bridges that are none of ours.
    pub bridges: Vec<String>,
}

impl Links {
    fn look(route: &mut Socket, guests: &[Guest]) -> Result<Links, NetworkError> {
        let routes = route::list(route)?;
        let mut links = Links::default();
        for link in link::list(route)? {
            if routes.iter().any(|route| route.to.prefix() == 0 && route.link == Some(link.index)) {
                links.ways_out.push(link.name.clone());
            }
            if link.kind.as_deref() == Some("bridge") && guests.iter().all(|guest| guest.bridge != link.name) {
                links.bridges.push(link.name);
            }
        }
        Ok(links)
    }
}

/// Makes others' rules let these networks through where there is a place for that, in one transaction. They are all the
/// networks there are: rules of ours that nobody needs go. `route` is a socket of the same namespace.
///
/// # Errors
/// What the kernel says when it is asked; a change that it refuses becomes advice.
pub fn settle(firewall: &mut Firewall, route: &mut Socket, guests: &[Guest]) -> Result<Settled, NetworkError> {
    let mut tries = 0;
    loop {
        let generation = firewall.generation()?;
        let foreign = look(firewall)?;
        if foreign.tables.is_empty() {
            return Ok(Settled::default());
        }
        let links = Links::look(route, guests)?;
        let (socket, table) = firewall.parts();
        let Judgement { edits, mut advice } = judge(&foreign, table, guests, &links);
        if edits.is_empty() {
            return Ok(Settled { edits, advice });
        }
        match change(socket, generation, &edits) {
            Ok(()) => return Ok(Settled { edits, advice }),
            Err(error) if error.errno() == Some(Errno::RESTART.raw_os_error()) && tries < TRIES => tries += 1,
            // The table has an owner that takes no others' rules, or the kernel lacks a part.
            Err(_) => {
                advice.extend(judge::refused(&foreign, guests, &edits));
                return Ok(Settled { edits: Vec::new(), advice });
            }
        }
    }
}

fn change(socket: &mut Socket, generation: u32, edits: &[Edit]) -> Result<(), NetworkError> {
    let mut transaction = Transaction::begin(Some(generation));
    for edit in edits {
        let operation = match edit.change {
            Change::Delete(_) => "remove our rule from",
            Change::Insert { .. } => "add our rule to",
        };
        transaction.push(operation, &edit.place(), encode::edit(edit));
    }
    transaction.commit(socket)
}

/// Whether news of nf_tables are about others' rules in a way that asks for [`settle`]: a rule of ours has gone, or
/// something else drops what is forwarded now, or a place for our rules has been filled anew.
pub(crate) fn is_stirred(received: &Received<'_>, table: &str) -> bool {
    dump::is_stirred(received, table)
}

impl Layer {
    /// `NFPROTO_*`.
    fn number(self) -> u8 {
        match self {
            Layer::Inet => 1,
            Layer::Ip => 2,
            Layer::Ip6 => 10,
        }
    }

    fn from_number(number: u8) -> Option<Layer> {
        [Layer::Inet, Layer::Ip, Layer::Ip6].into_iter().find(|layer| layer.number() == number)
    }
}
