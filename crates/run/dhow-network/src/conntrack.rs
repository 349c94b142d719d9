//! Connection tracking: what the kernel remembers of flows has to be forgotten when ports change (ctnetlink).
//!
//! The tables of ports are asked only for the first packet of a flow. A client of UDP that goes on sending from one port
//! (a resolver, a game) would reach whom it reached before: nobody, or the next owner of the address. A connection of TCP
//! ends with its ends, but the kernel remembers one for days of which it has not seen the end, and whoever sends from its
//! port again is taken where it led, published or not.

use crate::NetworkError;
use crate::netlink::{Attributes, Message, Received, Socket, flag};
use crate::ports::{Port, Protocol};
use crate::subnet::{Family, from_octets, octets};
use rustix::io::Errno;
use std::collections::HashSet;
use std::net::IpAddr;

/// Messages: the subsystem in the upper byte.
const NEW: u16 = 1 << 8;
const GET: u16 = NEW | 1;
const DELETE: u16 = NEW | 2;

const CTA_TUPLE_ORIGINAL: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;

/// `NLA_F_NESTED` is in the bytes of what is repeated to the kernel.
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;

/// One direction of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Direction {
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    /// The port that it goes to; 0 for protocols that have none.
    port: u16,
}

/// What the kernel remembers.
#[derive(Debug)]
struct Flow {
    original: Direction,
    reply: Direction,
    /// The original direction as the kernel wrote it, to name it by.
    tuple: Vec<u8>,
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

/// Forgets the flows that were sent to these ports of the host, and tells how many: of TCP those that lead where the port
/// led. To be called after the ports were changed, for those that went, and but for TCP for those that came.
///
/// The kernel goes through its whole table for it, tens of milliseconds where that is large: once for each family that
/// has such ports, and off the path that somebody waits for.
///
/// # Errors
/// What the kernel says, but for flows that ended meanwhile.
pub fn forget_ports(socket: &mut Socket, ports: &[Port]) -> Result<usize, NetworkError> {
    let mut forgotten = 0;
    for family in [Family::V4, Family::V6] {
        let ports: Vec<_> = ports.iter().filter(|port| port.family() == family).collect();
        let only = match ports[..] {
            [] => continue,
            [one] => Some(one),
            _ => None,
        };
        let sent_to = |flow: &Flow| {
            let to = &flow.original;
            ports.iter().any(|port| {
                (to.protocol, to.port) == (port.protocol().number(), port.port())
                    && (port.address().is_unspecified() || to.destination == port.address())
                    && (port.protocol() != Protocol::Tcp || flow.reply.source == port.to().ip())
            })
        };
        forgotten += forget(socket, family, only, sent_to)?;
    }
    Ok(forgotten)
}

/// Forgets all flows that any of these addresses has a part in, and tells how many. To be called when their owners have
/// ended, before they get the next ones. The kernel goes through its whole table once for each family.
///
/// # Errors
/// As [`forget_ports`].
pub fn forget_addresses(socket: &mut Socket, addresses: &[IpAddr]) -> Result<usize, NetworkError> {
    let addresses: HashSet<IpAddr> = addresses.iter().copied().collect();
    let part = |one: &Direction| addresses.contains(&one.source) || addresses.contains(&one.destination);
    let concerns = |flow: &Flow| part(&flow.original) || part(&flow.reply);
    let mut forgotten = 0;
    for family in [Family::V4, Family::V6] {
        if addresses.iter().any(|address| Family::of(*address) == family) {
            forgotten += forget(socket, family, None, concerns)?;
        }
    }
    Ok(forgotten)
}

fn forget(
    socket: &mut Socket,
    family: Family,
    port: Option<&Port>,
    concerns: impl Fn(&Flow) -> bool,
) -> Result<usize, NetworkError> {
    let mut forgotten = 0;
    for flow in flows(socket, family, port)?.iter().filter(|flow| concerns(flow)) {
        match socket.request(deletion(family, flow)) {
            Ok(()) => forgotten += 1,
            Err(failure) if failure.is(Errno::NOENT) => {}
            Err(failure) => {
                let flow = format!("to {}:{}", flow.original.destination, flow.original.port);
                return Err(NetworkError::kernel("forget the flow", flow)(failure));
            }
        }
    }
    Ok(forgotten)
}

fn message(kind: u16, flags: u16, family: Family) -> Message {
    Message::new(kind, flags).fixed(&[family.number(), 0, 0, 0])
}

fn deletion(family: Family, flow: &Flow) -> Message {
    let mut message = message(DELETE, 0, family);
    message.nest(CTA_TUPLE_ORIGINAL, |tuple| tuple.raw(&flow.tuple));
    if let Some(id) = &flow.id {
        message.attribute(CTA_ID, id);
    }
    if let Some(zone) = &flow.zone {
        message.attribute(CTA_ZONE, zone);
    }
    message
}

/// The flows of a family; those to one port only, where the kernel can choose (5.8), else all.
fn flows(socket: &mut Socket, family: Family, port: Option<&Port>) -> Result<Vec<Flow>, NetworkError> {
    let all = message(GET, flag::DUMP, family);
    let mut result = socket.dump(&port.map_or_else(|| all.clone(), |port| chosen(family, port)), parse);
    if port.is_some() && result.as_ref().is_err_and(|failure| failure.is(Errno::INVAL) || failure.is(Errno::OPNOTSUPP))
    {
        result = socket.dump(&all, parse);
    }
    result.map_err(NetworkError::kernel("list", "flows"))
}

fn chosen(family: Family, port: &Port) -> Message {
    const IP_DESTINATION: u32 = 1 << 1;
    const PROTOCOL: u32 = 1 << 3;
    const PORT: u32 = 1 << 5;
    let mut message = message(GET, flag::DUMP, family);
    let mut which = PROTOCOL | PORT;
    message.nest(CTA_TUPLE_ORIGINAL, |tuple| {
        if !port.address().is_unspecified() {
            which |= IP_DESTINATION;
            let kind = if family == Family::V4 { 2 } else { 4 };
            tuple.nest(CTA_TUPLE_IP, |ip| ip.attribute(kind, &octets(port.address())));
        }
        tuple.nest(CTA_TUPLE_PROTO, |proto| {
            proto.attribute(1, &[port.protocol().number()]);
            proto.attribute(3, &port.port().to_be_bytes());
        });
    });
    message.nest(CTA_FILTER, |filter| {
        filter.number(1, which);
        filter.number(2, 0);
    });
    message
}

fn parse(received: &Received<'_>) -> Option<Flow> {
    if received.kind != NEW {
        return None;
    }
    let (_, attributes) = received.split::<4>()?;
    let original = attributes.get(CTA_TUPLE_ORIGINAL)?;
    let bytes = |kind| attributes.get(kind).map(|attribute| attribute.value.to_vec());
    Some(Flow {
        original: direction(original.nested())?,
        reply: direction(attributes.get(CTA_TUPLE_REPLY)?.nested())?,
        tuple: original.value.to_vec(),
        id: bytes(CTA_ID),
        zone: bytes(CTA_ZONE),
    })
}

fn direction(tuple: Attributes<'_>) -> Option<Direction> {
    let ip = tuple.get(CTA_TUPLE_IP)?.nested();
    let proto = tuple.get(CTA_TUPLE_PROTO)?.nested();
    let address = |kinds: [u16; 2]| kinds.into_iter().find_map(|kind| from_octets(ip.get(kind)?.value));
    Some(Direction {
        protocol: *proto.get(1)?.value.first()?,
        source: address([1, 3])?,
        destination: address([2, 4])?,
        port: proto.get(3).and_then(|port| Some(u16::from_be_bytes(port.value.try_into().ok()?))).unwrap_or(0),
    })
}
