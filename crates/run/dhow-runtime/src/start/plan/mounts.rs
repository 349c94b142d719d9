//! `mounts` of the spec: kinds, and the words of mount(8) that its options are.

use super::invalid;
use crate::error::RuntimeError;
use dhow_sys::mount::{Change, Depth, MountAttrFlags, Propagation};
use oci_spec::runtime::LinuxIdMapping;
use std::path::{Component, Path, PathBuf};

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::start) enum Kind {
    /// A directory or file of the host.
    Bind {
        /// Looked up on the host, symbolic links followed.
        source: PathBuf,
        /// Whether with the mounts beneath it.
        depth: Depth,
    },
    /// The container's own control groups, whatever versions the host has.
    Cgroup,
    /// A new file system of this kind.
    New {
        /// As `/proc/filesystems` has it.
        kind: String,
        /// Shown in the table of mounts.
        source: String,
    },
}

/// How the owners of files in a mount are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::start) struct Ids {
    /// Of users; empty as long as it is to be that of the container.
    pub(in crate::start) uids: Vec<LinuxIdMapping>,
    /// Of groups.
    pub(in crate::start) gids: Vec<LinuxIdMapping>,
    /// Whether in the mounts beneath, too.
    pub(in crate::start) depth: Depth,
}

/// One mount to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::start) struct Mount {
    /// Where, in the root.
    pub(in crate::start) target: PathBuf,
    /// What.
    pub(in crate::start) kind: Kind,
    /// What changes of the mount itself.
    pub(in crate::start) change: Change,
    /// What changes of it and all beneath it.
    pub(in crate::start) recursive: Change,
    /// Options of the file system: key and perhaps value.
    pub(in crate::start) options: Vec<(String, Option<String>)>,
    /// None: as they are.
    pub(in crate::start) ids: Option<Ids>,
}

impl Mount {
    pub(super) fn read(mount: &oci_spec::runtime::Mount) -> Result<Mount, RuntimeError> {
        let target = mount.destination();
        let fail = |problem: String| invalid("mounts", format!("{}: {problem}", target.display()));
        if is_root(target) {
            return Err(fail("the destination cannot be the root".to_owned()));
        }
        let mut options = Options::default();
        for word in mount.options().as_deref().unwrap_or_default() {
            options.take(word).map_err(fail)?;
        }
        let ids = ids(mount, options.idmap).map_err(fail)?;
        let source = mount.source().clone().unwrap_or_default();
        let kind = match (options.bind, mount.typ().as_deref().unwrap_or("")) {
            (Some(depth), _) => bind(source, depth).map_err(fail)?,
            (None, "bind") => bind(source, Depth::One).map_err(fail)?,
            (None, "cgroup" | "cgroup2") => Kind::Cgroup,
            (None, "") => return Err(fail("it has no type".to_owned())),
            (None, kind) => Kind::New { kind: kind.to_owned(), source: source.to_string_lossy().into_owned() },
        };
        let mut mount = Mount {
            target: Path::new("/").join(target),
            kind,
            change: options.change,
            recursive: options.recursive,
            options: options.data,
            ids,
        };
        if mount.ids.is_some() && !mount.is_bind() {
            return Err(fail("only the ids of a bind can be mapped".to_owned()));
        }
        if mount.is_bind() {
            // Of a bind these belong to the file system it comes from, as mount(2) has it.
            mount.options.clear();
        }
        Ok(mount)
    }

    /// Whether it shows something of the host.
    pub(in crate::start) fn is_bind(&self) -> bool {
        matches!(self.kind, Kind::Bind { .. })
    }

    /// Whether it is a new file system of this kind.
    pub(in crate::start) fn is_new(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::New { kind, .. } if kind == name)
    }
}

/// With mappings of its own a mount needs no option; the option alone stands for the mappings of the container.
fn ids(mount: &oci_spec::runtime::Mount, option: Option<Depth>) -> Result<Option<Ids>, String> {
    let [uids, gids] = [mount.uid_mappings(), mount.gid_mappings()].map(|list| list.clone().unwrap_or_default());
    match (uids.is_empty(), gids.is_empty(), option) {
        (true, true, None) => Ok(None),
        (true, true, Some(depth)) => Ok(Some(Ids { uids, gids, depth })),
        (false, false, depth) => Ok(Some(Ids { uids, gids, depth: depth.unwrap_or(Depth::One) })),
        _ => Err("uidMappings and gidMappings need each other".to_owned()),
    }
}

/// Whether a path comes out at the root, symbolic links aside.
fn is_root(path: &Path) -> bool {
    let depth = path.components().fold(0_u32, |depth, part| match part {
        Component::Normal(_) => depth + 1,
        Component::ParentDir => depth.saturating_sub(1),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => depth,
    });
    depth == 0
}

fn bind(source: PathBuf, depth: Depth) -> Result<Kind, String> {
    if source.is_absolute() {
        return Ok(Kind::Bind { source, depth });
    }
    Err(format!("the source {} is not an absolute path", source.display()))
}

/// What the words of one mount add up to.
#[derive(Debug)]
struct Options {
    bind: Option<Depth>,
    change: Change,
    recursive: Change,
    data: Vec<(String, Option<String>)>,
    idmap: Option<Depth>,
}

impl Default for Options {
    fn default() -> Options {
        Options { bind: None, change: Change::NONE, recursive: Change::NONE, data: Vec::new(), idmap: None }
    }
}

