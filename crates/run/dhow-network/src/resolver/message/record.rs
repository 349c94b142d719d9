//! Resource records: what is read of an answer, and what is written into one.

use super::{Malformed, Name, u16_at, u32_at};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Numbers of types (RFC 1035, 3596, 2782, 6891).
pub mod kind {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// A name server.
    pub const NS: u16 = 2;
    /// Another name of.
    pub const CNAME: u16 = 5;
    /// The begin of a zone.
    pub const SOA: u16 = 6;
    /// A name for an address.
    pub const PTR: u16 = 12;
    /// Where mail goes.
    pub const MX: u16 = 15;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// Where a service is.
    pub const SRV: u16 = 33;
    /// EDNS.
    pub const OPT: u16 = 41;
    /// A transfer of what changed in a zone.
    pub const IXFR: u16 = 251;
    /// A transfer of a zone.
    pub const AXFR: u16 = 252;
    /// All there is.
    pub const ANY: u16 = 255;
}

/// The class of the internet.
pub const CLASS_IN: u16 = 1;
/// Any class.
pub const CLASS_ANY: u16 = 255;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'m> {
    /// Whom it is about.
    pub name: Name,
    /// 1 for all but EDNS, where it is the sender's largest datagram.
    pub class: u16,
    /// Seconds.
    pub ttl: u32,
    /// What it says.
    pub data: Data<'m>,
}

/// What a record says.
#[allow(clippy::large_enum_variant, reason = "records are read one at a time, and none is kept")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data<'m> {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// NS, CNAME or PTR: the type, and the name.
    Name(u16, Name),
    /// Where mail goes.
    Mx {
        /// The lower the better.
        preference: u16,
        /// The host.
        exchange: Name,
    },
    /// Where a service is.
    Srv {
        /// The lower the better.
        priority: u16,
        /// How often among those of one priority.
        weight: u16,
        /// The port.
        port: u16,
        /// The host; never compressed (RFC 2782).
        target: Name,
    },
    /// The begin of a zone: two names, and five numbers behind them.
    Soa {
        /// The first server.
        server: Name,
        /// Who to write to.
        person: Name,
        /// Serial, refresh, retry, expire, minimum.
        numbers: [u32; 5],
    },
    /// Anything else: the type, and its bytes as they are. Names in them are not compressed (RFC 3597).
    Other(u16, &'m [u8]),
}

impl Data<'_> {
    /// The number of its type.
    pub fn kind(&self) -> u16 {
        match self {
            Data::A(_) => kind::A,
            Data::Aaaa(_) => kind::AAAA,
            Data::Name(kind, _) | Data::Other(kind, _) => *kind,
            Data::Mx { .. } => kind::MX,
            Data::Srv { .. } => kind::SRV,
            Data::Soa { .. } => kind::SOA,
        }
    }
}

impl<'m> Record<'m> {
    /// Reads the record at `at`; also returns where the next one begins.
    ///
    /// # Errors
    /// [`Malformed`] says where and what.
    pub fn read(message: &'m [u8], at: usize) -> Result<(Record<'m>, usize), Malformed> {
        let (name, fixed) = Name::read(message, at)?;
        let (kind, class) = (u16_at(message, fixed)?, u16_at(message, fixed + 2)?);
        let (ttl, length) = (u32_at(message, fixed + 4)?, usize::from(u16_at(message, fixed + 8)?));
        let start = fixed + 10;
        let end = start + length;
        let bytes = message.get(start..end).ok_or(Malformed::Short { at: start })?;
        let data = read_data(message, start, kind, bytes)?;
        Ok((Record { name, class, ttl, data }, end))
    }
}

fn read_data<'m>(message: &'m [u8], start: usize, kind: u16, bytes: &'m [u8]) -> Result<Data<'m>, Malformed> {
    let malformed = Malformed::Data { at: start, kind };
    let end = start + bytes.len();
    // A name as the last thing of the data: it must end where the data ends.
    let last_name = |at: usize| match Name::read(message, at)? {
        (name, behind) if behind == end => Ok(name),
        _ => Err(Malformed::Data { at: start, kind }),
    };
    Ok(match kind {
        kind::A => Data::A(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).map_err(|_| malformed)?)),
        kind::AAAA => Data::Aaaa(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).map_err(|_| malformed)?)),
        kind::NS | kind::CNAME | kind::PTR => Data::Name(kind, last_name(start)?),
        kind::MX if bytes.len() >= 3 => {
            Data::Mx { preference: u16_at(message, start)?, exchange: last_name(start + 2)? }
        }
        kind::SRV if bytes.len() >= 7 => Data::Srv {
            priority: u16_at(message, start)?,
            weight: u16_at(message, start + 2)?,
            port: u16_at(message, start + 4)?,
            target: last_name(start + 6)?,
        },
        kind::SOA => {
            let (server, at) = Name::read(message, start)?;
            let (person, at) = Name::read(message, at)?;
            if at + 20 != end {
                return Err(malformed);
            }
            let mut numbers = [0; 5];
            for (nth, number) in numbers.iter_mut().enumerate() {
                *number = u32_at(message, at + 4 * nth)?;
            }
            Data::Soa { server, person, numbers }
        }
        kind::MX | kind::SRV => return Err(malformed),
        other => Data::Other(other, bytes),
    })
}
