//! What the tests stand on: a store of their own, commands with their whole output, archives as no tool writes them, trees
//! compared entry by entry, disks that are too small.

mod archive;
mod command;
mod containers;
mod disk;
mod folder;
mod host;
mod images;
pub(crate) mod networks;
mod podman;
mod store;
mod terminal;
mod tree;
mod watchers;

pub(crate) use archive::{DockerArchive, Layer, Layout, digest, gzip, tar_of, zstd};
pub(crate) use command::{Ran, run, run_with_input};
pub(crate) use containers::{Containers, eventually};
pub(crate) use disk::{Disk, Stacked};
pub(crate) use folder::Folder;
pub(crate) use host::{Neighbour, ip};
pub(crate) use images::made;
pub(crate) use podman::Podman;
pub(crate) use store::{Store, path};
pub(crate) use terminal::Terminal;
pub(crate) use tree::{Tree, reference};
