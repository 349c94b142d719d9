//! The runtime core: from an OCI `config.json` and a root filesystem to a process in namespaces of its own.
//!
//! Must not know images, the ledger or the command line.
//!
//! # Words
//!
//! - the **spec** is an [`oci_spec::runtime::Spec`]: what the container's process sees and may do;
//! - the **root** is the fd of a detached mount ([`dhow_sys::mount`]), attached in the container's own mount namespace;
//! - the **gate** is a pipe at which the container's first process waits until it was written down who it is.
//!
//! # Lifecycle
//!
//! ```text
//!     Cgroup::create -> start() -> Starting (waits at the gate) -- release --> Running (exec has happened)
//!                                     | drop: the process ends, nothing of it is left
//! ```

pub mod cgroup;
pub mod error;
pub mod hooks;
pub mod rlimits;
pub mod seccomp;
pub mod start;
pub mod status;

pub use error::RuntimeError;
