//! How often one who dies is followed by another.

use std::time::{Duration, Instant};

/// One who dies so often
const DEATHS: usize = 5;
/// within so long
const WITHIN: Duration = Duration::from_secs(10);
/// is not followed by another for so long.
const REST: Duration = Duration::from_secs(10);

/// When one was followed by another, lately.
#[derive(Debug, Default)]
pub(super) struct Deaths(Vec<Instant>);

impl Deaths {
    /// Until when it rests after the last; none: there was none.
    pub(super) fn rest(&self) -> Option<Instant> {
        self.0.last().map(|last| *last + REST)
    }

    /// Whether they are too many.
    pub(super) fn are_many(&self) -> bool {
        self.0.len() >= DEATHS
    }

    /// Counts one more; not when there are too many and it rests.
    pub(super) fn one_more(&mut self, now: Instant) -> bool {
        self.0.retain(|death| now.duration_since(*death) < WITHIN);
        if self.are_many() && self.rest().is_some_and(|rest| now < rest) {
            return false;
        }
        self.0.push(now);
        true
    }
}
