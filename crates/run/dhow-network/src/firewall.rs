//! Our nftables table: rules for networks, and maps of published ports. Spoken over netlink, in transactions.
//!
//! # Words
//!
//! - a [`Plan`] is what there is to be: networks and ports; [`Plan::ruleset`] makes a [`Ruleset`] of it, which is a value
//!   and whose text `nft -f` takes;
//! - a **transaction** happens as a whole or not at all, and packets see either what was before or what is after;
//! - the **generation** is the kernel's count of transactions: one that names it fails when another came in between.
//!
//! # Lifecycle
//!
//! ```text
//!     Firewall::rebuild(plan)     a network comes or goes, `network reload`, after somebody's `nft flush ruleset`
//!     Firewall::change(ports)     a container starts or ends, its ports change: elements of maps, nothing else
//!     Firewall::inspect(plan)     what differs from the plan
//!     Firewall::remove()          the last network has gone
//!     Watch::hear()               somebody else has taken it apart
//! ```
//!
//! Networks and ports are decided under the caller's lock: `rebuild` puts what its plan says in place of all that is
//! there, ports of a container that started meanwhile included.
//!
//! # Worked example
//!
//! ```
//! use dhow_network::{firewall::{Network, Plan}, ports::{Port, Protocol}};
//! let subnet = "172.18.0.0/16".parse().unwrap();
//! let port = Port::new(Protocol::Tcp, "0.0.0.0".parse().unwrap(), 8080, "172.18.0.2:80".parse().unwrap()).unwrap();
//! let networks = vec![Network::new("dhow0", [subnet])];
//! let plan = Plan { table: "dhow-0123abcd".to_owned(), networks, ports: vec![port], outside: Default::default() };
//! let text = plan.ruleset().to_string();
//! assert!(text.contains("tcp . 8080 : 172.18.0.2 . 80"));
//! assert!(text.contains("ip saddr 172.18.0.0/16 oifname != \"dhow0\" masquerade"));
//! ```

mod encode;
pub mod inside;
mod inspect;
mod plan;
pub mod ruleset;
mod transaction;
mod watch;

pub use inspect::Difference;
pub use plan::{Network, Plan};
pub use ruleset::Ruleset;
pub use watch::Watch;

pub(crate) use encode::{expression, kind};
pub(crate) use transaction::Transaction;

use crate::NetworkError;
use crate::netlink::{Failure, Protocol, Socket};
use crate::ports::Port;
use rustix::io::Errno;
use std::net::IpAddr;

/// The table of a store: `dhow-` and the first 8 digits of the store's id.
pub fn table_name(store: &str) -> String {
    format!("dhow-{}", store.get(..8).unwrap_or(store))
}

/// How often a change is tried again because somebody else's transaction came in between.
const TRIES: u32 = 20;

/// Our table in one network namespace.
#[derive(Debug)]
pub struct Firewall {
    socket: Socket,
    table: String,
}

impl Firewall {
    /// Opens it in the network namespace of the calling thread. The table need not be there.
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn open(table: impl Into<String>) -> Result<Firewall, NetworkError> {
        let socket = Socket::open(Protocol::Netfilter).map_err(NetworkError::system("open", "a netlink socket"))?;
        Ok(Firewall::on(socket, table))
    }

