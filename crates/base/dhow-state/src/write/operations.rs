//! The rows of operations: intent, plans, leases, and what they publish.

use super::Write;
use crate::error::StateError;
use crate::read::text;
use crate::rows::{BlobRow, ContentKind, LayerRow, OperationId, Timestamp};
use dhow_spec::Digest;
use dhow_sys::process::ProcessIdentity;

impl Write<'_> {
    pub(crate) fn insert_operation(
        &self,
        id: OperationId,
        kind: &str,
        owner: &ProcessIdentity,
        begun: Timestamp,
    ) -> Result<(), StateError> {
        let sql = "INSERT INTO operations (id, kind, boot_id, pid_namespace, pid, start_time, begun)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let (namespace, start) = (owner.pid_namespace.cast_signed(), owner.start_time.cast_signed());
        self.execute(sql, (id.to_string(), kind, &owner.boot_id, namespace, owner.pid, start, begun))?;
        Ok(())
    }

    /// Removes the operation, and its plans and leases with it.
    pub(crate) fn delete_operation(&self, id: OperationId) -> Result<(), StateError> {
        self.execute("DELETE FROM operations WHERE id = ?1", [id.to_string()])?;
        Ok(())
    }

    pub(crate) fn plan(&self, id: OperationId, kind: ContentKind, digest: &Digest) -> Result<(), StateError> {
        let sql = "INSERT INTO plans (operation, kind, digest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.execute(sql, (id.to_string(), kind.name(), text(digest)))?;
        Ok(())
    }

    pub(crate) fn delete_plan(&self, id: OperationId, kind: ContentKind, digest: &Digest) -> Result<(), StateError> {
        let sql = "DELETE FROM plans WHERE operation = ?1 AND kind = ?2 AND digest = ?3";
        self.execute(sql, (id.to_string(), kind.name(), text(digest)))?;
        Ok(())
    }

    /// Forgets the plans that came true: their paths have a row.
    pub(crate) fn delete_kept_plans(&self, id: OperationId) -> Result<(), StateError> {
        let sql = "DELETE FROM plans WHERE operation = ?1 AND kind = 'blob' AND digest IN (SELECT digest FROM blobs)";
        self.execute(sql, [id.to_string()])?;
        let sql = "DELETE FROM plans WHERE operation = ?1 AND kind = 'layer' AND digest IN (SELECT key FROM layers)";
        self.execute(sql, [id.to_string()])?;
        let sql = "DELETE FROM plans WHERE operation = ?1 AND kind = 'container'
                   AND digest IN (SELECT id FROM containers WHERE removal IS NOT ?1)";
        self.execute(sql, [id.to_string()])?;
        Ok(())
    }

    pub(crate) fn delete_plans(&self, id: OperationId) -> Result<(), StateError> {
        self.execute("DELETE FROM plans WHERE operation = ?1", [id.to_string()])?;
        Ok(())
    }

    pub(crate) fn lease(&self, id: OperationId, kind: ContentKind, digest: &Digest) -> Result<(), StateError> {
        let sql = "INSERT INTO leases (operation, kind, digest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.execute(sql, (id.to_string(), kind.name(), text(digest)))?;
        Ok(())
    }

    pub(crate) fn delete_leases(&self, id: OperationId) -> Result<(), StateError> {
        self.execute("DELETE FROM leases WHERE operation = ?1", [id.to_string()])?;
        Ok(())
    }

    pub(crate) fn insert_blob(&self, row: &BlobRow, boot_id: &str) -> Result<(), StateError> {
        let sql = "INSERT INTO blobs (digest, size, synced, boot_id) VALUES (?1, ?2, 0, ?3)
                   ON CONFLICT (digest) DO UPDATE SET size = ?2";
        self.execute(sql, (text(&row.digest), row.size.cast_signed(), boot_id))?;
        Ok(())
    }

    pub(crate) fn insert_layer(&self, row: &LayerRow, boot_id: &str) -> Result<(), StateError> {
        let sql = "INSERT INTO layers (key, diff_id, whole, size, entries, synced, boot_id)
                   VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)
                   ON CONFLICT (key) DO UPDATE SET diff_id = ?2, whole = ?3, size = ?4, entries = ?5";
        let (size, entries) = (row.size.cast_signed(), row.entries.cast_signed());
        self.execute(sql, (text(&row.key), text(&row.diff_id), row.whole, size, entries, boot_id))?;
        Ok(())
    }

    /// Marks what the operation leased as safe from a power cut.
    pub(crate) fn mark_synced(&self, id: OperationId) -> Result<(), StateError> {
        let sql = "UPDATE blobs SET synced = 1 WHERE synced = 0
                   AND digest IN (SELECT digest FROM leases WHERE operation = ?1 AND kind = 'blob')";
        self.execute(sql, [id.to_string()])?;
        let sql = "UPDATE layers SET synced = 1 WHERE synced = 0
                   AND key IN (SELECT digest FROM leases WHERE operation = ?1 AND kind = 'layer')";
        self.execute(sql, [id.to_string()])?;
        Ok(())
    }

    /// Remembers who opened the store last.
    pub(crate) fn set_pairing(&self, run_root: &[u8], boot_id: &str) -> Result<(), StateError> {
        self.execute("UPDATE store SET run_root = ?1, boot_id = ?2", (run_root, boot_id))?;
        Ok(())
    }
}
