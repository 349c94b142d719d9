//! What the spec binds from the host, opened by the caller: with his rights and in his mount namespace, since the
//! container's first process may have neither (user namespaces).
//!
//! Detached clones, so nothing shows on the host, and nothing is left when we die.

use super::idmaps::Maps;
use super::plan::Container;
use super::plan::mounts::{Kind, Mount};
use crate::error::RuntimeError;
use dhow_sys::mount::{self, Change, Depth, MountError, Propagation};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// In the order of the mounts; none for those that are no binds.
pub(super) fn open(container: &Container) -> Result<Vec<Option<OwnedFd>>, RuntimeError> {
    let mut maps = Maps::default();
    let open = |mount: &Mount| {
        let Kind::Bind { source, depth } = &mount.kind else { return Ok(None) };
        let clone = one(mount, source, *depth)?;
        if let Some(ids) = &mount.ids {
            maps.apply(ids, clone.as_fd(), &source.display().to_string())?;
        }
        Ok(Some(clone))
    };
    container.mounts.iter().map(open).collect()
}

fn one(mount: &Mount, source: &Path, depth: Depth) -> Result<OwnedFd, RuntimeError> {
    let clone = mount::open_tree_at(source, depth).and_then(|clone| {
        // A clone of a shared mount is one of its peers, and what the container mounts in it would show on the host.
        // So, unless the spec wants just that, it only hears of the host's mounts.
        let slave = Change { propagation: Some(Propagation::Slave), ..Change::NONE };
        if mount.change.propagation.is_none() && mount.recursive.propagation.is_none() {
            mount::change(clone.as_fd(), slave, Depth::All)?;
        }
        Ok(clone)
    });
    clone.map_err(|e: MountError| RuntimeError::Step {
        step: "mounts".to_owned(),
        message: format!("cannot mount {} on {}: {e}", source.display(), mount.target.display()),
        errno: e.source.raw_os_error(),
    })
}
