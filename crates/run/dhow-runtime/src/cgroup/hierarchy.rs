//! The hierarchies of the host: which are mounted, where, and what each controls (cgroups(7), proc_pid_mountinfo(5)).
//!
//! The parsing is pure; only [`Hierarchies::of`] opens what it found.

use super::directory::{failed, read, refused};
use crate::error::RuntimeError;
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The hierarchies of this host.
#[derive(Debug, Clone)]
pub struct Hierarchies {
    pub(super) all: Arc<[Hierarchy]>,
}

/// The two interfaces of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

/// One mounted tree of groups.
#[derive(Debug)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    /// As `/proc/self/cgroup` spells them: `cpu`, `memory`, `name=systemd`. For version 2 what it controls.
    pub(super) controllers: Vec<String>,
    /// The directory of the topmost group that can be seen from here.
    pub(super) root: OwnedFd,
    /// What the root is called in `/proc/<pid>/cgroup`: not `/` inside a container that sees part of a tree.
    pub(super) root_name: PathBuf,
    /// The group of this process below the root, when it is there.
    pub(super) own: Option<PathBuf>,
}

impl Hierarchy {
    /// For messages.
    pub(super) fn label(&self) -> String {
        match self.version {
            Version::V1 => self.controllers.join(","),
            Version::V2 => "version 2".to_owned(),
        }
    }

