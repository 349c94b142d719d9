//! `process` of the spec: the program, and who it runs as with which rights and limits.

use super::invalid;
use super::schedule::Schedule;
use crate::error::RuntimeError;
use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, PosixRlimitType, Process};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, Gid, Uid};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The process, ready to be made.
#[derive(Debug)]
pub(in crate::start) struct Program {
    /// As it stands in the spec.
    pub(in crate::start) name: String,
    /// All arguments, the name first.
    pub(in crate::start) arguments: Vec<CString>,
    /// `NAME=value`.
    pub(in crate::start) environment: Vec<CString>,
    /// Where a name without a slash is looked for.
    pub(in crate::start) search: Vec<PathBuf>,
    /// Absolute, in the root.
    pub(in crate::start) cwd: PathBuf,
    /// Who it runs as.
    pub(in crate::start) uid: Uid,
    /// Ditto.
    pub(in crate::start) gid: Gid,
    /// Additional groups.
    pub(in crate::start) groups: Vec<Gid>,
    /// Permission bits that new files do not get.
    pub(in crate::start) umask: u32,
    /// The five sets.
    pub(in crate::start) capabilities: Rights,
    /// Limits.
    pub(in crate::start) rlimits: Vec<(Resource, Rlimit)>,
    /// Whether set-id bits and file capabilities have no effect from now on.
    pub(in crate::start) no_new_privileges: bool,
    /// None: ours.
    pub(in crate::start) oom_score_adj: Option<i32>,
    /// The label that a security module puts on the program at its exec; `attr/` file and value.
    pub(in crate::start) label: Option<Label>,
    /// How it is scheduled.
    pub(in crate::start) schedule: Schedule,
    /// The execution domain; not of the process but of the container in the spec. None: that of Linux.
    pub(in crate::start) personality: Option<u32>,
}

/// Capabilities, in the kernel's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::start) struct Rights {
    pub(in crate::start) bounding: CapabilitySet,
    pub(in crate::start) effective: CapabilitySet,
    pub(in crate::start) permitted: CapabilitySet,
    pub(in crate::start) inheritable: CapabilitySet,
    pub(in crate::start) ambient: CapabilitySet,
}

/// What a security module is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::start) enum Label {
    /// A profile of AppArmor.
    AppArmor(String),
    /// A context of SELinux.
    SeLinux(String),
}

/// Where the kernel's own execvp(3) looks without a `PATH`.
const DEFAULT_SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Program {
    pub(in crate::start) fn read(process: &Process) -> Result<Program, RuntimeError> {
        let arguments = process.args().as_deref().unwrap_or_default();
        let name = arguments.first().ok_or_else(|| invalid("process.args", "there is no program in it"))?.clone();
        let environment = process.env().as_deref().unwrap_or_default();
        if !process.cwd().is_absolute() {
            let problem = format!("the working directory {:?} is not an absolute path", process.cwd());
            return Err(invalid("process.cwd", problem));
        }
        let search = environment.iter().rev().find_map(|line| line.strip_prefix("PATH=")).unwrap_or(DEFAULT_SEARCH);
        let user = process.user();
        Ok(Program {
            arguments: strings("process.args", arguments)?,
            environment: strings("process.env", environment)?,
            // An empty part means the working directory, as in sh; programs there are not run by accident.
            search: search.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect(),
            name,
            cwd: process.cwd().clone(),
            uid: Uid::from_raw(id("process.user.uid", user.uid())?),
            gid: Gid::from_raw(id("process.user.gid", user.gid())?),
            groups: user.additional_gids().iter().flatten().map(|gid| Gid::from_raw(*gid)).collect(),
            umask: user.umask().unwrap_or(0o022),
            capabilities: rights(process.capabilities().as_ref()),
            rlimits: limits(process)?,
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            oom_score_adj: process.oom_score_adj(),
            label: label(process),
            schedule: Schedule::read(process)?,
            personality: None,
        })
    }
}

fn strings(field: &str, list: &[String]) -> Result<Vec<CString>, RuntimeError> {
    let string = |s: &String| CString::new(OsStr::new(s).as_bytes());
    list.iter().map(string).collect::<Result<_, _>>().map_err(|_| invalid(field, "there is a NUL character in it"))
}

/// -1 means "leave it" to setresuid(2), which nobody can have meant.
fn id(field: &str, id: u32) -> Result<u32, RuntimeError> {
    if id == u32::MAX { Err(invalid(field, "4294967295 is no id")) } else { Ok(id) }
}

fn label(process: &Process) -> Option<Label> {
    let some = |text: &Option<String>| text.as_ref().filter(|t| !t.is_empty()).cloned();
    // "unconfined" is what a process is without a profile.
    let profile = some(process.apparmor_profile()).filter(|profile| profile != "unconfined");
    profile.map(Label::AppArmor).or_else(|| some(process.selinux_label()).map(Label::SeLinux))
}

fn limits(process: &Process) -> Result<Vec<(Resource, Rlimit)>, RuntimeError> {
    let mut limits: Vec<(Resource, Rlimit)> = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        let resource = resource(limit.typ());
        if limits.iter().any(|(other, _)| *other == resource) {
            return Err(invalid("process.rlimits", format!("{} is there twice", limit.typ())));
        }
        if limit.soft() > limit.hard() {
            let problem = format!("the soft limit of {} is above the hard one", limit.typ());
            return Err(invalid("process.rlimits", problem));
        }
        let value = |n: u64| (n != u64::MAX).then_some(n);
        limits.push((resource, Rlimit { current: value(limit.soft()), maximum: value(limit.hard()) }));
    }
    Ok(limits)
}

