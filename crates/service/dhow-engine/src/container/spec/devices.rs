//! Devices: the nodes that a container gets, and what its control group lets it do with them.
//!
//! Follows moby's `daemon/pkg/oci` and, for what every container may do, runc's `AllowedDevices`.

use super::host::Host;
use super::invalid;
use crate::EngineError;
use crate::container::request::{Device, HostConfig};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};
use rustix::fs::{FileType, Mode, Stat};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How deep below /dev devices are looked for: deeper than any, and an end to a loop of bind mounts.
const DEPTH: usize = 16;

/// What lies in the host's /dev and is each container's own: docker leaves these directories out, and the runtime makes
/// these nodes in any case.
const OWN: [&str; 15] = [
    "pts",
    "shm",
    "fd",
    "mqueue",
    ".lxc",
    ".lxd-mounts",
    ".udev",
    "console",
    "ptmx",
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
];

/// Nodes and rules.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// To make.
    pub(super) nodes: Vec<LinuxDevice>,
    /// In the order in which they apply.
    pub(super) rules: Vec<LinuxDeviceCgroup>,
}

/// The devices of a container.
///
/// # Errors
/// [`EngineError::Invalid`] for what is no device, and a rule that is none.
pub(super) fn of(config: &HostConfig, host: &Host) -> Result<Devices, EngineError> {
    let mut devices = Devices::default();
    if config.privileged {
        let all = |e| EngineError::io("list", host.dev.display(), e);
        walk(&host.dev, Path::new("/dev"), DEPTH, &mut |_, node| devices.nodes.push(node)).map_err(all)?;
        // Those that have the same name in the container are there already.
        for device in config.devices.iter().filter(|d| d.source != Path::new(&d.target)) {
            devices.nodes.extend(from_path(device)?.nodes);
        }
        devices.rules = vec![rule(true, None, (None, None), "rwm")];
        return Ok(devices);
    }
    devices.rules = default_rules();
    for device in &config.devices {
        let found = from_path(device)?;
        devices.nodes.extend(found.nodes);
        devices.rules.extend(found.rules);
    }
    for text in &config.device_cgroup_rules {
        devices.rules.push(parse_rule(text)?);
    }
    Ok(devices)
}

/// Nothing, but for making nodes, and using those that every container has.
fn default_rules() -> Vec<LinuxDeviceCgroup> {
    use LinuxDeviceType::{B, C};
    let character = |major, minor| rule(true, Some(C), (Some(major), minor), "rwm");
    vec![
        rule(false, None, (None, None), "rwm"),
        rule(true, Some(C), (None, None), "m"),
        rule(true, Some(B), (None, None), "m"),
        character(1, Some(3)), // null
        character(1, Some(5)), // zero
        character(1, Some(7)), // full
        character(1, Some(8)), // random
        character(1, Some(9)), // urandom
        character(5, Some(0)), // tty
        character(5, Some(1)), // console
        character(5, Some(2)), // ptmx
        character(136, None),  // pts
    ]
}

fn rule(
    allow: bool,
    kind: Option<LinuxDeviceType>,
    (major, minor): (Option<i64>, Option<i64>),
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow).set_typ(kind).set_major(major).set_minor(minor).set_access(Some(access.to_owned()));
    rule
}

/// A rule as cgroup v1 writes it: `c 1:3 rwm`, with `*` for any number.
fn parse_rule(text: &str) -> Result<LinuxDeviceCgroup, EngineError> {
    let wrong = || invalid(format!("invalid device cgroup rule format: '{text}'"));
    let [kind, numbers, access] = text.split(' ').collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(wrong()),
    };
    let number = |text: &str| match text {
        "*" => Ok(None),
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map(Some).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    if access.is_empty() || access.len() > 3 || !access.bytes().all(|b| b"rwm".contains(&b)) {
        return Err(wrong());
    }
    Ok(rule(true, Some(kind), (number(major)?, number(minor)?), access))
}

