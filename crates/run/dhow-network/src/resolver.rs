//! The DNS resolver of a network: one unprivileged process, to which each container comes at 127.0.0.11.
//!
//! Must not know containers beyond their ids, nor the ledger. RFC 1035 and its successors, as docker's resolver does it.
//!
//! # Words
//!
//! - a **client** is a container that asks; its **listeners** lie in its own network namespace;
//! - the **zone** of a network is the names that are ours ([`zone`]);
//! - an **upstream** server is asked for all other names (`forward.rs`), from the container's namespace or the host's;
//! - the **control socket** is where all of that is handed in ([`control`]).
//!
//! # The way of a query
//!
//! ```text
//!     container --127.0.0.11:53--> nft: high port --> serve/client.rs --> message.rs --> answer.rs --> zone.rs
//!                                                          |                                 '--> answer
//!                                                          '--> forward.rs --> upstream --> checked --> answer
//! ```
//!
//! # Lifecycle
//!
//! Started by who needs it first ([`control::Control::launch`]), it becomes nobody (`confine.rs`) before it reads
//! anything but how to begin, and ends when nothing is left to serve. Killed, it has lost nothing but the queries under
//! way: what it was handed in is held by who follows it ([`control::Record`]), listeners with the queries in them.

pub mod answer;
mod confine;
pub mod control;
mod forward;
pub mod message;
pub mod resolv_conf;
mod serve;
pub mod zone;

pub use serve::serve;
