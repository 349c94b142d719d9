//! Bytes of images: where they come from, where they go to, and the proof that they are what they claim to be.
//!
//! - [`content`] is the contract: sources, sinks, names, and [`content::VerifiedReader`], the only maker of the
//!   [`content::Verified`] without which no sink makes a blob visible.
//! - [`memory`], [`local`] and [`archive`] implement it; [`copy`] moves an image from any source to any sink.
//! - [`compression`] recognises and decodes gzip and zstd by their first bytes.
//!
//! This crate knows nothing of layers as file trees (that is dhow-rootfs) and of the network.

pub mod archive;
pub mod compression;
pub mod content;
pub mod copy;
pub mod error;
pub mod local;
pub mod memory;

pub use content::{BlobSink, BlobSource, Descriptor, Ingest, Names, Verified, VerifiedReader};
pub use error::StoreError;
