//! Links: bridges, veths, macvlans and the like; making, changing, listing and deleting them. See rtnetlink(7).
//!
//! Each function takes the netlink socket of the network namespace that it acts on ([`crate::netns::Netns::route`]).
//!
//! # Worked example
//!
//! The wire of a container: its end is made inside its namespace under its final name, the host's end is up and in the
//! bridge, all in one message. `IFF_UP` for the container's end must not be in there (`ENOTCONN`): that comes later.
//!
//! ```no_run
//! # use dhow_network::{NetworkError, link::{self, Kind, New}, netlink::{Protocol, Socket}, netns::Netns};
//! # let (mut host, container, bridge) = (Socket::open(Protocol::Route).unwrap(), Netns::new()?, 7);
//! let veth = Kind::Veth { peer: "eth0".into(), namespace: Some(&container), mac: None };
//! link::create(&mut host, &New { master: Some(bridge), up: true, ..New::named("dv0123456789a", veth) })?;
//! let mut inside = container.route()?;
//! link::set_up(&mut inside, "lo")?;
//! link::set_up(&mut inside, "eth0")?;
//! # Ok::<(), NetworkError>(())
//! ```

mod create;

pub use create::{BridgeOptions, IpvlanMode, Kind, MacvlanMode, New, create};

use crate::NetworkError;
use crate::mac::Mac;
use crate::netlink::{Attributes, Message, Received, Socket, flag};
use crate::netns::Netns;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_INFO_KIND: u16 = 1;

const IFF_UP: u32 = 1;
const IFF_RUNNING: u32 = 0x40;

/// The longest name of a link, in bytes.
pub const NAME_MAX: usize = 15;

/// The bridge of the default network of the default store.
pub const DEFAULT_BRIDGE: &str = "dhow0";

/// The name of a network's bridge: `dh-` and the first 12 digits of its id.
pub fn bridge_name(network: &str) -> String {
    format!("dh-{}", network.get(..12).unwrap_or(network))
}

/// The name of the host's end of a container's wire: `dv` and the first 11 digits of the endpoint's id.
pub fn veth_name(endpoint: &str) -> String {
    format!("dv{}", endpoint.get(..11).unwrap_or(endpoint))
}

/// A link, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, `macvlan`, ...; none for real hardware and `lo`.
    pub kind: Option<String>,
    /// Its hardware address, when it is one of Ethernet.
    pub mac: Option<Mac>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Whether it was set up (`IFF_UP`).
    pub up: bool,
    /// Whether it carries packets (`IFF_RUNNING`).
    pub running: bool,
    /// The bridge (or bond) that it belongs to.
    pub master: Option<u32>,
    /// The link that it is on top of, or a veth's other end, by the number in its own namespace.
    pub parent: Option<u32>,
}

/// `struct ifinfomsg`.
fn info(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn parse(received: &Received<'_>) -> Option<Link> {
    if received.kind != RTM_NEWLINK {
        return None;
    }
    let (fixed, attributes) = received.split::<16>()?;
    let number = |range: std::ops::Range<usize>| Some(u32::from_ne_bytes(fixed.get(range)?.try_into().ok()?));
    let flags = number(8..12)?;
    let one = |kind| attributes.get(kind).and_then(|attribute| attribute.number());
    Some(Link {
        index: number(4..8)?,
        name: attributes.get(IFLA_IFNAME)?.text()?.to_owned(),
        kind: kind(attributes),
        mac: attributes.get(IFLA_ADDRESS).and_then(|attribute| Some(Mac(attribute.value.try_into().ok()?))),
        mtu: one(IFLA_MTU).unwrap_or_default(),
        up: flags & IFF_UP != 0,
        running: flags & IFF_RUNNING != 0,
        master: one(IFLA_MASTER),
        parent: one(IFLA_LINK),
    })
}

fn kind(attributes: Attributes<'_>) -> Option<String> {
    Some(attributes.get(IFLA_LINKINFO)?.nested().get(IFLA_INFO_KIND)?.text()?.to_owned())
}

/// Leaves the counters out of the answer (`RTEXT_FILTER_SKIP_STATS`): most of its bytes.
fn without_statistics(message: &mut Message) {
    message.number(IFLA_EXT_MASK, 8);
}

/// The link of this name; none when there is no such.
///
/// # Errors
/// What the kernel says.
pub fn get(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetworkError> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Ok(None);
    }
    let mut message = Message::new(RTM_GETLINK, 0).fixed(&info(0, 0, 0));
    message.text(IFLA_IFNAME, name);
    without_statistics(&mut message);
    let mut found = None;
    match socket.exchange(message, |received| found = parse(received)) {
        Ok(()) => Ok(found),
        Err(failure) if failure.is(Errno::NODEV) => Ok(None),
        Err(failure) => Err(NetworkError::kernel("look for link", name)(failure)),
    }
}

