//! A fresh ext4 for each unpacking. On a used one, unpacking within minutes of deleting a large tree is many times slower
//! (its journal still holds the freed blocks), which would measure the run before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::Options;
use crate::failure::Failure;
use crate::project::output;

/// A mounted ext4 in a sparse file; gone when dropped.
pub(crate) struct Disk {
    image: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    pub(crate) fn fresh(options: &Options, gibibytes: u32) -> Result<Disk, Failure> {
        let folder = if options.ram { Path::new("/dev/shm") } else { &options.scratch };
        let image = folder.join(format!("dhow-bench-{}.ext4", std::process::id()));
        let mounted = options.scratch.join(format!("mounted-{}", std::process::id()));
        fs::create_dir_all(&mounted).map_err(Failure::at(&mounted))?;
        // Built first, so that a failure below removes what is there by then.
        let disk = Disk { image, mounted };
        // All of it is made now, so that nothing is initialised behind the measured command's back.
        let mkfs = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"];
        let _ = fs::remove_file(&disk.image);
        output(Command::new("mkfs.ext4").args(mkfs).arg(&disk.image).arg(format!("{gibibytes}G")))?;
        output(Command::new("mount").args(["-o", "loop"]).arg(&disk.image).arg(&disk.mounted))?;
        output(Command::new("sync").arg("--file-system").arg(&disk.mounted))?;
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mounted
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing to be done about a failure, and the mount namespace ends with this process anyway.
        let _ = umount2(&self.mounted, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&self.image);
        let _ = fs::remove_dir(&self.mounted);
    }
}

/// Mounts of this process's own, which end with it, however it ends.
pub(crate) fn private_mounts() -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>))
        .map_err(|e| Failure::new(format!("a mount namespace: {e}")))
}
