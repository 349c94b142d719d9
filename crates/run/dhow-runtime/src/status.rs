//! The states of a container, and which moves between them are legal: one pure table.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a container is in its life. The words are docker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, and never started.
    Created,
    /// Being started: there may be a process, waiting at the gate.
    Starting,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended, and will be started again.
    Restarting,
    /// Its process has ended.
    Exited,
    /// Being removed.
    Removing,
    /// Its removal was broken off; only removal is possible.
    Dead,
}

/// What is done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Begin to start it.
    Start,
    /// Its first process was written down, and the gate opened.
    Started,
    /// The start failed.
    Fail,
    /// Freeze it.
    Pause,
    /// Let it go on.
    Unpause,
    /// Its process has ended.
    Exit,
    /// Its process has ended, and its restart policy will start it again.
    Restart,
    /// Begin to remove it.
    Remove,
    /// The removal was broken off.
    BreakOff,
}

/// A move that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IllegalMove {
    /// Where it is.
    pub from: Status,
    /// What was asked for.
    pub action: Action,
}

impl Status {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Starting => "starting",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
            Status::Removing => "removing",
            Status::Dead => "dead",
        }
    }

    /// From its word.
    pub fn from_name(name: &str) -> Option<Status> {
        let all = [
            Status::Created,
            Status::Starting,
            Status::Running,
            Status::Paused,
            Status::Restarting,
            Status::Exited,
            Status::Removing,
            Status::Dead,
        ];
        all.into_iter().find(|status| status.name() == name)
    }

    /// Whether there may be processes of it.
    pub fn is_live(self) -> bool {
        matches!(self, Status::Starting | Status::Running | Status::Paused)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for IllegalMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.action {
            Action::Start => "be started",
            Action::Started => "have been started",
            Action::Fail => "fail to start",
            Action::Pause => "be paused",
            Action::Unpause => "be unpaused",
            Action::Exit => "end",
            Action::Restart => "be restarted",
            Action::Remove => "be removed",
            Action::BreakOff => "stop being removed",
        };
        write!(f, "a container that is {} cannot {what}", self.from)
    }
}

impl std::error::Error for IllegalMove {}

/// Where `action` leads from `from`.
///
/// # Errors
/// When it leads nowhere.
pub fn next(from: Status, action: Action) -> Result<Status, IllegalMove> {
    use Action as A;
    use Status as S;
    match (from, action) {
        (S::Created | S::Exited | S::Restarting, A::Start) => Ok(S::Starting),
        (S::Starting, A::Started) => Ok(S::Running),
        (S::Starting, A::Fail) => Ok(S::Exited),
        (S::Running, A::Pause) => Ok(S::Paused),
        (S::Paused, A::Unpause) => Ok(S::Running),
        (S::Starting | S::Running | S::Paused | S::Restarting, A::Exit) => Ok(S::Exited),
        (S::Running | S::Paused, A::Restart) => Ok(S::Restarting),
        (S::Created | S::Exited | S::Dead | S::Restarting, A::Remove) => Ok(S::Removing),
        (S::Removing, A::BreakOff) => Ok(S::Dead),
        (from, action) => Err(IllegalMove { from, action }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for name in ["created", "starting", "running", "paused", "restarting", "exited", "removing", "dead"] {
            assert_eq!(Status::from_name(name).map(Status::name), Some(name));
        }
        assert_eq!(Status::from_name("gone"), None);
    }

    #[test]
    fn what_runs_is_not_removed_and_what_is_gone_not_started() {
        assert!(next(Status::Running, Action::Remove).is_err());
        assert!(next(Status::Paused, Action::Remove).is_err());
        for gone in [Status::Removing, Status::Dead] {
            let error = next(gone, Action::Start).expect_err("it is going");
            assert!(error.to_string().contains("cannot be started"), "{error}");
        }
    }
}