    /// Whether it controls anything, and is not only there to keep track of processes.
    fn limits(&self) -> bool {
        self.controllers.iter().any(|c| !c.starts_with("name="))
    }

    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

impl Hierarchies {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`.
    ///
    /// # Errors
    /// When they cannot be read, or no hierarchy is mounted.
    pub fn detect() -> Result<Hierarchies, RuntimeError> {
        Hierarchies::of(&text(Path::new("/proc/self/mountinfo"))?, &text(Path::new("/proc/self/cgroup"))?)
    }

    /// As [`detect`](Hierarchies::detect), from the contents of those two files. What is left out of them is left alone.
    ///
    /// # Errors
    /// When no hierarchy that they name is there.
    pub fn of(mountinfo: &str, own: &str) -> Result<Hierarchies, RuntimeError> {
        let mut all: Vec<Hierarchy> = Vec::new();
        let mut found: Vec<Vec<String>> = Vec::new();
        for mount in mounts(mountinfo, own) {
            if found.contains(&mount.controllers) {
                continue;
            }
            // Something else may be mounted over it, or the place may be out of reach: then the next mount serves.
            let Ok(root) = open_root(&mount) else { continue };
            let controllers = match mount.version {
                Version::V1 => mount.controllers.clone(),
                Version::V2 => read(root.as_fd(), "cgroup.controllers")
                    .map_err(|e| failed(format_args!("cannot read the controllers of {}", mount.point.display()), e))?
                    .split_ascii_whitespace()
                    .map(str::to_owned)
                    .collect(),
            };
            found.push(mount.controllers);
            let (version, root_name, own) = (mount.version, mount.root, mount.own);
            all.push(Hierarchy { version, controllers, root, root_name, own });
        }
        if all.is_empty() {
            return Err(refused("no hierarchy of control groups is mounted"));
        }
        // A controller or two that version 1 does not have (hugetlb) may be on version 2 of a hybrid host. Nobody there
        // expects limits of two kinds, and to use them would mean to change the topmost group, which is not ours.
        if all.iter().any(|h| h.version == Version::V1 && h.limits()) {
            all.iter_mut().filter(|h| h.version == Version::V2).for_each(|h| h.controllers.clear());
        }
        Ok(Hierarchies { all: all.into() })
    }

    /// Whether this controller (`memory`, `pids`, ...) is there, in whatever version.
    pub fn has(&self, controller: &str) -> bool {
        let v1_name = if controller == "io" { "blkio" } else { controller };
        self.all.iter().any(|h| h.has(controller) || (h.version == Version::V1 && h.has(v1_name)))
    }

    /// Whether limits are those of version 2: no controller is on version 1. A named hierarchy of version 1 (systemd's)
    /// may be there, to which processes belong as well.
    pub fn is_unified(&self) -> bool {
        !self.all.iter().any(|h| h.version == Version::V1 && h.limits())
    }
}

fn text(path: &Path) -> Result<String, RuntimeError> {
    let bytes = dhow_sys::procfs::read(path).map_err(|e| {
        let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
        failed(format_args!("cannot read {}", path.display()), errno)
    })?;
    // Mount points need not be UTF-8; those of control groups that are not cannot be used, the others still can.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The magic numbers of statfs(2).
const CGROUP_MAGIC: i64 = 0x27_e0eb;
const CGROUP2_MAGIC: i64 = 0x6367_7270;

fn open_root(mount: &Mount) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, &mount.point, flags, Mode::empty())?;
    let magic = match mount.version {
        Version::V1 => CGROUP_MAGIC,
        Version::V2 => CGROUP2_MAGIC,
    };
    if i128::from(rustix::fs::fstatfs(&root)?.f_type) != i128::from(magic) {
        return Err(rustix::io::Errno::NODEV);
    }
    Ok(root)
}

/// A mount of a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    version: Version,
    /// Of version 1: what tells the hierarchies apart. Of version 2: none.
    controllers: Vec<String>,
    point: PathBuf,
    root: PathBuf,
    own: Option<PathBuf>,
}

/// All mounts of hierarchies, for each hierarchy the most useful first: one that shows the group of this process, with as
/// much above it as can be had.
fn mounts(mountinfo: &str, own: &str) -> Vec<Mount> {
    let memberships: Vec<(Vec<&str>, &str)> = own.lines().filter_map(membership).collect();
    let mut mounts: Vec<Mount> = mountinfo.lines().filter_map(|line| mount(line, &memberships)).collect();
    // Stable: among equals, as mounted.
    mounts.sort_by_key(|m| (m.own.is_none(), m.root.components().count()));
    mounts
}

/// `4:cpu,cpuacct:/path`, or `0::/path`.
fn membership(line: &str) -> Option<(Vec<&str>, &str)> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    Some((controllers.split(',').filter(|c| !c.is_empty()).collect(), path))
}

fn mount(line: &str, memberships: &[(Vec<&str>, &str)]) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (unescape(before.next()?), unescape(before.next()?));
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let options: Vec<&str> = after.nth(1).unwrap_or("").split(',').collect();
    let (controllers, path) = memberships.iter().find(|(controllers, _)| match version {
        Version::V2 => controllers.is_empty(),
        Version::V1 => !controllers.is_empty() && controllers.iter().all(|c| options.contains(c)),
    })?;
    let own = Path::new(path).strip_prefix(&root).ok().map(Path::to_path_buf);
    let controllers = controllers.iter().map(|c| (*c).to_owned()).collect();
    Some(Mount { version, controllers, point, root, own })
}

/// Space, tab, newline and backslash are `\040` and so on there.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        let value = octal.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match value {
            Some(byte) => {
                plain.push(byte);
                at += 4;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

/// Pays the price of the first move of a process in a while early, for everybody on this host.
///
/// Moving a process by `cgroup.procs` takes a lock that is cheap to read for those who fork and exit; the first writer
/// after a pause waits for an RCU grace period, those shortly after him do not. This moves the calling process to where
/// it is already, which changes nothing and takes that lock. Call it from a helper thread while the main thread does
/// other work.
///
/// Of use only ahead of [`Cgroup::join`](super::Cgroup::join), and no longer than some milliseconds before it: the ways in
/// of [`Entry`](super::Entry) do not take that lock. Where this process' own group cannot be seen it does nothing.
///
/// Measured on Linux 6.18 with 2 busy processors, 10 hierarchies, 150 ms between the moves, medians (the test
/// `what_a_cold_join_costs`): `cgroup.procs` of all 15 ms; right after `warm` 0.15 ms, `warm` itself 6 to 8 ms; `tasks` of
/// all of version 1 without it 0.14 ms.
///
/// # Errors
/// When `cgroup.procs` cannot be written.
pub fn warm(on: &Hierarchies) -> Result<(), RuntimeError> {
    let Some((hierarchy, own)) = on.all.iter().find_map(|h| Some((h, h.own.as_ref()?))) else {
        return Ok(());
    };
    let procs = own.join("cgroup.procs");
    let move_there = |root: BorrowedFd<'_>| {
        let file = rustix::fs::openat(root, &procs, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        super::directory::write_to(file.as_fd(), "0")
    };
    let label = hierarchy.label();
    move_there(hierarchy.root.as_fd())
        .map_err(|e| failed(format_args!("cannot write {} ({label})", procs.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &str, own: &str) -> Vec<(String, String, Option<String>)> {
        let text = |p: PathBuf| p.to_string_lossy().into_owned();
        let show = |m: Mount| (m.controllers.join(","), text(m.point), m.own.map(text));
        mounts(mountinfo, own).into_iter().map(show).collect()
    }

    fn entry(name: &str, point: &str, own: Option<&str>) -> (String, String, Option<String>) {
        (name.to_owned(), point.to_owned(), own.map(str::to_owned))
    }

    #[test]
    fn hybrid_with_controllers_together_and_a_named_hierarchy() {
        let mountinfo = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 master:3 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";
        let own = "9:name=systemd:/user.slice\n5:memory:/a/b\n2:cpu,cpuacct:/\n1:pids:/x\n0::/user.slice/s.scope\n";
        assert_eq!(
            found(mountinfo, own),
            [
                entry("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", Some("")),
                entry("memory", "/sys/fs/cgroup/memory", Some("a/b")),
                entry("name=systemd", "/sys/fs/cgroup/systemd", Some("user.slice")),
                entry("", "/sys/fs/cgroup/unified", Some("user.slice/s.scope")),
            ]
        );
    }

    #[test]
    fn inside_a_container_the_root_of_a_mount_is_not_the_root_of_the_tree() {
        let mountinfo = "\
32 31 0:29 /docker/abc/deeper /somewhere\\040else rw - cgroup cgroup rw,memory
33 31 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
34 31 0:30 /docker/other /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
        let own = "2:memory:/docker/abc/x\n1:pids:/docker/abc\n";
        assert_eq!(
            found(mountinfo, own),
            [
                entry("memory", "/sys/fs/cgroup/memory", Some("x")),
                entry("pids", "/sys/fs/cgroup/pids", None),
                entry("memory", "/somewhere else", None),
            ]
        );
    }

    #[test]
    fn what_is_no_hierarchy_is_passed_over() {
        assert_eq!(found("1 2 3", ""), []);
        assert_eq!(found("32 31 0:29 / /x rw - cgroup cgroup rw,memory\n", "1:cpu:/\n0::/\n"), []);
        assert_eq!(unescape("a\\134b\\x"), PathBuf::from("a\\b\\x"));
        let error = Hierarchies::of("", "").unwrap_err().to_string();
        assert!(error.contains("no hierarchy"), "{error}");
    }
}
