//! Whether what a row says of processes is still so.
//!
//! A row is written by whoever starts a container or hears of its end. Between the two anybody may be killed, and the
//! machine may be switched off. So who reads a row that depends on a process looks whether that process lives, by its
//! identity. If it does not, the exit record in the run directory says how it ended, if a supervisor lived to write it.
//! While a supervisor lives that has not, it is about to. Else nobody can tell: the exit status is lost. And if the process
//! lives and no supervisor does, it gets one (`adopt`).

use super::adopt;
use super::again;
use super::exited::{End, Recorded, record, will_restart};
use super::process;
use super::request::Namespace;
use super::stored::{Stored, status};
use crate::{Engine, EngineError};
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, ContainerState, Durability, Write};
use dhow_supervisor::plan::ExitRecord;
use std::path::Path;
use std::time::Duration;

/// How the run ended that a row says is going on; none while it does, or is about to be recorded.
pub(super) fn look(engine: &Engine, row: &ContainerRow) -> Result<Option<End>, EngineError> {
    Ok(match seen(engine, row)? {
        Seen::Ended(end) => Some(end),
        Seen::GoesOn | Seen::Restarts(_) => None,
    })
}

/// What is seen of the run that a row tells of.
enum Seen {
    /// It goes on, or its end is about to be recorded.
    GoesOn,
    /// It has ended.
    Ended(End),
    /// It has ended, and who starts the container again is about to record that.
    Restarts(End),
}

fn seen(engine: &Engine, row: &ContainerRow) -> Result<Seen, EngineError> {
    let status = status(row);
    let watched = matches!(status, Status::Starting | Status::Running | Status::Paused);
    let Some(process) = row.state.process.as_ref().filter(|_| watched) else { return Ok(Seen::GoesOn) };
    if process::alive(process)? {
        adopt::unless_watched(engine, row)?;
        return Ok(Seen::GoesOn);
    }
    let run_dir = engine.state.container_run_dir(&row.id);
    let runs = matches!(status, Status::Running | Status::Paused);
    let told = |end| match is_left_to_policy(engine, row, &end) {
        true => Seen::Restarts(end),
        false => Seen::Ended(end),
    };
    if runs && let Some(end) = recorded(&run_dir)? {
        return Ok(told(end));
    }
    if process::is_supervised(&run_dir)? {
        return Ok(Seen::GoesOn);
    }
    // Between the two looks above a supervisor may have recorded it, and then ended.
    if runs && let Some(end) = recorded(&run_dir)? {
        return Ok(told(end));
    }
    Ok(Seen::Ended(match status {
        Status::Starting => End::broken_off("the command that started it was killed"),
        _ => End::lost(row, engine.now()),
    }))
}

/// How long the command that a supervisor runs at the end may take to record it.
pub(super) const RECORDING: Duration = Duration::from_secs(10);

/// Whether the container is about to be started again: then its end is recorded by who will do that, and nobody else may,
/// or it would stay ended. If that one was killed, it does.
fn is_left_to_policy(engine: &Engine, row: &ContainerRow, end: &End) -> bool {
    let fresh = end.finished.is_some_and(|at| {
        let since = engine.now().saturating_sub(at);
        (0..RECORDING.as_nanos()).contains(&u128::try_from(since).unwrap_or(u128::MAX))
    });
    fresh && will_restart(row, end)
}

/// Reads the exit record of a run directory.
pub(super) fn recorded(run_dir: &Path) -> Result<Option<End>, EngineError> {
    let record =
        ExitRecord::read(run_dir).map_err(|e| EngineError::io("read the exit record in", run_dir.display(), e))?;
    Ok(record.map(End::from))
}

/// The row with a status that is true: writes down an end that nobody has, if the store may be written; none when the
/// container went with it, or has gone meanwhile. Where nobody is left to start it again, somebody is sent.
pub(super) fn settle(engine: &Engine, row: ContainerRow) -> Result<Option<ContainerRow>, EngineError> {
    let (row, left) = settle_quietly(engine, row)?;
    if left {
        crate::network::send_release(engine);
    }
    Ok(row)
}

/// The same, and whether the kernel has something to forget then.
fn settle_quietly(engine: &Engine, row: ContainerRow) -> Result<(Option<ContainerRow>, bool), EngineError> {
    let mut left = false;
    let Some(mut row) = again::send(engine, row)? else { return Ok((None, left)) };
    while let Some(end) = look(engine, &row)? {
        if engine.read_only() {
            row.state = judged(&row, &end, Status::Exited);
            return Ok((Some(row), left));
        }
        // Nobody was there to remove it.
        if end.code.is_none() || status(&row) == Status::Starting {
            sweep(&row.cgroup);
        }
        if let Recorded::Restarts(_) = record(engine, &row, &end, is_for_policy(engine, &row, &end)?)? {
            again::hand_over(engine, &row.id)?;
        }
        left |= is_on_networks(&row);
        match engine.state.read(|r| r.container(&row.id))? {
            Some(again) => row = again,
            None => return Ok((None, left)),
        }
    }
    Ok((Some(row), left))
}

