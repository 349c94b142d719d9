//! The words of the field, without policy: references, digests, platforms, media types, image documents, Dockerfile
//! instructions and error kinds. Parsers here take text or bytes and do no I/O.
//!
//! Follows the OCI image specification 1.1, Docker's image specification 1.3 (which adds fields to the configuration),
//! the grammar of `distribution/reference` and the Dockerfile reference.

pub mod change;
pub mod digest;
pub mod dockerfile;
pub mod document;
pub mod duration;
pub mod error_kind;
pub mod image_config;
pub mod media_type;
pub mod platform;
pub mod reference;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use error_kind::{Classify, Kind};
pub use image_config::ImageConfig;
pub use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError};
