//! What a start will do, read out of the spec before anything is done: pure, so that whatever makes no sense is refused
//! while there is nothing to take back.
//!
//! Follows `config.md` and `config-linux.md` of the OCI runtime specification 1.2; what of them is not done is refused
//! here. Control group and seccomp come compiled from the caller.

pub(super) mod devices;
pub(super) mod mounts;
pub(super) mod process;
mod schedule;
mod sysctls;

use crate::error::RuntimeError;
use crate::hooks::{Hooks, Moment, Subject};
use devices::Device;
use dhow_sys::clone::Namespaces;
use dhow_sys::mount::Propagation;
use mounts::Mount;
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, LinuxTimeOffset, Spec};
use process::Program;
pub(super) use schedule::personality;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Everything that [`start`](super::start) does.
#[derive(Debug)]
pub(super) struct Plan {
    /// The process that it ends in.
    pub(super) program: Program,
    /// What is set up around it.
    pub(super) container: Container,
}

/// What is set up around the first process.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// Namespaces to make, without those of control groups, which come after the placement.
    pub(super) namespaces: Option<Namespaces>,
    /// Whether to make a namespace of control groups.
    pub(super) cgroup_namespace: bool,
    /// Whether it has a user namespace that is not ours, its own or another's.
    pub(super) in_user_namespace: bool,
    /// How ids in it stand for ours: users, groups. Empty without a user namespace of its own.
    pub(super) uids: Vec<LinuxIdMapping>,
    /// Ditto.
    pub(super) gids: Vec<LinuxIdMapping>,
    /// What its own clocks differ by, as `/proc/<pid>/timens_offsets` takes it. None: it has no time namespace of its own.
    pub(super) clocks: Option<String>,
    /// None: as it is.
    pub(super) hostname: Option<String>,
    /// Ditto.
    pub(super) domainname: Option<String>,
    /// In order.
    pub(super) mounts: Vec<Mount>,
    /// To be made in the root, the standard ones first. Empty when the host's /dev is mounted.
    pub(super) devices: Vec<Device>,
    /// Whether links and the console belong to /dev, too.
    pub(super) own_dev: bool,
    /// Paths in the root that read as nothing.
    pub(super) masked: Vec<PathBuf>,
    /// Paths in the root that cannot be written.
    pub(super) read_only: Vec<PathBuf>,
    /// Files below /proc/sys and what to write there.
    pub(super) sysctls: Vec<(PathBuf, String)>,
    /// Whether the root is read-only.
    pub(super) root_read_only: bool,
    /// Of the root once it is one, and whether of all beneath it too.
    pub(super) root_propagation: Option<(Propagation, bool)>,
    /// What others want run.
    pub(super) hooks: Hooks,
    /// Where the root is attached until it becomes the root: on the host's, unless hooks look for it in the bundle.
    pub(super) root_place: Option<PathBuf>,
}

impl Plan {
    /// Reads a spec.
    pub(super) fn read(
        spec: &Spec,
        join: &[(LinuxNamespaceType, OwnedFd)],
        subject: Option<Subject<'_>>,
    ) -> Result<Plan, RuntimeError> {
        let process = spec.process().as_ref().ok_or_else(|| invalid("process", "there is none"))?;
        let program = Program { personality: personality(spec)?, ..Program::read(process)? };
        Ok(Plan { program, container: Container::read(spec, join, subject)? })
    }
}

