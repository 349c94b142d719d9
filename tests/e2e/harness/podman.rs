//! podman with a store of its own, apart from whatever the machine's podman has.

use std::process::Command;

use super::command::{Ran, run};
use super::folder::Folder;

pub(crate) struct Podman(Folder);

impl Podman {
    pub(crate) fn new() -> Podman {
        Podman(Folder::new("podman"))
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.0
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new("podman");
        for (flag, name) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(flag).arg(self.0.join(name));
        }
        // No systemd, no journal: neither needs to be there.
        command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command.env("TMPDIR", self.0.path());
        run(command.args(args))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // The overlay driver keeps a bind mount of its folder.
        let _ = Command::new("umount").arg(self.0.join("root/overlay")).stderr(std::process::Stdio::null()).status();
    }
}
