//! User namespaces that are only there to say how the ids of a mount are mapped.
//!
//! Each is made by a process that waits until the maps are written and the namespace is held, and then ends. One for each
//! mapping, however many mounts have it.

use super::held::{Held, failed, procfs, write_maps};
use super::plan::mounts::Ids;
use crate::error::RuntimeError;
use dhow_sys::clone::{Namespaces, Relation, clone};
use dhow_sys::mount;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Those that were made.
#[derive(Default)]
pub(super) struct Maps {
    made: Vec<(Ids, OwnedFd)>,
}

impl Maps {
    /// Maps the ids of a detached mount.
    pub(super) fn apply(&mut self, ids: &Ids, mount: BorrowedFd<'_>, to: &str) -> Result<(), RuntimeError> {
        let there = self.made.iter().position(|(other, _)| other.uids == ids.uids && other.gids == ids.gids);
        let index = match there {
            Some(index) => index,
            None => {
                self.made.push((ids.clone(), namespace(ids)?));
                self.made.len() - 1
            }
        };
        mount::map_ids(mount, self.made[index].1.as_fd(), ids.depth).map_err(|e| RuntimeError::Step {
            step: "mounts".to_owned(),
            message: format!("cannot map the ids of {to}: {e}"),
            errno: e.source.raw_os_error(),
        })
    }
}

fn namespace(ids: &Ids) -> Result<OwnedFd, RuntimeError> {
    let fail = |e: io::Error| failed("mounts", "cannot make a user namespace for the ids of a mount", &e);
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|e| fail(e.into()))?;
    let mut writer = Some(writer);
    let relation = Relation { namespaces: Namespaces::USER, ..Relation::CHILD };
    let process = clone(&relation, || {
        writer = None;
        // Until whoever made us has what he wants, or is gone.
        let _ = rustix::io::read(&reader, &mut [0]);
        0
    });
    let process = Held::new(process.map_err(fail)?);
    let pid = process.pid();
    write_maps(pid, &ids.uids, &ids.gids)?;
    let procfs = procfs().map_err(|e| fail(e.source))?;
    let namespace =
        rustix::fs::openat(&procfs, format!("{pid}/ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    drop(writer);
    namespace.map_err(|e| fail(e.into()))
}
