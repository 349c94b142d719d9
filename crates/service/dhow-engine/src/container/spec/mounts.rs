//! The mounts of a container, in the order in which they are made: docker's own, then what was asked for and the files
//! that dhow makes, outer ones before inner ones.
//!
//! Follows `withMounts` of moby.

use super::host::Host;
use super::{Files, invalid, paths};
use crate::EngineError;
use crate::container::request::{Bind, HostConfig, Namespace};
use oci_spec::runtime::Mount;
use std::fs;
use std::path::Path;

/// Bytes of /dev/shm when nothing else is said.
const SHM_SIZE: u64 = 64 << 20;
/// Where `--init` is.
pub(super) const INIT: &str = "/sbin/docker-init";
/// What is mounted below /proc and /dev stays writable in a container that is read-only.
const WRITABLE: [&str; 5] = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// Mounts, and what the propagation of the root must be for them.
pub(super) struct Mounts {
    pub(super) list: Vec<Mount>,
    pub(super) propagation: Option<&'static str>,
}

/// All mounts of a container.
///
/// # Errors
/// [`EngineError::Invalid`] for an option of a tmpfs that there is not, and for a propagation that the source has not.
pub(super) fn of(config: &HostConfig, files: &Files, init: bool, host: &Host) -> Result<Mounts, EngineError> {
    let asked = asked_for(config, files)?;
    let taken = |target: &str| asked.iter().any(|m| m.destination() == Path::new(target));
    let dev = taken("/dev");
    let mut list: Vec<Mount> = defaults(config);
    if init && let Some(program) = &files.init {
        list.push(mount(INIT, "bind", program, ["bind", "ro"]));
    }
    // What was asked for takes the place of a default, and a /dev of one's own that of all below it.
    list.retain(|m| !(taken(&text(m)) || dev && m.destination().starts_with("/dev")));
    if config.read_only {
        for mount in list.iter_mut().filter(|m| !WRITABLE.contains(&text(m).as_str())) {
            let options = mount.options_mut().get_or_insert_default();
            if !options.iter().any(|o| o == "ro") {
                options.push("ro".to_owned());
            }
        }
    }
    if config.privileged {
        for mount in list.iter_mut().filter(|m| text(m) == "/sys" || m.typ().as_deref() == Some("cgroup")) {
            mount.options_mut().get_or_insert_default().retain(|o| o != "ro");
        }
    }
    list.extend(asked);
    Ok(Mounts { list, propagation: root_propagation(&config.binds, host)? })
}

fn text(mount: &Mount) -> String {
    mount.destination().display().to_string()
}

fn mount(target: &str, kind: &str, source: &Path, options: impl IntoIterator<Item = impl Into<String>>) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(target.into())
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source.to_owned()))
        .set_options(Some(options.into_iter().map(Into::into).collect()));
    mount
}

