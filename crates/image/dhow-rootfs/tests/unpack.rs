//! Reading archives and unpacking layers: against GNU tar, against the format's dark corners, and against hostile
//! archives. Those that touch the file system run as root on the one that holds the temporary directory.

#![allow(clippy::unwrap_used)]

#[path = "unpack/archive.rs"]
mod archive;
#[path = "unpack/below.rs"]
mod below;
#[path = "unpack/corpus.rs"]
mod corpus;
#[path = "unpack/escapes.rs"]
mod escapes;
#[path = "unpack/gnu.rs"]
mod gnu;
#[path = "unpack/marks.rs"]
mod marks;
#[path = "unpack/parser.rs"]
mod parser;
#[path = "unpack/place.rs"]
mod place;
#[path = "unpack/removal.rs"]
mod removal;
#[path = "unpack/semantics.rs"]
mod semantics;
#[path = "unpack/space.rs"]
mod space;
