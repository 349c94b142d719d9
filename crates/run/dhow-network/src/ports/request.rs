//! What `-p` and `--expose` say, in docker's syntax and with docker's words for what is wrong (`go-connections/nat`):
//!
//! ```text
//!     [[address:][host port or range]:]container port or range[/protocol]        [::1]:8080:80/tcp
//! ```

use super::Protocol;
use dhow_spec::{Classify, Kind};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Why a port cannot be what it was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// A protocol without ports, or none at all.
    #[error("invalid proto: {0}")]
    Protocol(String),
    /// The host's address makes no sense.
    #[error("invalid IP address: {0}")]
    Address(String),
    /// The container's port is missing.
    #[error("no port specified: {0}<empty>")]
    Empty(String),
    /// The container's port is no number from 1 to 65535, nor a range of them.
    #[error("invalid containerPort: {0}")]
    ContainerPort(String),
    /// The host's port is no number from 0 to 65535, nor a range of them.
    #[error("invalid hostPort: {0}")]
    HostPort(String),
    /// Two ranges of different length.
    #[error("invalid ranges specified for container and host Ports: {container} and {host}")]
    Ranges {
        /// The container's.
        container: String,
        /// The host's.
        host: String,
    },
    /// What is exposed is no port and no range.
    #[error("invalid range format for --expose: {0}")]
    Exposed(String),
    /// Nothing of the range is free.
    #[error("Bind for {address}:{range} failed: all ports are allocated")]
    Exhausted {
        /// The host's address.
        address: IpAddr,
        /// The range.
        range: Range,
    },
}

impl Classify for PortError {
    fn kind(&self) -> Kind {
        match self {
            PortError::Exhausted { .. } => Kind::Conflict,
            _ => Kind::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        None
    }
}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first one.
    pub first: u16,
    /// The last one, not smaller than the first.
    pub last: u16,
}

impl Range {
    /// How many, less one.
    fn span(self) -> u16 {
        self.last - self.first
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// One number of decimal digits, as Go's `ParseUint` takes it: no sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn range(text: &str) -> Option<Range> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some(Range { first, last })
}

/// The part before `/` and the protocol behind it: TCP when there is none.
fn split_protocol(text: &str) -> Result<(&str, Protocol), PortError> {
    match text.split_once('/') {
        None | Some((_, "")) => Ok((text.trim_end_matches('/'), Protocol::Tcp)),
        Some((port, protocol)) => Ok((port, protocol.parse()?)),
    }
}

/// One `-p`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The host's address; none: all of both families.
    pub address: Option<IpAddr>,
    /// The host's ports; none: random ones.
    pub host: Option<Range>,
    /// The container's ports.
    pub container: Range,
    /// The protocol.
    pub protocol: Protocol,
}

/// One port of a container, and the ports of the host of which one is to lead to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The host's address; none: all of both families.
    pub address: Option<IpAddr>,
    /// Of these one is taken; none: any.
    pub host: Option<Range>,
    /// The container's port.
    pub container: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl Request {
    /// The single ports. One container port with a host range gets one port of the range; two ranges go in pairs.
    pub fn bindings(&self) -> impl Iterator<Item = Binding> + '_ {
        let pairs = self.container.span() > 0;
        (self.container.first..=self.container.last).map(move |container| {
            let one = |first: u16| Range { first, last: first };
            let host =
                self.host.map(|host| if pairs { one(host.first + (container - self.container.first)) } else { host });
            Binding { address: self.address, host, container, protocol: self.protocol }
        })
    }
}

/// Address, host's part and container's part, between colons of which an address may have more.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((rest, container)) = text.rsplit_once(':') else { return ("", "", text) };
    let Some((address, host)) = rest.rsplit_once(':') else { return ("", rest, container) };
    (address, host, container)
}

fn address(text: &str) -> Result<Option<IpAddr>, PortError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(Some).map_err(|_| PortError::Address(bare.to_owned()))
}