/// A device, or each in a directory of devices.
fn from_path(device: &Device) -> Result<Devices, EngineError> {
    let gathering = |problem: String| {
        invalid(format!(
            "error gathering device information while adding custom device {:?}: {problem}",
            device.source.display().to_string()
        ))
    };
    let mut found = Devices::default();
    let mut add = |stat: &Stat, node: LinuxDevice| {
        let numbers = number(stat.st_rdev);
        // A rule for what is no device, a FIFO in that directory, there is not.
        if matches!(node.typ(), LinuxDeviceType::B | LinuxDeviceType::C) {
            found.rules.push(rule(true, Some(node.typ()), (Some(numbers.0), Some(numbers.1)), &device.permissions));
        }
        found.nodes.push(node);
    };
    let source = fs::canonicalize(&device.source).map_err(|e| gathering(words(&e)))?;
    let stat = rustix::fs::stat(&source).map_err(|e| gathering(words(&e.into())))?;
    let target = Path::new(&device.target);
    if let Some(node) = node(&stat, target) {
        add(&stat, node);
    } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        // What cannot be looked at is left out, as docker does.
        let _ = walk_all(&source, target, DEPTH, &mut add);
    }
    if found.nodes.is_empty() { Err(gathering("not a device node".to_owned())) } else { Ok(found) }
}

/// The node for a device with this status, or nothing when it is none.
fn node(stat: &Stat, path: &Path) -> Option<LinuxDevice> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => LinuxDeviceType::B,
        FileType::CharacterDevice => LinuxDeviceType::C,
        FileType::Fifo => LinuxDeviceType::P,
        _ => return None,
    };
    let (major, minor) = number(stat.st_rdev);
    let mut device = LinuxDevice::default();
    device
        .set_path(path.to_owned())
        .set_typ(kind)
        .set_major(major)
        .set_minor(minor)
        .set_file_mode(Some(Mode::from_raw_mode(stat.st_mode).bits() & 0o7777))
        .set_uid(Some(stat.st_uid))
        .set_gid(Some(stat.st_gid));
    Some(device)
}

/// Major and minor number.
pub(super) fn number(device: u64) -> (i64, i64) {
    (i64::from(rustix::fs::major(device)), i64::from(rustix::fs::minor(device)))
}

/// The devices of the host's /dev that are not each container's own.
fn walk(from: &Path, to: &Path, depth: usize, each: &mut dyn FnMut(&Stat, LinuxDevice)) -> io::Result<()> {
    let mut devices = |stat: &Stat, node: LinuxDevice| {
        if node.typ() != LinuxDeviceType::P {
            each(stat, node);
        }
    };
    for (name, source) in names(from)? {
        if !OWN.contains(&name.as_str()) {
            walk_one(&source, &to.join(name), depth, &mut devices)?;
        }
    }
    Ok(())
}

fn walk_all(from: &Path, to: &Path, depth: usize, each: &mut dyn FnMut(&Stat, LinuxDevice)) -> io::Result<()> {
    for (name, source) in names(from)? {
        walk_one(&source, &to.join(name), depth, each)?;
    }
    Ok(())
}

fn walk_one(from: &Path, to: &Path, depth: usize, each: &mut dyn FnMut(&Stat, LinuxDevice)) -> io::Result<()> {
    let stat = match rustix::fs::lstat(from) {
        Ok(stat) => stat,
        // Gone meanwhile.
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    if let Some(node) = node(&stat, to) {
        each(&stat, node);
    } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && depth > 0 {
        walk_all(from, to, depth - 1, each)?;
    }
    Ok(())
}

/// What is in a directory, sorted. A name that is no text cannot be in a spec, which is JSON.
fn names(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, entry.path()));
        }
    }
    names.sort();
    Ok(names)
}

/// An error of the kernel in the words of C and Go.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}
