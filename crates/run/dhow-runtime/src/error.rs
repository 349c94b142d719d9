//! The errors of this crate.

use dhow_spec::{Classify, Kind};
use std::io;

/// Why a container could not be started or entered.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A step of setting up failed.
    #[error("{step}: {message}")]
    Step {
        /// The step: `mounts`, `pivot`, `devices`, ...
        step: String,
        /// What was tried, on what, and why it did not work.
        message: String,
        /// `errno`, when the kernel refused.
        errno: Option<i32>,
    },
    /// The program could not be executed. In docker's words; it is told before the gate when there is no such program.
    #[error("exec: {program:?}: {source}")]
    Exec {
        /// As it stands in the spec.
        program: String,
        /// `NotFound`: docker's exit status 127; any other: 126.
        source: io::Error,
    },
    /// The spec asks for something that makes no sense.
    #[error("invalid {field}: {problem}")]
    Invalid {
        /// Where in the spec.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// The kernel cannot do what is asked for.
    #[error("{feature} is not supported by this kernel")]
    Unsupported {
        /// What.
        feature: String,
    },
}

impl Classify for RuntimeError {
    fn kind(&self) -> Kind {
        match self {
            RuntimeError::Step { .. } => Kind::Internal,
            RuntimeError::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            RuntimeError::Exec { .. } => Kind::Denied,
            RuntimeError::Invalid { .. } => Kind::Invalid,
            RuntimeError::Unsupported { .. } => Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        None
    }
}
