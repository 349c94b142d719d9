//! A container's row as values: the part that never changes as JSON, the part that does as columns.

use super::request::{Config, HostConfig, RootSource};
use super::view::Container;
use crate::{Engine, EngineError};
use dhow_runtime::status::{Status, next};
use dhow_state::{ContainerRow, ContainerState};
use serde::{Deserialize, Serialize};

/// How the root filesystem of a container comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Storage {
    /// An overlay; what is written lies in the container's directory.
    Overlay,
    /// A copy of all layers in the container's directory.
    Copy,
    /// An overlay; what is written lies in memory, and is gone with the last process.
    Memory,
    /// A directory of the host as it is.
    Directory,
}

impl Storage {
    fn name(self) -> &'static str {
        match self {
            Storage::Overlay | Storage::Memory => "overlay",
            Storage::Copy => "copy",
            Storage::Directory => "directory",
        }
    }
}

/// What is in the `config` column.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) root: RootSource,
    pub(super) command: Vec<String>,
    pub(super) config: Config,
    pub(super) host: HostConfig,
    pub(super) storage: Storage,
}

impl Stored {
    pub(super) fn of(row: &ContainerRow) -> Result<Stored, EngineError> {
        serde_json::from_str(&row.config).map_err(|source| EngineError::BadContainer { id: row.id.clone(), source })
    }

    /// Of a container whose row cannot be read, for what only tells of it.
    pub(super) fn unreadable() -> Stored {
        Stored {
            root: RootSource::Image(String::new()),
            command: Vec::new(),
            config: Config::default(),
            host: HostConfig::default(),
            storage: Storage::Directory,
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers always encode")
    }

    /// What it was made from, as events and lists show it.
    pub(super) fn image(&self) -> String {
        match &self.root {
            RootSource::Image(name) => name.clone(),
            RootSource::Directory { path, .. } => path.display().to_string(),
        }
    }

    /// The signal that asks it to end.
    pub(super) fn stop_signal(&self) -> i32 {
        self.config.stop_signal.as_deref().and_then(super::signal_number).unwrap_or(super::signal::TERM)
    }
}

/// Where a container is in its life.
pub(super) fn status(row: &ContainerRow) -> Status {
    match Status::from_name(&row.state.status) {
        // The removal was broken off by the death of whoever did it, and could not be carried on.
        Some(Status::Removing) if row.removal.is_none() => Status::Dead,
        Some(status) => status,
        // Only a newer dhow knows other words, and opening its store is refused.
        None => Status::Dead,
    }
}

/// The state after a move, if the move is legal from the status that the row has.
pub(super) fn moved(row: &ContainerRow, action: dhow_runtime::status::Action) -> Result<ContainerState, EngineError> {
    let to = next(status(row), action)
        .map_err(|e| EngineError::Conflict { message: format!("container {}: {e}", row.id), hint: None })?;
    Ok(ContainerState { status: to.name().to_owned(), ..row.state.clone() })
}

/// The container as it is shown.
pub(super) fn view(engine: &Engine, row: &ContainerRow) -> Result<Container, EngineError> {
    let stored = Stored::of(row)?;
    let status = status(row);
    let dir = engine.state.container_dir(&row.id);
    let logs = stored.host.log.driver == "json-file";
    let pid = row.state.process.as_ref().filter(|_| matches!(status, Status::Running | Status::Paused)).map(|p| p.pid);
    Ok(Container {
        id: row.id.clone(),
        name: row.name.clone(),
        root: stored.root,
        image: row.image.clone(),
        created: row.created,
        status,
        pid,
        started: row.state.started,
        finished: row.state.finished,
        exit_code: row.state.exit_code,
        oom_killed: row.state.oom_killed,
        error: row.state.error.clone(),
        restart_count: row.state.restart_count,
        command: stored.command,
        config: stored.config,
        host: stored.host,
        log_path: logs.then(|| dir.join(format!("{}-json.log", row.id))),
        dir,
        cgroup: row.cgroup.clone().into(),
        storage: stored.storage.name().to_owned(),
        networks: Vec::new(),
        ports: Vec::new(),
    })
}
