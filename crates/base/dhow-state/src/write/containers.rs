//! The rows of containers: made, changed by whoever saw them last, removed.

use super::Write;
use crate::error::StateError;
use crate::layout::check_container_id;
use crate::read::{CONTAINER, text};
use crate::rows::{ContainerRow, ContainerState, OperationId};

impl Write<'_> {
    /// Records that the operation may leave the directory of this container.
    ///
    /// # Errors
    /// [`StateError::BadContainerId`]; of the ledger.
    pub fn plan_container(&self, operation: OperationId, id: &str) -> Result<(), StateError> {
        check_container_id(id)?;
        let sql = "INSERT INTO plans (operation, kind, digest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.execute(sql, (operation.to_string(), CONTAINER, id))?;
        Ok(())
    }

    /// Records a container. Its generation and removal are not looked at: it is the first, and there is none.
    ///
    /// # Errors
    /// [`StateError::NameTaken`]; [`StateError::Missing`] when its image has gone; [`StateError::BadContainerId`]; of
    /// the ledger.
    pub fn insert_container(&self, row: &ContainerRow) -> Result<(), StateError> {
        check_container_id(&row.id)?;
        if let Some(other) = self.container_by_name(&row.name)? {
            return Err(StateError::NameTaken { name: row.name.clone(), by: other.id });
        }
        if let Some(image) = &row.image
            && self.one("SELECT 1 FROM images WHERE id = ?1", [text(image)], |_| Ok(()))?.is_none()
        {
            return Err(StateError::Missing { kind: "image", digest: image.clone() });
        }
        let sql =
            "INSERT INTO containers (id, name, image, created, cgroup, config, generation, status, oom_killed, error,
                                           restart_count, backoff, stopped, kept)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, 0, '', 0, 0, 0, 0)";
        let image = row.image.as_ref().map(text);
        let status = &row.state.status;
        self.execute(sql, (&row.id, &row.name, image, row.created, &row.cgroup, &row.config, status))?;
        self.store_state(&row.id, 0, &row.state).map(drop)
    }

    /// Changes a container that is still what the caller saw: of this generation. Says whether it was.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn change_container(&self, id: &str, generation: u64, state: &ContainerState) -> Result<bool, StateError> {
        self.store_state(id, generation, state)
    }

    /// The generation as the row will have it: one more, but at its making.
    fn store_state(&self, id: &str, generation: u64, state: &ContainerState) -> Result<bool, StateError> {
        let sql = "UPDATE containers SET generation = generation + 1, status = ?3, boot_id = ?4, pid_namespace = ?5,
                          pid = ?6, start_time = ?7, started = ?8, finished = ?9, exit_code = ?10, oom_killed = ?11,
                          error = ?12, restart_count = ?13, backoff = ?14, stopped = ?15, kept = ?16
                   WHERE id = ?1 AND generation = ?2";
        let process = state.process.as_ref();
        let row = rusqlite::params![
            id,
            generation.cast_signed(),
            state.status,
            process.map(|p| &p.boot_id),
            process.map(|p| p.pid_namespace.cast_signed()),
            process.map(|p| p.pid),
            process.map(|p| p.start_time.cast_signed()),
            state.started,
            state.finished,
            state.exit_code,
            state.oom_killed,
            state.error,
            state.restart_count,
            state.backoff.cast_signed(),
            state.stopped,
            state.kept,
        ];
        Ok(self.execute(sql, row)? > 0)
    }

    /// Gives a container another name; says whether it was still of this generation.
    ///
    /// # Errors
    /// [`StateError::NameTaken`]; of the ledger.
    pub fn rename_container(&self, id: &str, generation: u64, name: &str) -> Result<bool, StateError> {
        if let Some(other) = self.container_by_name(name)? {
            return Err(StateError::NameTaken { name: name.to_owned(), by: other.id });
        }
        let sql = "UPDATE containers SET generation = generation + 1, name = ?3 WHERE id = ?1 AND generation = ?2";
        Ok(self.execute(sql, (id, generation.cast_signed(), name))? > 0)
    }

    /// Begins a removal: changes the container as [`Write::change_container`] does, and from then on `operation` ends
    /// with the container gone, whoever ends it.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn begin_removal(
        &self,
        operation: OperationId,
        id: &str,
        generation: u64,
        state: &ContainerState,
    ) -> Result<bool, StateError> {
        if !self.store_state(id, generation, state)? {
            return Ok(false);
        }
        self.execute("UPDATE containers SET removal = ?2 WHERE id = ?1", (id, operation.to_string()))?;
        self.plan_container(operation, id)?;
        Ok(true)
    }

    /// Breaks a removal off: the container stays, and `operation` leaves it alone.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn break_removal_off(
        &self,
        operation: OperationId,
        id: &str,
        state: &ContainerState,
    ) -> Result<bool, StateError> {
        let sql = "UPDATE containers SET removal = NULL WHERE id = ?1 AND removal = ?2";
        if self.execute(sql, (id, operation.to_string()))? == 0 {
            return Ok(false);
        }
        self.delete_container_plan(operation, id)?;
        let Some(row) = self.container(id)? else { return Ok(false) };
        self.store_state(id, row.generation, state)
    }

    /// Ends a removal whose directory [`crate::Operation::discard_container`] took away: the row goes, and with it the
    /// name is free. Says whether it was there.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn end_removal(&self, operation: OperationId, id: &str) -> Result<bool, StateError> {
        self.delete_container_plan(operation, id)?;
        self.delete_container(operation, id)
    }

    pub(crate) fn delete_container(&self, operation: OperationId, id: &str) -> Result<bool, StateError> {
        let sql = "DELETE FROM containers WHERE id = ?1 AND removal = ?2";
        Ok(self.execute(sql, (id, operation.to_string()))? > 0)
    }

    /// Forgets what was planned for a container.
    pub(crate) fn delete_container_plan(&self, operation: OperationId, id: &str) -> Result<(), StateError> {
        let sql = "DELETE FROM plans WHERE operation = ?1 AND kind = ?2 AND digest = ?3";
        self.execute(sql, (operation.to_string(), CONTAINER, id))?;
        Ok(())
    }
}
