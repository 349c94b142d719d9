//! Changes to images, manifests, tags and the journal, inside a transaction: what [`Write`] offers.
//!
//! What belongs to operations (plans, leases, garbage) stands in `write/`. No file is touched here.

mod containers;
mod garbage;
mod networks;
mod operations;

use crate::error::StateError;
use crate::read::{Read, digest, text};
use crate::rows::{ContentKind, EventSeq, ImageRow, ManifestRow, NewEvent, TagRow};
use dhow_spec::Digest;
use rusqlite::{Connection, Params};
use std::ops::Deref;
use std::path::Path;

/// How many events the journal keeps.
pub const JOURNAL_LENGTH: i64 = 10_000;

/// A transaction that may change the ledger, alone at it. Everything that [`Read`] offers sees its changes.
pub struct Write<'t> {
    read: Read<'t>,
}

impl<'t> Deref for Write<'t> {
    type Target = Read<'t>;

    fn deref(&self) -> &Read<'t> {
        &self.read
    }
}

impl<'t> Write<'t> {
    pub(crate) fn new(connection: &'t Connection, path: &'t Path) -> Write<'t> {
        Write { read: Read::new(connection, path) }
    }

    /// Records an image and a manifest of it. What is there already stays as it is.
    ///
    /// Everything that they name must be in the store and flushed to disk, which [`crate::Operation::commit`] marks
    /// when [`crate::Operation::sync_published`] was called before: so what is not flushed belongs to no image,
    /// and may be dropped after a power cut.
    ///
    /// # Errors
    /// [`StateError::Missing`] and [`StateError::NotFlushed`] for what they name; of the ledger.
    pub fn put_image(&self, image: &ImageRow, manifest: &ManifestRow) -> Result<(), StateError> {
        if manifest.image != image.id {
            return Err(StateError::Missing { kind: "image", digest: manifest.image.clone() });
        }
        for blob in [&image.id, &manifest.digest].into_iter().chain(&manifest.blobs) {
            self.require(ContentKind::Blob, blob)?;
        }
        for layer in &image.layers {
            self.require(ContentKind::Layer, layer)?;
        }
        if self.insert_image(image)? {
            let sql = "INSERT INTO image_layers (image, position, layer) VALUES (?1, ?2, ?3)";
            for (position, layer) in (0i64..).zip(&image.layers) {
                self.execute(sql, (text(&image.id), position, text(layer)))?;
            }
        }
        let sql = "INSERT INTO manifests (digest, image, media_type, size) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (digest) DO NOTHING";
        let size = manifest.size.cast_signed();
        let key = text(&manifest.digest);
        if self.execute(sql, (&key, text(&image.id), &manifest.media_type, size))? > 0 {
            let sql = "INSERT INTO manifest_blobs (manifest, position, blob) VALUES (?1, ?2, ?3)";
            for (position, blob) in (0i64..).zip(&manifest.blobs) {
                self.execute(sql, (&key, position, text(blob)))?;
            }
        }
        Ok(())
    }

    fn insert_image(&self, image: &ImageRow) -> Result<bool, StateError> {
        let sql = "INSERT INTO images (id, config_size, os, architecture, variant, created, loaded, size, labels)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING";
        let labels = serde_json::to_string(&image.labels).expect("a map of strings is always JSON");
        let row = rusqlite::params![
            text(&image.id),
            image.config_size.cast_signed(),
            image.os,
            image.architecture,
            image.variant,
            image.created,
            image.loaded,
            image.size.cast_signed(),
            labels
        ];
        Ok(self.execute(sql, row)? > 0)
    }

    fn require(&self, kind: ContentKind, digest: &Digest) -> Result<(), StateError> {
        match self.synced(kind, digest)? {
            Some(true) => Ok(()),
            Some(false) => Err(StateError::NotFlushed { kind: kind.name(), digest: digest.clone() }),
            None => Err(StateError::Missing { kind: kind.name(), digest: digest.clone() }),
        }
    }

    /// Gives a name; hands back what had it before.
    ///
    /// # Errors
    /// [`StateError::Missing`] when the manifest is not one of that image; of the ledger.
    pub fn set_tag(&self, tag: &TagRow) -> Result<Option<TagRow>, StateError> {
        let sql = "SELECT 1 FROM manifests WHERE digest = ?1 AND image = ?2";
        if self.one(sql, [text(&tag.manifest), text(&tag.image)], |_| Ok(()))?.is_none() {
            return Err(StateError::Missing { kind: "manifest", digest: tag.manifest.clone() });
        }
        let previous = self.tag(&tag.name)?;
        let sql = "INSERT INTO tags (name, image, manifest, tagged) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (name) DO UPDATE SET image = ?2, manifest = ?3, tagged = ?4";
        self.execute(sql, (&tag.name, text(&tag.image), text(&tag.manifest), tag.tagged))?;
        Ok(previous)
    }

    /// Takes a name away; hands back what had it.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn delete_tag(&self, name: &str) -> Result<Option<TagRow>, StateError> {
        let previous = self.tag(name)?;
        self.execute("DELETE FROM tags WHERE name = ?1", [name])?;
        Ok(previous)
    }

    /// Removes an image with its manifests and tags; says whether it was there. Its layers and blobs stay until
    /// [`Write::collect_garbage`].
    ///
    /// # Errors
    /// [`StateError::ImageInUse`] while a container refers to it; of the ledger.
    pub fn delete_image(&self, id: &Digest) -> Result<bool, StateError> {
        if let Some(container) = self.containers_of_image(id)?.into_iter().next() {
            return Err(StateError::ImageInUse { image: id.clone(), container: container.id });
        }
        Ok(self.execute("DELETE FROM images WHERE id = ?1", [text(id)])? > 0)
    }

    /// Removes the manifests of an image that no tag names, but for one when no tag names any: then the newest
    /// stays, so that the image can still be saved. Hands back the digests of those removed.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn delete_unused_manifests(&self, image: &Digest) -> Result<Vec<Digest>, StateError> {
        let sql = "DELETE FROM manifests WHERE image = ?1
                     AND digest NOT IN (SELECT manifest FROM tags WHERE image = ?1)
                     AND seq <> (SELECT max(seq) FROM manifests m WHERE image = ?1
                                   AND ((SELECT count(*) FROM tags WHERE image = ?1) = 0
                                        OR digest IN (SELECT manifest FROM tags WHERE image = ?1)))
                   RETURNING digest";
        self.all(sql, [text(image)], |row| digest(row, 0))
    }

    /// Adds an event to the journal, which keeps the newest [`JOURNAL_LENGTH`]. In the transaction of the change that
    /// it tells of, so that neither is ever there without the other.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn record_event(&self, event: &NewEvent) -> Result<EventSeq, StateError> {
        // The newest event is never deleted, so max + 1, which SQLite takes, was never used.
        let sql = "INSERT INTO events (time, kind, action, actor, attributes) VALUES (?1, ?2, ?3, ?4, ?5)";
        let attributes = serde_json::to_string(&event.attributes).expect("a map of strings is always JSON");
        self.execute(sql, (event.time, event.kind, &event.action, &event.actor, attributes))?;
        let seq = self.connection().last_insert_rowid();
        self.execute("DELETE FROM events WHERE seq <= ?1", [seq - JOURNAL_LENGTH])?;
        Ok(EventSeq(seq))
    }

    /// Runs one statement; how many rows it changed.
    pub(crate) fn execute<P: Params>(&self, sql: &'static str, params: P) -> Result<usize, StateError> {
        let done = self.connection().prepare_cached(sql).and_then(|mut s| s.execute(params));
        done.map_err(|e| self.failed("write", e))
    }
}
