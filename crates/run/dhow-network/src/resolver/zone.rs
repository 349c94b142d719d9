//! The names of one network: the document that the engine writes, and what is answered from it.
//!
//! Knows no socket and no message form but names. The document lies as `zone.json` in a directory of the network's own
//! and is only ever replaced as a whole, by renaming ([`publish`]).
//!
//! # Which name is whose
//!
//! Each endpoint is found by its names (the container's name, aliases, short id), and by each of these with the network's
//! name behind it (`web.shop`). Links are names that only one container sees; they come first. When several endpoints
//! have a name its addresses take turns in coming first. A name that is there has an (empty) answer for every type: a
//! browser that asks for HTTPS records of `web` must not hear that `web` does not exist. Names that DNS cannot carry
//! (a label of more than 63 bytes) are not found by anybody.
//!
//! ```
//! use dhow_network::resolver::zone::{Document, Endpoint, Zone};
//! let web = Endpoint { id: "c1".into(), names: vec!["web".into()], addresses: vec!["172.18.0.2".parse().unwrap()] };
//! let document = Document { endpoints: vec![web], ..Document::new("shop") };
//! let zone = Zone::read(&document.to_bytes()).unwrap();
//! let name = dhow_network::resolver::message::Name::from_text("WEB.shop").unwrap();
//! assert_eq!(zone.find("c2", &name).unwrap().v4().collect::<Vec<_>>(), ["172.18.0.2".parse::<std::net::Ipv4Addr>().unwrap()]);
//! ```

use super::message::Name;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

/// The version of the document.
pub const VERSION: u32 = 1;
/// The file's name in its directory.
pub const FILE: &str = "zone.json";
/// Under this name it is written.
const BEGUN: &str = "zone.json.begun";
/// Bytes of the largest document that is read.
pub const DOCUMENT_MAX: usize = 16 * 1024 * 1024;
/// How long others may keep an answer, in seconds, when the document does not say. Docker says 600, and clients that keep
/// answers (nginx, Java, nscd) then talk to containers that are long gone; asking again costs 20 us here.
pub const TTL: u32 = 5;

/// All names of a network, as the engine writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`VERSION`]. A newer one is refused.
    pub version: u32,
    /// The network's name.
    pub network: String,
    /// Seconds that others may keep an answer.
    #[serde(default = "default_ttl")]
    pub ttl: u32,
    /// Who is there.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// Services, by full name: `_http._tcp.web`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Vec<Service>>,
    /// Links: of a container's id, names that only it sees, each with the ids of endpoints.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

fn default_ttl() -> u32 {
    TTL
}

/// A container in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The container's id.
    pub id: String,
    /// The container's name, which reverse lookups give; then aliases and the short id.
    pub names: Vec<String>,
    /// Its addresses in this network.
    pub addresses: Vec<IpAddr>,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The lower the better.
    #[serde(default)]
    pub priority: u16,
    /// How often among those of one priority.
    #[serde(default)]
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// A name of an endpoint.
    pub target: String,
}

