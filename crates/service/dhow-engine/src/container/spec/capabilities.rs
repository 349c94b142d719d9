//! Capabilities: which a container has, by docker's defaults and what is added and dropped.
//!
//! See capabilities(7) and docker's `daemon/pkg/oci/caps`.

use super::host::Host;
use super::invalid;
use crate::EngineError;
use crate::container::request::HostConfig;
use oci_spec::runtime::Capability::{self, *};
use oci_spec::runtime::LinuxCapabilities;
use std::collections::HashSet;

/// Every capability, without its `CAP_`, in the order of their numbers.
pub(super) const KNOWN: [(&str, Capability); 41] = [
    ("CHOWN", Chown),
    ("DAC_OVERRIDE", DacOverride),
    ("DAC_READ_SEARCH", DacReadSearch),
    ("FOWNER", Fowner),
    ("FSETID", Fsetid),
    ("KILL", Kill),
    ("SETGID", Setgid),
    ("SETUID", Setuid),
    ("SETPCAP", Setpcap),
    ("LINUX_IMMUTABLE", LinuxImmutable),
    ("NET_BIND_SERVICE", NetBindService),
    ("NET_BROADCAST", NetBroadcast),
    ("NET_ADMIN", NetAdmin),
    ("NET_RAW", NetRaw),
    ("IPC_LOCK", IpcLock),
    ("IPC_OWNER", IpcOwner),
    ("SYS_MODULE", SysModule),
    ("SYS_RAWIO", SysRawio),
    ("SYS_CHROOT", SysChroot),
    ("SYS_PTRACE", SysPtrace),
    ("SYS_PACCT", SysPacct),
    ("SYS_ADMIN", SysAdmin),
    ("SYS_BOOT", SysBoot),
    ("SYS_NICE", SysNice),
    ("SYS_RESOURCE", SysResource),
    ("SYS_TIME", SysTime),
    ("SYS_TTY_CONFIG", SysTtyConfig),
    ("MKNOD", Mknod),
    ("LEASE", Lease),
    ("AUDIT_WRITE", AuditWrite),
    ("AUDIT_CONTROL", AuditControl),
    ("SETFCAP", Setfcap),
    ("MAC_OVERRIDE", MacOverride),
    ("MAC_ADMIN", MacAdmin),
    ("SYSLOG", Syslog),
    ("WAKE_ALARM", WakeAlarm),
    ("BLOCK_SUSPEND", BlockSuspend),
    ("AUDIT_READ", AuditRead),
    ("PERFMON", Perfmon),
    ("BPF", Bpf),
    ("CHECKPOINT_RESTORE", CheckpointRestore),
];

/// What docker gives.
const DEFAULT: [Capability; 14] = [
    Chown,
    DacOverride,
    Fsetid,
    Fowner,
    Mknod,
    NetRaw,
    Setgid,
    Setuid,
    Setfcap,
    Setpcap,
    NetBindService,
    SysChroot,
    Kill,
    AuditWrite,
];

/// `ALL`, or one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    All,
    One(Capability),
}

/// Upper case and without `CAP_`, whatever was typed.
pub fn canonical(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}

fn named(names: &[String], has: &[Capability]) -> Result<Vec<Named>, String> {
    let one = |name: &String| {
        let name = canonical(name);
        if name == "ALL" {
            return Ok(Named::All);
        }
        match KNOWN.iter().find(|(known, _)| *known == name) {
            None => Err(format!("unknown capability: \"CAP_{name}\"")),
            Some((_, capability)) if has.contains(capability) => Ok(Named::One(*capability)),
            Some(_) => Err(format!(
                "capability not supported by your kernel or not available in the current environment: \"CAP_{name}\""
            )),
        }
    };
    names.iter().map(one).collect()
}

/// Judges what is added and dropped.
///
/// # Errors
/// [`EngineError::Invalid`] names what there is not.
pub(super) fn check(config: &HostConfig, host: &Host) -> Result<(), EngineError> {
    if config.cap_add.is_empty() && config.cap_drop.is_empty() {
        return Ok(());
    }
    let has = host.capabilities();
    named(&config.cap_add, &has).map_err(|e| invalid(format!("invalid CapAdd: {e}")))?;
    named(&config.cap_drop, &has).map_err(|e| invalid(format!("invalid CapDrop: {e}")))?;
    Ok(())
}

/// The capabilities of a container. `ALL` added beats `ALL` dropped; and what is dropped is taken away first, so that
/// a name in both is there at the end.
///
/// # Errors
/// As [`check`].
pub(super) fn of(config: &HostConfig, host: &Host) -> Result<HashSet<Capability>, EngineError> {
    if config.privileged {
        return Ok(host.capabilities().into_iter().collect());
    }
    if config.cap_add.is_empty() && config.cap_drop.is_empty() {
        return Ok(HashSet::from(DEFAULT));
    }
    let has = host.capabilities();
    let drop = named(&config.cap_drop, &has).map_err(invalid)?;
    let add = named(&config.cap_add, &has).map_err(invalid)?;
    let added = add.iter().filter_map(|a| if let Named::One(capability) = a { Some(*capability) } else { None });
    let kept = |capability: &Capability| !drop.contains(&Named::One(*capability));
    Ok(if add.contains(&Named::All) {
        has.into_iter().filter(kept).collect()
    } else if drop.contains(&Named::All) {
        added.collect()
    } else {
        DEFAULT.into_iter().filter(kept).chain(added).collect()
    })
}

/// As the spec has them: nothing is inherited over an exec by those who are not root.
pub(super) fn sets(capabilities: HashSet<Capability>) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(capabilities.clone()))
        .set_permitted(Some(capabilities.clone()))
        .set_effective(Some(capabilities))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}
