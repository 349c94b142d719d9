//! Why a developer's command stopped: one line for the person who called it.

use std::fmt;
use std::path::Path;

/// The reason, already in words. xtask has no caller that would tell kinds of failure apart.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Failure(why.into())
    }

    pub(crate) fn usage(usage: &str) -> Self {
        Failure(format!("no such command\n{usage}"))
    }

    /// For `map_err` on anything that happened to a path.
    pub(crate) fn at<E: fmt::Display>(path: &Path) -> impl FnOnce(E) -> Failure + '_ {
        move |error| Failure(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
