//! Making links.

use super::{
    IFF_UP, IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, RTM_NEWLINK,
    check, info, namespace,
};
use crate::NetworkError;
use crate::mac::Mac;
use crate::netlink::{Failure, Message, Socket, flag};
use crate::netns::Netns;
use rustix::io::Errno;

const IFLA_INFO_DATA: u16 = 2;

/// A link to be made.
#[derive(Debug)]
pub struct New<'a> {
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// What it is.
    pub kind: Kind<'a>,
    /// The largest packet, in bytes; of both ends of a veth. None: what the kernel takes.
    pub mtu: Option<u32>,
    /// Its hardware address; none: a random one.
    pub mac: Option<Mac>,
    /// The bridge to put it into, by number.
    pub master: Option<u32>,
    /// Whether it is up at once.
    pub up: bool,
    /// Where to make it; none: the namespace of the socket.
    pub namespace: Option<&'a Netns>,
}

impl<'a> New<'a> {
    /// A link with nothing special, down.
    pub fn named(name: impl Into<String>, kind: Kind<'a>) -> New<'a> {
        New { name: name.into(), kind, mtu: None, mac: None, master: None, up: false, namespace: None }
    }
}

/// What kind of link.
#[derive(Debug)]
pub enum Kind<'a> {
    /// A switch. Spanning tree is off.
    Bridge(BridgeOptions),
    /// One end of a wire, and its other end.
    Veth {
        /// The name of the other end.
        peer: String,
        /// Where the other end is made; none: beside this one.
        namespace: Option<&'a Netns>,
        /// The hardware address of the other end.
        mac: Option<Mac>,
    },
    /// Another hardware address on a link of the host.
    Macvlan {
        /// The host's link, by number in the namespace of the socket.
        parent: u32,
        /// Who may talk to whom.
        mode: MacvlanMode,
    },
    /// More IP addresses on the hardware address of a link of the host. The kernel may not have it.
    Ipvlan {
        /// The host's link, by number in the namespace of the socket.
        parent: u32,
        /// At which layer.
        mode: IpvlanMode,
    },
    /// A tagged VLAN on a link of the host (802.1q): `eth0.50`.
    Vlan {
        /// The host's link, by number.
        parent: u32,
        /// The tag, 1 to 4094.
        id: u16,
    },
    /// A link that leads nowhere: the parent of an internal macvlan network.
    Dummy,
}

/// Options of a bridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Keeps VLANs apart.
    pub vlan_filtering: bool,
    /// Sends multicast only to who asked for it; none: the kernel's default, yes.
    pub multicast_snooping: Option<bool>,
}

/// Who may talk to whom on a macvlan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Nobody to another of the same parent.
    Private,
    /// By way of the switch outside.
    Vepa,
    /// Directly; docker's default.
    Bridge,
    /// One alone has the parent.
    Passthru,
}

/// The layer at which an ipvlan works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvlanMode {
    /// Ethernet; docker's default.
    L2,
    /// Routed.
    L3,
    /// Routed, with connection tracking.
    L3S,
}

impl Kind<'_> {
    fn name(&self) -> &'static str {
        match self {
            Kind::Bridge(_) => "bridge",
            Kind::Veth { .. } => "veth",
            Kind::Macvlan { .. } => "macvlan",
            Kind::Ipvlan { .. } => "ipvlan",
            Kind::Vlan { .. } => "vlan",
            Kind::Dummy => "dummy",
        }
    }

    fn operation(&self) -> &'static str {
        match self {
            Kind::Bridge(_) => "create bridge",
            Kind::Veth { .. } => "create veth",
            Kind::Macvlan { .. } => "create macvlan",
            Kind::Ipvlan { .. } => "create ipvlan",
            Kind::Vlan { .. } => "create vlan",
            Kind::Dummy => "create dummy link",
        }
    }

    fn parent(&self) -> Option<u32> {
        match self {
            Kind::Macvlan { parent, .. } | Kind::Ipvlan { parent, .. } | Kind::Vlan { parent, .. } => Some(*parent),
            Kind::Bridge(_) | Kind::Veth { .. } | Kind::Dummy => None,
        }
    }

    fn data(&self, message: &mut Message, mtu: Option<u32>) {
        match self {
            Kind::Bridge(options) => {
                message.number(5, 0); // IFLA_BR_STP_STATE
                // Kernels that cannot do it refuse to be told not to, as well.
                if options.vlan_filtering {
                    message.attribute(7, &[1]);
                }
                if let Some(snooping) = options.multicast_snooping {
                    message.attribute(23, &[snooping.into()]);
                }
            }
            // VETH_INFO_PEER: a header and attributes as of a message of its own.
            Kind::Veth { peer, namespace: target, mac } => message.nest_raw(1, |message| {
                message.raw(&info(0, 0, 0));
                message.text(IFLA_IFNAME, peer);
                options(message, mtu, *mac, *target);
            }),
            Kind::Macvlan { mode, .. } => message.number(
                1,
                match mode {
                    MacvlanMode::Private => 1,
                    MacvlanMode::Vepa => 2,
                    MacvlanMode::Bridge => 4,
                    MacvlanMode::Passthru => 8,
                },
            ),
            Kind::Ipvlan { mode, .. } => message.attribute(1, &(*mode as u16).to_ne_bytes()),
            Kind::Vlan { id, .. } => message.attribute(1, &id.to_ne_bytes()),
            Kind::Dummy => {}
        }
    }
}

fn options(message: &mut Message, mtu: Option<u32>, mac: Option<Mac>, target: Option<&Netns>) {
    if let Some(mtu) = mtu {
        message.number(IFLA_MTU, mtu);
    }
    if let Some(mac) = mac {
        message.attribute(IFLA_ADDRESS, &mac.0);
    }
    if let Some(target) = target {
        namespace(message, target);
    }
}

/// Makes a link.
///
/// # Errors
/// `Invalid` for a name that no link can have; `Unsupported` when the kernel knows no such kind; what the kernel says
/// else: `EEXIST` when the name is taken (of a veth, either of both).
pub fn create(socket: &mut Socket, new: &New<'_>) -> Result<(), NetworkError> {
    check(&new.name)?;
    if let Kind::Veth { peer, .. } = &new.kind {
        check(peer)?;
    }
    let flags = if new.up { IFF_UP } else { 0 };
    let mut message = Message::new(RTM_NEWLINK, flag::CREATE | flag::EXCLUDE).fixed(&info(0, flags, flags));
    message.text(IFLA_IFNAME, &new.name);
    options(&mut message, new.mtu, new.mac, new.namespace);
    if let Some(master) = new.master {
        message.number(IFLA_MASTER, master);
    }
    if let Some(parent) = new.kind.parent() {
        message.number(IFLA_LINK, parent);
    }
    message.nest(IFLA_LINKINFO, |message| {
        message.text(IFLA_INFO_KIND, new.kind.name());
        message.nest(IFLA_INFO_DATA, |message| new.kind.data(message, new.mtu));
    });
    match socket.request(message) {
        Err(failure) if failure.is(Errno::OPNOTSUPP) && unknown(&failure) => {
            Err(NetworkError::Unsupported { feature: format!("{} links", new.kind.name()) })
        }
        other => other.map_err(NetworkError::kernel(new.kind.operation(), &new.name)),
    }
}

/// Whether it is the kind of link that the kernel does not know, and not one of its options.
fn unknown(failure: &Failure) -> bool {
    failure.words.as_deref().is_some_and(|words| words.contains("device type"))
}
