//! Deleting the rows of blobs and layers that nothing needs.
//!
//! Needed is what an image or manifest refers to, and what another operation has leased. Whether that operation's
//! owner lives is not asked here: the leases of the dead go when recovery ends their operations. A deleted row leaves
//! a plan behind, so that the sweep, or recovery in its stead, knows which path to remove.

use super::Write;
use crate::error::StateError;
use crate::read::{blob, count, digest, text};
use crate::rows::{ContentKind, Garbage, OperationId};
use dhow_spec::Digest;

impl Write<'_> {
    /// Deletes the rows of all blobs and layers that nothing needs, and leaves their files to the end of `operation`.
    /// The leases of `operation` itself protect nothing.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn collect_garbage(&self, operation: OperationId) -> Result<Vec<Garbage>, StateError> {
        // Layers and blobs do not refer to each other, so the order is free.
        let sql = "DELETE FROM layers
                   WHERE NOT EXISTS (SELECT 1 FROM image_layers WHERE layer = layers.key)
                     AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'layer' AND leases.digest = layers.key
                                                             AND operation <> ?1)
                   RETURNING key, size";
        let layers = self.all(sql, [operation.to_string()], |row| {
            Ok(Garbage { kind: ContentKind::Layer, digest: digest(row, 0)?, size: count(row, 1)? })
        })?;
        let sql = "DELETE FROM blobs
                   WHERE NOT EXISTS (SELECT 1 FROM images WHERE id = blobs.digest)
                     AND NOT EXISTS (SELECT 1 FROM manifests WHERE manifests.digest = blobs.digest)
                     AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = blobs.digest)
                     AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'blob' AND leases.digest = blobs.digest
                                                             AND operation <> ?1)
                   RETURNING digest, size";
        let blobs = self.all(sql, [operation.to_string()], |row| {
            let row = blob(row)?;
            Ok(Garbage { kind: ContentKind::Blob, digest: row.digest, size: row.size })
        })?;
        let mut garbage = layers;
        garbage.extend(blobs);
        for one in &garbage {
            self.plan(operation, one.kind, &one.digest)?;
        }
        Ok(garbage)
    }

    /// Deletes one row if nothing but `operation` needs it.
    pub(crate) fn delete_unneeded(
        &self,
        operation: OperationId,
        kind: ContentKind,
        digest: &Digest,
    ) -> Result<bool, StateError> {
        let sql = match kind {
            ContentKind::Layer => {
                "DELETE FROM layers WHERE key = ?2
                   AND NOT EXISTS (SELECT 1 FROM image_layers WHERE layer = ?2)
                   AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'layer' AND digest = ?2 AND operation <> ?1)"
            }
            ContentKind::Blob => {
                "DELETE FROM blobs WHERE digest = ?2
                   AND NOT EXISTS (SELECT 1 FROM images WHERE id = ?2)
                   AND NOT EXISTS (SELECT 1 FROM manifests WHERE digest = ?2)
                   AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE blob = ?2)
                   AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'blob' AND digest = ?2 AND operation <> ?1)"
            }
        };
        Ok(self.execute(sql, [operation.to_string(), text(digest)])? > 0)
    }

    /// Gives the leases of `operation` back. What only they still protected, because somebody removed the last image
    /// that needed it meanwhile, goes with them.
    pub(crate) fn release_leases(&self, operation: OperationId) -> Result<(), StateError> {
        for (kind, digest) in self.leases_of(operation)? {
            if self.delete_unneeded(operation, kind, &digest)? {
                self.plan(operation, kind, &digest)?;
            }
        }
        self.delete_leases(operation)
    }

    /// Deletes what was published in an earlier boot and never flushed, and has `operation` remove the files: after a
    /// power cut their bytes may be missing. No image refers to any of it, see [`Write::put_image`]; if one did, the
    /// row would stay, and the check of the store would look at the file.
    pub(crate) fn delete_unflushed(&self, operation: OperationId, boot_id: &str) -> Result<(), StateError> {
        let sql = "SELECT 'blob', digest FROM blobs WHERE synced = 0 AND boot_id <> ?1
                   UNION ALL SELECT 'layer', key FROM layers WHERE synced = 0 AND boot_id <> ?1";
        let lost = self.all(sql, [boot_id], |row| Ok((crate::read::content(row, 0)?, digest(row, 1)?)))?;
        let sql = "DELETE FROM leases WHERE kind = ?1 AND digest = ?2";
        for (kind, digest) in lost {
            // Only operations of that boot can have leased it, and they are dead.
            self.execute(sql, [kind.name(), &text(&digest)])?;
            if self.delete_unneeded(operation, kind, &digest)? {
                self.plan(operation, kind, &digest)?;
            }
        }
        Ok(())
    }
}
