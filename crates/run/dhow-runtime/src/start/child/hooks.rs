//! Hooks that are run before the program: in the caller's namespaces by the caller, in ours by us.

use super::Child;
use super::failure::{Context, Failure};
use crate::RuntimeError;
use crate::hooks::Moment;

/// The caller runs them, and then lets us go on. Prestart hooks are their older name.
pub(super) fn create_runtime(child: &mut Child<'_>) -> Result<(), Failure> {
    let hooks = &child.container.hooks;
    if !hooks.has(Moment::Prestart) && !hooks.has(Moment::CreateRuntime) {
        return Ok(());
    }
    let done = child.channel.ask_for_hooks().context(|| "cannot ask for hooks".to_owned())?;
    if done { Ok(()) } else { Err(Failure::GateClosed) }
}

/// In the container's namespaces, with the host's tree around us still.
pub(super) fn create_container(child: &mut Child<'_>) -> Result<(), Failure> {
    run(child, Moment::CreateContainer)
}

/// In the container, as its user, with its rights and its filter: the program may be one that the image has brought.
pub(super) fn start_container(child: &mut Child<'_>) -> Result<(), Failure> {
    run(child, Moment::StartContainer)
}

fn run(child: &Child<'_>, moment: Moment) -> Result<(), Failure> {
    let hooks = &child.container.hooks;
    if !hooks.has(moment) {
        return Ok(());
    }
    let ours = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    hooks.run(moment, Some(ours)).map_err(|error| match error {
        RuntimeError::Step { message, errno, .. } => Failure::Step { message, errno },
        other => Failure::because(other.to_string()),
    })
}
