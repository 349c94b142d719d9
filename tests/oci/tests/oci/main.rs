//! What the OCI runtime specification says of a container, topic by topic, checked from inside (`dhow-oci-check`): of the
//! runtime core, behind `dhow-oci-driver`, and of runc and crun where they are installed.
//!
//! A case that fails with every runtime is a wrong case; where the others differ from the specification, or from each
//! other, the case says so. Needs root. `DHOW_RUNC` and `DHOW_CRUN` give other commands for the two, as words separated by
//! spaces; `none` leaves one out.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod bundle;
mod case;
mod runtimes;

mod capabilities;
mod devices;
mod hooks;
mod limits;
mod masks;
mod mounts;
mod namespaces;
mod process;
mod rootfs;
mod scheduling;
mod seccomp;
mod users;
