//! Starting containers and entering them, against the kernel: what a program in there sees of its world.
//!
//! Needs root and a static busybox. Each test runs in a process of its own (see [`bench::alone`]), in a mount namespace of
//! its own, so that nothing it mounts or leaves behind shows anywhere else.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests")]

#[path = "runtime/attacks.rs"]
mod attacks;
#[path = "runtime/bench.rs"]
mod bench;
#[path = "runtime/enter.rs"]
mod enter;
#[path = "runtime/gate.rs"]
mod gate;
#[path = "runtime/speed.rs"]
mod speed;
#[path = "runtime/terminal.rs"]
mod terminal;
#[path = "runtime/users.rs"]
mod users;
#[path = "runtime/world.rs"]
mod world;
