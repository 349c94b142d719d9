//! The `regex` crate as `oci-spec` uses it: two ASCII patterns (image references, CPU lists), matched by `regex-lite`.
//!
//! The real one brings Unicode tables full of pointers. In a position-independent program each pointer is relocated at
//! start, so 190 KiB of them became private memory of every process of dhow, once per running container.

pub use regex_lite::{Regex, RegexBuilder};
