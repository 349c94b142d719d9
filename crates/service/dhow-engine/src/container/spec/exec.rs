//! The process of an `exec`.
//!
//! Follows `ContainerExecCreate` of moby: the environment is made anew from the container's configuration, everything
//! else is that of the container's process unless it was asked for.

use super::host::Host;
use super::{capabilities, environment, invalid, paths};
use crate::EngineError;
use crate::container::ExecRequest;
use crate::container::view::Container;
use oci_spec::runtime::{Process, User};

/// The process of an `exec`, from the process of the container that it runs in. `user` is who was found for
/// [`ExecRequest::user`]; none: the user of the container's process. `home` is the home of whoever that is.
///
/// # Errors
/// [`EngineError::Invalid`].
pub fn exec_process(
    container: &Container,
    base: &Process,
    request: &ExecRequest,
    user: Option<User>,
    home: Option<&str>,
    host: &Host,
) -> Result<Process, EngineError> {
    if request.command.is_empty() {
        return Err(invalid("No exec command specified"));
    }
    if let Some(value) = request.env.iter().find(|value| environment::name_of(value).is_empty()) {
        return Err(invalid(format!("invalid environment variable: {value}")));
    }
    let mut process = base.clone();
    let hostname = environment::hostname(container, host);
    process
        .set_args(Some(request.command.clone()))
        .set_env(Some(environment::of(&container.config, &hostname, request.tty, &request.env, home)))
        .set_terminal(Some(request.tty));
    if let Some(directory) = request.working_dir.as_ref().filter(|d| !d.is_empty()) {
        if !directory.starts_with('/') {
            return Err(invalid("Cwd must be an absolute path"));
        }
        process.set_cwd(paths::clean(directory).into());
    }
    if let Some(user) = user {
        process.set_user(user);
    }
    if request.privileged {
        let all = host.capabilities().into_iter().collect();
        process.set_capabilities(Some(capabilities::sets(all)));
    }
    Ok(process)
}