    /// As [`Firewall::open`], in the namespace that this socket was opened in ([`crate::netns::Netns::netfilter`]).
    pub fn on(socket: Socket, table: impl Into<String>) -> Firewall {
        Firewall { socket, table: table.into() }
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// For what has to do with others' tables.
    pub(crate) fn parts(&mut self) -> (&mut Socket, &str) {
        (&mut self.socket, &self.table)
    }

    /// Makes the table as the plan says, in place of what is there.
    ///
    /// # Errors
    /// What the kernel says, and about what. Nothing is changed then.
    pub fn rebuild(&mut self, plan: &Plan) -> Result<(), NetworkError> {
        self.replace(&plan.ruleset())
    }

    /// The same with any rules of ours, whatever the table is called in them.
    ///
    /// # Errors
    /// As [`Firewall::rebuild`].
    pub fn replace(&mut self, ruleset: &Ruleset) -> Result<(), NetworkError> {
        let table = &self.table;
        let mut transaction = Transaction::begin(None);
        // A table that is not there cannot be deleted; one that is there can be made all the same.
        transaction.push("name table", table, encode::new_table(table));
        transaction.push("delete table", table, encode::del_table(table));
        make(&mut transaction, table, ruleset);
        transaction.commit(&mut self.socket)
    }

    /// The same where there is no such table, as in a new namespace. The kernel lets go of what is replaced in its own time,
    /// tens of milliseconds, and whoever closes a socket like ours waits for that.
    ///
    /// # Errors
    /// As [`Firewall::rebuild`].
    pub fn create(&mut self, ruleset: &Ruleset) -> Result<(), NetworkError> {
        let mut transaction = Transaction::begin(None);
        make(&mut transaction, &self.table, ruleset);
        transaction.commit(&mut self.socket)
    }

    /// Removes the table; false when there is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&mut self) -> Result<bool, NetworkError> {
        let mut transaction = Transaction::begin(None);
        transaction.push("delete table", &self.table, encode::del_table(&self.table));
        match transaction.commit(&mut self.socket) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes ports away and adds others, as one change: no packet meets a state in between. What is to be taken away and
    /// is not there does not matter, nor what is to be added and is there already.
    ///
    /// # Errors
    /// `PortTaken` when another container has the same port of the same address; `Missing` without a table (then
    /// [`Firewall::rebuild`]); what the kernel says else. Nothing is changed then.
    pub fn change(&mut self, remove: &[Port], add: &[Port]) -> Result<(), NetworkError> {
        for _ in 1..TRIES {
            match self.change_once(remove, add) {
                // Somebody else changed something between our look and our change.
                Err(error) if error.errno() == Some(Errno::RESTART.raw_os_error()) => {}
                other => return other,
            }
        }
        self.change_once(remove, add)
    }

    fn change_once(&mut self, remove: &[Port], add: &[Port]) -> Result<(), NetworkError> {
        // An element is deleted by its key, so first it is looked whether it is still the one that is meant.
        let generation = if remove.is_empty() { None } else { Some(self.generation()?) };
        let mut present = Vec::new();
        for port in remove {
            if inspect::target(&mut self.socket, &self.table, port)? == Some(port.to()) {
                present.push(*port);
            }
        }
        let Err(error) = self.try_change(generation, &present, add) else { return Ok(()) };
        match error.errno().map(Errno::from_raw_os_error) {
            Some(Errno::NOENT) => {
                self.ports()?; // says so when it is the table that is missing
            }
            Some(Errno::BUSY | Errno::EXIST) => {
                for port in add {
                    let other = inspect::target(&mut self.socket, &self.table, port)?;
                    if other.is_some_and(|to| to != port.to()) && !present.iter().any(|gone| gone.conflicts(port)) {
                        return Err(NetworkError::PortTaken { port: *port });
                    }
                }
            }
            _ => {}
        }
        Err(error)
    }

    fn try_change(&mut self, generation: Option<u32>, remove: &[Port], add: &[Port]) -> Result<(), NetworkError> {
        if remove.is_empty() && add.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::begin(generation);
        for (kind, operation, ports) in
            [(kind::DEL_ELEMENT, "remove port", remove), (kind::NEW_ELEMENT, "publish port", add)]
        {
            for port in ports {
                let element = plan::element_of(port);
                for message in encode::elements(kind, &self.table, plan::map_of(port), [&element]) {
                    transaction.push(operation, &port.to_string(), message);
                }
            }
        }
        transaction.commit(&mut self.socket)
    }

    /// Takes away all ports that lead to an address, and tells which they were: nothing of its last owner may reach the
    /// next one.
    ///
    /// # Errors
    /// As [`Firewall::change`].
    pub fn forget(&mut self, address: IpAddr) -> Result<Vec<Port>, NetworkError> {
        let stale: Vec<_> = self.ports()?.into_iter().filter(|port| port.to().ip() == address).collect();
        self.change(&stale, &[])?;
        Ok(stale)
    }

    /// The ports that are published now.
    ///
    /// # Errors
    /// `Missing` when there is no table; what the kernel says else.
    pub fn ports(&mut self) -> Result<Vec<Port>, NetworkError> {
        inspect::ports(&mut self.socket, &self.table)
    }

    /// Whether the table is there and has rules for the network of this bridge: one question, unlike
    /// [`Firewall::inspect`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn knows(&mut self, bridge: &str) -> Result<bool, NetworkError> {
        inspect::has_bridge(&mut self.socket, &self.table, bridge)
    }

    /// What differs from any rules of ours; nothing: they are as they should be.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn compare(&mut self, ruleset: &Ruleset) -> Result<Vec<Difference>, NetworkError> {
        inspect::compare(&mut self.socket, &self.table, ruleset)
    }

    /// What differs from the plan; nothing: it is as it should be.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inspect(&mut self, plan: &Plan) -> Result<Vec<Difference>, NetworkError> {
        self.compare(&plan.ruleset())
    }

    /// The kernel's count of transactions in this namespace, of whoever.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn generation(&mut self) -> Result<u32, NetworkError> {
        transaction::generation(&mut self.socket).map_err(NetworkError::kernel("ask for", "the generation of nftables"))
    }
}

/// Whether a failure says that something is not there.
fn is_missing(failure: &Failure) -> bool {
    failure.is(Errno::NOENT)
}

/// Makes the table and all that is in it.
fn make(transaction: &mut Transaction, table: &str, ruleset: &Ruleset) {
    transaction.push("create table", table, encode::new_table(table));
    for (set, id) in ruleset.sets.iter().zip(1..) {
        transaction.push("create set", set.name, encode::new_set(table, set, id));
        for message in encode::elements(kind::NEW_ELEMENT, table, set.name, &set.elements) {
            transaction.push("add elements to", set.name, message);
        }
    }
    for chain in &ruleset.chains {
        transaction.push("create chain", chain.name, encode::new_chain(table, chain));
    }
    for chain in &ruleset.chains {
        for rule in &chain.rules {
            transaction.push("add rule", &rule.to_string(), encode::new_rule(table, chain.name, rule));
        }
    }
}
