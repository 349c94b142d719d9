//! Why a step did not work, as it is told to the process that waits for it.

use dhow_sys::mount::MountError;
use rustix::io::Errno;
use std::io;

/// Why the new process gives up.
#[derive(Debug)]
pub(in crate::start) enum Failure {
    /// A step did not work.
    Step {
        /// What was tried, on what, and why it did not work.
        message: String,
        /// `errno`, when the kernel refused.
        errno: Option<i32>,
    },
    /// The program cannot be executed.
    Exec {
        /// As it stands in the spec.
        program: String,
        /// In docker's words.
        problem: String,
        /// False: there is no such program.
        found: bool,
    },
    /// Whoever made this process is gone, or does not want it any more.
    GateClosed,
}

impl Failure {
    /// A failure that is no error of a system call.
    pub(in crate::start) fn because(message: impl Into<String>) -> Failure {
        Failure::Step { message: message.into(), errno: None }
    }
}

/// Says what was tried.
pub(in crate::start) trait Context<T> {
    /// `what` reads as "cannot do this".
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Context<T> for Result<T, io::Error> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|e| Failure::Step { message: format!("{}: {e}", what()), errno: e.raw_os_error() })
    }
}

impl<T> Context<T> for Result<T, Errno> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(io::Error::from).context(what)
    }
}

impl<T> Context<T> for Result<T, MountError> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|e| Failure::Step { message: format!("{}: {e}", what()), errno: e.source.raw_os_error() })
    }
}