/// Why a document is none.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// It is no JSON, or not of this form.
    #[error("the zone document cannot be read")]
    Form(#[from] serde_json::Error),
    /// It was written by a newer dhow.
    #[error("the zone document has version {0}, and this dhow knows {VERSION}")]
    Version(u32),
    /// It is larger than anything sensible.
    #[error("the zone document is larger than {DOCUMENT_MAX} bytes")]
    Large,
    /// It could not be read from its directory.
    #[error("read {FILE}")]
    Read(#[from] io::Error),
}

impl Document {
    /// One of this network with nobody in it.
    pub fn new(network: &str) -> Document {
        Document {
            version: VERSION,
            network: network.to_owned(),
            ttl: TTL,
            endpoints: Vec::new(),
            services: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }

    /// As it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names of maps are strings, and nothing else can fail")
    }
}

/// Replaces the document in the network's directory. Who reads meanwhile gets the old one or the new one.
///
/// The file is for everybody to read, because the resolver is nobody; who may not enter the directories above does not
/// get there. It is not flushed: a run root does not outlive the machine.
///
/// # Errors
/// Of the file system. A half-written file under another name may stay, and is written over by the next.
pub fn publish(directory: BorrowedFd<'_>, document: &Document) -> io::Result<()> {
    let _ = rustix::fs::unlinkat(directory, BEGUN, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, BEGUN, flags, Mode::from_raw_mode(0o644))?;
    // The caller's umask is not ours.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    std::fs::File::from(file).write_all(&document.to_bytes())?;
    Ok(rustix::fs::renameat(directory, BEGUN, directory, FILE)?)
}

/// The addresses behind a name, which take turns in coming first: of each family by itself, because clients ask for both
/// one after the other.
#[derive(Debug, Default)]
pub struct Addresses {
    v4: Turns<Ipv4Addr>,
    v6: Turns<Ipv6Addr>,
}

#[derive(Debug)]
struct Turns<T> {
    all: Vec<T>,
    turn: Cell<usize>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Turns { all: Vec::new(), turn: Cell::new(0) }
    }
}

impl<T: Copy + PartialEq> Turns<T> {
    fn next(&self) -> impl Iterator<Item = T> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let (before, first) = self.all.split_at(turn % self.all.len().max(1));
        first.iter().chain(before).copied()
    }

    fn add(&mut self, one: T) {
        if !self.all.contains(&one) {
            self.all.push(one);
        }
    }
}

impl Addresses {
    /// Those of IPv4, another one first each time.
    pub fn v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.v4.next()
    }

    /// Those of IPv6, another one first each time.
    pub fn v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.v6.next()
    }

    /// Whether there are any of IPv4, and of IPv6.
    pub fn families(&self) -> (bool, bool) {
        (!self.v4.all.is_empty(), !self.v6.all.is_empty())
    }

    fn add(&mut self, addresses: &[IpAddr]) {
        for &address in addresses {
            match address {
                IpAddr::V4(address) => self.v4.add(address),
                IpAddr::V6(address) => self.v6.add(address),
            }
        }
    }
}

/// A service with the name of its target.
#[derive(Debug)]
pub struct Placed {
    /// As in the document.
    pub service: Service,
    /// Where it is.
    pub target: Name,
}

/// Names in lower case, as they are on the wire.
type Names = HashMap<Box<[u8]>, Addresses>;

/// A document, ready to be asked.
#[derive(Debug, Default)]
pub struct Zone {
    /// Seconds that others may keep an answer.
    pub ttl: u32,
    names: Names,
    /// The same with the network's name behind them: a container that is called so comes first.
    full: Names,
    links: HashMap<String, Names>,
    reverse: HashMap<IpAddr, Name>,
    services: HashMap<Box<[u8]>, Vec<Placed>>,
}

