//! The tables of the ledger, and how an older ledger is brought up to date.
//!
//! Migrations only add: a column with a default, a table, an index. `user_version` counts them. A ledger
//! of a newer dhow is refused, because what this one does not know of it could break.
//!
//! Digests are text, `sha256:<hex>`, and times are nanoseconds since the Unix epoch, so that a ledger can be read with
//! any SQLite shell. References between tables are declared and enforced: an image cannot outlive the row of a
//! layer or blob that it needs.

use crate::error::StateError;
use rusqlite::Connection;
use std::path::Path;

/// `dhow` in ASCII, at offset 68 of the file: `file(1)` and we can tell a ledger from another database.
pub(crate) const APPLICATION_ID: i64 = 0x6468_6f77;

/// The version that this dhow reads and writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// `MIGRATIONS[n]` leads from version `n` to version `n + 1`.
const MIGRATIONS: &[&str] = &[FIRST, CONTAINERS, NETWORKS];

/// `synced` = 0 says that the bytes may be lost in a power cut during the boot named beside it.
const FIRST: &str = "
CREATE TABLE store (
    id        TEXT PRIMARY KEY,
    run_root  BLOB NOT NULL,   -- of the last opening for writing
    boot_id   TEXT NOT NULL    -- ditto
) WITHOUT ROWID;

