//! Supervisors, clients and logs against the real kernel. The containers need root.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print what they measure")]

mod asleep;
mod caller;
mod container;
mod corpus;
mod keeper;
mod killed;
mod life;
mod log;
mod place;
mod steps;
mod tty;
