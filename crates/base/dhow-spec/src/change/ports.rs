//! The ports of `EXPOSE`: `80`, `80/udp`, `8000-8002`, and the long forms with host parts, of which nothing is kept.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Why a port is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// There is no port of the container.
    #[error("no port specified: {0}<empty>")]
    Missing(String),
    /// The protocol is neither tcp, udp nor sctp.
    #[error("invalid proto: {0}")]
    Protocol(String),
    /// The container's port is no number and no range.
    #[error("invalid containerPort: {0}")]
    Container(String),
    /// The host's port is no number and no range.
    #[error("invalid hostPort: {0}")]
    Host(String),
    /// The address is none.
    #[error("invalid IP address: {0}")]
    Address(String),
    /// Ranges of different length.
    #[error("invalid ranges specified for container and host Ports: {container} and {host}")]
    Ranges {
        /// The container's range.
        container: String,
        /// The host's range.
        host: String,
    },
    /// One instruction that names more ports than there are: a short line of ranges would take minutes.
    #[error("EXPOSE names more than {MOST} ports")]
    TooMany,
}

/// The ports of all three protocols.
pub(super) const MOST: usize = 3 * 65_536;

/// The ports that a word exposes, `80/tcp` each.
pub(super) fn exposed(word: &str) -> Result<Vec<String>, PortError> {
    let (rest, container) = word.rsplit_once(':').unwrap_or(("", word));
    let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    if container.is_empty() {
        return Err(PortError::Missing(word.to_owned()));
    }
    let protocol = match protocol.to_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        other => return Err(PortError::Protocol(other.to_owned())),
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(PortError::Address(address.to_owned()));
    }
    let ports = range(container).ok_or_else(|| PortError::Container(container.to_owned()))?;
    if !host.is_empty() {
        let hosts = range(host).ok_or_else(|| PortError::Host(host.to_owned()))?;
        // One port may be published on any of a range.
        if ports.len() != hosts.len() && ports.len() != 1 {
            return Err(PortError::Ranges { container: container.to_owned(), host: host.to_owned() });
        }
    }
    Ok(ports.map(|port| format!("{port}/{protocol}")).collect())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end): (u16, u16) = (number(start)?, number(end)?);
    (start <= end).then_some(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (word, expected) in [
            ("80", vec!["80/tcp"]),
            ("53/UDP", vec!["53/udp"]),
            ("80/", vec!["80/tcp"]),
            ("8000-8002/sctp", vec!["8000/sctp", "8001/sctp", "8002/sctp"]),
            ("8080:80", vec!["80/tcp"]),
            ("127.0.0.1::80", vec!["80/tcp"]),
            ("[::1]:8080:80/udp", vec!["80/udp"]),
            ("::1:8080:80", vec!["80/tcp"]),
            ("8000-8010:80", vec!["80/tcp"]),
            ("80-80", vec!["80/tcp"]),
        ] {
            assert_eq!(exposed(word), Ok(expected.into_iter().map(str::to_owned).collect()), "{word}");
        }
        assert_eq!(exposed("0-65535").map(|ports| ports.len()), Ok(65_536));
    }

    #[test]
    fn refusals() {
        for (word, message) in [
            ("", "no port specified: <empty>"),
            ("80:", "no port specified: 80:<empty>"),
            ("80/icmp", "invalid proto: icmp"),
            ("http", "invalid containerPort: http"),
            ("65536", "invalid containerPort: 65536"),
            ("-1", "invalid containerPort: -1"),
            ("+1", "invalid containerPort: +1"),
            ("9-8", "invalid containerPort: 9-8"),
            ("x:80", "invalid hostPort: x"),
            ("a.b:1:80", "invalid IP address: a.b"),
            ("1-2:1-3", "invalid ranges specified for container and host Ports: 1-3 and 1-2"),
        ] {
            assert_eq!(exposed(word).map_err(|e| e.to_string()), Err(message.to_owned()), "{word}");
        }
    }
}
