//! Device nodes: the ones that every container has, and `linux.devices`.

use super::invalid;
use crate::error::RuntimeError;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{Dev, FileType, makedev};
use std::path::{Path, PathBuf};

/// A node to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::start) struct Device {
    /// Absolute, in the root.
    pub(in crate::start) path: PathBuf,
    /// Character, block or fifo.
    pub(in crate::start) kind: FileType,
    /// Its numbers; of no meaning for a fifo.
    pub(in crate::start) number: Dev,
    /// Permission bits.
    pub(in crate::start) mode: u32,
    /// Owner, as ids of the container.
    pub(in crate::start) owner: (u32, u32),
}

/// `config-linux.md`, "Default Devices"; `/dev/console` and `/dev/ptmx` are no nodes of their own.
const STANDARD: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The number of the null device.
pub(in crate::start) fn null() -> Dev {
    makedev(1, 3)
}

/// The standard devices and the spec's, which take the place of a standard one of the same path.
pub(super) fn read(listed: &[LinuxDevice]) -> Result<Vec<Device>, RuntimeError> {
    let listed = listed.iter().map(device).collect::<Result<Vec<_>, _>>()?;
    let standard = STANDARD.iter().map(|&(path, major, minor)| Device {
        path: PathBuf::from(path),
        kind: FileType::CharacterDevice,
        number: makedev(major, minor),
        mode: 0o666,
        owner: (0, 0),
    });
    let mut all: Vec<Device> =
        standard.filter(|device| !listed.iter().any(|other| other.path == device.path)).collect();
    all.extend(listed);
    Ok(all)
}

fn device(listed: &LinuxDevice) -> Result<Device, RuntimeError> {
    let path: &Path = listed.path();
    let fail = |problem: &str| invalid("linux.devices", format!("{}: {problem}", path.display()));
    if !path.is_absolute() || path.file_name().is_none() {
        return Err(fail("the path is not absolute"));
    }
    let kind = match listed.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(fail("a node cannot be of every type")),
    };
    let number = |n: i64| u32::try_from(n).map_err(|_| fail("a device number is out of range"));
    let number = match kind {
        FileType::Fifo => 0,
        _ => makedev(number(listed.major())?, number(listed.minor())?),
    };
    Ok(Device {
        path: path.to_owned(),
        kind,
        number,
        mode: listed.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (listed.uid().unwrap_or(0), listed.gid().unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_device_takes_the_place_of_a_standard_one() {
        let json = r#"[{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":420,"uid":5},
            {"path":"/dev/fuse","type":"c","major":10,"minor":229}]"#;
        let devices = read(&serde_json::from_str::<Vec<LinuxDevice>>(json).unwrap()).unwrap();
        assert_eq!(devices.len(), 7);
        let null = devices.iter().find(|d| d.path == Path::new("/dev/null")).unwrap();
        assert_eq!((null.mode, null.owner, null.number), (0o644, (5, 0), super::null()));
    }

    #[test]
    fn odd_devices_are_refused() {
        for json in [
            r#"[{"path":"null","type":"c"}]"#,
            r#"[{"path":"/dev/x","type":"a"}]"#,
            r#"[{"path":"/dev/x","type":"c","major":-1}]"#,
        ] {
            assert!(read(&serde_json::from_str::<Vec<LinuxDevice>>(json).unwrap()).is_err(), "{json}");
        }
    }
}
