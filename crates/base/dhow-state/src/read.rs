//! Queries, inside a transaction: what [`Read`] offers. Rows in, values out; no file is looked at.

mod containers;
mod images;
mod networks;

use crate::error::StateError;
use crate::rows::{BlobRow, ContentKind, Event, EventSeq, LayerRow, OperationId, OperationRow, Planned, Usage};
use dhow_spec::Digest;
use dhow_sys::process::ProcessIdentity;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

/// The kind of a plan for the directory of a container.
pub(crate) const CONTAINER: &str = "container";

/// A snapshot of the ledger.
///
/// Inside the closure that got it, the state it came from must not be asked for another transaction.
pub struct Read<'t> {
    connection: &'t Connection,
    path: &'t Path,
}

impl<'t> Read<'t> {
    pub(crate) fn new(connection: &'t Connection, path: &'t Path) -> Read<'t> {
        Read { connection, path }
    }

    /// The blob, if the store has it.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobRow>, StateError> {
        self.one("SELECT digest, size FROM blobs WHERE digest = ?1", [text(digest)], blob)
    }

    /// The layer, if the store has it.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn layer(&self, key: &Digest) -> Result<Option<LayerRow>, StateError> {
        let sql = "SELECT key, diff_id, whole, size, entries FROM layers WHERE key = ?1";
        self.one(sql, [text(key)], layer)
    }

    /// All layers, by key.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn layers_all(&self) -> Result<Vec<LayerRow>, StateError> {
        self.all("SELECT key, diff_id, whole, size, entries FROM layers ORDER BY key", [], layer)
    }

    /// All blobs, by digest.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn blobs_all(&self) -> Result<Vec<BlobRow>, StateError> {
        self.all("SELECT digest, size FROM blobs ORDER BY digest", [], blob)
    }

    /// How much there is of everything.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn usage(&self) -> Result<Usage, StateError> {
        let sql = "SELECT (SELECT count(*) FROM blobs), (SELECT ifnull(sum(size), 0) FROM blobs),
                          (SELECT count(*) FROM layers), (SELECT ifnull(sum(size), 0) FROM layers),
                          (SELECT count(*) FROM images), (SELECT count(*) FROM containers)";
        let usage = self.one(sql, [], |row| {
            Ok(Usage {
                blobs: (count(row, 0)?, count(row, 1)?),
                layers: (count(row, 2)?, count(row, 3)?),
                images: count(row, 4)?,
                containers: count(row, 5)?,
            })
        })?;
        Ok(usage.unwrap_or_default())
    }

    /// At most `limit` events after `after`, oldest first.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn events(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>, StateError> {
        let sql = "SELECT seq, time, kind, action, actor, attributes FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(sql, (after.0, limit), |row| {
            Ok(Event {
                seq: EventSeq(row.get(0)?),
                time: row.get(1)?,
                kind: row.get(2)?,
                action: row.get(3)?,
                actor: row.get(4)?,
                attributes: map(row, 5)?,
            })
        })
    }

    /// The place of the newest event; [`EventSeq::START`] when there is none.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn newest_event(&self) -> Result<EventSeq, StateError> {
        let newest = self.one("SELECT ifnull(max(seq), 0) FROM events", [], |row| Ok(EventSeq(row.get(0)?)))?;
        Ok(newest.unwrap_or(EventSeq::START))
    }

    /// All operations that have not ended, dead ones among them.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn operations(&self) -> Result<Vec<OperationRow>, StateError> {
        let sql = "SELECT id, kind, boot_id, pid_namespace, pid, start_time, begun FROM operations ORDER BY begun, id";
        self.all(sql, [], |row| {
            let owner = ProcessIdentity {
                boot_id: row.get(2)?,
                pid_namespace: count(row, 3)?,
                pid: row.get(4)?,
                start_time: count(row, 5)?,
            };
            Ok(OperationRow { id: operation(row, 0)?, kind: row.get(1)?, owner, begun: row.get(6)? })
        })
    }

    /// The final paths that the operation may have to clean up.
    pub(crate) fn plans_of(&self, operation: OperationId) -> Result<Vec<Planned>, StateError> {
        let sql = "SELECT kind, digest FROM plans WHERE operation = ?1 ORDER BY kind, digest";
        self.all(sql, [operation.to_string()], planned)
    }

    /// What an operation relies on.
    pub(crate) fn leases_of(&self, operation: OperationId) -> Result<Vec<(ContentKind, Digest)>, StateError> {
        let sql = "SELECT kind, digest FROM leases WHERE operation = ?1 ORDER BY kind, digest";
        self.all(sql, [operation.to_string()], |row| Ok((content(row, 0)?, digest(row, 1)?)))
    }

    /// Every final path that any operation may have to clean up.
    pub(crate) fn plans_all(&self) -> Result<Vec<Planned>, StateError> {
        let sql = "SELECT DISTINCT kind, digest FROM plans ORDER BY kind, digest";
        self.all(sql, [], planned)
    }

    /// Whether a row of this kind and digest is there; its `synced` flag.
    pub(crate) fn synced(&self, kind: ContentKind, digest: &Digest) -> Result<Option<bool>, StateError> {
        let sql = match kind {
            ContentKind::Blob => "SELECT synced FROM blobs WHERE digest = ?1",
            ContentKind::Layer => "SELECT synced FROM layers WHERE key = ?1",
        };
        self.one(sql, [text(digest)], |row| row.get(0))
    }

    /// SQLite's own check of the file: nothing when it is sound.
    pub(crate) fn quick_check(&self) -> Result<Vec<String>, StateError> {
        let mut lines = self.all("PRAGMA quick_check", [], |row| row.get::<_, String>(0))?;
        lines.retain(|line| line != "ok");
        Ok(lines)
    }

    /// The first row of a query, if there is one.
    pub(crate) fn one<T, P: Params>(
        &self,
        sql: &'static str,
        params: P,
        f: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StateError> {
        let found = self.connection.prepare_cached(sql).and_then(|mut s| s.query_row(params, f).optional());
        found.map_err(|e| self.failed("read", e))
    }

    /// All rows of a query.
    pub(crate) fn all<T, P: Params>(
        &self,
        sql: &'static str,
        params: P,
        f: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StateError> {
        let found = self.connection.prepare_cached(sql).and_then(|mut s| s.query_map(params, f)?.collect());
        found.map_err(|e| self.failed("read", e))
    }

    /// The connection, for changes; [`crate::Write`] is the one that may.
    pub(crate) fn connection(&self) -> &Connection {
        self.connection
    }

    pub(crate) fn failed(&self, operation: &'static str, error: rusqlite::Error) -> StateError {
        StateError::sql(operation, self.path, error)
    }
}

/// A digest as the ledger holds it.
pub(crate) fn text(digest: &Digest) -> String {
    digest.to_string()
}

pub(crate) fn blob(row: &Row<'_>) -> rusqlite::Result<BlobRow> {
    Ok(BlobRow { digest: digest(row, 0)?, size: count(row, 1)? })
}

pub(crate) fn layer(row: &Row<'_>) -> rusqlite::Result<LayerRow> {
    Ok(LayerRow {
        key: digest(row, 0)?,
        diff_id: digest(row, 1)?,
        whole: row.get(2)?,
        size: count(row, 3)?,
        entries: count(row, 4)?,
    })
}

pub(crate) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get_ref(column)?.as_str()?.parse().map_err(|e| malformed(column, e))
}