CREATE TABLE blobs (
    digest  TEXT PRIMARY KEY,
    size    INTEGER NOT NULL,
    synced  INTEGER NOT NULL,
    boot_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE layers (
    key     TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    whole   INTEGER NOT NULL,
    size    INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    synced  INTEGER NOT NULL,
    boot_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE images (
    id           TEXT PRIMARY KEY REFERENCES blobs (digest),
    config_size  INTEGER NOT NULL,
    os           TEXT NOT NULL,
    architecture TEXT NOT NULL,
    variant      TEXT,
    created      INTEGER,
    loaded       INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    labels       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE image_layers (
    image    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    layer    TEXT NOT NULL REFERENCES layers (key),
    PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_of_layer ON image_layers (layer);

CREATE TABLE manifests (
    seq        INTEGER PRIMARY KEY,   -- the order in which they came
    digest     TEXT NOT NULL UNIQUE REFERENCES blobs (digest),
    image      TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    media_type TEXT NOT NULL,
    size       INTEGER NOT NULL
);
CREATE INDEX manifests_of_image ON manifests (image, digest);

CREATE TABLE manifest_blobs (
    manifest TEXT NOT NULL REFERENCES manifests (digest) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    blob     TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (manifest, position)
) WITHOUT ROWID;
CREATE INDEX manifest_blobs_of_blob ON manifest_blobs (blob);

CREATE TABLE tags (
    name     TEXT PRIMARY KEY,
    image    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    manifest TEXT NOT NULL REFERENCES manifests (digest) ON DELETE CASCADE,
    tagged   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tags_of_image ON tags (image);
CREATE INDEX tags_of_manifest ON tags (manifest);

CREATE TABLE operations (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    boot_id       TEXT NOT NULL,
    pid_namespace INTEGER NOT NULL,
    pid           INTEGER NOT NULL,
    start_time    INTEGER NOT NULL,
    begun         INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE plans (
    operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    digest    TEXT NOT NULL,
    PRIMARY KEY (operation, kind, digest)
) WITHOUT ROWID;

-- In the order in which collection asks. Ending an operation reads all of them: there are few, and an index for
-- that would make each lease write one page more.
CREATE TABLE leases (
    kind      TEXT NOT NULL,
    digest    TEXT NOT NULL,
    operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    PRIMARY KEY (kind, digest, operation)
) WITHOUT ROWID;

CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    action     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    attributes TEXT NOT NULL
);
";

/// `name` is unique, and free again with the row. An image stays as long as a container refers to it.
///
/// A table with row ids, unlike the others: its rows are long, and each change of a status writes one.
const CONTAINERS: &str = "
CREATE TABLE containers (
    seq           INTEGER PRIMARY KEY,   -- the order in which they were made
    id            TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL UNIQUE,
    image         TEXT REFERENCES images (id) ON DELETE RESTRICT,
    created       INTEGER NOT NULL,
    cgroup        TEXT NOT NULL,
    config        TEXT NOT NULL,         -- JSON, never changed
    generation    INTEGER NOT NULL,      -- one more with each change
    removal       TEXT REFERENCES operations (id) ON DELETE SET NULL,
    status        TEXT NOT NULL,
    boot_id       TEXT,                  -- of the process that the status depends on
    pid_namespace INTEGER,
    pid           INTEGER,
    start_time    INTEGER,
    started       INTEGER,
    finished      INTEGER,
    exit_code     INTEGER,
    oom_killed    INTEGER NOT NULL,
    error         TEXT NOT NULL,
    restart_count INTEGER NOT NULL,
    backoff       INTEGER NOT NULL,      -- nanoseconds
    stopped       INTEGER NOT NULL,      -- by hand
    kept          INTEGER NOT NULL       -- at its next end
);
CREATE INDEX containers_of_image ON containers (image);
CREATE INDEX containers_of_removal ON containers (removal) WHERE removal IS NOT NULL;
";

/// An endpoint is a container on a network: what was asked for, and while it runs what it was given. Addresses and ports
/// outlive the container that they were leased to (no foreign key) until what the kernel knows of them is gone: until
/// then they are `stale`.
const NETWORKS: &str = "
CREATE TABLE networks (
    seq     INTEGER PRIMARY KEY,   -- the order in which they were made
    id      TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    config  TEXT NOT NULL,         -- JSON, never changed
    last4   TEXT,                  -- the address that was leased last
    last6   TEXT
);

CREATE TABLE endpoints (
    container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    network   TEXT NOT NULL REFERENCES networks (id) ON DELETE RESTRICT,
    id        TEXT NOT NULL UNIQUE,
    config    TEXT NOT NULL,       -- JSON
    state     TEXT,                -- JSON, while it starts or runs
    PRIMARY KEY (container, network)
) WITHOUT ROWID;
CREATE INDEX endpoints_of_network ON endpoints (network);

CREATE TABLE addresses (
    network   TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    address   TEXT NOT NULL,
    container TEXT NOT NULL,
    stale     INTEGER NOT NULL,
    PRIMARY KEY (network, address)
) WITHOUT ROWID;
CREATE INDEX addresses_of_container ON addresses (container);

CREATE TABLE ports (
    protocol   TEXT NOT NULL,
    port       INTEGER NOT NULL,
    address    TEXT NOT NULL,      -- of the host
    container  TEXT NOT NULL,
    network    TEXT NOT NULL,
    to_address TEXT NOT NULL,
    to_port    INTEGER NOT NULL,
    mode       TEXT NOT NULL,
    stale      INTEGER NOT NULL,
    PRIMARY KEY (protocol, port, address)
) WITHOUT ROWID;
CREATE INDEX ports_of_container ON ports (container);
";

/// Where a ledger stands against [`VERSION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// An empty file: nobody has finished making it.
    Unmade,
    /// An older version.
    Older(i64),
    /// Ours.
    Current,
}

/// Looks at the versions in the head of the file, all in one snapshot: somebody else may be making it.
pub(crate) fn standing(connection: &Connection, path: &Path) -> Result<Standing, StateError> {
    let failed = |e| StateError::sql("read the version", path, e);
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let number = |pragma: &str| -> Result<i64, StateError> {
        snapshot.pragma_query_value(None, pragma, |row| row.get(0)).map_err(failed)
    };
    let found = number("user_version")?;
    let application = number("application_id")?;
    match (application, found) {
        (APPLICATION_ID, VERSION) => Ok(Standing::Current),
        (APPLICATION_ID, found) if found > VERSION => {
            Err(StateError::NewerStore { path: path.to_path_buf(), found, known: VERSION })
        }
        (APPLICATION_ID, found) if found > 0 => Ok(Standing::Older(found)),
        (0, 0) if number("schema_version")? == 0 => Ok(Standing::Unmade),
        _ => Err(StateError::NotALedger { path: path.to_path_buf() }),
    }
}

/// Applies what is missing from version `from` on. To be called inside a transaction.
pub(crate) fn migrate(connection: &Connection, from: i64) -> rusqlite::Result<()> {
    for migration in &MIGRATIONS[usize::try_from(from).unwrap_or(0)..] {
        connection.execute_batch(migration)?;
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_ledger_is_current_and_a_newer_one_names_both_versions() {
        let connection = Connection::open_in_memory().unwrap();
        let path = Path::new("/x/ledger.db");
        assert_eq!(standing(&connection, path).unwrap(), Standing::Unmade);
        migrate(&connection, 0).unwrap();
        assert_eq!(standing(&connection, path).unwrap(), Standing::Current);
        connection.pragma_update(None, "user_version", VERSION + 7).unwrap();
        let message = standing(&connection, path).unwrap_err().to_string();
        assert!(message.contains(&(VERSION + 7).to_string()) && message.contains(&VERSION.to_string()), "{message}");
    }

    #[test]
    fn another_database_is_not_a_ledger() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE notes (text)").unwrap();
        assert!(matches!(standing(&connection, Path::new("x")), Err(StateError::NotALedger { .. })));
    }
}
