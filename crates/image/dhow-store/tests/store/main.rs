//! The contract of content, run against every implementation; and archives, written and read back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod conformance;
mod place;
