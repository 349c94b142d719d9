//! What is bound into a container must be there.
//!
//! `--mount` wants it at the time of `create`, `-v` makes a missing directory when the container starts.

use super::{devices, invalid};
use crate::EngineError;
use crate::container::request::HostConfig;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;

/// Checks the sources that nobody makes.
///
/// # Errors
/// [`EngineError::Invalid`] names the one that is not there.
pub fn check_sources(config: &HostConfig) -> Result<(), EngineError> {
    for bind in config.binds.iter().filter(|b| !b.create_source) {
        let problem = |problem| invalid(format!("invalid mount config for type \"bind\": {problem}"));
        match fs::metadata(&bind.source) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(problem(format!("bind source path does not exist: {}", bind.source.display())));
            }
            Err(e) => return Err(problem(format!("stat {}: {}", bind.source.display(), devices::words(&e)))),
        }
    }
    Ok(())
}

/// Makes the missing sources of `-v` as directories, 0755, and checks the others again.
///
/// # Errors
/// [`EngineError::Invalid`] in docker's words.
pub fn make_sources(config: &HostConfig) -> Result<(), EngineError> {
    check_sources(config)?;
    for bind in config.binds.iter().filter(|b| b.create_source) {
        // Not `exists`: what is there and cannot be looked at is no reason to make anything.
        if fs::metadata(&bind.source).is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&bind.source);
            made.map_err(|e| {
                let path = bind.source.display();
                invalid(format!(
                    "error while creating mount source path '{path}': mkdir {path}: {}",
                    devices::words(&e)
                ))
            })?;
        }
    }
    Ok(())
}
