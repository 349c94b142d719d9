//! The ledger against the real kernel, real file systems and other processes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print what they measure")]

mod check;
mod containers;
mod crash;
mod events;
mod garbage;
mod images;
mod networks;
mod operations;
mod places;
mod processes;
mod roles;
mod store;
mod timing;
