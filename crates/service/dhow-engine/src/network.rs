//! What dhow does with networks, one verb per file.
//!
//! "The host" of a network is the network namespace that commands run in. A network is a row of the ledger; what it needs
//! there (a bridge, kernel settings, rules) is made when somebody first needs it (`ensure`) and can always be made anew
//! from the ledger (`plan`, `reload`).
//!
//! # Predefined networks
//!
//! `bridge`, `host` and `none` are there without anybody having made them. Their ids follow from the store's. Their rows
//! are written by whoever first puts a container on them: only then the subnet of `bridge` is chosen.
//!
//! # Locks
//!
//! Who makes or removes what a network needs on the host holds the network's object lock. Our nftables table is rebuilt
//! from the ledger while all its writers are kept out, so that a port that somebody marks as stale is either not in it, or
//! taken out of it afterwards by him. The order of locks stands in `dhow-state`.

mod attach;
mod beside;
mod config;
mod connect;
mod create;
mod disconnect;
mod endpoint;
mod ensure;
mod events;
mod hold;
mod inspect;
mod lease;
mod list;
pub mod names;
mod outside;
mod plan;
mod plumb;
mod predefined;
mod prune;
mod release;
mod reload;
mod remove;
mod resolve;
mod subnets;
mod view;

pub use beside::advice;
pub use config::{Driver, GatewayMode, Ipam, NetworkConfig, StoredPool};
pub use connect::connect;
pub use create::{CreateRequest, Created, create};
pub use disconnect::disconnect;
pub use endpoint::EndpointState;
pub use inspect::inspect;
pub use list::list;
pub use prune::{NetworkFilter, prune};
pub use release::release;
pub use reload::{Reloaded, reload};
pub use remove::remove;
pub use view::{Member, NetworkView};

pub(crate) use attach::Wiring;
pub(crate) use endpoint::{asked, check_endpoint, leads_nowhere, new_endpoint};
pub(crate) use events::record;
pub(crate) use hold::hold_again;
pub(crate) use lease::{Lease, Tenant, lease};
pub(crate) use plan::port;
pub(crate) use release::{left, send as send_release};
pub(crate) use resolve::{find, find_or_make};

/// Whether a port leads to its container now.
pub(crate) fn is_published(row: &dhow_state::PortRow) -> bool {
    !row.stale && row.mode == plan::NAT
}

/// The id of a network that nobody has made.
pub(crate) fn predefined_id(engine: &crate::Engine, name: &str) -> String {
    predefined::id(engine.state.store_id(), name)
}
