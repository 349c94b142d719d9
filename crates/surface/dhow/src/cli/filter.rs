//! Values that filters of several nouns have.

use super::moment::moment;
use super::{Failure, global};

/// Of `label`: a key, and a value if it matters.
pub(crate) fn label(value: &str) -> (String, Option<String>) {
    match value.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (value.to_owned(), None),
    }
}

/// Of `until`: a moment, nanoseconds since the Unix epoch.
pub(crate) fn until(value: &str) -> Result<i64, Failure> {
    moment(value, global::now()).ok_or_else(|| {
        Failure::error(format!("invalid filter 'until={value}'"))
            .with_hint("give a duration (24h, 10m30s), an RFC 3339 time or seconds since 1970")
    })
}
