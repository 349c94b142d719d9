//! `wait`: until a container has ended, ends the next time, or is gone.

use super::process;
use super::resolve::find;
use super::settle;
use super::stored::status;
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, Event, EventWatch};
use std::os::fd::AsFd as _;

/// What to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// That it does not run.
    #[default]
    NotRunning,
    /// That it ends the next time.
    NextExit,
    /// That it is gone.
    Removed,
}

/// Waits, and says how it ended. As with docker a run that is followed by another, by hand or by a restart policy, has
/// ended all the same.
///
/// Wakes by the end of its process and by the journal. A store that was opened for reading will do; then an end that
/// nobody has recorded is only judged.
///
/// # Errors
/// When there is no such container.
pub fn wait(engine: &Engine, container: &str, until: Until) -> Result<Option<i32>, EngineError> {
    let (first, newest) = engine.state.read(|r| Ok::<_, EngineError>((find(r, container)?, r.newest_event()?)))?;
    let mut watch = engine.state.watch_events(newest)?;
    let mut heard = Heard { id: first.id.clone(), first: None, last: first.state.exit_code.filter(|_| !runs(&first)) };
    loop {
        heard.listen(&mut watch)?;
        let Some(row) = row(engine, &first.id)? else {
            // Looking may have been what recorded the end.
            heard.listen(&mut watch)?;
            return Ok(heard.code(until));
        };
        let ended = row.state.finished != first.state.finished && row.state.finished.is_some();
        if until != Until::Removed && ended {
            // Who recorded it, after the journal was read, may have started it again by now: then the row does not tell.
            heard.listen(&mut watch)?;
        }
        if !runs(&row) {
            heard.last = row.state.exit_code;
        }
        match until {
            // Never started: docker says 0.
            Until::NotRunning if status(&row) == Status::Created => return Ok(Some(0)),
            // The journal has a number for a status that is lost; the row of that run tells.
            Until::NotRunning if !runs(&row) && row.state.started == first.state.started => {
                return Ok(row.state.exit_code);
            }
            Until::NotRunning if !runs(&row) => return Ok(heard.code(until)),
            Until::NotRunning | Until::NextExit if ended || heard.first.is_some() => return Ok(heard.code(until)),
            _ => {}
        }
        sleep(engine, &watch, &row)?;
    }
}

/// What the journal tells of the ends of a container, which may be removed or run again before anybody looks.
struct Heard {
    id: String,
    first: Option<Option<i32>>,
    last: Option<i32>,
}

impl Heard {
    /// Takes in all that has happened.
    fn listen(&mut self, watch: &mut EventWatch) -> Result<(), EngineError> {
        loop {
            let events = watch.next()?;
            events.iter().for_each(|event| self.hear(event));
            if events.is_empty() {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, event: &Event) {
        if event.kind == "container" && event.action == "die" && event.actor == self.id {
            self.last = event.attributes.get("exitCode").and_then(|code| code.parse().ok());
            self.first.get_or_insert(self.last);
        }
    }

    /// How the run ended that was waited for.
    fn code(&self, until: Until) -> Option<i32> {
        match until {
            Until::Removed => self.last,
            Until::NotRunning | Until::NextExit => self.first.unwrap_or(self.last),
        }
    }
}

/// Whether it runs or will by itself.
fn runs(row: &ContainerRow) -> bool {
    status(row).is_live() || status(row) == Status::Restarting
}

/// Sleeps until something may have changed.
fn sleep(engine: &Engine, watch: &EventWatch, row: &ContainerRow) -> Result<(), EngineError> {
    let process = row.state.process.as_ref().filter(|_| status(row).is_live());
    let held = match process {
        None => None,
        Some(process) => match process::open(process)? {
            Some(pidfd) => Some(pidfd),
            // It ended between the look at the row and now, or its end is being recorded.
            None => {
                process::recorded(engine, row)?;
                if settle::look(engine, row)?.is_none() {
                    // By who is to start it again, which the journal tells.
                    process::ready(&[watch.as_fd()], Some(settle::RECORDING), &engine.cancel)?;
                }
                return Ok(());
            }
        },
    };
    // Who is watched by nobody gets somebody when he is looked at again, so that his end is seen.
    let unwatched = match &held {
        Some(_) => process::unwatched(&engine.state.container_run_dir(&row.id))?,
        None => None,
    };
    let mut fds = vec![watch.as_fd()];
    fds.extend(held.as_ref().map(|pidfd| pidfd.as_fd()));
    fds.extend(unwatched.as_ref().map(|watch| watch.as_fd()));
    let ready = process::ready(&fds, None, &engine.cancel)?;
    if ready.get(1) == Some(&true) {
        process::recorded(engine, row)?;
    }
    Ok(())
}

/// The row with a status that is true; none when it is gone.
pub(super) fn row(engine: &Engine, id: &str) -> Result<Option<ContainerRow>, EngineError> {
    match engine.state.read(|r| r.container(id))? {
        Some(row) => settle::settle(engine, row),
        None => Ok(None),
    }
}

/// Waits until the run that `row` tells of has ended, and that is recorded: how the container is then, which may run
/// again; none when it is gone. Cheaper than [`wait()`]: for one that is known to run.
pub(super) fn until_ended(engine: &Engine, of: &ContainerRow) -> Result<Option<ContainerRow>, EngineError> {
    loop {
        let Some(row) = row(engine, &of.id)? else { return Ok(None) };
        let process = match &row.state.process {
            Some(process) if matches!(status(&row), Status::Running | Status::Paused) => process,
            _ => return Ok(Some(row)),
        };
        if row.state.process != of.state.process {
            return Ok(Some(row));
        }
        if let Some(pidfd) = process::open(process)? {
            process::ended(pidfd.as_fd(), None, &engine.cancel)?;
        }
        process::recorded(engine, &row)?;
    }
}
