//! The ledger and durable files: who owns which path of a store, and what is under way in it.
//!
//! Every file below the data root belongs to a row of the ledger, so that after a crash at any instruction it can be
//! told what is whole, what is half done and what is nobody's. This crate knows names, sizes and references; it never
//! looks into a blob or a layer, and has no opinion on what an image is for.
//!
//! # Words
//!
//! * **store**: a data root with everything in it, named by its *store id*.
//! * **ledger**: the SQLite database of the store; [`Read`] and [`Write`] are its transactions.
//! * **blob**, **layer**: a verified file, an unpacked directory; each at the *final path* that its digest gives.
//! * **operation**: work that takes more than one step. It has a row, an owner (a process, for ever: boot id, pid and
//!   start time), a *work directory* for what is half done, *plans* and *leases*.
//! * **plan**: "this operation may have left something at this final path". Written before a file is moved there, and
//!   when a row is deleted of which the file is to go.
//! * **lease**: "this operation relies on this blob or layer"; garbage collection spares it.
//! * **publish**: to move a file or directory from the work directory to its final path and record its row.
//! * **container**: a row with a unique name, and a directory of its own, made and removed by operations.
//! * **network**, **endpoint**: a row with a unique name; a container on it. Addresses and ports are leased to containers
//!   and are *stale* from their end until the kernel has forgotten them too.
//! * **generation**: counts the changes of a container's row. Who changes it says which one he saw (compare and swap).
//! * **synced**: the bytes survive a power cut. What an image refers to is synced, always.
//!
//! # On disk
//!
//! ```text
//! <data root>/                      0700
//!     ledger.db, -wal, -shm         SQLite, write-ahead log; the log is kept when nobody has it open
//!     ledger.lock                   flock: one writer at a time
//!     reserve                       room for what makes room on a full disk
//!     blobs/<algorithm>/<hex>       0444
//!     layers/<algorithm>-<hex>/
//!     containers/<container id>/    what is in it is the caller's
//!     work/<operation id>/
//! <run root>/<store id>/            0700; gone with the boot
//!     locks/<kind>-<key>.lock       flock; there only while somebody holds or waits for it
//!     containers/<container id>/    likewise the caller's
//! ```
//!
//! # The life of an operation
//!
//! ```text
//! begin    row, work directory
//! ...      the caller fills files and directories below work()
//! publish  plan | commit | rename to the final path, row with synced = 0, lease | commit
//! flush    sync_published: one syncfs for all of it
//! commit   synced = 1, images, tags, events, no leases, no operation | commit, flushed
//! sweep    what collect_garbage deleted: out of the way into the work directory | commit | removed
//! ```
//!
//! A container is made and removed by operations of two transactions:
//!
//! ```text
//! make     begin_with: plan_container | commit | work directory filled, place_container: renamed | row | commit
//! remove   begin_with: begin_removal | commit | discard_container: set aside, removed | end_removal | commit
//! ```
//!
//! Between the two, the making can still be undone; a removal is always carried on, by recovery if need be. A removal
//! that cannot even set the directory aside is broken off ([`Write::break_removal_off`]). What a container's status
//! says of processes is not this crate's to verify: whoever reads it compares the identity in the row.
//!
//! Dropped or killed anywhere before `commit`, nothing of it stays, unless another operation leased what it published
//! in the meantime. Dropping does that itself; the dead are *recovered* by whoever next opens the store for writing.
//! After a power cut the ledger may have lost its last transactions, but never one that was committed with
//! [`Durability::PowerCut`]; rows that are not synced and of an earlier boot go, with their files, at the first opening
//! of the new one. A file whose row and plan were both lost is an orphan: [`State::check`] finds it, and
//! publishing the same digest moves it out of the way.
//!
//! # Order of locks
//!
//! 1. object locks ([`State::lock`]), one at a time, or in the order of [`ObjectKind`];
//! 2. the connection of the [`State`] (inside a process);
//! 3. `ledger.lock` (between processes);
//! 4. SQLite's own.
//!
//! Inside a transaction nothing waits for an object lock, and nothing begins another transaction of the same state.
//!
//! # What must not happen
//!
//! * `fork` without `exec` while a state is open: SQLite's locks belong to the process.
//! * Opening `ledger.db` by anything but SQLite: closing it again would drop those locks.
//! * Putting a store on a network file system; opening refuses those it knows.
//!
//! # Example
//!
//! ```no_run
//! use dhow_spec::Digest;
//! use dhow_state::{Access, BlobRow, Durability, ObjectKind, Places, State, StateError};
//!
//! # fn now() -> i64 { 0 }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let places = Places { root: "/var/lib/dhow".into(), run_root: "/run/dhow".into() };
//! let state = State::open(&places, Access::ReadWrite)?;
//! let digest = Digest::of(b"hello");
//!
//! let operation = state.begin("load", now())?;
//! // So that two that load the same image do the work once.
//! let lock = state.lock(ObjectKind::Blob, &digest.to_string())?;
//! if operation.lease_blob(&digest)?.is_none() {
//!     let file = operation.work().join("blob");
//!     std::fs::write(&file, b"hello")?;
//!     operation.publish_blob(&file, &BlobRow { digest, size: 5 })?;
//! }
//! drop(lock);
//! operation.sync_published()?;
//! let id = operation.id();
//! let garbage = operation.commit(Durability::PowerCut, |w| {
//!     // put_image, set_tag, record_event; and what nothing needs goes.
//!     w.collect_garbage(id)
//! })?;
//! # Ok(())
//! # }
//! ```

mod check;
mod error;
mod events;
mod filesystem;
mod layout;
mod ledger;
mod locks;
mod operation;
mod pairing;
mod read;
mod reserve;
mod rows;
mod schema;
mod state;
mod sweep;
mod write;

pub mod durable;

pub use check::{CheckOptions, CheckReport, Done, Finding, FindingKind};
pub use error::StateError;
pub use events::EventWatch;
pub use locks::ObjectLock;
pub use operation::Operation;
pub use read::Read;
pub use rows::{
    Access, AddressRow, BlobRow, Claim, ContainerRow, ContainerState, ContentKind, Durability, EndpointRow, Event,
    EventSeq, Garbage, ImageHead, ImageRow, ImageSummary, LayerRow, ManifestRow, NetworkRow, NewEvent, ObjectKind,
    OperationId, OperationRow, Places, PortRow, TagRow, Timestamp, Usage,
};
pub use schema::VERSION as SCHEMA_VERSION;
pub use state::State;
pub use write::{JOURNAL_LENGTH, Write};
