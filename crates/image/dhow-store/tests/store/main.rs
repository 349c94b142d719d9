//! The contract of content, run against every implementation; and archives, written and read back.

mod archive;
mod conformance;
mod place;
