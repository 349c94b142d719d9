//! Hardware addresses of Ethernet.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The one that docker gives with an IPv4 address: `02:42` and its four bytes, so that who gets an address anew gets
    /// the neighbours' knowledge of it, too. With IPv6 alone: `02:42` and a fold of all its bytes.
    pub fn of(address: IpAddr) -> Mac {
        let tail = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => {
                let mut fold = [0; 4];
                address.octets().iter().enumerate().for_each(|(index, byte)| fold[index % 4] ^= byte);
                fold
            }
        };
        Mac([0x02, 0x42, tail[0], tail[1], tail[2], tail[3]])
    }

    /// Whether one interface may have it: not a group's, not zero.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {0}: invalid MAC address")]
pub struct NotMac(pub String);

impl FromStr for Mac {
    type Err = NotMac;

    /// Six pairs of hexadecimal digits between colons or dashes (Go's `net.ParseMAC` also takes dots).
    fn from_str(text: &str) -> Result<Mac, NotMac> {
        let wrong = || NotMac(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut pieces = text.split(separator);
        for byte in &mut bytes {
            let piece = pieces.next().filter(|piece| piece.len() == 2 && !piece.starts_with('+')).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(piece, 16).map_err(|_| wrong())?;
        }
        if pieces.next().is_some() { Err(wrong()) } else { Ok(Mac(bytes)) }
    }
}

impl serde::Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_as_docker_does() {
        assert_eq!(Mac::of("172.17.0.2".parse().unwrap()).to_string(), "02:42:ac:11:00:02");
        let (a, b) = (Mac::of("fd00::2".parse().unwrap()), Mac::of("fd00::3".parse().unwrap()));
        assert!(a != b && a.is_unicast() && b.is_unicast());
    }

    #[test]
    fn text_back_and_forth() {
        assert_eq!("02-42-AC-11-00-02".parse::<Mac>().unwrap().to_string(), "02:42:ac:11:00:02");
        for text in ["", "02:42", "02:42:ac:11:00:02:03", "02:42:ac:11:00:0g", "2:42:ac:11:00:02", "02:42:ac:11:00:+2"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
        assert!(!"01:00:5e:00:00:01".parse::<Mac>().unwrap().is_unicast());
    }
}
