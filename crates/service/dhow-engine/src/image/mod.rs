//! Images: one verb per file.
//!
//! [`bring`] is what `load`, `import` and later `pull` share: it takes a manifest from any source, brings in the
//! blobs and layers that are missing, and says what rows the image needs. [`resolve`] turns what a person typed into
//! an image.

mod ahead;
mod bring;
pub mod history;
pub mod import;
pub mod inspect;
pub mod list;
pub mod load;
pub mod prune;
pub mod remove;
pub mod resolve;
pub mod save;
pub mod tag;
