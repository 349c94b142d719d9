//! Layers: read, apply, and stack into a root filesystem.
//!
//! A layer is unpacked alone into one directory in the format of an overlayfs lower directory: a deleted
//! name is a character device 0:0, a directory that hides what is below it has the extended attribute
//! `trusted.overlay.opaque=y`. Nothing here knows of images, registries or the ledger: bytes come in as a
//! plain tar stream, and places are directories that the caller made.
//!
//! - [`tar`] reads archives and touches no file system;
//! - [`unpack`](mod@unpack) applies one to a directory;
//! - [`below`] looks at the layers beneath, for the rare layer that is not whole by itself;
//! - [`snapshots`] stacks layers into a root filesystem, writable or not;
//! - [`mount_plan`] says how that root is mounted, and mounts it.
//!
//! Follows the OCI image specification 1.1, `layer.md`, and the kernel's `overlayfs.rst`.

pub mod below;
pub mod error;
pub mod mount_plan;
pub mod snapshots;
pub mod tar;
pub mod unpack;

pub use below::Below;
pub use error::RootfsError;
pub use tar::{Entry, EntryKind, Limits};
pub use unpack::{NoObserver, Observer, Outcome, UnpackJob, Unpacked, Unsettled, settle, unpack};
