//! Routes. See rtnetlink(7).

use crate::NetworkError;
use crate::netlink::{Message, Received, Socket, flag};
use crate::subnet::{Family, Subnet, from_octets, octets};
use rustix::io::Errno;
use std::net::IpAddr;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;

const RT_TABLE_MAIN: u32 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTNH_F_ONLINK: u32 = 4;
const RTM_F_CLONED: u32 = 0x200;

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where to; a prefix of length 0 is the default route.
    pub to: Subnet,
    /// By way of whom; none: the destination is on the link itself.
    pub via: Option<IpAddr>,
    /// The number of the link; none: where `via` is.
    pub link: Option<u32>,
    /// Which one goes first: the smaller. 0 is the kernel's default (of IPv6: 1024).
    pub metric: u32,
    /// `via` is taken to be on the link even if no address of the link says so.
    pub onlink: bool,
    /// The source address to prefer.
    pub source: Option<IpAddr>,
}

impl Route {
    /// The default route by way of a gateway.
    pub fn default_via(gateway: IpAddr, link: u32) -> Route {
        let to = Subnet::new(Family::of(gateway).unspecified(), 0).expect("0 bits are not too many");
        Route { to, via: Some(gateway), link: Some(link), metric: 0, onlink: false, source: None }
    }

    /// To a block that is on the link itself.
    pub fn direct(to: Subnet, link: u32) -> Route {
        Route { to, via: None, link: Some(link), metric: 0, onlink: false, source: None }
    }
}

/// `struct rtmsg`.
fn header(family: u8, prefix: u8, scope: u8, kind: u8, flags: u32) -> [u8; 12] {
    let [a, b, c, d] = flags.to_ne_bytes();
    let protocol = if kind == 0 { 0 } else { RTPROT_STATIC };
    let table = if kind == 0 { 0 } else { RT_TABLE_MAIN as u8 };
    [family, prefix, 0, 0, table, protocol, scope, kind, a, b, c, d]
}

fn message(kind: u16, flags: u16, route: &Route) -> Message {
    let scope = if route.via.is_none() && route.to.family() == Family::V4 { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE };
    let onlink = if route.onlink { RTNH_F_ONLINK } else { 0 };
    let fixed = header(route.to.family().number(), route.to.prefix(), scope, RTN_UNICAST, onlink);
    let mut message = Message::new(kind, flags).fixed(&fixed);
    if route.to.prefix() > 0 {
        message.attribute(RTA_DST, &octets(route.to.masked().address()));
    }
    if let Some(via) = route.via {
        message.attribute(RTA_GATEWAY, &octets(via));
    }
    if let Some(link) = route.link {
        message.number(RTA_OIF, link);
    }
    if route.metric > 0 {
        message.number(RTA_PRIORITY, route.metric);
    }
    if let Some(source) = route.source {
        message.attribute(RTA_PREFSRC, &octets(source));
    }
    message
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to)?;
        self.via.map_or(Ok(()), |via| write!(f, " via {via}"))?;
        self.link.map_or(Ok(()), |link| write!(f, " on link {link}"))
    }
}

/// Adds a route, in place of one to the same destination with the same metric.
///
/// # Errors
/// What the kernel says: `ENETUNREACH` when the gateway cannot be reached, `ENETDOWN` when the link is down.
pub fn add(socket: &mut Socket, route: &Route) -> Result<(), NetworkError> {
    let message = message(RTM_NEWROUTE, flag::CREATE | flag::REPLACE, route);
    socket.request(message).map_err(NetworkError::kernel("add route to", route.to_string()))
}

/// Removes a route; false when there was none.
///
/// # Errors
/// What the kernel says.
pub fn remove(socket: &mut Socket, route: &Route) -> Result<bool, NetworkError> {
    match socket.request(message(RTM_DELROUTE, 0, route)) {
        Ok(()) => Ok(true),
        Err(failure) if failure.is(Errno::SRCH) => Ok(false),
        Err(failure) => Err(NetworkError::kernel("remove route to", route.to_string())(failure)),
    }
}

/// All unicast routes of the namespace and of both families, of every table but the kernel's own (`local`): what a new
/// network must not collide with.
///
/// # Errors
/// What the kernel says.
pub fn list(socket: &mut Socket) -> Result<Vec<Route>, NetworkError> {
    let mut all = Vec::new();
    for family in [Family::V4, Family::V6] {
        let message = Message::new(RTM_GETROUTE, flag::DUMP).fixed(&header(family.number(), 0, 0, 0, 0));
        match socket.dump(&message, |received| parse(received, family)) {
            Ok(routes) => all.extend(routes),
            // A kernel without IPv6 has no routes of it.
            Err(failure) if family == Family::V6 && failure.is(Errno::OPNOTSUPP) => {}
            Err(failure) => return Err(NetworkError::kernel("list", "routes")(failure)),
        }
    }
    Ok(all)
}

fn parse(received: &Received<'_>, family: Family) -> Option<Route> {
    if received.kind != RTM_NEWROUTE {
        return None;
    }
    let (fixed, attributes) = received.split::<12>()?;
    let flags = u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
    let number = |kind| attributes.get(kind).and_then(|attribute| attribute.number());
    let table = number(RTA_TABLE).unwrap_or(fixed[4].into());
    if fixed[0] != family.number() || fixed[7] != RTN_UNICAST || flags & RTM_F_CLONED != 0 || table == 255 {
        return None;
    }
    let address = |kind| attributes.get(kind).and_then(|attribute| from_octets(attribute.value));
    Some(Route {
        to: Subnet::new(address(RTA_DST).unwrap_or(family.unspecified()), fixed[1])?,
        via: address(RTA_GATEWAY),
        link: number(RTA_OIF),
        metric: number(RTA_PRIORITY).unwrap_or_default(),
        onlink: flags & RTNH_F_ONLINK != 0,
        source: address(RTA_PREFSRC),
    })
}
