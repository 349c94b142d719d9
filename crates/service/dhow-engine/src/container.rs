//! What dhow does with containers, one verb per file.
//!
//! Every verb takes a container by id, unique prefix of an id, or name. What has to be undone when something fails or
//! dies halfway is written down first: see `dhow-state`.

pub mod request;
pub mod spec;
pub mod view;

mod verbs;
pub use verbs::*;
