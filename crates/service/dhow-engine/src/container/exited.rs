//! Recording how a container ended, and what follows: its restart policy, its removal.
//!
//! Anybody may do it, any number of times: a run ends once, for its row is changed by whoever saw the generation that
//! was running. There is no order of who that must be: the client that watched, the supervisor's last command, or
//! whoever next looks at the container.

use super::events;
use super::remove;
use super::request::{Namespace, RESTART_BACKOFF, RestartPolicy};
use super::settle;
use super::stored::{Stored, moved, status};
use crate::{Engine, EngineError, network};
use dhow_runtime::status::{Action, Status};
use dhow_state::{ContainerRow, ContainerState, Durability, Timestamp, Write};
use dhow_supervisor::plan::ExitRecord;
use std::time::Duration;

/// A run of this long is not a failure to start: the next restart waits as short as the first.
const HEALTHY: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// None: nobody can tell.
    pub(super) code: Option<i32>,
    /// None: as the row has it.
    pub(super) finished: Option<Timestamp>,
    pub(super) oom_killed: bool,
    /// For a person; empty when all is as it should be.
    pub(super) error: String,
}

impl From<ExitRecord> for End {
    fn from(record: ExitRecord) -> End {
        End { code: record.code, finished: Some(record.finished), oom_killed: record.oom_killed, error: String::new() }
    }
}

impl End {
    /// A start that came to nothing.
    pub(super) fn broken_off(error: &str) -> End {
        End { code: Some(128), finished: None, oom_killed: false, error: error.to_owned() }
    }

    /// An end that nobody saw.
    pub(super) fn lost(row: &ContainerRow, now: Timestamp) -> End {
        End { code: None, finished: Some(now), oom_killed: row.state.oom_killed, error: "exit status lost".to_owned() }
    }

    /// The end that the row has already, after which nobody can start it again.
    pub(super) fn of_row(row: &ContainerRow, error: &EngineError) -> End {
        let error = format!("it cannot be started again: {error}");
        End { code: row.state.exit_code, finished: None, oom_killed: row.state.oom_killed, error }
    }
}

/// Records how a container ended: what supervisors, and clients that watched it end, call. Repeating it does no harm.
/// Removes a container that is to be removed at its end, starts one again that is to be; the return value is the
/// delay after which the caller, a supervisor at its end, has to call [`super::start_again()`].
///
/// # Errors
/// Of the ledger.
pub fn exited(engine: &Engine, container: &str) -> Result<Option<Duration>, EngineError> {
    engine.in_reserve(|| conclude(engine, container))
}

fn conclude(engine: &Engine, container: &str) -> Result<Option<Duration>, EngineError> {
    loop {
        let row = match engine.state.read(|r| super::resolve::find(r, container)) {
            Ok(row) => row,
            // Somebody has recorded it, and removed the container.
            Err(EngineError::NoSuchContainer(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        if !matches!(status(&row), Status::Running | Status::Paused) {
            return Ok(None);
        }
        let end = match settle::recorded(&engine.state.container_run_dir(&row.id))? {
            Some(end) => end,
            None => match settle::look(engine, &row)? {
                Some(end) => end,
                // It runs: started again since.
                None => return Ok(None),
            },
        };
        match record(engine, &row, &end, true)? {
            Recorded::Ended => return Ok(None),
            Recorded::Restarts(delay) => return Ok(Some(delay)),
            Recorded::Changed => {}
        }
    }
}

/// What became of an attempt to record an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is recorded, and the container has been removed if that was asked for.
    Ended,
    /// It is recorded, and the caller is to start the container again after this time.
    Restarts(Duration),
    /// Somebody else changed the row: look again.
    Changed,
}

/// Records an end of what the row says is running or being started.
pub(super) fn record(
    engine: &Engine,
    row: &ContainerRow,
    end: &End,
    may_restart: bool,
) -> Result<Recorded, EngineError> {
    let (stored, now) = (Stored::of(row)?, engine.now());
    let delay = if may_restart { restart_delay(row, &stored.host.restart, end) } else { None };
    let mut state = match status(row) {
        Status::Starting => moved(row, Action::Fail)?,
        _ if delay.is_some() => moved(row, Action::Restart)?,
        _ => moved(row, Action::Exit)?,
    };
    state.finished = end.finished.or(state.finished);
    state.exit_code = end.code;
    state.oom_killed = end.oom_killed;
    state.error = end.error.clone();
    state.process = None;
    if let Some(delay) = delay {
        // Who is to start it again; if that dies before, whoever looks sends another.
        state.process = Some(engine.state.identity()?.clone());
        state.restart_count += 1;
        state.backoff = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    }
    let goes = delay.is_none() && stored.host.auto_remove && !state.kept;
    state.kept = false;
    let mut named = Vec::new();
    let mut tell = |w: &Write<'_>| {
        if stored.host.network == Namespace::Networks {
            named = network::left(w, &row.id, now)?;
        }
        tell_end(w, row, &stored, end, now)
    };
    if goes {
        let ended = ContainerRow { state, ..row.clone() };
        return match remove::begin_and(engine, &ended, tell)? {
            Some(operation) => {
                forget_names(engine, &named);
                remove::finish(engine, operation, &ended, &stored).map(|()| Recorded::Ended)
            }
            None => Ok(Recorded::Changed),
        };
    }
    let changed = engine.state.write(Durability::Crash, |w| {
        if !w.change_container(&row.id, row.generation, &state)? {
            return Ok::<_, EngineError>(false);
        }
        tell(w)?;
        Ok(true)
    })?;
    forget_names(engine, &named);
    Ok(match (changed, delay) {
        (false, _) => Recorded::Changed,
        (true, Some(delay)) => Recorded::Restarts(delay),
        (true, None) => Recorded::Ended,
    })
}

/// Nobody is to find it any more. Best effort: what cannot be written now is with the next change of these networks.
fn forget_names(engine: &Engine, networks: &[String]) {
    if !networks.is_empty() {
        let _ = network::names::publish(engine, networks);
    }
}

/// Docker's `die`, and `oom` before it. Of a start that came to nothing there is nothing to tell, nor of a container
/// that had died before.
fn tell_end(w: &Write<'_>, row: &ContainerRow, stored: &Stored, end: &End, now: Timestamp) -> Result<(), EngineError> {
    if !matches!(status(row), Status::Running | Status::Paused) {
        return Ok(());
    }
    if end.oom_killed {
        events::record(w, now, row, stored, "oom", &[])?;
    }
    let ran = Duration::from_nanos(ran(row, end).cast_unsigned()).as_secs();
    let code = end.code.map_or_else(|| LOST.to_string(), |code| code.to_string());
    events::record(w, now, row, stored, "die", &[("execDuration", ran.to_string()), ("exitCode", code)])
}

/// What programs that want a number are told when the exit status is lost, as docker does after it was killed itself.
const LOST: i32 = 255;

/// Nanoseconds; never negative, though clocks jump.
fn ran(row: &ContainerRow, end: &End) -> i64 {
    let (Some(started), Some(finished)) = (row.state.started, end.finished) else { return 0 };
    finished.saturating_sub(started).max(0)
}

/// Whether its policy will start it again after this end.
pub(super) fn will_restart(row: &ContainerRow, end: &End) -> bool {
    Stored::of(row).is_ok_and(|stored| restart_delay(row, &stored.host.restart, end).is_some())
}

/// After which time it is to be started again; none: not at all.
fn restart_delay(row: &ContainerRow, policy: &RestartPolicy, end: &End) -> Option<Duration> {
    let again = match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure(most) => end.code != Some(0) && (*most == 0 || row.state.restart_count < *most),
    };
    if !again || row.state.stopped || !matches!(status(row), Status::Running | Status::Paused) {
        return None;
    }
    Some(backoff(&row.state, Duration::from_nanos(ran(row, end).cast_unsigned())))
}

