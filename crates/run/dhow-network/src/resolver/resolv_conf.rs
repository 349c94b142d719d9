//! `/etc/resolv.conf`: read as resolv.conf(5) and the C libraries do, and written for containers.
//!
//! Takes text and gives values: which file is read is the caller's matter ([`source`]).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The host's file.
pub const HOST: &str = "/etc/resolv.conf";
/// What systemd-resolved keeps beside its stub: the servers that it asks itself.
pub const SYSTEMD_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// The address at which a container finds its network's resolver.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// How many servers are asked, as in the C libraries and in docker.
pub const SERVERS_MAX: usize = 3;

const STUB: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
const DNS_PORT: u16 = 53;

/// What such a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// In order, all of them.
    pub servers: Vec<Nameserver>,
    /// The last `search` or `domain` counts.
    pub search: Vec<String>,
    /// All options of all lines.
    pub options: Vec<String>,
}

/// An address; of a link-local one also where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameserver {
    /// The address.
    pub address: IpAddr,
    /// The interface of a link-local address: name or number.
    pub zone: Option<String>,
}

/// Where the way to an upstream server begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The container's network namespace.
    Container,
    /// The host's: the only one where the host's own loopback and link-local addresses mean anything.
    Host,
}

/// A server that is asked what is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Upstream {
    /// Address and port.
    pub address: SocketAddr,
    /// From where it is asked.
    pub place: Place,
}

/// The file to take the host's servers from: the host's own unless it names nothing but the stub of systemd-resolved,
/// which is asked past, as docker does: its own file lists the servers themselves. `systemd` is the text of
/// [`SYSTEMD_RESOLVED`], if it is there.
pub fn source(host: &str, systemd: Option<&str>) -> ResolvConf {
    let own = ResolvConf::parse(host);
    let only_stub = !own.servers.is_empty() && own.servers.iter().all(|server| server.address == STUB);
    match systemd.map(ResolvConf::parse) {
        Some(real) if only_stub && !real.servers.is_empty() => real,
        _ => own,
    }
}

impl ResolvConf {
    /// Reads a file. What makes no sense is skipped, line by line, as the C libraries do.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf::default();
        for line in text.lines() {
            // A comment begins a line, or (in musl and docker) any word.
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(Nameserver::parse)),
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("domain") => conf.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        if conf.search == ["."] {
            conf.search.clear();
        }
        conf
    }

    /// `ndots`, if it is set: the last one counts, and at most 15.
    pub fn ndots(&self) -> Option<u8> {
        let value = |option: &String| option.strip_prefix("ndots:")?.parse::<u32>().ok();
        self.options.iter().rev().find_map(value).map(|dots| dots.min(15) as u8)
    }

    /// The servers to ask, at most [`SERVERS_MAX`], for a container with a network of its own. Those that mean something
    /// on the host alone are asked from there; [`INSIDE`] would be ourselves and is left out.
    pub fn upstreams(&self) -> Vec<Upstream> {
        let servers = self.servers.iter().filter(|server| server.address != INSIDE && server.zone.is_none());
        servers.take(SERVERS_MAX).map(|server| Upstream::of(server.address)).collect()
    }

    /// The file inside a container on a network with a resolver: the same but for the servers, and `ndots:0` when nobody
    /// has set it, so that single labels are asked as they are. As docker does.
    #[must_use]
    pub fn inside(&self) -> ResolvConf {
        let mut inside = self.clone();
        inside.servers = vec![Nameserver { address: INSIDE.into(), zone: None }];
        if self.ndots().is_none() {
            inside.options.push("ndots:0".to_owned());
        }
        inside
    }
}

impl Upstream {
    /// At port 53, from where its address can mean anything.
    pub fn of(address: IpAddr) -> Upstream {
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let place = if address.is_loopback() || link_local { Place::Host } else { Place::Container };
        Upstream { address: SocketAddr::new(address, DNS_PORT), place }
    }
}

impl Nameserver {
    fn parse(word: &str) -> Option<Nameserver> {
        let (address, zone) = match word.split_once('%') {
            Some((address, zone)) if !zone.is_empty() => (address, Some(zone.to_owned())),
            Some(_) => return None,
            None => (word, None),
        };
        Some(Nameserver { address: address.parse().ok()?, zone })
    }
}

impl fmt::Display for ResolvConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.servers {
            let zone = server.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
            writeln!(f, "nameserver {}{zone}", server.address)?;
        }
        for (word, values) in [("search", &self.search), ("options", &self.options)] {
            if !values.is_empty() {
                writeln!(f, "{word} {}", values.join(" "))?;
            }
        }
        Ok(())
    }
}
