//! The only crate with unsafe code, and the system calls that the others build on.
//!
//! Everything here is a thin, safe wrapper: no policy, no state, no paths of dhow's own. Paths that
//! come from an image or a container are resolved with `openat2` inside a root, never by name.

pub mod bpf;
pub mod carried;
pub mod clone;
pub mod exec;
pub mod inherited;
pub mod lock;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod parcel;
pub mod passing;
pub mod pidfd;
pub mod process;
pub mod procfs;
pub mod program;
mod raw;
pub mod schedule;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod tree;
pub mod xtables;