/// The number of the link of this name.
///
/// # Errors
/// `Missing`, or what the kernel says.
pub fn index(socket: &mut Socket, name: &str) -> Result<u32, NetworkError> {
    let link = get(socket, name)?;
    link.map(|link| link.index).ok_or_else(|| NetworkError::Missing { what: "link", name: name.to_owned() })
}

/// All links of the namespace.
///
/// # Errors
/// What the kernel says.
pub fn list(socket: &mut Socket) -> Result<Vec<Link>, NetworkError> {
    let mut message = Message::new(RTM_GETLINK, flag::DUMP).fixed(&info(0, 0, 0));
    without_statistics(&mut message);
    socket.dump(&message, parse).map_err(NetworkError::kernel("list", "links"))
}

/// Deletes a link; false when it was gone already. The other end of a veth goes with it.
///
/// # Errors
/// What the kernel says: `EOPNOTSUPP` for what cannot be deleted, as `lo`.
pub fn delete(socket: &mut Socket, name: &str) -> Result<bool, NetworkError> {
    let mut message = Message::new(RTM_DELLINK, 0).fixed(&info(0, 0, 0));
    message.text(IFLA_IFNAME, name);
    match socket.request(message) {
        Ok(()) => Ok(true),
        Err(failure) if failure.is(Errno::NODEV) => Ok(false),
        Err(failure) => Err(NetworkError::kernel("delete link", name)(failure)),
    }
}

/// Sets a link up.
///
/// # Errors
/// What the kernel says: `ENODEV` when there is none of this name.
pub fn set_up(socket: &mut Socket, name: &str) -> Result<(), NetworkError> {
    change(socket, name, "set up link", IFF_UP, IFF_UP, |_| {})
}

/// Sets a link down.
///
/// # Errors
/// As [`set_up`].
pub fn set_down(socket: &mut Socket, name: &str) -> Result<(), NetworkError> {
    change(socket, name, "set down link", 0, IFF_UP, |_| {})
}

/// Puts a link into a bridge, or takes it out.
///
/// # Errors
/// As [`set_up`].
pub fn set_master(socket: &mut Socket, name: &str, bridge: Option<u32>) -> Result<(), NetworkError> {
    change(socket, name, "set the bridge of link", 0, 0, |message| message.number(IFLA_MASTER, bridge.unwrap_or(0)))
}

/// Lets a link of a bridge get back what came in by it. A container that reaches its own published port needs that where
/// br_netfilter translates ahead of the bridge ([`crate::sysctl::bridges_call_the_firewall`]).
///
/// # Errors
/// As [`set_up`]; `EINVAL` for a link that is in no bridge.
pub fn set_hairpin(socket: &mut Socket, name: &str, on: bool) -> Result<(), NetworkError> {
    const IFLA_BRPORT_MODE: u16 = 4;
    set_of_port(socket, name, "set the hairpin mode of link", IFLA_BRPORT_MODE, on)
}

/// Keeps a link of a bridge apart from the others of it that are kept apart: they reach the host and nobody else.
///
/// # Errors
/// As [`set_hairpin`].
pub fn set_isolated(socket: &mut Socket, name: &str, on: bool) -> Result<(), NetworkError> {
    const IFLA_BRPORT_ISOLATED: u16 = 33;
    set_of_port(socket, name, "isolate link", IFLA_BRPORT_ISOLATED, on)
}

