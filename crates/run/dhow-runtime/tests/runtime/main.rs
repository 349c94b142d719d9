//! The runtime core against the real kernel. Run as root.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cgroup;
