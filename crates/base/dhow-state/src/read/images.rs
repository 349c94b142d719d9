//! Queries about images, manifests and tags.

use super::{Read, count, digest, map, text};
use crate::error::StateError;
use crate::rows::{ImageHead, ImageRow, ImageSummary, ManifestRow, TagRow};
use dhow_spec::{Algorithm, Digest};
use rusqlite::Row;

impl Read<'_> {
    /// The image of this id.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn image(&self, id: &Digest) -> Result<Option<ImageRow>, StateError> {
        let sql = "SELECT id, config_size, os, architecture, variant, created, loaded, size, labels
                   FROM images WHERE id = ?1";
        let Some(head) = self.one(sql, [text(id)], head)? else { return Ok(None) };
        let sql = "SELECT layer FROM image_layers WHERE image = ?1 ORDER BY position";
        let layers = self.all(sql, [text(id)], |row| digest(row, 0))?;
        Ok(Some(head.with_layers(layers)))
    }

    /// How many images there are.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn image_count(&self) -> Result<u64, StateError> {
        let found = self.one("SELECT count(*) FROM images", [], |row| count(row, 0))?;
        Ok(found.unwrap_or(0))
    }

    /// All images with their names, by id. Three queries, however many images there are.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn list_images(&self) -> Result<Vec<ImageSummary>, StateError> {
        let sql = "SELECT id, config_size, os, architecture, variant, created, loaded, size, labels
                   FROM images ORDER BY id";
        let mut images =
            self.all(sql, [], |row| Ok(ImageSummary { image: head(row)?, tags: Vec::new(), manifests: Vec::new() }))?;
        let tags = self.all("SELECT name, image, manifest, tagged FROM tags ORDER BY image, name", [], tag)?;
        let manifests = self.all("SELECT image, digest FROM manifests ORDER BY image, digest", [], |row| {
            Ok((digest(row, 0)?, digest(row, 1)?))
        })?;
        // All three are in the order of the image's id, and each of the latter belongs to one of the former.
        let mut at = images.iter_mut();
        let mut image = at.next();
        for tag in tags {
            while image.as_ref().is_some_and(|i| i.image.id != tag.image) {
                image = at.next();
            }
            if let Some(image) = &mut image {
                image.tags.push(tag);
            }
        }
        let mut at = images.iter_mut();
        let mut image = at.next();
        for (of, manifest) in manifests {
            while image.as_ref().is_some_and(|i| i.image.id != of) {
                image = at.next();
            }
            if let Some(image) = &mut image {
                image.manifests.push(manifest);
            }
        }
        Ok(images)
    }

    /// The ids that begin so, given without the algorithm. Empty for what is no lower-case hex.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn images_by_hex_prefix(&self, prefix: &str) -> Result<Vec<Digest>, StateError> {
        if !prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let from = format!("{}:{prefix}", algorithm.name());
            // `g` sorts behind every hex digit.
            let to = format!("{from}g");
            found.extend(self.all(
                "SELECT id FROM images WHERE id >= ?1 AND id < ?2 ORDER BY id",
                [from, to],
                |row| digest(row, 0),
            )?);
        }
        Ok(found)
    }

    /// The tag of this canonical name.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn tag(&self, name: &str) -> Result<Option<TagRow>, StateError> {
        self.one("SELECT name, image, manifest, tagged FROM tags WHERE name = ?1", [name], tag)
    }

    /// The tags of an image, by name.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn tags_of(&self, image: &Digest) -> Result<Vec<TagRow>, StateError> {
        let sql = "SELECT name, image, manifest, tagged FROM tags WHERE image = ?1 ORDER BY name";
        self.all(sql, [text(image)], tag)
    }

    /// The tags of which the canonical name begins so, by name.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn tags_with_prefix(&self, prefix: &str) -> Result<Vec<TagRow>, StateError> {
        // char(1114111) is the last character there is.
        let sql = "SELECT name, image, manifest, tagged FROM tags
                   WHERE name >= ?1 AND name < ?1 || char(1114111) ORDER BY name";
        self.all(sql, [prefix], tag)
    }

    /// The manifest of this digest.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn manifest(&self, of: &Digest) -> Result<Option<ManifestRow>, StateError> {
        let sql = "SELECT digest, image, media_type, size FROM manifests WHERE digest = ?1";
        match self.one(sql, [text(of)], manifest)? {
            Some(row) => Ok(Some(self.with_blobs(row)?)),
            None => Ok(None),
        }
    }

    /// The manifests of an image, by digest.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn manifests_of(&self, image: &Digest) -> Result<Vec<ManifestRow>, StateError> {
        let sql = "SELECT digest, image, media_type, size FROM manifests WHERE image = ?1 ORDER BY digest";
        let rows = self.all(sql, [text(image)], manifest)?;
        rows.into_iter().map(|row| self.with_blobs(row)).collect()
    }

    /// The ids of the images that have this layer.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn images_using_layer(&self, key: &Digest) -> Result<Vec<Digest>, StateError> {
        let sql = "SELECT DISTINCT image FROM image_layers WHERE layer = ?1 ORDER BY image";
        self.all(sql, [text(key)], |row| digest(row, 0))
    }

    /// The ids of the images that need this blob, as configuration, manifest or layer.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn images_using_blob(&self, blob: &Digest) -> Result<Vec<Digest>, StateError> {
        let sql = "SELECT id FROM images WHERE id = ?1
                   UNION SELECT image FROM manifests WHERE digest = ?1
                   UNION SELECT image FROM manifest_blobs JOIN manifests ON digest = manifest WHERE blob = ?1
                   ORDER BY 1";
        self.all(sql, [text(blob)], |row| digest(row, 0))
    }

    fn with_blobs(&self, manifest: ManifestRow) -> Result<ManifestRow, StateError> {
        let sql = "SELECT blob FROM manifest_blobs WHERE manifest = ?1 ORDER BY position";
        let blobs = self.all(sql, [text(&manifest.digest)], |row| digest(row, 0))?;
        Ok(ManifestRow { blobs, ..manifest })
    }
}

fn head(row: &Row<'_>) -> rusqlite::Result<ImageHead> {
    Ok(ImageHead {
        id: digest(row, 0)?,
        config_size: count(row, 1)?,
        os: row.get(2)?,
        architecture: row.get(3)?,
        variant: row.get(4)?,
        created: row.get(5)?,
        loaded: row.get(6)?,
        size: count(row, 7)?,
        labels: map(row, 8)?,
    })
}

fn tag(row: &Row<'_>) -> rusqlite::Result<TagRow> {
    Ok(TagRow { name: row.get(0)?, image: digest(row, 1)?, manifest: digest(row, 2)?, tagged: row.get(3)? })
}

fn manifest(row: &Row<'_>) -> rusqlite::Result<ManifestRow> {
    Ok(ManifestRow {
        digest: digest(row, 0)?,
        image: digest(row, 1)?,
        media_type: row.get(2)?,
        size: count(row, 3)?,
        blobs: Vec::new(),
    })
}