fn set_of_port(
    socket: &mut Socket,
    name: &str,
    operation: &'static str,
    option: u16,
    on: bool,
) -> Result<(), NetworkError> {
    const IFLA_INFO_SLAVE_KIND: u16 = 4;
    const IFLA_INFO_SLAVE_DATA: u16 = 5;
    let mut message = Message::new(RTM_NEWLINK, 0).fixed(&info(0, 0, 0));
    message.text(IFLA_IFNAME, name);
    message.nest(IFLA_LINKINFO, |message| {
        message.text(IFLA_INFO_SLAVE_KIND, "bridge");
        message.nest(IFLA_INFO_SLAVE_DATA, |message| message.attribute(option, &[on.into()]));
    });
    socket.request(message).map_err(NetworkError::kernel(operation, name))
}

/// Sets the largest packet, in bytes.
///
/// # Errors
/// As [`set_up`]; `EINVAL` for a size that it cannot have.
pub fn set_mtu(socket: &mut Socket, name: &str, mtu: u32) -> Result<(), NetworkError> {
    change(socket, name, "set the MTU of link", 0, 0, |message| message.number(IFLA_MTU, mtu))
}

/// Sets the hardware address.
///
/// # Errors
/// As [`set_up`].
pub fn set_mac(socket: &mut Socket, name: &str, mac: Mac) -> Result<(), NetworkError> {
    change(socket, name, "set the hardware address of link", 0, 0, |message| message.attribute(IFLA_ADDRESS, &mac.0))
}

/// Gives a link another name. Kernels before 6.4 want it to be down.
///
/// # Errors
/// As [`set_up`]; `EEXIST` when another link has the name.
pub fn rename(socket: &mut Socket, name: &str, new: &str) -> Result<(), NetworkError> {
    check(new)?;
    let index = index(socket, name)?;
    let mut message = Message::new(RTM_SETLINK, 0).fixed(&info(index, 0, 0));
    message.text(IFLA_IFNAME, new);
    socket.request(message).map_err(NetworkError::kernel("rename link", format!("{name} to {new}")))
}

/// Moves a link to another namespace, under a new name where one is given. It is down afterwards, without addresses.
///
/// # Errors
/// As [`set_up`]; `EEXIST` when a link there has the name.
pub fn move_to(socket: &mut Socket, name: &str, target: &Netns, new: Option<&str>) -> Result<(), NetworkError> {
    let index = index(socket, name)?;
    let mut message = Message::new(RTM_SETLINK, 0).fixed(&info(index, 0, 0));
    namespace(&mut message, target);
    if let Some(new) = new {
        check(new)?;
        message.text(IFLA_IFNAME, new);
    }
    socket.request(message).map_err(NetworkError::kernel("move link", name))
}

fn change(
    socket: &mut Socket,
    name: &str,
    operation: &'static str,
    flags: u32,
    mask: u32,
    fill: impl FnOnce(&mut Message),
) -> Result<(), NetworkError> {
    let mut message = Message::new(RTM_SETLINK, 0).fixed(&info(0, flags, mask));
    message.text(IFLA_IFNAME, name);
    fill(&mut message);
    socket.request(message).map_err(NetworkError::kernel(operation, name))
}

fn namespace(message: &mut Message, target: &Netns) {
    let fd = u32::try_from(target.as_fd().as_raw_fd()).expect("a descriptor is not negative");
    message.number(IFLA_NET_NS_FD, fd);
}

/// Whether the kernel takes this name; it speaks of EINVAL only.
fn check(name: &str) -> Result<(), NetworkError> {
    let problem = if name.is_empty() || name.len() > NAME_MAX {
        "it must have 1 to 15 bytes"
    } else if matches!(name, "." | "..") || name.bytes().any(|byte| byte == b'/' || byte == b':' || byte <= b' ') {
        "it must not hold '/', ':' or white space"
    } else {
        return Ok(());
    };
    Err(NetworkError::Invalid { what: "interface name", value: name.to_owned(), problem: problem.to_owned() })
}
