//! Why a container could not be started, as it goes from the supervisor to its launcher: a [`RuntimeError`] without what
//! cannot be sent.

use dhow_runtime::RuntimeError;
use serde::{Deserialize, Serialize};
use std::io;

/// A [`RuntimeError`], in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// [`RuntimeError::Step`].
    Step {
        /// Its name.
        step: String,
        /// What went wrong.
        message: String,
        /// The error number, when the kernel refused.
        errno: Option<i32>,
    },
    /// [`RuntimeError::Exec`].
    Exec {
        /// As it stands in the spec.
        program: String,
        /// The error number; none: the runtime found out itself.
        errno: Option<i32>,
        /// Whether it is not there, which is another exit status than not executable.
        missing: bool,
        /// The error as text, for want of a number.
        message: String,
    },
    /// [`RuntimeError::Invalid`].
    Invalid {
        /// Where in the spec.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// [`RuntimeError::Unsupported`].
    Unsupported {
        /// What.
        feature: String,
    },
}

impl Failure {
    /// Of the supervisor itself: what it tried, and why it did not work.
    pub(crate) fn of(what: &str, error: &io::Error) -> Failure {
        Failure::Step {
            step: "supervisor".to_owned(),
            message: format!("{what}: {error}"),
            errno: error.raw_os_error(),
        }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Failure {
        match error {
            RuntimeError::Step { step, message, errno } => Failure::Step { step, message, errno },
            RuntimeError::Exec { program, source } => Failure::Exec {
                program,
                errno: source.raw_os_error(),
                missing: source.kind() == io::ErrorKind::NotFound,
                message: source.to_string(),
            },
            RuntimeError::Invalid { field, problem } => Failure::Invalid { field, problem },
            RuntimeError::Unsupported { feature } => Failure::Unsupported { feature },
        }
    }
}

impl From<Failure> for RuntimeError {
    fn from(failure: Failure) -> RuntimeError {
        match failure {
            Failure::Step { step, message, errno } => RuntimeError::Step { step, message, errno },
            Failure::Exec { program, errno, missing, message } => {
                let kind = if missing { io::ErrorKind::NotFound } else { io::ErrorKind::PermissionDenied };
                let source = errno.map_or_else(|| io::Error::new(kind, message), io::Error::from_raw_os_error);
                RuntimeError::Exec { program, source }
            }
            Failure::Invalid { field, problem } => RuntimeError::Invalid { field, problem },
            Failure::Unsupported { feature } => RuntimeError::Unsupported { feature },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::{Classify as _, Kind};

    #[test]
    fn an_error_of_the_runtime_arrives_as_it_was() {
        let missing = io::Error::from_raw_os_error(2);
        let errors = [
            RuntimeError::Exec { program: "/x".into(), source: missing },
            RuntimeError::Exec { program: "x".into(), source: io::Error::new(io::ErrorKind::NotFound, "not in $PATH") },
            RuntimeError::Exec { program: "x".into(), source: io::Error::from_raw_os_error(13) },
            RuntimeError::Step { step: "mounts".into(), message: "m".into(), errno: Some(1) },
            RuntimeError::Invalid { field: "f".into(), problem: "p".into() },
            RuntimeError::Unsupported { feature: "u".into() },
        ];
        let kinds = [Kind::NotFound, Kind::NotFound, Kind::Denied, Kind::Internal, Kind::Invalid, Kind::Unsupported];
        for (error, kind) in errors.into_iter().zip(kinds) {
            let text = error.to_string();
            let json = serde_json::to_vec(&Failure::from(error)).unwrap();
            let back = RuntimeError::from(serde_json::from_slice::<Failure>(&json).unwrap());
            assert_eq!((back.to_string(), back.kind()), (text, kind));
        }
    }
}
