//! A directory of the host as a root filesystem: what is mounted below it, and what must not be seen of it.
//!
//! Follows proc_pid_mountinfo(5).

use crate::{Engine, EngineError};
use oci_spec::runtime::{Mount, MountBuilder, Spec};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Not files: what the kernel shows of itself, and what every container gets anew. tmpfs is among them because what lies
/// in one is the host's run time: sockets, secrets, other stores.
const LEFT_OUT: [&str; 27] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tmpfs",
    "tracefs",
];

/// Adds the mounts, and masks the stores.
pub(in crate::container) fn complete(
    engine: &Engine,
    directory: &Path,
    read_only: bool,
    spec: &mut Spec,
) -> Result<(), EngineError> {
    let table = "/proc/self/mountinfo";
    let text = std::fs::read(table).map_err(|e| EngineError::io("read", table, e))?;
    let mut mounts: Vec<Mount> =
        below(&text, directory).iter().map(|place| bind(place, directory, read_only)).collect();
    // Before all others: those may lie on them.
    mounts.append(spec.mounts_mut().get_or_insert_default());
    spec.set_mounts(Some(mounts));
    let stores = [engine.state.root(), engine.state.run_root()];
    let hidden = stores.iter().filter_map(|store| store.strip_prefix(directory).ok());
    let hidden: Vec<String> = hidden.map(|inside| format!("/{}", inside.display())).collect();
    if let Some(linux) = spec.linux_mut() {
        let mut masked = linux.masked_paths().clone().unwrap_or_default();
        masked.extend(hidden);
        linux.set_masked_paths(Some(masked));
    }
    Ok(())
}

fn bind(place: &Path, directory: &Path, read_only: bool) -> Mount {
    let inside = place.strip_prefix(directory).unwrap_or(place);
    let mut options = vec!["bind".to_owned(), "rprivate".to_owned()];
    options.extend(read_only.then(|| "ro".to_owned()));
    MountBuilder::default()
        .destination(Path::new("/").join(inside))
        .source(place)
        .typ("bind")
        .options(options)
        .build()
        .expect("all of it is given")
}

/// The mount points strictly below `directory` that hold files, parents first, each once.
fn below(mountinfo: &[u8], directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mountinfo
        .split(|b| *b == b'\n')
        .filter_map(parse)
        .filter_map(|(place, kind)| {
            let inside = place != directory && place.starts_with(directory);
            (inside && !LEFT_OUT.contains(&kind.as_str())).then_some(place)
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The groups of containers below this one, by their ids, in any hierarchy.
pub(in crate::container) fn groups_below(group: &str) -> Result<BTreeSet<String>, EngineError> {
    let table = "/proc/self/mountinfo";
    let text = std::fs::read(table).map_err(|e| EngineError::io("read", table, e))?;
    let hierarchies = text.split(|b| *b == b'\n').filter_map(parse);
    let hierarchies = hierarchies.filter(|(_, kind)| kind == "cgroup" || kind == "cgroup2");
    let mut found = BTreeSet::new();
    for (place, _) in hierarchies {
        for entry in std::fs::read_dir(place.join(group)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
                found.insert(name);
            }
        }
    }
    Ok(found)
}

/// Mount point and type of a line.
fn parse(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|b| *b == b' ');
    let place = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((PathBuf::from(OsString::from_vec(unescape(place))), String::from_utf8_lossy(kind).into_owned()))
}

/// Space, tab, newline and backslash stand as `\` and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|d| *first == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        match digits {
            Some(digits) => {
                bytes.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw\n\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
40 27 8:2 / /usr rw shared:1 - ext4 /dev/sda2 rw\n\
41 27 8:3 / /home\\040of\\134all ro,nosuid shared:3 master:4 - btrfs /dev/sda3 rw\n\
42 40 8:4 /sub /usr/local rw - xfs /dev/sda4 rw\n\
43 27 0:30 / /run rw - tmpfs tmpfs rw\n\
44 43 8:4 / /run/media rw - xfs /dev/sdb1 rw\n\
45 27 8:9 / /usr rw - ext4 /dev/sda9 rw\n";

    #[test]
    fn file_systems_with_files_come_along_parents_first() {
        let all = below(TABLE, Path::new("/"));
        let expected: Vec<PathBuf> =
            ["/home of\\all", "/run/media", "/usr", "/usr/local"].iter().map(PathBuf::from).collect();
        assert_eq!(all, expected);
        assert_eq!(below(TABLE, Path::new("/usr")), [PathBuf::from("/usr/local")]);
        assert!(below(b"garbage\n\n", Path::new("/")).is_empty());
    }

    #[test]
    fn binds_lie_where_the_host_has_them() {
        let mount = bind(Path::new("/srv/root/usr"), Path::new("/srv/root"), true);
        assert_eq!(mount.destination(), Path::new("/usr"));
        assert_eq!(mount.source().as_deref(), Some(Path::new("/srv/root/usr")));
        assert!(mount.options().as_ref().unwrap().contains(&"ro".to_owned()));
    }
}
