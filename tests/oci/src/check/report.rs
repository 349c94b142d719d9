//! What was looked at, and what was not as expected.

use serde_json::Value;
use std::fmt::Debug;

/// Counts, and says each difference on a line of its own: `FAILED name: expected .., found ..`.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) checked: u32,
    pub(crate) failures: u32,
    topic: String,
}

impl Report {
    /// What follows is about this check.
    pub(crate) fn of(&mut self, topic: &str) -> &mut Report {
        topic.clone_into(&mut self.topic);
        self
    }

    /// Compares.
    pub(crate) fn expect<T: PartialEq + Debug>(&mut self, name: &str, expected: &T, found: &T) {
        self.checked += 1;
        if expected != found {
            self.failed(name, &format!("expected {expected:?}, found {found:?}"));
        }
    }

    /// The same of text that stands in the document; anything but text there is a difference.
    pub(crate) fn expect_text(&mut self, name: &str, expected: &Value, found: &str) {
        match expected.as_str() {
            Some(expected) => self.expect(name, &expected, &found),
            None => self.failed(name, &format!("expected {expected}, found {found:?}")),
        }
    }

    /// Something is true.
    pub(crate) fn holds(&mut self, name: &str, true_: bool, otherwise: impl FnOnce() -> String) {
        self.checked += 1;
        if !true_ {
            self.failed(name, &otherwise());
        }
    }

    /// A difference.
    #[allow(clippy::print_stdout, reason = "what it is for")]
    pub(crate) fn failed(&mut self, name: &str, problem: &str) {
        self.failures += 1;
        let topic = &self.topic;
        let dot = if name.is_empty() { "" } else { "." };
        println!("FAILED {topic}{dot}{name}: {}", problem.replace('\n', "\\n"));
    }

    /// What the system said, or a difference.
    pub(crate) fn had<T, E: Debug>(&mut self, name: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed(name, &format!("{error:?}"));
                None
            }
        }
    }
}

/// The members of an object in the document; of anything else there are none.
pub(crate) fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The texts of a list in the document.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The numbers of a list in the document.
pub(crate) fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// The value of a line `NAME:\tvalue` of `/proc/self/status`.
pub(crate) fn status(name: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|rest| rest.trim().to_owned()))
}