impl Container {
    fn read(
        spec: &Spec,
        join: &[(LinuxNamespaceType, OwnedFd)],
        subject: Option<Subject<'_>>,
    ) -> Result<Container, RuntimeError> {
        refuse_what_is_not_done(spec)?;
        let linux = spec.linux().as_ref().ok_or_else(|| invalid("linux", "there is none"))?;
        let made = namespaces_to_make(spec, join)?;
        let cgroup_namespace = made.contains(Namespaces::CONTROL_GROUP);
        let has =
            |kind: LinuxNamespaceType| made.contains(flag(kind)) || join.iter().any(|(joined, _)| *joined == kind);
        let mounts = spec.mounts().as_deref().unwrap_or_default();
        let mut mounts = mounts.iter().map(Mount::read).collect::<Result<Vec<_>, _>>()?;
        let own_dev = !mounts.iter().any(|mount| mount.is_bind() && mount.target.as_os_str() == "/dev");
        let user = made.contains(Namespaces::USER);
        let uids = if user { mappings("linux.uidMappings", linux.uid_mappings().as_ref())? } else { Vec::new() };
        let gids = if user { mappings("linux.gidMappings", linux.gid_mappings().as_ref())? } else { Vec::new() };
        map_like_the_container(&mut mounts, &uids, &gids)?;
        let hooks = Hooks::read(spec, subject)?;
        Ok(Container {
            namespaces: Some(made - Namespaces::CONTROL_GROUP),
            cgroup_namespace,
            in_user_namespace: has(LinuxNamespaceType::User),
            uids,
            gids,
            clocks: clocks(linux.time_offsets().as_ref(), made)?,
            hostname: name_of(spec.hostname(), "hostname", has(LinuxNamespaceType::Uts))?,
            domainname: name_of(spec.domainname(), "domainname", has(LinuxNamespaceType::Uts))?,
            mounts,
            devices: if own_dev { devices::read(linux.devices().as_deref().unwrap_or_default())? } else { Vec::new() },
            own_dev,
            masked: paths("linux.maskedPaths", linux.masked_paths().as_ref())?,
            read_only: paths("linux.readonlyPaths", linux.readonly_paths().as_ref())?,
            sysctls: sysctls::read(linux.sysctl().as_ref(), has)?,
            root_read_only: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
            root_propagation: linux.rootfs_propagation().as_deref().map(propagation).transpose()?.flatten(),
            root_place: root_place(spec, &hooks),
            hooks,
        })
    }

    /// Whether it has a user namespace of its own.
    pub(super) fn maps_users(&self) -> bool {
        self.namespaces.is_some_and(|made| made.contains(Namespaces::USER))
    }

    /// The id outside that a user id inside stands for.
    pub(super) fn outer_uid(&self, uid: u32) -> Option<u32> {
        if !self.maps_users() {
            return Some(uid);
        }
        mapped(&self.uids, uid)
    }
}

/// As [`Container::outer_uid`], of a container that runs.
pub(super) fn outer_uid(spec: &Spec, uid: u32) -> Option<u32> {
    let linux = spec.linux().as_ref();
    match linux.and_then(|linux| linux.uid_mappings().as_deref()) {
        Some(mappings) if namespaces_to_enter(spec).contains(Namespaces::USER) => mapped(mappings, uid),
        _ => Some(uid),
    }
}

fn mapped(mappings: &[LinuxIdMapping], uid: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let offset = uid.checked_sub(mapping.container_id())?;
        if offset < mapping.size() { mapping.host_id().checked_add(offset) } else { None }
    })
}

/// All kinds: entering a namespace that we are in already changes nothing. But a user namespace cannot be entered twice,
/// so that one only if the container has its own.
pub(super) fn namespaces_to_enter(spec: &Spec) -> Namespaces {
    let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let has = |kind| listed.iter().any(|namespace| namespace.typ() == kind);
    let user = has(LinuxNamespaceType::User);
    let time = if has(LinuxNamespaceType::Time) { Namespaces::TIME } else { Namespaces::empty() };
    // Of clocks only if the kernel is known to have such namespaces.
    let rest = time
        | Namespaces::MOUNT
        | Namespaces::CONTROL_GROUP
        | Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME
        | Namespaces::INTER_PROCESS_COMMUNICATION
        | Namespaces::PROCESS_ID
        | Namespaces::NETWORK;
    if user { rest | Namespaces::USER } else { rest }
}