impl Zone {
    /// Reads a document.
    ///
    /// # Errors
    /// [`ZoneError`] when it is none, or too new.
    pub fn read(bytes: &[u8]) -> Result<Zone, ZoneError> {
        /// Read alone first: what a newer version means by the rest is not known.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if bytes.len() > DOCUMENT_MAX {
            return Err(ZoneError::Large);
        }
        match serde_json::from_slice::<Version>(bytes)?.version {
            VERSION => Ok(Zone::of(&serde_json::from_slice(bytes)?)),
            other => Err(ZoneError::Version(other)),
        }
    }

    /// Reads the document in a network's directory.
    ///
    /// # Errors
    /// As [`read`](Self::read), and what openat(2) and read(2) say.
    pub fn load(directory: BorrowedFd<'_>) -> Result<Zone, ZoneError> {
        let file = rustix::fs::openat(directory, FILE, LOAD_FLAGS, Mode::empty()).map_err(io::Error::from)?;
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        while bytes.len() <= DOCUMENT_MAX {
            match rustix::io::read(&file, &mut piece) {
                Ok(0) => break,
                Ok(count) => bytes.extend(&piece[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Zone::read(&bytes)
    }

    fn of(document: &Document) -> Zone {
        let mut zone = Zone { ttl: document.ttl, ..Zone::default() };
        let full = |name: &str| Name::from_text(&format!("{name}.{}", document.network));
        for endpoint in &document.endpoints {
            for name in &endpoint.names {
                add(&mut zone.names, Name::from_text(name), &endpoint.addresses);
                add(&mut zone.full, full(name), &endpoint.addresses);
            }
            if let Some(name) = endpoint.names.first().and_then(|name| full(name)) {
                zone.reverse.extend(endpoint.addresses.iter().map(|&address| (address, name)));
            }
        }
        for (client, links) in &document.links {
            let names = zone.links.entry(client.clone()).or_default();
            for (name, ids) in links {
                for endpoint in document.endpoints.iter().filter(|endpoint| ids.contains(&endpoint.id)) {
                    add(names, Name::from_text(name), &endpoint.addresses);
                }
            }
        }
        for (name, services) in &document.services {
            let placed = |service: &Service| {
                Some(Placed { service: service.clone(), target: Name::from_text(&service.target)? })
            };
            for name in [Name::from_text(name), full(name)].into_iter().flatten() {
                zone.services.insert(key(&name), services.iter().filter_map(placed).collect());
            }
        }
        zone
    }

    /// The addresses that this client sees behind a name. None: the name is none of ours.
    pub fn find(&self, client: &str, name: &Name) -> Option<&Addresses> {
        let lower = name.lower();
        let wire = lower.as_wire();
        let linked = self.links.get(client).and_then(|links| links.get(wire));
        linked.or_else(|| self.names.get(wire)).or_else(|| self.full.get(wire))
    }

    /// Where a service is. None: it is none of ours.
    pub fn service(&self, name: &Name) -> Option<&[Placed]> {
        self.services.get(name.lower().as_wire()).map(Vec::as_slice)
    }

    /// The full name of who has this address.
    pub fn reverse(&self, address: IpAddr) -> Option<&Name> {
        self.reverse.get(&address)
    }
}

/// How the document is opened; the resolver may open nothing in another way.
pub(super) const LOAD_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

fn key(name: &Name) -> Box<[u8]> {
    name.lower().as_wire().into()
}

fn add(names: &mut Names, name: Option<Name>, addresses: &[IpAddr]) {
    // Without a label it would be the root.
    if let Some(name) = name.filter(|name| name.as_wire().len() > 1) {
        names.entry(key(&name)).or_default().add(addresses);
    }
}

/// The address that a name under `in-addr.arpa` or `ip6.arpa` stands for (RFC 1035, 3.5; RFC 3596, 2.5).
pub fn address_of(name: &Name) -> Option<IpAddr> {
    let lower = name.lower();
    let labels: Vec<&[u8]> = lower.labels().collect();
    match labels[..] {
        [ref numbers @ .., b"in-addr", b"arpa"] if numbers.len() == 4 => {
            let mut octets = [0; 4];
            for (octet, label) in octets.iter_mut().rev().zip(numbers) {
                // No sign, no leading zero: each address has one name.
                let text = std::str::from_utf8(label).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
                *octet = text.parse().ok().filter(|number: &u8| number.to_string() == text)?;
            }
            Some(Ipv4Addr::from(octets).into())
        }
        [ref digits @ .., b"ip6", b"arpa"] if digits.len() == 32 => {
            let mut number = 0_u128;
            for label in digits.iter().rev() {
                let &[digit] = *label else { return None };
                number = number << 4 | u128::from(char::from(digit).to_digit(16)?);
            }
            Some(Ipv6Addr::from(number).into())
        }
        _ => None,
    }
}
