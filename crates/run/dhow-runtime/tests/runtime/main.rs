//! The runtime core against the kernel: control groups; containers that are started and entered, and what a program in
//! there sees of its world.
//!
//! Needs root and a static busybox. Each test runs in a process of its own (see [`bench::alone`]), in a mount namespace of
//! its own, so that nothing it mounts or leaves behind shows anywhere else.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests")]

mod attacks;
mod bench;
mod cgroup;
mod enter;
mod gate;
mod speed;
mod terminal;
mod users;
mod visible;
mod world;
