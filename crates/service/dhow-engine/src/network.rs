//! Networks, one verb per file.

pub mod names;
