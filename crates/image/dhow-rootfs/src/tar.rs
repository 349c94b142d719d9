//! Reading tar archives: bytes in, members out. It touches no file system and judges no path.
//!
//! Understood: v7, ustar (POSIX.1-1988), star's prefix, GNU (long names, base-256 numbers, old sparse files) and PAX
//! (POSIX.1-2001) with GNU sparse files 0.0, 0.1 and 1.0. Where writers disagree the reading is that of Go's
//! `archive/tar`, because every layer in the world has been made for it. Two archives that well-known readers take
//! apart differently are refused rather than read one way: see `Fault`.
//!
//! Left out on purpose: global PAX headers (checked and ignored, as docker does), `LIBARCHIVE.xattr.*` (its writers
//! add `SCHILY.xattr.*` beside it), `SCHILY.acl.*` (text that names users by name), access and change times.
//!
//! ```
//! # let archive: &[u8] = &[0u8; 1024];
//! use dhow_rootfs::tar::{Limits, Reader};
//! let mut reader = Reader::new(archive, Limits::default());
//! while let Some(entry) = reader.next_entry()? {
//!     println!("{:?} {}", entry.as_path(), entry.size);
//!     while let Some(run) = reader.next_run()? {
//!         assert!(run.offset + run.bytes.len() as u64 <= entry.size);
//!     }
//! }
//! # Ok::<(), dhow_rootfs::tar::TarError>(())
//! ```

mod entry;
mod fault;
mod header;
mod input;
mod limits;
mod pax;
mod reader;
mod sparse;

pub use entry::{Entry, EntryKind, Mtime};
pub use fault::{Fault, TarError};
pub use limits::Limits;
pub use reader::{Reader, Run};

/// Everything in an archive comes in blocks of this many bytes.
const BLOCK: usize = 512;