fn defaults(config: &HostConfig) -> Vec<Mount> {
    let special = |target: &str, kind: &str, source: &str, options: &[&str]| {
        mount(target, kind, Path::new(source), options.iter().copied())
    };
    let mut list = vec![
        special("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        special("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        special(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        special("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        special("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        special("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    if config.ipc != Namespace::None {
        let size = format!("size={}", config.shm_size.filter(|&size| size != 0).unwrap_or(SHM_SIZE));
        list.push(special("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]));
    }
    list
}

/// Binds in the order in which they were given, dhow's files, tmpfs; the fewer parts a path has the earlier.
fn asked_for(config: &HostConfig, files: &Files) -> Result<Vec<Mount>, EngineError> {
    let mut list: Vec<Mount> = config.binds.iter().map(bind).collect();
    let own = |target: &str, source: &Path, read_only| {
        let options = ["rbind"].into_iter().chain(read_only).chain(["rprivate"]);
        mount(target, "bind", source, options)
    };
    let mut more = Vec::new();
    let read_only = config.read_only.then_some("rro");
    for (target, source) in
        [("/etc/resolv.conf", &files.resolv_conf), ("/etc/hostname", &files.hostname), ("/etc/hosts", &files.hosts)]
    {
        more.extend(source.as_ref().map(|source| own(target, source, read_only)));
    }
    let shm = match (&config.ipc, &files.shm) {
        (Namespace::Host, _) => Some(Path::new("/dev/shm")),
        (Namespace::Container(_) | Namespace::Shareable, Some(directory)) => Some(directory.as_path()),
        _ => None,
    };
    more.extend(shm.map(|source| own("/dev/shm", source, None)));
    for (target, options) in &config.tmpfs {
        let options = tmpfs_options(options).map_err(invalid)?;
        list.push(mount(&paths::clean(target), "tmpfs", Path::new("tmpfs"), options));
    }
    more.retain(|m| !list.iter().any(|asked| asked.destination() == m.destination()));
    list.extend(more);
    list.sort_by_key(|m| m.destination().components().count());
    Ok(list)
}

fn bind(bind: &Bind) -> Mount {
    let options = [
        Some(if bind.non_recursive { "bind" } else { "rbind" }),
        bind.read_only.then_some("rro"),
        Some(bind.propagation.as_deref().unwrap_or("rprivate")),
    ];
    mount(&paths::clean(&bind.target), "bind", &bind.source, options.into_iter().flatten())
}

/// The kind of what a flag of mount(8) sets: of each kind the last one counts.
fn flag_kind(option: &str) -> Option<&'static str> {
    Some(match option {
        "ro" | "rw" => "ro",
        "suid" | "nosuid" => "nosuid",
        "dev" | "nodev" => "nodev",
        "exec" | "noexec" => "noexec",
        "sync" | "async" => "sync",
        "dirsync" => "dirsync",
        "mand" | "nomand" => "mand",
        "atime" | "noatime" => "noatime",
        "diratime" | "nodiratime" => "nodiratime",
        "relatime" | "norelatime" => "relatime",
        "strictatime" | "nostrictatime" => "strictatime",
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" | "unbindable" | "runbindable" => {
            "propagation"
        }
        _ => return None,
    })
}

/// Docker's options of a tmpfs, and on top of them what was asked for.
///
/// # Errors
/// In docker's words.
pub(super) fn tmpfs_options(text: &str) -> Result<Vec<String>, String> {
    let asked = text.split(',').filter(|o| !o.is_empty());
    let mut merged: Vec<(&str, &str)> = Vec::new();
    for option in ["noexec", "nosuid", "nodev", "rprivate"].into_iter().chain(asked) {
        if option == "defaults" {
            continue;
        }
        let kind = match (flag_kind(option), option.split_once('=')) {
            (Some(kind), _) => kind,
            (None, Some((key @ ("size" | "mode" | "uid" | "gid" | "nr_inodes" | "nr_blocks" | "mpol"), _))) => key,
            (None, _) => {
                return Err(format!("invalid tmpfs option {:?}", option.split('=').next().unwrap_or_default()));
            }
        };
        merged.retain(|(old, _)| *old != kind);
        merged.push((kind, option));
    }
    Ok(merged.into_iter().map(|(_, option)| option.to_owned()).collect())
}

/// What the root must be for the propagation that binds ask for: a mount that is to be shared with the host must come
/// from one that is.
fn root_propagation(binds: &[Bind], host: &Host) -> Result<Option<&'static str>, EngineError> {
    let mut root = None;
    for bind in binds {
        let (allowed, needed, words): (&[&str], _, _) = match bind.propagation.as_deref() {
            Some("shared" | "rshared") => (&["shared:"], "shared", "shared mount"),
            Some("slave" | "rslave") => (&["shared:", "master:"], "rslave", "shared or slave mount"),
            _ => continue,
        };
        let (point, fields) = mount_of(&bind.source, host)?;
        if !fields.split(' ').any(|field| allowed.iter().any(|a| field.starts_with(a))) {
            let path = bind.source.display();
            return Err(invalid(format!("path {path} is mounted on {point} but it is not a {words}")));
        }
        if root != Some("shared") {
            root = Some(needed);
        }
    }
    Ok(root)
}

/// The mount that a path lies on: where it is mounted, and its optional fields (proc_pid_mountinfo(5)).
fn mount_of(path: &Path, host: &Host) -> Result<(String, String), EngineError> {
    let path = fs::canonicalize(path).map_err(|e| EngineError::io("find", path.display(), e))?;
    let table = host.proc.join("self/mountinfo");
    let text = fs::read_to_string(&table).map_err(|e| EngineError::io("read", table.display(), e))?;
    let mut best: Option<(String, String)> = None;
    for line in text.lines() {
        let Some((head, _)) = line.split_once(" - ") else { continue };
        let mut fields = head.splitn(7, ' ');
        let Some(point) = fields.nth(4).map(unescape) else { continue };
        let optional = fields.nth(1).unwrap_or_default().to_owned();
        // Of several at one place the last hides the others.
        if path.starts_with(&point) && best.as_ref().is_none_or(|(longest, _)| point.len() >= longest.len()) {
            best = Some((point, optional));
        }
    }
    best.ok_or_else(|| invalid(format!("Can't find mount point of {}", path.display())))
}

/// Blank, tab, newline and backslash stand in octal there.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
