//! What a group has used, where the kernel counts it.

use super::directory::{failed, is_gone, number_of, read, read_number, visit};
use super::hierarchy::Version;
use super::{Cgroup, Member};
use crate::error::RuntimeError;
use rustix::io::Errno;
use std::os::fd::AsFd;

/// Counters of a group, where the kernel has them; else 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of memory in use, without the cache that can be given back at once.
    pub memory: u64,
    /// The limit in bytes; `u64::MAX` for none.
    pub memory_limit: u64,
    /// CPU time in nanoseconds.
    pub cpu: u64,
    /// Processes and threads.
    pub pids: u64,
    /// How often the kernel has killed something in it for want of memory.
    pub oom_kills: u64,
}

/// From here on a limit of version 1 is none: the largest number of bytes in whole pages of 64 KiB, the largest there are.
const NO_LIMIT: u64 = 0x7fff_ffff_ffff_0000;

/// The file that the error is about.
type Failure = (&'static str, Errno);

impl Cgroup {
    /// What it has used.
    ///
    /// # Errors
    /// Of the file system.
    pub fn stats(&self) -> Result<Stats, RuntimeError> {
        self.count().map_err(|(file, e)| failed(format_args!("cannot read {file} of {}", self.name()), e))
    }

    /// How often the kernel has killed something in it for want of memory: of [`stats`](Cgroup::stats) what is wanted at
    /// every end of a container.
    ///
    /// # Errors
    /// Of the file system.
    pub fn oom_kills(&self) -> Result<u64, RuntimeError> {
        let Some(member) = self.controlled_by("memory") else { return Ok(0) };
        let kills = oom_kills(member, self.of(member).version == Version::V1);
        kills.map_err(|(file, e)| failed(format_args!("cannot read {file} of {}", self.name()), e))
    }

    fn count(&self) -> Result<Stats, Failure> {
        let mut stats = Stats { memory_limit: u64::MAX, ..Stats::default() };
        if let Some(member) = self.controlled_by("memory") {
            let is_v1 = self.of(member).version == Version::V1;
            memory(member, is_v1, &mut stats)?;
        }
        stats.cpu = self.cpu()?;
        stats.pids = self.pids()?;
        Ok(stats)
    }

    fn cpu(&self) -> Result<u64, Failure> {
        if let Some(member) = self.in_v1("cpuacct") {
            return number(member, "cpuacct.usage");
        }
        // Counted in every group of version 2, whatever controllers it has.
        let Some(member) = self.unified() else { return Ok(0) };
        let lines = text(member, "cpu.stat")?;
        Ok(number_of(&lines, "usage_usec").unwrap_or(0).saturating_mul(1_000))
    }

    fn pids(&self) -> Result<u64, Failure> {
        if let Some(member) = self.controlled_by("pids") {
            return number(member, "pids.current");
        }
        Ok(0)
    }
}

fn memory(member: &Member, is_v1: bool, stats: &mut Stats) -> Result<(), Failure> {
    let (used, limit, inactive) = if is_v1 {
        ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
    } else {
        ("memory.current", "memory.max", "inactive_file")
    };
    let cache = number_of(&text(member, "memory.stat")?, inactive).unwrap_or(0);
    stats.memory = number(member, used)?.saturating_sub(cache);
    stats.memory_limit = match number(member, limit)? {
        limit if limit >= NO_LIMIT => u64::MAX,
        limit => limit,
    };
    stats.oom_kills = oom_kills(member, is_v1)?;
    Ok(())
}

fn oom_kills(member: &Member, is_v1: bool) -> Result<u64, Failure> {
    if !is_v1 {
        return Ok(number_of(&text(member, "memory.events")?, "oom_kill").unwrap_or(0));
    }
    // Counted where it happened only, so those below are added.
    let mut kills = 0;
    let add = |group: std::os::fd::BorrowedFd<'_>| {
        let lines = read(group, "memory.oom_control")?;
        kills += number_of(&lines, "oom_kill").unwrap_or(0);
        Ok(())
    };
    visit(member.directory.as_fd(), add).map_err(|e| ("memory.oom_control", e))?;
    Ok(kills)
}

/// Missing files are empty: older kernels, or a controller that was not handed on to this group.
fn text(member: &Member, file: &'static str) -> Result<String, Failure> {
    match read(member.directory.as_fd(), file) {
        Err(Errno::NOENT) => Ok(String::new()),
        other => other.map_err(|e| (file, e)),
    }
}

fn number(member: &Member, file: &'static str) -> Result<u64, Failure> {
    match read_number(member.directory.as_fd(), file) {
        Err(errno) if is_gone(errno) => Ok(0),
        other => other.map_err(|e| (file, e)),
    }
}