impl FromStr for Request {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Request, PortError> {
        let (ip, host_text, container_text) = split(text);
        let (container_text, protocol) = split_protocol(container_text)?;
        let address = address(ip)?;
        if container_text.is_empty() {
            return Err(PortError::Empty(text.to_owned()));
        }
        let container = range(container_text).filter(|range| range.first > 0);
        let container = container.ok_or_else(|| PortError::ContainerPort(container_text.to_owned()))?;
        let host = match host_text {
            "" | "0" => None,
            text => {
                Some(range(text).filter(|range| range.first > 0).ok_or_else(|| PortError::HostPort(text.to_owned()))?)
            }
        };
        if host.is_some_and(|host| container.span() > 0 && host.span() != container.span()) {
            return Err(PortError::Ranges { container: container_text.to_owned(), host: host_text.to_owned() });
        }
        if host.is_none() && host_text == "0" && container.span() > 0 {
            return Err(PortError::Ranges { container: container_text.to_owned(), host: host_text.to_owned() });
        }
        Ok(Request { address, host, container, protocol })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(address) => write!(f, "{address}:")?,
            None => {}
        }
        match self.host {
            Some(host) => write!(f, "{host}:")?,
            None if self.address.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}/{}", self.container, self.protocol)
    }
}

/// One `--expose`, or one `EXPOSE` of an image: `80`, `80/udp`, `8000-8010/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposed {
    /// The container's ports.
    pub ports: Range,
    /// The protocol.
    pub protocol: Protocol,
}

impl FromStr for Exposed {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Exposed, PortError> {
        let wrong = || PortError::Exposed(text.to_owned());
        if text.contains(':') {
            return Err(wrong());
        }
        let (ports, protocol) = split_protocol(text)?;
        let ports = range(ports).filter(|range| range.first > 0).ok_or_else(wrong)?;
        Ok(Exposed { ports, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match text.parse::<Request>() {
            Ok(request) => request
                .bindings()
                .map(|b| {
                    let host = b.host.map_or("any".to_owned(), |host| host.to_string());
                    let address = b.address.map_or("*".to_owned(), |address| address.to_string());
                    format!("{address} {host} {}/{}", b.container, b.protocol)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn all_forms_of_docker() {
        for (text, expected) in [
            ("80", "* any 80/tcp"),
            ("80/udp", "* any 80/udp"),
            ("80/SCTP", "* any 80/sctp"),
            ("8080:80", "* 8080 80/tcp"),
            ("0:80", "* any 80/tcp"),
            (":80", "* any 80/tcp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080 80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 any 80/tcp"),
            ("[::1]:8080:80/udp", "::1 8080 80/udp"),
            ("[::]::80", ":: any 80/tcp"),
            ("::1:8080:80", "::1 8080 80/tcp"),
            ("8000-8002:80-82", "* 8000 80/tcp, * 8001 81/tcp, * 8002 82/tcp"),
            ("8000-8002:80", "* 8000-8002 80/tcp"),
            ("80-81", "* any 80/tcp, * any 81/tcp"),
            ("127.0.0.1:8000-8001:80-81/udp", "127.0.0.1 8000 80/udp, 127.0.0.1 8001 81/udp"),
            ("65535:65535", "* 65535 65535/tcp"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_dockers_words() {
        for (text, expected) in [
            ("", "! no port specified: <empty>"),
            ("8080:", "! no port specified: 8080:<empty>"),
            ("80/icmp", "! invalid proto: icmp"),
            ("0", "! invalid containerPort: 0"),
            ("65536", "! invalid containerPort: 65536"),
            ("-1:80", "! invalid hostPort: -1"),
            ("+1:80", "! invalid hostPort: +1"),
            ("x:80", "! invalid hostPort: x"),
            ("65536:80", "! invalid hostPort: 65536"),
            ("82-80:80-82", "! invalid hostPort: 82-80"),
            ("8000-8001:80-82", "! invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
            ("localhost:8080:80", "! invalid IP address: localhost"),
            ("1.2.3:8080:80", "! invalid IP address: 1.2.3"),
            ("[::g]:8080:80", "! invalid IP address: ::g"),
            ("80/tcp/udp", "! invalid proto: tcp/udp"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn exposed_ports() {
        assert_eq!("80".parse::<Exposed>().unwrap().ports, Range { first: 80, last: 80 });
        let range: Exposed = "8000-8010/udp".parse().unwrap();
        assert_eq!((range.ports.to_string().as_str(), range.protocol), ("8000-8010", Protocol::Udp));
        for text in ["", "x", "80:80", "0", "9-8", "80/x"] {
            assert!(text.parse::<Exposed>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_understood_is_written_as_read(text in "[0-9:./\\[\\]a-z-]{0,24}") {
            if let Ok(request) = text.parse::<Request>() {
                prop_assert_eq!(request.to_string().parse::<Request>().unwrap(), request.clone());
                prop_assert_eq!(request.bindings().count(), usize::from(request.container.span()) + 1);
            }
        }
    }
}
