//! How a failed command ends: its message, the next step, its exit code.

use crate::output::template::TemplateError;
use dhow_engine::EngineError;
use dhow_spec::{Classify, Kind};
use std::io::Write;

/// Exit code of a command line that docker's parser would refuse.
const USAGE: u8 = 125;
/// Exit code of everything else that fails.
const FAILED: u8 = 1;
/// Exit code after Ctrl-C: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
    /// What kind of failure, where an error of dhow's told.
    pub(crate) kind: Option<Kind>,
}

impl Failure {
    /// A command line that makes no sense; the message says how it should look.
    pub(crate) fn usage(message: String) -> Failure {
        Failure { message, hint: None, code: USAGE, kind: Some(Kind::Invalid) }
    }

    /// A failure that is no error of the engine's.
    pub(crate) fn error(message: impl Into<String>) -> Failure {
        Failure { message: format!("Error: {}", message.into()), hint: None, code: FAILED, kind: None }
    }

    /// A message as it is, without a word in front.
    pub(crate) fn plain(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), hint: None, code: FAILED, kind: None }
    }

    /// With an exit code of its own.
    pub(crate) fn with_code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// With the command's name in front and where its help is, as docker words what its `run` could not do.
    pub(crate) fn of_command(mut self, name: &str) -> Failure {
        self.message = format!("dhow: {}\n\nRun 'dhow {name} --help' for more information", self.message);
        self
    }

    /// With the next step.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Says what happened on standard error and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        let mut err = std::io::stderr().lock();
        // Where standard error is gone there is nobody to tell.
        if !self.message.is_empty() {
            let _ = writeln!(err, "{}", self.message);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "Hint: {hint}");
        }
        self.code
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        let code = if matches!(error, EngineError::Interrupted) { INTERRUPTED } else { FAILED };
        Failure { message: format!("Error: {error}"), hint: error.hint(), code, kind: Some(error.kind()) }
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Failure {
        Failure::plain(error.to_string())
    }
}

/// Standard output failed: silently when its reader has gone, as other programs do.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure { message: String::new(), hint: None, code: 141, kind: None },
            _ => Failure::error(format!("cannot write to standard output: {error}")),
        }
    }
}
