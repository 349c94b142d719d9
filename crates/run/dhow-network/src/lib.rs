//! Networks of containers.
//!
//! Must not know images, containers beyond their ids, or the ledger.

pub mod resolver;
