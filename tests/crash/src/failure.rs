//! What can go wrong in the harness, and the one thing it looks for: a violated invariant.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Every error of this program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file operation of the harness itself.
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// A system call of the harness itself.
    #[error("{what}: {source}")]
    Kernel { what: &'static str, source: Errno },
    /// A command that has to succeed for the harness to go on did not.
    #[error("`{command}` {how}\n{output}")]
    Command { command: String, how: String, output: String },
    /// The command line of the harness.
    #[error("{0}")]
    Usage(String),
    /// dhow broke a promise: the finding that this program exists for.
    #[error("{0}")]
    Violated(String),
}

impl Failure {
    /// For `map_err`: names the operation and the path.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
        move |source| Failure::Io { what, path: path.to_owned(), source }
    }

    /// For `map_err`: names the operation.
    pub(crate) fn kernel(what: &'static str) -> impl FnOnce(Errno) -> Failure {
        move |source| Failure::Kernel { what, source }
    }
}

/// A violated invariant as an error value.
pub(crate) fn violated<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Violated(text.into()))
}
