//! The ledger against the real kernel, real file systems and other processes.

mod check;
mod crash;
mod events;
mod garbage;
mod images;
mod operations;
mod places;
mod processes;
mod roles;
mod store;
mod timing;
