//! Reading tar archives.

mod entry;
mod fault;
mod limits;

pub use entry::{Entry, EntryKind, Mtime};
pub use fault::{Fault, TarError};
pub use limits::Limits;
