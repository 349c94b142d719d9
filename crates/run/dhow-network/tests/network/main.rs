//! Networks against the kernel. Needs root.
//!
//! Everything happens in network namespaces of the tests' own: threads enter them, sockets stay in them. Nothing in the
//! namespace that the tests are started in is touched.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests")]

mod beside;
mod conntrack;
mod corpus;
mod firewall;
mod links;
mod netns;
mod packets;
mod ports;
mod resolver;
mod sysctl;
mod times;
mod world;
