//! What is wrong with a command line, in docker's two forms: one value of one flag, or the whole.

use super::value;
use crate::cli::Failure;
use dhow_engine::container::spec::size;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A value of a flag; the flag as docker shows it.
    Value {
        /// `-m, --memory`.
        flag: &'static str,
        /// What was typed.
        value: String,
        /// Why it is none.
        reason: String,
    },
    /// Anything else.
    Whole(String),
    /// What dhow cannot do yet, and what to do instead.
    Later(String, &'static str),
}

impl Fault {
    /// As it is shown.
    pub(super) fn failure(self, verb: &str) -> Failure {
        let help = format!("Run 'dhow {verb} --help' for more information");
        match self {
            Fault::Value { flag, value, reason } => Failure::usage(format!(
                "invalid argument {value:?} for \"{flag}\" flag: {reason}\n\nUsage:  dhow {verb} [OPTIONS] IMAGE \
                 [COMMAND] [ARG...]\n\n{help}"
            )),
            Fault::Whole(message) => Failure::usage(format!("dhow: {message}\n\n{help}")),
            Fault::Later(message, "") => Failure::usage(format!("dhow: {message}")),
            Fault::Later(message, hint) => Failure::usage(format!("dhow: {message}")).with_hint(hint),
        }
    }
}

/// A flag whose values are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(&'static str);

impl Flag {
    /// A flag as docker shows it: `-m, --memory`.
    pub(super) fn new(shown: &'static str) -> Flag {
        Flag(shown)
    }

    /// A fault of one of its values.
    pub(super) fn fault(self, value: &str, reason: impl ToString) -> Fault {
        Fault::Value { flag: self.0, value: value.to_owned(), reason: reason.to_string() }
    }

    /// What a value means, by this parser.
    pub(super) fn take<T>(self, text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Fault> {
        parse(text).map_err(|reason| self.fault(text, reason))
    }

    /// Bytes.
    pub(super) fn size(self, text: Option<&str>) -> Result<Option<u64>, Fault> {
        text.map(|text| size::binary(text).map_err(|reason| self.fault(text, reason))).transpose()
    }

    /// A number that must not be negative. 0, docker's word for nothing, is none.
    pub(super) fn count(self, text: Option<&str>) -> Result<Option<u64>, Fault> {
        let Some(text) = text else { return Ok(None) };
        let number: i64 = self.take(text, value::integer)?;
        let number = u64::try_from(number);
        Ok(Some(number.map_err(|_| self.fault(text, "value must be a positive integer"))?).filter(|&n| n != 0))
    }
}