/// Puts right what rows say of containers on networks of which nobody saw the end, ahead of [`crate::network::release`].
/// Best effort: one that cannot be settled now is by who next needs it.
///
/// # Errors
/// Of the ledger.
pub fn settle_unseen(engine: &Engine) -> Result<(), EngineError> {
    for row in engine.state.read(|r| r.containers())? {
        if row.state.process.is_some() && is_on_networks(&row) {
            let _ = settle_quietly(engine, row);
        }
    }
    Ok(())
}

/// Whether the container is to be started again after an end that nobody has recorded in time. What a reboot ended is not
/// started by whoever happens to look.
fn is_for_policy(engine: &Engine, row: &ContainerRow, end: &End) -> Result<bool, EngineError> {
    let boot = &engine.state.identity()?.boot_id;
    Ok(row.state.process.as_ref().is_some_and(|process| process.boot_id == *boot) && will_restart(row, end))
}

/// The row with a status that is true, and nothing is written. Somebody is sent to record an end after which the container
/// is to be started again, if nobody is left to do so.
pub(super) fn judge(engine: &Engine, mut row: ContainerRow) -> Result<ContainerRow, EngineError> {
    match seen(engine, &row)? {
        Seen::GoesOn => {}
        Seen::Ended(end) if is_for_policy(engine, &row, &end)? => {
            // Best effort: who changes something does it himself.
            let _ = again::send_to_record(engine, &row.id);
            row.state = judged(&row, &end, Status::Restarting);
        }
        Seen::Ended(end) => row.state = judged(&row, &end, Status::Exited),
        Seen::Restarts(end) => row.state = judged(&row, &end, Status::Restarting),
    }
    Ok(row)
}

/// Judges all of these. Where one on networks has ended in this boot without anybody seeing it, its ports still lead to
/// nobody, and whoever listens on them in its place is not reached: then one process is sent, which settles all such.
pub(super) fn judge_all(engine: &Engine, rows: Vec<ContainerRow>) -> Result<Vec<ContainerRow>, EngineError> {
    let boot = engine.state.identity()?.boot_id.clone();
    let mut unseen = false;
    let mut judged = Vec::with_capacity(rows.len());
    for row in rows {
        let here = row.state.process.as_ref().is_some_and(|process| process.boot_id == boot);
        let row = judge(engine, row)?;
        unseen |= here && row.state.process.is_none() && status(&row) == Status::Exited && is_on_networks(&row);
        judged.push(row);
    }
    let writable = || rustix::fs::access(engine.state.root(), rustix::fs::Access::WRITE_OK).is_ok();
    if unseen && writable() {
        crate::network::send_release(engine);
    }
    Ok(judged)
}

/// Whether the kernel has something to forget at its end.
fn is_on_networks(row: &ContainerRow) -> bool {
    Stored::of(row).is_ok_and(|stored| stored.host.network == Namespace::Networks)
}

fn judged(row: &ContainerRow, end: &End, status: Status) -> ContainerState {
    ContainerState {
        status: status.name().to_owned(),
        process: None,
        finished: end.finished.or(row.state.finished),
        exit_code: end.code,
        oom_killed: end.oom_killed,
        error: end.error.clone(),
        ..row.state.clone()
    }
}

/// Removes what a supervisor that was killed has left of a container that does not run: its control group, and whoever is
/// in it. Best effort: the next start takes a group over that is left.
pub(super) fn sweep(group: &str) {
    let Ok(hierarchies) = Hierarchies::detect() else { return };
    if let Ok(cgroup) = Cgroup::open(&hierarchies, Path::new(group)) {
        let _ = cgroup.kill();
        let _ = cgroup.remove();
    }
}

/// Removes the control groups that the containers of this store had in common once there are no more of them. A group in
/// which a supervisor still is stays, for the next time or for a repair.
pub(super) fn prune_after_last(engine: &Engine) -> Result<(), EngineError> {
    match engine.state.read(|r| r.has_containers())? {
        true => Ok(()),
        false => prune(engine, |w| Ok(!w.has_containers()?)),
    }
}

/// The same while no container runs.
pub(super) fn prune_unused(engine: &Engine) -> Result<(), EngineError> {
    prune(engine, |w| Ok(!w.containers()?.iter().any(|row| status(row).is_live())))
}

fn prune(engine: &Engine, unused: impl FnOnce(&Write<'_>) -> Result<bool, EngineError>) -> Result<(), EngineError> {
    let hierarchies = Hierarchies::detect()?;
    let group = format!("dhow/{}/supervisors", engine.state.store_id());
    // In a transaction: meanwhile nobody begins to start one, and finds a group that goes away under his hands.
    engine.state.write(Durability::Crash, |w| {
        if unused(w)? {
            Cgroup::prune(&hierarchies, Path::new(&group))?;
        }
        Ok(())
    })
}
