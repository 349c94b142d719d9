//! `system upgrade`: the processes that stand beside running containers go on as the program that asks.
//!
//! Each executes the new program itself, and keeps its pid, its children, descriptors and locks; the containers notice
//! nothing. One that cannot goes on as it is: programs understand each other's messages over two versions.

use crate::Engine;
use crate::container::{list, read_only};
use crate::error::EngineError;
use crate::network::names;
use dhow_runtime::status::Status;
use dhow_supervisor::client::{self, Upgraded};
use dhow_supervisor::keeper;
use std::os::fd::AsFd as _;

/// A process that was asked.
#[derive(Debug)]
pub struct Asked {
    /// Whose supervisor it is, by id and name; none: the keeper.
    pub container: Option<(String, String)>,
    /// What became of it.
    pub outcome: Result<Upgraded, EngineError>,
}

impl Engine {
    /// Has the keeper and the supervisor of every running container go on as this program; a container that nobody watches
    /// is watched again. One outcome each, the keeper's first. Those who answer for names go with the keeper.
    ///
    /// # Errors
    /// When nobody could be asked at all. That one process could not be upgraded is its outcome.
    pub fn upgrade(&self) -> Result<Vec<Asked>, EngineError> {
        let program = read_only().map_err(|e| EngineError::io("mount read-only", "/proc/self/exe", e))?;
        let keeper = keeper::upgrade(self.state.run_dir(), program.as_fd()).map_err(EngineError::from);
        let mut asked = vec![Asked { container: None, outcome: keeper }];
        for container in list(self)? {
            if !matches!(container.status, Status::Running | Status::Paused) {
                continue;
            }
            let run_dir = self.state.container_run_dir(&container.id);
            let outcome = client::upgrade(&run_dir, program.as_fd()).map_err(EngineError::from);
            asked.push(Asked { container: Some((container.id, container.name)), outcome });
        }
        if matches!(asked[0].outcome, Ok(Upgraded::Done)) {
            // They have nothing to lose: the keeper starts others.
            names::renew(self)?;
        }
        Ok(asked)
    }
}