/// The flag of clone3(2) and setns(2) for a kind of namespace.
pub(super) fn flag(kind: LinuxNamespaceType) -> Namespaces {
    match kind {
        LinuxNamespaceType::Mount => Namespaces::MOUNT,
        LinuxNamespaceType::Cgroup => Namespaces::CONTROL_GROUP,
        LinuxNamespaceType::Uts => Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME,
        LinuxNamespaceType::Ipc => Namespaces::INTER_PROCESS_COMMUNICATION,
        LinuxNamespaceType::User => Namespaces::USER,
        LinuxNamespaceType::Pid => Namespaces::PROCESS_ID,
        LinuxNamespaceType::Network => Namespaces::NETWORK,
        LinuxNamespaceType::Time => Namespaces::TIME,
    }
}

/// An error about a field of the spec.
pub(super) fn invalid(field: impl Into<String>, problem: impl Into<String>) -> RuntimeError {
    RuntimeError::Invalid { field: field.into(), problem: problem.into() }
}

fn namespaces_to_make(spec: &Spec, join: &[(LinuxNamespaceType, OwnedFd)]) -> Result<Namespaces, RuntimeError> {
    let mut made = Namespaces::empty();
    let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    for namespace in listed {
        let kind = namespace.typ();
        if join.iter().any(|(joined, _)| *joined == kind) {
            continue;
        }
        if namespace.path().is_some() {
            return Err(invalid(
                "linux.namespaces",
                format!("no descriptor was given of the {kind} namespace to join"),
            ));
        }
        if made.contains(flag(kind)) {
            return Err(invalid("linux.namespaces", format!("{kind} is there twice")));
        }
        made |= flag(kind);
    }
    if !made.contains(Namespaces::MOUNT) {
        return Err(invalid("linux.namespaces", "a container needs a mount namespace of its own"));
    }
    Ok(made)
}

/// A spec that asks for what is not done must not start as if it were.
fn refuse_what_is_not_done(spec: &Spec) -> Result<(), RuntimeError> {
    let Some(linux) = spec.linux().as_ref() else { return Ok(()) };
    let unsupported = [
        ("linux.netDevices", linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty())),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.mountLabel", linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())),
    ];
    match unsupported.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(invalid(field, "this is not supported")),
        None => Ok(()),
    }
}

/// Those that have only the option `idmap`.
fn map_like_the_container(
    mounts: &mut [Mount],
    uids: &[LinuxIdMapping],
    gids: &[LinuxIdMapping],
) -> Result<(), RuntimeError> {
    for mount in mounts {
        let Some(ids) = mount.ids.as_mut().filter(|ids| ids.uids.is_empty()) else { continue };
        if uids.is_empty() {
            let problem = format!("{}: neither it nor the container has mappings of ids", mount.target.display());
            return Err(invalid("mounts", problem));
        }
        (ids.uids, ids.gids) = (uids.to_vec(), gids.to_vec());
    }
    Ok(())
}

/// `linux.timeOffsets`, for a time namespace that is made.
fn clocks(
    offsets: Option<&HashMap<String, LinuxTimeOffset>>,
    made: Namespaces,
) -> Result<Option<String>, RuntimeError> {
    let mut text = String::new();
    for (clock, offset) in offsets.into_iter().flatten() {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(invalid("linux.timeOffsets", format!("there is no clock {clock:?}")));
        }
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        let _ = writeln!(text, "{clock} {seconds} {nanoseconds}");
    }
    let own = made.contains(Namespaces::TIME);
    if !own && !text.is_empty() {
        return Err(invalid("linux.timeOffsets", "they need a time namespace of its own"));
    }
    Ok(own.then_some(text))
}

/// Whether /dev is the container's and not the host's.
pub(super) fn has_own_dev(spec: &Spec) -> bool {
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let mut read = mounts.iter().filter_map(|mount| Mount::read(mount).ok());
    !read.any(|mount| mount.is_bind() && mount.target.as_os_str() == "/dev")
}

