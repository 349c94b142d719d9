//! Mounts of type `cgroup`: the container's own control groups, and no others.
//!
//! Where the host has version 2 alone, this is one file system, whose root the control group namespace moves. Of
//! version 1 there is one for each hierarchy: a tmpfs holds a directory for each. With a control group namespace each is
//! mounted anew, as its root is ours then; without one our own subtree is bound from where the host has it mounted,
//! which `/proc/self/mountinfo` and `/proc/self/cgroup` tell, read in the host's tree. See cgroups(7).

use crate::start::child::failure::{Context, Failure};
use crate::start::plan::mounts::Mount;
use dhow_sys::mount::{self, Change, Depth, FsContext, MountAttrFlags, MountError};
use dhow_sys::procfs;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What was made, detached.
pub(super) struct Made {
    /// What goes on the place of the mount.
    pub(super) mount: OwnedFd,
    /// What goes on directories in it, by name, once it is attached.
    beneath: Vec<(String, OwnedFd)>,
}

/// Makes the mounts.
pub(super) fn mount(spec: &Mount, own_namespace: bool) -> Result<Made, Failure> {
    let groups = procfs::read_text("/proc/self/cgroup").context(|| "cannot read our groups".to_owned())?;
    let groups: Vec<Group> = groups.lines().filter_map(Group::parse).collect();
    let what = || "cannot mount the control groups".to_owned();
    if let [Group { name, .. }] = groups.as_slice()
        && name.is_empty()
    {
        let unified = FsContext::open("cgroup2").and_then(|context| context.mount(spec.change.set)).context(what)?;
        return Ok(Made { mount: unified, beneath: Vec::new() });
    }
    let beneath = if own_namespace { anew(spec, &groups) } else { bound(spec, &groups) };
    Ok(Made { mount: tmpfs(spec).context(what)?, beneath: beneath.context(what)? })
}

impl Made {
    /// Fills the tmpfs, which must have been attached: a detached mount cannot be mounted on before Linux 6.15.
    pub(super) fn fill(&self) -> Result<(), Failure> {
        for (name, mount) in &self.beneath {
            let what = || format!("cannot mount the control group {name}");
            rustix::fs::mkdirat(&self.mount, name, Mode::from_raw_mode(0o755)).context(what)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = rustix::fs::openat(&self.mount, name, flags, Mode::empty()).context(what)?;
            mount::attach_to(mount, place.as_fd()).context(what)?;
            // Controllers that share a hierarchy are found by their own names, too.
            for alone in name.split(',').filter(|alone| *alone != name) {
                rustix::fs::symlinkat(name, &self.mount, alone).context(what)?;
            }
        }
        Ok(())
    }
}

fn tmpfs(spec: &Mount) -> Result<OwnedFd, MountError> {
    let context = FsContext::open("tmpfs")?;
    context.set_string("source", OsStr::new("tmpfs"))?;
    context.set_string("mode", OsStr::new("755"))?;
    // It becomes read-only when it has been filled.
    context.mount(spec.change.set - MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// Each hierarchy mounted anew: it begins at the root of our namespace.
fn anew(spec: &Mount, groups: &[Group]) -> Result<Vec<(String, OwnedFd)>, MountError> {
    let mut all = Vec::with_capacity(groups.len());
    for group in groups {
        let context = FsContext::open(if group.name.is_empty() { "cgroup2" } else { "cgroup" })?;
        context.set_string("source", OsStr::new("cgroup"))?;
        if let Some(name) = group.name.strip_prefix("name=") {
            context.set_flag("none")?;
            context.set_string("name", OsStr::new(name))?;
        } else {
            for controller in group.name.split(',').filter(|controller| !controller.is_empty()) {
                context.set_flag(controller)?;
            }
        }
        all.push((group.directory().to_owned(), context.mount(spec.change.set)?));
    }
    Ok(all)
}

/// Our subtree of each hierarchy that the host has mounted somewhere.
fn bound(spec: &Mount, groups: &[Group]) -> Result<Vec<(String, OwnedFd)>, MountError> {
    let table = procfs::read_text("/proc/self/mountinfo").map_err(|source| MountError {
        operation: "open /proc/self/mountinfo".to_owned(),
        messages: Vec::new(),
        source,
    })?;
    let mut all = Vec::with_capacity(groups.len());
    for group in groups {
        let Some(path) = table.lines().find_map(|line| group.on_host(line)) else { continue };
        let subtree = mount::open_tree_at(&path, Depth::One)?;
        let change = Change { propagation: Some(mount::Propagation::Private), ..spec.change };
        mount::change(subtree.as_fd(), change, Depth::One)?;
        all.push((group.directory().to_owned(), subtree));
    }
    Ok(all)
}

/// A line of `/proc/self/cgroup`: our group in one hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    /// Controllers, or `name=...`, or nothing for version 2.
    name: String,
    path: PathBuf,
}

impl Group {
    fn parse(line: &str) -> Option<Group> {
        let mut parts = line.splitn(3, ':').skip(1);
        Some(Group { name: parts.next()?.to_owned(), path: PathBuf::from(parts.next()?) })
    }

    fn directory(&self) -> &str {
        match self.name.as_str() {
            "" => "unified",
            name => name.strip_prefix("name=").unwrap_or(name),
        }
    }

    /// Where the host has it, if this line of `mountinfo` (proc_pid_mountinfo(5)) is of its hierarchy. Places with
    /// blanks in their names, which stand there escaped, are not looked for.
    fn on_host(&self, line: &str) -> Option<PathBuf> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let same = match (kind, self.name.as_str()) {
            ("cgroup2", "") => true,
            ("cgroup", name) if !name.is_empty() => name.split(',').all(|n| options.split(',').any(|o| o == n)),
            _ => false,
        };
        let below = self.path.strip_prefix(root).ok()?;
        same.then(|| Path::new(place).join(below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_where_the_host_mounts_them() {
        let group = Group::parse("4:memory:/dhow/a/b").unwrap();
        let line = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
        assert_eq!(group.on_host(line), Some(PathBuf::from("/sys/fs/cgroup/memory/dhow/a/b")));
        let bound = "35 31 0:32 /dhow /mnt/m rw - cgroup cgroup rw,memory";
        assert_eq!(group.on_host(bound), Some(PathBuf::from("/mnt/m/a/b")));
        let other = "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices";
        assert_eq!(group.on_host(other), None);
        let named = Group::parse("9:name=systemd:/").unwrap();
        assert_eq!(named.directory(), "systemd");
        let line = "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd";
        assert_eq!(named.on_host(line), Some(PathBuf::from("/sys/fs/cgroup/systemd/")));
        let unified = Group::parse("0::/x").unwrap();
        let line = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(unified.on_host(line), Some(PathBuf::from("/sys/fs/cgroup/unified/x")));
        assert_eq!(unified.directory(), "unified");
    }
}
