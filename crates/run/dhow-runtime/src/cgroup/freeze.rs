//! Stopping all processes of a group where they are, and letting them go on.

use super::directory::{failed, number_of, open_file, read, refused, write};
use super::patience::Patience;
use super::{Cgroup, Member, limits};
use crate::error::RuntimeError;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long a process may stay in the kernel where it cannot be stopped (on a network file system that is gone).
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at version 1's freezer, which tells nobody when it is done.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

impl Cgroup {
    /// Stops every process in it, and waits until they are; or lets them go on.
    ///
    /// # Errors
    /// Of the file system; when they are not stopped within ten seconds: then they have been let go on.
    pub fn freeze(&self, frozen: bool) -> Result<(), RuntimeError> {
        if let Some(member) = self.unified() {
            match open_file(member.directory.as_fd(), "cgroup.freeze", OFlags::WRONLY) {
                Ok(file) => return self.freeze_v2(member, &file, frozen),
                // Since 5.2 it is there in every group but the root.
                Err(Errno::NOENT) => {}
                Err(e) => return Err(failed(format_args!("cannot open cgroup.freeze of {}", self.name()), e)),
            }
        }
        match self.in_v1("freezer") {
            Some(member) => self.freeze_v1(member, frozen),
            None => Err(limits::lacking("freezer", "this host has no controller freezer")),
        }
    }

    fn freeze_v2(&self, member: &Member, file: &std::os::fd::OwnedFd, frozen: bool) -> Result<(), RuntimeError> {
        let error = |what, e| failed(format_args!("cannot {what} {}", self.name()), e);
        let set = |value| super::directory::write_to(file.as_fd(), value);
        if !frozen {
            return set("0").map_err(|e| error("thaw", e));
        }
        let events = open_file(member.directory.as_fd(), "cgroup.events", OFlags::RDONLY)
            .map_err(|e| error("watch cgroup.events of", e))?;
        set("1").map_err(|e| error("freeze", e))?;
        let is_frozen = |lines: &str| number_of(lines, "frozen") == Some(1);
        match Patience::new(PATIENCE).and_then(|patience| patience.wait_for(&events, is_frozen)) {
            Ok(true) => Ok(()),
            result => {
                let _ = set("0");
                Err(result.map_or_else(|e| error("freeze", e), |_| self.does_not_freeze()))
            }
        }
    }

    fn freeze_v1(&self, member: &Member, frozen: bool) -> Result<(), RuntimeError> {
        let error = |what, e| failed(format_args!("cannot {what} {}", self.name()), e);
        if !frozen {
            return thaw_v1(member).map_err(|e| error("thaw", e));
        }
        match Patience::new(PATIENCE).and_then(|patience| await_frozen_v1(member, &patience)) {
            Ok(true) => Ok(()),
            result => {
                let _ = thaw_v1(member);
                Err(result.map_or_else(|e| error("freeze", e), |_| self.does_not_freeze()))
            }
        }
    }

    fn does_not_freeze(&self) -> RuntimeError {
        refused(format!("{} does not freeze: a process in it waits for something that cannot be stopped", self.name()))
    }
}

/// Freezes by version 1; `false` when the patience ended first.
///
/// While processes keep being made the kernel may miss some and stay at `FREEZING` (`cgroup-v1/freezer-subsystem.rst`):
/// the state is written again each time, and now and then they are all let go on for a moment, as runc does.
pub(super) fn await_frozen_v1(member: &Member, patience: &Patience) -> Result<bool, Errno> {
    let group = member.directory.as_fd();
    for attempt in 1.. {
        write(group, "freezer.state", "FROZEN")?;
        if read(group, "freezer.state")?.trim() == "FROZEN" {
            return Ok(true);
        }
        if attempt % 50 == 0 {
            thaw_v1(member)?;
        }
        if !patience.wait(&[], Some(LOOK_AGAIN))? {
            break;
        }
    }
    Ok(false)
}

/// Lets all go on, by version 1.
pub(super) fn thaw_v1(member: &Member) -> Result<(), Errno> {
    write(member.directory.as_fd(), "freezer.state", "THAWED")
}
