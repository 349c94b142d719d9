//! Addresses of links. See rtnetlink(7).

use crate::NetworkError;
use crate::netlink::{Message, Received, Socket, flag};
use crate::subnet::{Family, Subnet, from_octets, octets};
use rustix::io::Errno;
use std::net::IpAddr;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;

/// An IPv6 address is usable at once, without asking first whether somebody has it: who leases addresses knows.
const IFA_F_NODAD: u32 = 2;
/// Still asking, or found to be somebody else's.
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_DADFAILED: u32 = 8;

/// An address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The number of the link.
    pub link: u32,
    /// The address with the length of its prefix.
    pub address: Subnet,
    /// Whether packets can be sent from it (of IPv6: duplicates were looked for).
    pub usable: bool,
}

/// `struct ifaddrmsg`.
fn header(family: u8, prefix: u8, link: u32) -> [u8; 8] {
    let [a, b, c, d] = link.to_ne_bytes();
    [family, prefix, 0, 0, a, b, c, d]
}

fn message(kind: u16, flags: u16, link: u32, address: Subnet) -> Message {
    let mut message = Message::new(kind, flags).fixed(&header(address.family().number(), address.prefix(), link));
    message.attribute(IFA_LOCAL, &octets(address.address()));
    message.attribute(IFA_ADDRESS, &octets(address.address()));
    message
}

/// Gives a link an address; the route to its block comes by itself when the link is up. One that it has already is no
/// error.
///
/// # Errors
/// What the kernel says: `ENODEV` when there is no such link, `EACCES` for IPv6 where that is switched off.
pub fn add(socket: &mut Socket, link: u32, address: Subnet) -> Result<(), NetworkError> {
    let mut message = message(RTM_NEWADDR, flag::CREATE | flag::REPLACE, link, address);
    match address.family() {
        // Blocks of one or two addresses have none for broadcasts (RFC 3021).
        Family::V4 if address.prefix() < 31 => message.attribute(IFA_BROADCAST, &octets(address.broadcast())),
        Family::V4 => {}
        Family::V6 => message.number(IFA_FLAGS, IFA_F_NODAD),
    }
    socket.request(message).map_err(NetworkError::kernel("add address", format!("{address} to link {link}")))
}

/// Takes an address away; false when the link did not have it.
///
/// # Errors
/// What the kernel says.
pub fn remove(socket: &mut Socket, link: u32, address: Subnet) -> Result<bool, NetworkError> {
    match socket.request(message(RTM_DELADDR, 0, link, address)) {
        Ok(()) => Ok(true),
        Err(failure) if failure.is(Errno::ADDRNOTAVAIL) => Ok(false),
        Err(failure) => Err(NetworkError::kernel("remove address", format!("{address} of link {link}"))(failure)),
    }
}

/// All addresses of the namespace, of both families.
///
/// # Errors
/// What the kernel says.
pub fn list(socket: &mut Socket) -> Result<Vec<Address>, NetworkError> {
    let message = Message::new(RTM_GETADDR, flag::DUMP).fixed(&header(0, 0, 0));
    socket.dump(&message, parse).map_err(NetworkError::kernel("list", "addresses"))
}

fn parse(received: &Received<'_>) -> Option<Address> {
    if received.kind != RTM_NEWADDR {
        return None;
    }
    let (fixed, attributes) = received.split::<8>()?;
    let address: IpAddr = [IFA_LOCAL, IFA_ADDRESS]
        .into_iter()
        .find_map(|kind| attributes.get(kind))
        .and_then(|attribute| from_octets(attribute.value))?;
    let flags = attributes.get(IFA_FLAGS).and_then(|flags| flags.number()).unwrap_or(fixed[2].into());
    Some(Address {
        link: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        address: Subnet::new(address, fixed[1])?,
        usable: flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) == 0,
    })
}
