//! Scheduling, processors, execution domain.

use super::Child;
use super::failure::{Context, Failure};
use dhow_sys::schedule;

/// Before the control group is entered.
pub(super) fn initial_processors(child: &mut Child<'_>) -> Result<(), Failure> {
    let Some(mask) = &child.program.schedule.initial else { return Ok(()) };
    schedule::set_processors(mask).context(|| "cannot use the initial processors".to_owned())
}

/// In the control group.
pub(super) fn last_processors(child: &mut Child<'_>) -> Result<(), Failure> {
    let Some(mask) = &child.program.schedule.last else { return Ok(()) };
    schedule::set_processors(mask).context(|| "cannot use the final processors".to_owned())
}

/// While there is the right to.
pub(super) fn scheduling(child: &mut Child<'_>) -> Result<(), Failure> {
    let program = child.program;
    if let Some(domain) = program.personality {
        schedule::personality(domain).context(|| "cannot set the execution domain".to_owned())?;
    }
    if let Some((class, level)) = program.schedule.io {
        schedule::set_io_priority(class, level).context(|| "cannot set the priority of input and output".to_owned())?;
    }
    match program.schedule.cpu {
        Some(wanted) => wanted.set().context(|| format!("cannot set the scheduling policy {}", wanted.policy)),
        None => Ok(()),
    }
}