/// The wait before the next restart: doubled each time, and back at the first after a run that was healthy.
fn backoff(state: &ContainerState, ran: Duration) -> Duration {
    let (first, most) = RESTART_BACKOFF;
    match state.backoff {
        0 => first,
        _ if ran >= HEALTHY => first,
        last => Duration::from_nanos(last).saturating_mul(2).clamp(first, most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Status, backoff: u64, count: u32, stopped: bool) -> ContainerRow {
        ContainerRow {
            id: "0".repeat(64),
            name: "x".to_owned(),
            image: None,
            created: 0,
            cgroup: String::new(),
            config: String::new(),
            generation: 1,
            removal: None,
            state: ContainerState {
                status: status.name().to_owned(),
                started: Some(0),
                backoff,
                restart_count: count,
                stopped,
                ..ContainerState::default()
            },
        }
    }

    fn end(code: Option<i32>, after: Duration) -> End {
        let finished = i64::try_from(after.as_nanos()).unwrap();
        End { code, finished: Some(finished), oom_killed: false, error: String::new() }
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_healthy_run() {
        let mut waits = Vec::new();
        let mut last = 0;
        for _ in 0..12 {
            let row = row(Status::Running, last, 0, false);
            let wait = restart_delay(&row, &RestartPolicy::Always, &end(Some(0), Duration::ZERO)).unwrap();
            waits.push(wait.as_millis());
            last = u64::try_from(wait.as_nanos()).unwrap();
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        let healthy = row(Status::Running, last, 0, false);
        let wait = restart_delay(&healthy, &RestartPolicy::Always, &end(Some(0), HEALTHY));
        assert_eq!(wait, Some(Duration::from_millis(100)));
    }

    /// Between a start and an end, the clock of the machine may be set to anything.
    #[test]
    fn a_clock_that_jumps_makes_no_nonsense() {
        for (started, finished) in [(1_000, 0), (i64::MAX, i64::MIN), (0, i64::MAX), (i64::MIN, i64::MAX)] {
            let mut row = row(Status::Running, 400_000_000, 3, false);
            row.state.started = Some(started);
            let end = End { code: Some(1), finished: Some(finished), oom_killed: false, error: String::new() };
            assert!(ran(&row, &end) >= 0, "{started} {finished}");
            let wait = restart_delay(&row, &RestartPolicy::Always, &end).unwrap();
            // Back: as one that ended at once. Ahead: as one that ran for long.
            let expected = if finished < started { 800 } else { 100 };
            assert_eq!(wait, Duration::from_millis(expected), "{started} {finished}");
        }
    }

    #[test]
    fn policies_say_whether() {
        let again = |policy, code, count, stopped| {
            let row = row(Status::Running, 0, count, stopped);
            restart_delay(&row, &policy, &end(code, Duration::ZERO)).is_some()
        };
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        assert!(!again(No, Some(1), 0, false));
        assert!(again(Always, Some(0), 9, false) && !again(Always, Some(0), 0, true), "stopped by hand");
        assert!(again(UnlessStopped, Some(0), 0, false));
        assert!(again(OnFailure(0), Some(1), 1000, false) && !again(OnFailure(0), Some(0), 0, false));
        assert!(again(OnFailure(3), Some(1), 2, false) && !again(OnFailure(3), Some(1), 3, false));
        assert!(again(OnFailure(3), None, 0, false), "a lost status is no success");
        let starting = row(Status::Starting, 0, 0, false);
        assert_eq!(restart_delay(&starting, &Always, &end(Some(1), Duration::ZERO)), None);
    }
}
