//! Beside other firewalls: what our own table accepts is dropped all the same when another's forward chain drops by default
//! (ufw, dockerd, firewalld, a `policy drop` made by hand).
//!
//! Where that program provides a place for others' rules (`DOCKER-USER`, ufw's `before-forward` chains) ours are put there,
//! behind the administrator's own, each with our [`tag`] as its comment. Where it does not, an [`Advice`] says what to run.
//! Nothing is done about a rule that names our bridge and drops: somebody means it.
//!
//! # Words
//!
//! - a [`Guest`] is a network of ours as others' firewalls meet it, a [`Way`] is a kind of its packets;
//! - [`Foreign`] is what others' tables say, as a value; [`judge`] makes a [`Judgement`] of it, which is a plan.
//!
//! # Lifecycle
//!
//! ```text
//!     settle(guests, sweep)   look, judge, change in one transaction: a network comes or goes, a container starts,
//!                             `network reload`, the keeper heard that others' rules have changed
//!     is_settled(guest)       a glance, for a start that is in a hurry
//!     look, judge             the same without changing anything
//! ```
//!
//! # Worked example
//!
//! ```no_run
//! use dhow_network::{Family, beside::{self, Guest}, firewall::Firewall};
//! let mut firewall = Firewall::open("dhow-0123abcd")?;
//! let settled = beside::settle(&mut firewall, &[Guest::new("dhow0", [Family::V4])], false)?;
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

pub use advice::Advice;
pub use foreign::Foreign;
pub use judge::{Change, Edit, Judgement, judge, tag};

use crate::firewall::{Firewall, Transaction};
use crate::netlink::{Received, Socket};
use crate::{Family, NetworkError};
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
}

impl Guest {
    /// An ordinary network.
    pub fn new(bridge: impl Into<String>, families: impl Into<Vec<Family>>) -> Guest {
        let (bridge, families) = (bridge.into(), families.into());
        Guest { bridge, families, internal: false, unprotected: false, bridged: false }
    }

    /// The kinds of its packets that have to get through.
    fn ways(&self) -> Vec<Way> {
        match (self.internal, self.unprotected) {
            (true, _) => {
                if self.bridged {
                    vec![Way::Among]
                } else {
                    Vec::new()
                }
            }
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

/// Whether there is nothing to settle for a network, as far as a glance tells: others have no say in what is forwarded, or
/// each of them has rules of ours for it.
///
/// # Errors
/// What the kernel says.
pub fn is_settled(firewall: &mut Firewall, guest: &Guest) -> Result<bool, NetworkError> {
    let (socket, table) = firewall.parts();
    let tag = tag(table, &guest.bridge);
    Ok(dump::has_rules_of(socket, table, &guest.families, &tag)? && legacy::families().is_empty())
}

/// Makes others' rules let these networks through where there is a place for that, in one transaction; rules of ours that
/// nobody needs go. With `sweep` these are all the networks there are, and what is there for others goes, too.
///
/// # Errors
/// What the kernel says when it is asked; a change that it refuses becomes advice.
pub fn settle(firewall: &mut Firewall, guests: &[Guest], sweep: bool) -> Result<Settled, NetworkError> {
    let mut tries = 0;
    loop {
        let generation = firewall.generation()?;
        let foreign = look(firewall)?;
        let (socket, table) = firewall.parts();
        let Judgement { edits, mut advice } = judge(&foreign, table, guests, sweep);
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
        let object = format!("{} {} {}", edit.layer.name(), edit.table, edit.chain);
        transaction.push(operation, &object, encode::edit(edit));
    }
    transaction.commit(socket)
}

/// Whether news of nf_tables are about others' rules in a way that asks for [`Beside::settle`]: a rule of ours has gone, or
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
