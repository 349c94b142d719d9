//! `linux.sysctl`: only what belongs to a namespace that the container has of its own.

use super::invalid;
use crate::error::RuntimeError;
use oci_spec::runtime::LinuxNamespaceType;
use std::collections::HashMap;
use std::path::{Component, PathBuf};

/// Those of the ipc namespace outside `fs.mqueue` (ipc_namespaces(7)).
const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// Paths below `/proc/sys` with their values, by name.
pub(super) fn read(
    sysctls: Option<&HashMap<String, String>>,
    has: impl Fn(LinuxNamespaceType) -> bool,
) -> Result<Vec<(PathBuf, String)>, RuntimeError> {
    let mut all = Vec::new();
    for (name, value) in sysctls.into_iter().flatten() {
        let path = path(name);
        let text = path.to_str().unwrap_or_default();
        let owner = if text.starts_with("net/") {
            LinuxNamespaceType::Network
        } else if text.starts_with("fs/mqueue/") || IPC.contains(&text) {
            LinuxNamespaceType::Ipc
        } else if text == "kernel/domainname" {
            LinuxNamespaceType::Uts
        } else {
            return Err(invalid(
                "linux.sysctl",
                format!("{name:?} is not a kernel parameter that a namespace has of its own"),
            ));
        };
        if path.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(invalid("linux.sysctl", format!("{name:?} is no name of a kernel parameter")));
        }
        if !has(owner) {
            let problem = format!("{name:?} needs a namespace of its own, of type {owner}");
            return Err(invalid("linux.sysctl", problem));
        }
        all.push((path, value.clone()));
    }
    all.sort();
    Ok(all)
}

/// Dots and slashes stand for each other, and which of them comes first separates (sysctl.d(5)).
fn path(name: &str) -> PathBuf {
    let slashes_separate = name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'/');
    if slashes_separate {
        return PathBuf::from(name);
    }
    let swapped = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    PathBuf::from(name.chars().map(swapped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, kinds: &[LinuxNamespaceType]) -> Result<PathBuf, String> {
        let map = HashMap::from([(name.to_owned(), "1".to_owned())]);
        let all = read(Some(&map), |kind| kinds.contains(&kind)).map_err(|e| e.to_string())?;
        Ok(all[0].0.clone())
    }

    #[test]
    fn only_what_a_namespace_of_its_own_has() {
        use LinuxNamespaceType::{Ipc, Network};
        assert_eq!(one("net.ipv4.ip_forward", &[Network]), Ok("net/ipv4/ip_forward".into()));
        assert_eq!(one("net.ipv4.conf.eth0/1.forwarding", &[Network]), Ok("net/ipv4/conf/eth0.1/forwarding".into()));
        assert_eq!(one("net/ipv4/conf/eth0.1/forwarding", &[Network]), Ok("net/ipv4/conf/eth0.1/forwarding".into()));
        assert_eq!(one("kernel.sem", &[Ipc]), Ok("kernel/sem".into()));
        assert!(one("kernel.sem", &[Network]).is_err());
        for name in ["kernel.core_pattern", "vm.swappiness", "net/../kernel/core_pattern", "net.//.kernel", ""] {
            assert!(one(name, &[Network, Ipc]).is_err(), "{name}");
        }
    }
}
