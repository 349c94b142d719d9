//! Watching a container again whose supervisor and keeper were both killed.

use super::{ClientError, failed};
use crate::plan::Plan;
use dhow_sys::process::ProcessIdentity;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// What is known of a container that nobody watches.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// As it was started; only what is needed after the start counts.
    pub plan: Plan,
    /// Its first process.
    pub process: ProcessIdentity,
    /// When it was started, nanoseconds since the Unix epoch.
    pub started: i64,
}

/// Starts a supervisor for a container that has lost its own. Returns once it is supervised again, by this or by
/// another.
///
/// # Errors
/// [`ClientError::NotRunning`] when the process has ended.
pub fn adopt(_program: &Path, _arguments: &[&OsStr], _adoption: &Adoption) -> Result<(), ClientError> {
    Err(failed("adopt")(io::ErrorKind::Unsupported.into()))
}
