//! File systems of a test's own: too small, read-only, or layers stacked.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::command::run;
use super::folder::Folder;

/// A mounted file system that is gone with its test.
pub(crate) struct Disk {
    folder: Folder,
    mounted: PathBuf,
}

impl Disk {
    /// An ext4 in a file of `mib`.
    pub(crate) fn ext4(mib: u32) -> Disk {
        let folder = Folder::new("disk");
        let image = folder.join("image");
        let (image, size) = (image.to_str().unwrap(), format!("{mib}M"));
        run(Command::new("mkfs.ext4").args(["-q", "-F", image, &size])).ok();
        Disk::mount(folder, &["-t", "ext4", "-o", "loop"], image.to_owned())
    }

    /// A tmpfs of `mib`, which is full at once and not only at the next write-back.
    pub(crate) fn tmpfs(mib: u32) -> Disk {
        Disk::mount(Folder::new("disk"), &["-t", "tmpfs", "-o", &format!("size={mib}m")], "tmpfs".to_owned())
    }

    fn mount(folder: Folder, options: &[&str], what: String) -> Disk {
        private_mounts();
        let mounted = folder.join("mounted");
        std::fs::create_dir(&mounted).unwrap();
        run(Command::new("mount").args(options).arg(what).arg(&mounted)).ok();
        Disk { folder, mounted }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mounted
    }

    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        run(Command::new("mount").args(["-o", &options]).arg(&self.mounted)).ok();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.mounted).status();
        let _ = &self.folder;
    }
}

/// A view of layer directories (bottom first), as a container would see them.
pub(crate) struct Stacked(Folder);

impl Stacked {
    pub(crate) fn new(layers: &[PathBuf]) -> Stacked {
        private_mounts();
        let folder = Folder::new("stacked");
        for name in ["empty", "mounted"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        // overlay wants two layers below, or a writable one above.
        let empty = folder.join("empty");
        let lower: Vec<&str> = layers.iter().rev().chain([&empty]).map(|layer| layer.to_str().unwrap()).collect();
        let options = format!("ro,lowerdir={}", lower.join(":"));
        run(Command::new("mount").args(["-t", "overlay", "-o", &options, "overlay"]).arg(folder.join("mounted"))).ok();
        Stacked(folder)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("mounted")
    }
}

impl Drop for Stacked {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Gives this thread, and what it starts, mounts of its own, so that a test that is killed leaves none behind.
fn private_mounts() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    if DONE.replace(true) {
        return;
    }
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
}
