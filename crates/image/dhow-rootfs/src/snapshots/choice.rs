//! Which implementation a data root gets: overlay where it truly works, else copy, with the reason.

use super::{Copy, Overlay, SnapshotError, Snapshots};
use crate::below::{OPAQUE, is_whiteout};
use crate::mount_plan::{Capabilities, MountMethod, MountPlan, Writable, probe};
use dhow_sys::tree::{self, Target, Tree};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// What was chosen, and why.
#[derive(Debug)]
pub struct Choice {
    /// The implementation.
    pub snapshots: Box<dyn Snapshots>,
    /// How overlays are mounted; none when they are not.
    pub method: Option<MountMethod>,
    /// Why it is not an overlay, for the person.
    pub reason: Option<String>,
}

/// Chooses the implementation for snapshots in `base`, by mounting an overlay in `scratch`: an empty directory of the
/// caller's on the same file system, which is empty again afterwards. Both are absolute paths.
pub fn choose(base: &Path, scratch: &Path) -> Choice {
    let capabilities = probe();
    let mut reason = None;
    for (n, &method) in capabilities.methods.iter().enumerate() {
        match trial(scratch, &Capabilities { methods: vec![method], ..capabilities.clone() }) {
            Ok(()) => {
                let methods = capabilities.methods[n..].to_vec();
                let snapshots = Box::new(Overlay::new(base, Capabilities { methods, ..capabilities }));
                return Choice { snapshots, method: Some(method), reason: None };
            }
            Err(why) => {
                reason.get_or_insert(why);
            }
        }
    }
    let reason = reason.or(capabilities.missing).unwrap_or_else(|| "no method to mount an overlay".into());
    Choice { snapshots: Box::new(Copy::new(base)), method: None, reason: Some(reason) }
}

/// Mounts an overlay and deletes through it: whiteouts and opaque marks are what file systems fail at. An upper
/// directory that cannot hold them makes the kernel mount it read-only, without an error.
fn trial(scratch: &Path, capabilities: &Capabilities) -> Result<(), String> {
    let result = mount_and_delete(scratch, capabilities).map_err(|e| e.to_string());
    let root = Tree::open(scratch).map_err(|e| e.to_string())?;
    for name in ["lower", "fs", "work"] {
        tree::remove_all(root.root(), OsStr::new(name)).map_err(|e| e.to_string())?;
    }
    if result? { Ok(()) } else { Err("this file system holds no whiteouts or opaque marks".into()) }
}

/// Whether whiteout and mark are there in the end.
fn mount_and_delete(scratch: &Path, capabilities: &Capabilities) -> Result<bool, SnapshotError> {
    let make = |path: &Path| std::fs::create_dir(path).map_err(SnapshotError::io("create", path));
    let lower = scratch.join("lower");
    let writable = Writable::in_directory(scratch);
    let upper = writable.upper.clone();
    for dir in [&lower, &lower.join("gone"), &lower.join("new"), &upper, &writable.work] {
        make(dir)?;
    }
    let layers: [PathBuf; 1] = [lower];
    let mount = MountPlan::new(&layers, Some(writable), capabilities)?.mount()?;
    let change = || -> rustix::io::Result<()> {
        rustix::fs::unlinkat(&mount, "gone", AtFlags::REMOVEDIR)?;
        rustix::fs::unlinkat(&mount, "new", AtFlags::REMOVEDIR)?;
        rustix::fs::mkdirat(&mount, "new", Mode::RWXU)
    };
    change().map_err(SnapshotError::io("delete in an overlay on", scratch))?;
    drop(mount);

    let look = || -> std::io::Result<bool> {
        let upper = Tree::open(&upper)?;
        let gone = tree::status(upper.root(), OsStr::new("gone"))?;
        let new = tree::open_name(upper.root(), OsStr::new("new"), OFlags::RDONLY)?;
        let mark = if capabilities.user_attributes { "user.overlay.opaque" } else { OPAQUE };
        let opaque = tree::get_xattr(Target::Fd(new.as_fd()), OsStr::new(mark))?;
        Ok(gone.is_some_and(|stat| is_whiteout(&stat)) && opaque.as_deref() == Some(b"y"))
    };
    look().map_err(SnapshotError::io("look at an overlay on", scratch))
}
