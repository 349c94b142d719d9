//! Networks: links, addresses, routes, the firewall, ports, and what they are called. All over netlink, from our own
//! process: no `ip`, `iptables` or `nft` program is needed.
//!
//! Must not know containers, images or the ledger: the caller says what there is to be, and keeps what was decided.
//!
//! # Words
//!
//! - a **network namespace** ([`netns::Netns`]) has links, addresses, routes and a firewall of its own;
//! - a **bridge** is the switch of a network on the host; a **veth** is the wire from it to a container's `eth0`;
//! - a **subnet** ([`Subnet`]) is a block of addresses; **ipam** decides who gets which, from what the caller knows;
//! - a **plan** ([`firewall::Plan`]) is the whole of our nftables table, as a value that can be printed;
//! - **beside** our table are those of others ([`beside`]), which may drop what ours accepts;
//! - a **published port** is an element of a map in that table: host address and port to container address and port.
//!
//! # Lifecycle of a network and of a container on it
//!
//! ```text
//!     ipam::choose_subnet -> link::create_bridge -> address::add (gateways) -> set_up -> sysctl -> Firewall::rebuild
//!         Netns::new -> link::create_veth -> lo, addresses, eth0 up, routes -> Firewall::change (ports)
//!         Firewall::change (ports away), conntrack::forget -> the namespace ends, and the veth with it
//!     link::delete -> Firewall::rebuild
//! ```

pub mod address;
pub mod beside;
pub mod conntrack;
pub mod error;
pub mod firewall;
pub mod ipam;
pub mod link;
pub mod mac;
pub mod netlink;
pub mod netns;
pub mod ports;
pub mod resolver;
pub mod route;
pub mod subnet;
pub mod sysctl;

pub use error::NetworkError;
pub use mac::Mac;
pub use subnet::{Family, Subnet};