/// Hooks that change the root find it by the bundle's config.json.
fn root_place(spec: &Spec, hooks: &Hooks) -> Option<PathBuf> {
    let before = [Moment::Prestart, Moment::CreateRuntime, Moment::CreateContainer];
    let path = spec.root().as_ref()?.path();
    let looked_for = before.into_iter().any(|moment| hooks.has(moment)) && !path.as_os_str().is_empty();
    looked_for.then(|| hooks.bundle().join(path))
}

fn mappings(field: &str, list: Option<&Vec<LinuxIdMapping>>) -> Result<Vec<LinuxIdMapping>, RuntimeError> {
    match list {
        Some(list) if !list.is_empty() => Ok(list.clone()),
        _ => Err(invalid(field, "a user namespace needs a mapping")),
    }
}

fn name_of(name: &Option<String>, field: &str, own: bool) -> Result<Option<String>, RuntimeError> {
    match name.as_deref() {
        None | Some("") => Ok(None),
        Some(_) if !own => Err(invalid(field, "it cannot be set without a UTS namespace of its own")),
        Some(name) => Ok(Some(name.to_owned())),
    }
}

fn paths(field: &str, list: Option<&Vec<String>>) -> Result<Vec<PathBuf>, RuntimeError> {
    let list = list.map(Vec::as_slice).unwrap_or_default();
    match list.iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(invalid(field, format!("{path:?} is not absolute"))),
        None => Ok(list.iter().map(PathBuf::from).collect()),
    }
}

fn propagation(name: &str) -> Result<Option<(Propagation, bool)>, RuntimeError> {
    if name.is_empty() {
        return Ok(None);
    }
    mounts::propagation(name)
        .map(Some)
        .ok_or_else(|| invalid("linux.rootfsPropagation", format!("{name:?} is unknown")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<Plan, RuntimeError> {
        Plan::read(&serde_json::from_str(json).unwrap(), &[], None)
    }

    const PROCESS: &str = r#""process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["true"]}"#;

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_done() {
        let refused = |rest: &str, field: &str| match plan(&format!("{{{PROCESS},{rest}}}")) {
            Err(RuntimeError::Invalid { field: found, .. }) => assert_eq!(found, field, "{rest}"),
            other => panic!("{rest}: {other:?}"),
        };
        refused(r#""linux":{"namespaces":[]}"#, "linux.namespaces");
        refused(r#""linux":{"namespaces":[{"type":"mount"},{"type":"pid","path":"/x"}]}"#, "linux.namespaces");
        refused(r#""linux":{"namespaces":[{"type":"mount"},{"type":"user"}]}"#, "linux.uidMappings");
        refused(r#""hostname":"x","linux":{"namespaces":[{"type":"mount"}]}"#, "hostname");
        refused(r#""linux":{"namespaces":[{"type":"mount"}],"maskedPaths":["proc"]}"#, "linux.maskedPaths");
        refused(r#""linux":{"namespaces":[{"type":"mount"}],"rootfsPropagation":"up"}"#, "linux.rootfsPropagation");
        refused(r#""linux":{"namespaces":[{"type":"mount"}]},"hooks":{"createRuntime":[{"path":"/x"}]}"#, "hooks");
        refused(r#""linux":{"namespaces":[{"type":"mount"}],"sysctl":{"kernel.panic":"1"}}"#, "linux.sysctl");
    }

    #[test]
    fn ids_are_mapped_outwards() {
        let json = format!(
            r#"{{{PROCESS},"linux":{{"namespaces":[{{"type":"mount"}},{{"type":"user"}}],
            "uidMappings":[{{"containerID":0,"hostID":1000,"size":10}}],
            "gidMappings":[{{"containerID":0,"hostID":1000,"size":10}}]}}}}"#
        );
        let container = plan(&json).unwrap().container;
        assert_eq!(
            (container.outer_uid(0), container.outer_uid(9), container.outer_uid(10)),
            (Some(1000), Some(1009), None)
        );
    }
}