fn resource(kind: PosixRlimitType) -> Resource {
    use PosixRlimitType as T;
    match kind {
        T::RlimitCpu => Resource::Cpu,
        T::RlimitFsize => Resource::Fsize,
        T::RlimitData => Resource::Data,
        T::RlimitStack => Resource::Stack,
        T::RlimitCore => Resource::Core,
        T::RlimitRss => Resource::Rss,
        T::RlimitNproc => Resource::Nproc,
        T::RlimitNofile => Resource::Nofile,
        T::RlimitMemlock => Resource::Memlock,
        T::RlimitAs => Resource::As,
        T::RlimitLocks => Resource::Locks,
        T::RlimitSigpending => Resource::Sigpending,
        T::RlimitMsgqueue => Resource::Msgqueue,
        T::RlimitNice => Resource::Nice,
        T::RlimitRtprio => Resource::Rtprio,
        T::RlimitRttime => Resource::Rttime,
    }
}

/// A process without the field has no capabilities at all.
fn rights(listed: Option<&LinuxCapabilities>) -> Rights {
    let set = |pick: fn(&LinuxCapabilities) -> &Option<Capabilities>| {
        let names = listed.and_then(|all| pick(all).as_ref()).into_iter().flatten();
        names.fold(CapabilitySet::empty(), |set, name| set | bit(*name))
    };
    Rights {
        bounding: set(LinuxCapabilities::bounding),
        effective: set(LinuxCapabilities::effective),
        permitted: set(LinuxCapabilities::permitted),
        inheritable: set(LinuxCapabilities::inheritable),
        ambient: set(LinuxCapabilities::ambient),
    }
}

fn bit(name: Capability) -> CapabilitySet {
    use Capability as C;
    use CapabilitySet as S;
    match name {
        C::AuditControl => S::AUDIT_CONTROL,
        C::AuditRead => S::AUDIT_READ,
        C::AuditWrite => S::AUDIT_WRITE,
        C::BlockSuspend => S::BLOCK_SUSPEND,
        C::Bpf => S::BPF,
        C::CheckpointRestore => S::CHECKPOINT_RESTORE,
        C::Chown => S::CHOWN,
        C::DacOverride => S::DAC_OVERRIDE,
        C::DacReadSearch => S::DAC_READ_SEARCH,
        C::Fowner => S::FOWNER,
        C::Fsetid => S::FSETID,
        C::IpcLock => S::IPC_LOCK,
        C::IpcOwner => S::IPC_OWNER,
        C::Kill => S::KILL,
        C::Lease => S::LEASE,
        C::LinuxImmutable => S::LINUX_IMMUTABLE,
        C::MacAdmin => S::MAC_ADMIN,
        C::MacOverride => S::MAC_OVERRIDE,
        C::Mknod => S::MKNOD,
        C::NetAdmin => S::NET_ADMIN,
        C::NetBindService => S::NET_BIND_SERVICE,
        C::NetBroadcast => S::NET_BROADCAST,
        C::NetRaw => S::NET_RAW,
        C::Perfmon => S::PERFMON,
        C::Setgid => S::SETGID,
        C::Setfcap => S::SETFCAP,
        C::Setpcap => S::SETPCAP,
        C::Setuid => S::SETUID,
        C::SysAdmin => S::SYS_ADMIN,
        C::SysBoot => S::SYS_BOOT,
        C::SysChroot => S::SYS_CHROOT,
        C::SysModule => S::SYS_MODULE,
        C::SysNice => S::SYS_NICE,
        C::SysPacct => S::SYS_PACCT,
        C::SysPtrace => S::SYS_PTRACE,
        C::SysRawio => S::SYS_RAWIO,
        C::SysResource => S::SYS_RESOURCE,
        C::SysTime => S::SYS_TIME,
        C::SysTtyConfig => S::SYS_TTY_CONFIG,
        C::Syslog => S::SYSLOG,
        C::WakeAlarm => S::WAKE_ALARM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> Result<Program, RuntimeError> {
        let json = format!(r#"{{"user":{{"uid":1,"gid":2}},"cwd":"/x","args":["a","b"]{rest}}}"#);
        Program::read(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn the_last_path_counts_and_names_no_working_directory() {
        let program = read(r#","env":["PATH=/a","X=1","PATH=/b::/c:"]"#).unwrap();
        assert_eq!(program.search, [PathBuf::from("/b"), PathBuf::from("/c")]);
        assert_eq!(read("").unwrap().search.len(), 6);
    }

    #[test]
    fn capabilities_have_the_kernels_numbers() {
        let program = read(r#","capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_ADMIN"],"ambient":["CAP_NET_RAW"]}"#);
        let rights = program.unwrap().capabilities;
        assert_eq!(rights.bounding.bits(), 1 | 1 << 21);
        assert_eq!(rights.ambient.bits(), 1 << 13);
        assert!(rights.inheritable.is_empty() && rights.permitted.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let twice = r#","rlimits":[{"type":"RLIMIT_CPU","soft":1,"hard":2},{"type":"RLIMIT_CPU","soft":1,"hard":2}]"#;
        for rest in [twice, r#","rlimits":[{"type":"RLIMIT_CPU","soft":3,"hard":2}]"#, r#","env":["A=\u0000"]"#] {
            assert!(read(rest).is_err(), "{rest}");
        }
    }
}