impl Options {
    /// Takes one word; a later one wins over an earlier one.
    fn take(&mut self, word: &str) -> Result<(), String> {
        match word {
            "bind" => self.bind = Some(Depth::One),
            "rbind" => self.bind = Some(Depth::All),
            // What mount(8) does by itself, and what has no meaning for a new mount.
            "" | "defaults" | "remount" | "async" | "norelatime" | "nostrictatime" | "loud" | "nolazytime" => {}
            "idmap" => self.idmap = Some(Depth::One),
            "ridmap" => self.idmap = Some(Depth::All),
            "tmpcopyup" => return Err(format!("the option {word} is not supported")),
            _ => {
                if let Some((propagation, all)) = propagation(word) {
                    let change = if all { &mut self.recursive } else { &mut self.change };
                    change.propagation = Some(propagation);
                } else if let Some((on, flag)) = attribute(word) {
                    apply(&mut self.change, on, flag);
                } else if let Some((on, flag)) = word.strip_prefix('r').and_then(attribute) {
                    apply(&mut self.recursive, on, flag);
                } else {
                    let (key, value) = word.split_once('=').map_or((word, None), |(k, v)| (k, Some(v.to_owned())));
                    self.data.push((key.to_owned(), value));
                }
            }
        }
        Ok(())
    }
}

fn apply(change: &mut Change, on: bool, flag: MountAttrFlags) {
    let access_time = MountAttrFlags::MOUNT_ATTR_NOATIME | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    if flag.is_empty() || flag.intersects(access_time) {
        // Access times are one field of three values, of which relatime is 0.
        change.set -= access_time;
        change.clear |= MountAttrFlags::MOUNT_ATTR__ATIME;
        change.set |= flag;
    } else if on {
        change.set |= flag;
        change.clear -= flag;
    } else {
        change.set -= flag;
        change.clear |= flag;
    }
}

/// The attribute that a word sets or clears; `relatime` is the empty one.
fn attribute(word: &str) -> Option<(bool, MountAttrFlags)> {
    use MountAttrFlags as F;
    Some(match word {
        "ro" => (true, F::MOUNT_ATTR_RDONLY),
        "rw" => (false, F::MOUNT_ATTR_RDONLY),
        "nosuid" => (true, F::MOUNT_ATTR_NOSUID),
        "suid" => (false, F::MOUNT_ATTR_NOSUID),
        "nodev" => (true, F::MOUNT_ATTR_NODEV),
        "dev" => (false, F::MOUNT_ATTR_NODEV),
        "noexec" => (true, F::MOUNT_ATTR_NOEXEC),
        "exec" => (false, F::MOUNT_ATTR_NOEXEC),
        "nodiratime" => (true, F::MOUNT_ATTR_NODIRATIME),
        "diratime" => (false, F::MOUNT_ATTR_NODIRATIME),
        "nosymfollow" => (true, F::MOUNT_ATTR_NOSYMFOLLOW),
        "symfollow" => (false, F::MOUNT_ATTR_NOSYMFOLLOW),
        "noatime" => (true, F::MOUNT_ATTR_NOATIME),
        "strictatime" => (true, F::MOUNT_ATTR_STRICTATIME),
        "relatime" | "atime" => (true, F::empty()),
        _ => return None,
    })
}

/// The propagation that a word names, and whether of all mounts beneath too.
pub(super) fn propagation(word: &str) -> Option<(Propagation, bool)> {
    Some(match word {
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "slave" => (Propagation::Slave, false),
        "rslave" => (Propagation::Slave, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Mount, RuntimeError> {
        Mount::read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn options_add_up() {
        use MountAttrFlags as F;
        let mount = read(
            r#"{"destination":"/data","type":"none","source":"/srv",
            "options":["rbind","ro","rw","nosuid","noatime","relatime","rro","rprivate","mode=755"]}"#,
        );
        let mount = mount.unwrap();
        assert_eq!(mount.kind, Kind::Bind { source: "/srv".into(), depth: Depth::All });
        assert_eq!(mount.change.set, F::MOUNT_ATTR_NOSUID);
        assert_eq!(mount.change.clear, F::MOUNT_ATTR_RDONLY | F::MOUNT_ATTR__ATIME);
        assert_eq!(mount.recursive.set, F::MOUNT_ATTR_RDONLY);
        assert_eq!(mount.recursive.propagation, Some(Propagation::Private));
        assert!(mount.options.is_empty());
    }

    #[test]
    fn the_rest_is_for_the_file_system() {
        let mount = read(
            r#"{"destination":"dev","type":"tmpfs","source":"tmpfs",
            "options":["nosuid","strictatime","mode=755","size=65536k","inode64"]}"#,
        );
        let mount = mount.unwrap();
        assert!(mount.is_new("tmpfs") && mount.target == Path::new("/dev"));
        assert_eq!(mount.options.len(), 3);
        assert_eq!(mount.options[2], ("inode64".to_owned(), None));
        assert_eq!(mount.change.clear, MountAttrFlags::MOUNT_ATTR__ATIME);
    }

    #[test]
    fn odd_mounts_are_refused() {
        for json in [
            r#"{"destination":"/x","type":"bind","source":"relative"}"#,
            r#"{"destination":"/x"}"#,
            r#"{"destination":"","type":"tmpfs"}"#,
            r#"{"destination":"/","type":"tmpfs"}"#,
            r#"{"destination":"/x/../.","type":"tmpfs"}"#,
            r#"{"destination":"/x","type":"tmpfs","options":["tmpcopyup"]}"#,
            r#"{"destination":"/x","type":"tmpfs","options":["idmap"]}"#,
            r#"{"destination":"/x","type":"bind","source":"/y","uidMappings":[{"containerID":0,"hostID":1,"size":1}]}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