/// Sizes and counts are stored as their 64 bits.
pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

pub(crate) fn map(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeMap<String, String>> {
    match row.get_ref(column)?.as_str()? {
        "{}" => Ok(BTreeMap::new()),
        json => serde_json::from_str(json).map_err(|e| malformed(column, e)),
    }
}

pub(crate) fn operation(row: &Row<'_>, column: usize) -> rusqlite::Result<OperationId> {
    u64::from_str_radix(row.get_ref(column)?.as_str()?, 16).map(OperationId).map_err(|e| malformed(column, e))
}

fn planned(row: &Row<'_>) -> rusqlite::Result<Planned> {
    match row.get_ref(0)?.as_str()? {
        CONTAINER => Ok(Planned::Container(row.get(1)?)),
        _ => Ok(Planned::Content(content(row, 0)?, digest(row, 1)?)),
    }
}

pub(crate) fn content(row: &Row<'_>, column: usize) -> rusqlite::Result<ContentKind> {
    match row.get_ref(column)?.as_str()? {
        "blob" => Ok(ContentKind::Blob),
        "layer" => Ok(ContentKind::Layer),
        other => Err(malformed(column, format!("unknown kind {other:?}"))),
    }
}

pub(crate) fn malformed(column: usize, error: impl Into<Box<dyn Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
