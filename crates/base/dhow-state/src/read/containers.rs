//! Queries about containers.

use super::{Read, count, digest, operation, text};
use crate::error::StateError;
use crate::layout::is_lower_hex;
use crate::rows::{ContainerRow, ContainerState};
use dhow_spec::Digest;
use dhow_sys::process::ProcessIdentity;
use rusqlite::Row;

/// All columns, in the order in which [`container`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, image, created, cgroup, config, generation, removal, status, boot_id, pid_namespace, pid,
                    start_time, started, finished, exit_code, oom_killed, error, restart_count, backoff, stopped, kept
             FROM containers ",
            $rest
        )
    };
}

impl Read<'_> {
    /// The container of this id.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn container(&self, id: &str) -> Result<Option<ContainerRow>, StateError> {
        self.one(select!("WHERE id = ?1"), [id], container)
    }

    /// The container of this name.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn container_by_name(&self, name: &str) -> Result<Option<ContainerRow>, StateError> {
        self.one(select!("WHERE name = ?1"), [name], container)
    }

    /// The containers of which the id begins so, at most two: enough to tell whether it is one. None for what is no
    /// lower-case hex.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn containers_by_prefix(&self, prefix: &str) -> Result<Vec<ContainerRow>, StateError> {
        if prefix.is_empty() || !is_lower_hex(prefix) {
            return Ok(Vec::new());
        }
        // `g` sorts behind every hex digit.
        self.all(select!("WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 2"), [prefix], container)
    }

    /// All containers, the newest first.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn containers(&self) -> Result<Vec<ContainerRow>, StateError> {
        self.all(select!("ORDER BY created DESC, seq DESC"), [], container)
    }

    /// Whether there is any container.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn has_containers(&self) -> Result<bool, StateError> {
        Ok(self.one("SELECT 1 FROM containers LIMIT 1", [], |_| Ok(()))?.is_some())
    }

    /// The containers that were made from this image, the oldest first.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn containers_of_image(&self, image: &Digest) -> Result<Vec<ContainerRow>, StateError> {
        self.all(select!("WHERE image = ?1 ORDER BY seq"), [text(image)], container)
    }

    /// The ids of all containers.
    pub(crate) fn container_ids(&self) -> Result<Vec<String>, StateError> {
        self.all("SELECT id FROM containers ORDER BY id", [], |row| row.get(0))
    }
}

fn container(row: &Row<'_>) -> rusqlite::Result<ContainerRow> {
    let process = match row.get::<_, Option<String>>(9)? {
        Some(boot_id) => Some(ProcessIdentity {
            boot_id,
            pid_namespace: count(row, 10)?,
            pid: row.get(11)?,
            start_time: count(row, 12)?,
        }),
        None => None,
    };
    let state = ContainerState {
        status: row.get(8)?,
        process,
        started: row.get(13)?,
        finished: row.get(14)?,
        exit_code: row.get(15)?,
        oom_killed: row.get(16)?,
        error: row.get(17)?,
        restart_count: row.get(18)?,
        backoff: count(row, 19)?,
        stopped: row.get(20)?,
        kept: row.get(21)?,
    };
    Ok(ContainerRow {
        id: row.get(0)?,
        name: row.get(1)?,
        image: row.get_ref(2)?.as_str_or_null()?.map(|_| digest(row, 2)).transpose()?,
        created: row.get(3)?,
        cgroup: row.get(4)?,
        config: row.get(5)?,
        generation: count(row, 6)?,
        removal: row.get_ref(7)?.as_str_or_null()?.map(|_| operation(row, 7)).transpose()?,
        state,
    })
}
