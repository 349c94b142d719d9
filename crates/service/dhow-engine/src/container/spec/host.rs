//! What a spec depends on of the host that the container runs on. Read when it is asked for, most containers ask for
//! nothing.
//!
//! Knows where procfs, sysfs and /dev are because it was told; tests tell it of directories of their own.

use oci_spec::runtime::Capability;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The largest number of a CPU or memory node that docker takes.
const MAXIMUM: u32 = 8192;

/// The host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// All controllers of control groups are on version 2.
    pub unified: bool,
    /// Where sysfs is.
    pub sys: PathBuf,
    /// Where procfs is.
    pub proc: PathBuf,
    /// Where the device nodes are.
    pub dev: PathBuf,
}

impl Host {
    /// This machine.
    pub fn new(unified: bool) -> Host {
        Host { unified, sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }

    /// The CPUs that are in use, as a set and as the kernel writes them.
    pub(super) fn cpus(&self) -> (BTreeSet<u32>, String) {
        self.list("devices/system/cpu/online")
    }

    /// The memory nodes, likewise.
    pub(super) fn memory_nodes(&self) -> (BTreeSet<u32>, String) {
        self.list("devices/system/node/online")
    }

    /// A kernel that does not say has one of them.
    fn list(&self, file: &str) -> (BTreeSet<u32>, String) {
        let text = fs::read_to_string(self.sys.join(file)).unwrap_or_default();
        match number_list(text.trim()) {
            Some(set) if !set.is_empty() => (set, text.trim().to_owned()),
            _ => (BTreeSet::from([0]), "0".to_owned()),
        }
    }

    /// The CPUs that say how often they were slowed down by heat: which tells one container of the work of another.
    pub(super) fn throttled_cpus(&self) -> Vec<u32> {
        let there = |cpu: u32| self.sys.join(format!("devices/system/cpu/cpu{cpu}/thermal_throttle")).exists();
        // All have it or none, and most machines have none: one look is enough then.
        if !there(0) {
            return Vec::new();
        }
        let possible = fs::read_to_string(self.sys.join("devices/system/cpu/possible")).unwrap_or_default();
        number_list(possible.trim()).unwrap_or_default().into_iter().filter(|&cpu| there(cpu)).collect()
    }

    /// The capabilities that this process has, and so can give.
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        let status = fs::read_to_string(self.proc.join("self/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap_or(0);
        super::capabilities::KNOWN
            .iter()
            .zip(0..)
            .filter(|&(_, bit)| mask & (1u64 << bit) != 0)
            .map(|(&(_, capability), _)| capability)
            .collect()
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        fs::read_to_string(self.proc.join("sys/kernel/hostname")).unwrap_or_default().trim().to_owned()
    }

    /// Whether the kernel has a parameter.
    pub(super) fn has_sysctl(&self, name: &str) -> bool {
        self.proc.join("sys").join(name.replace('.', "/")).exists()
    }
}

/// A list as cpuset(7) has it: `0-3,5`. `None`: it is none, or names what is beyond any machine.
pub(super) fn number_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut set = BTreeSet::new();
    if text.is_empty() {
        return Some(set);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u32>().ok().filter(|&n| n < MAXIMUM && !text.starts_with('+'));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        set.extend(first..=last);
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        let list = |text| number_list(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(list(""), Some(vec![]));
        assert_eq!(list("0"), Some(vec![0]));
        assert_eq!(list("0-2,7"), Some(vec![0, 1, 2, 7]));
        for bad in [",", "0,", "x", "1-0", "-1", "0--1", "0-4294967295", "8192", "+1", " 1", "1-2-3"] {
            assert_eq!(list(bad), None, "{bad}");
        }
    }
}
