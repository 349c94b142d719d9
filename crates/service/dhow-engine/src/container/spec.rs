//! From a container's configuration to the OCI spec that its supervisor starts.
//!
//! ```text
//!     CreateRequest + ImageConfig -- merge --> Merged, stored as Container -- build --> Spec -> supervisor
//!                                                 users of the root -- resolve_user --^
//! ```
//!
//! The spec is docker 28's, but that nothing is left to what a runtime adds by itself (device rules). What the host has
//! comes in as [`Host`]; what a root filesystem says of its users is read inside it. Must not know the ledger, and starts
//! nothing.

mod capabilities;
mod devices;
mod environment;
mod exec;
mod host;
mod logging;
mod merge;
mod mounts;
mod paths;
mod resources;
pub mod size;
mod sources;
#[cfg(test)]
mod tests;
pub mod users;

pub use capabilities::canonical as canonical_capability;
pub use environment::hostname;
pub use exec::exec_process;
pub use host::Host;
pub use logging::log_limits;
pub use merge::{Merged, merge};
pub use sources::{check_sources, make_sources};
pub use users::{home, resolve_user};

use super::request::{HostConfig, Namespace, Seccomp, Ulimit};
use super::view::Container;
use crate::EngineError;
use oci_spec::runtime::{
    Capability, Linux, LinuxNamespace, LinuxNamespaceType, LinuxSeccomp, PosixRlimit, PosixRlimitBuilder,
    PosixRlimitType, Process, Root, Spec, User,
};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// The version of the runtime specification that this follows.
const VERSION: &str = "1.2.0";

/// What tells a container of the host or of other containers: it is hidden.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What would change the host: it cannot be written.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Files that dhow makes for a container and mounts into it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// For `/etc/hostname`; none: left as the image has it.
    pub hostname: Option<PathBuf>,
    /// For `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// For `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
    /// This program, for `--init`: mounted as `/sbin/docker-init` and called with `init --`.
    pub init: Option<PathBuf>,
    /// The directory that is /dev/shm of several containers (`--ipc shareable`, `--ipc container:ID`).
    pub shm: Option<PathBuf>,
}

/// A request that makes no sense.
fn invalid(problem: impl Into<String>) -> EngineError {
    EngineError::Invalid { problem: problem.into(), hint: None }
}

/// Makes the spec. Namespaces to join are left out of `linux.namespaces`, the caller brings them as descriptors. `home` is
/// the home directory of `user`.
///
/// # Errors
/// [`EngineError::Invalid`] for what has gone or changed since the request was judged: a device, a capability.
pub fn build(
    container: &Container,
    user: &User,
    home: Option<&str>,
    files: &Files,
    host: &Host,
) -> Result<Spec, EngineError> {
    let options = &container.host;
    let capabilities = capabilities::of(options, host)?;
    // An init of ours makes sense only where it is the first process.
    let init = options.init && own(&options.pid);
    let mounts = mounts::of(options, files, init, host)?;
    let name = environment::hostname(container, host);
    let mut spec = Spec::default();
    let mut root = Root::default();
    root.set_path(container.dir.join("rootfs")).set_readonly(Some(options.read_only));
    spec.set_version(VERSION.to_owned())
        .set_root(Some(root))
        .set_hostname((options.uts != Namespace::Host).then(|| name.clone()))
        .set_domainname(container.config.domainname.clone().filter(|n| !n.is_empty() && options.uts != Namespace::Host))
        .set_mounts(Some(mounts.list))
        .set_annotations((!options.annotations.is_empty()).then(|| map(&options.annotations)))
        .set_process(Some(process(container, user, home, &name, init, capabilities.clone())))
        .set_linux(Some(linux(container, mounts.propagation, &capabilities, host)?));
    Ok(spec)
}

fn map<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> HashMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Whether a namespace is the container's own.
fn own(namespace: &Namespace) -> bool {
    !matches!(namespace, Namespace::Host | Namespace::Container(_))
}

fn process(
    container: &Container,
    user: &User,
    home: Option<&str>,
    hostname: &str,
    init: bool,
    capabilities: HashSet<Capability>,
) -> Process {
    let (config, options) = (&container.config, &container.host);
    let front: &[&str] = if init { &[mounts::INIT, "init", "--"] } else { &[] };
    let args = front.iter().map(|word| (*word).to_owned()).chain(container.command.iter().cloned()).collect();
    let mut process = Process::default();
    process
        .set_terminal(Some(config.tty))
        .set_user(user.clone())
        .set_args(Some(args))
        .set_env(Some(environment::of(config, hostname, config.tty, &[], home)))
        .set_cwd(config.working_dir.as_deref().unwrap_or("/").into())
        .set_capabilities(Some(self::capabilities::sets(capabilities)))
        .set_rlimits((!options.ulimits.is_empty()).then(|| options.ulimits.iter().filter_map(rlimit).collect()))
        .set_no_new_privileges(Some(options.no_new_privileges))
        // Said in any case: what starts the container has a score of its own.
        .set_oom_score_adj(Some(options.oom_score_adj.unwrap_or(0)));
    process
}

fn rlimit(limit: &Ulimit) -> Option<PosixRlimit> {
    let kind: PosixRlimitType = format!("RLIMIT_{}", limit.name.to_ascii_uppercase()).parse().ok()?;
    // -1 is RLIM_INFINITY.
    let (soft, hard) = (limit.soft.cast_unsigned(), limit.hard.cast_unsigned());
    PosixRlimitBuilder::default().typ(kind).soft(soft).hard(hard).build().ok()
}

fn linux(
    container: &Container,
    propagation: Option<&str>,
    capabilities: &HashSet<Capability>,
    host: &Host,
) -> Result<Linux, EngineError> {
    let options = &container.host;
    let devices = devices::of(options, host)?;
    let sysctls = sysctls(options, host);
    let (masked, read_only) = hidden(options, host);
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(options, host)))
        .set_resources(Some(resources::of(&options.resources, devices.rules)?))
        .set_devices((!devices.nodes.is_empty()).then_some(devices.nodes))
        .set_cgroups_path(Some(container.cgroup.clone()))
        .set_sysctl((!sysctls.is_empty()).then_some(sysctls))
        .set_rootfs_propagation(propagation.map(str::to_owned))
        .set_masked_paths(Some(masked))
        .set_readonly_paths(Some(read_only))
        .set_seccomp(seccomp(options, capabilities)?);
    Ok(linux)
}

fn namespaces(options: &HostConfig, host: &Host) -> Vec<LinuxNamespace> {
    // On version 1 the host's, as in docker: what is mounted there is the container's own group in any case.
    let cgroup = match options.cgroupns {
        Namespace::Private => true,
        Namespace::Default => host.unified,
        _ => false,
    };
    [
        (LinuxNamespaceType::Mount, true),
        (LinuxNamespaceType::Network, own(&options.network)),
        (LinuxNamespaceType::Uts, own(&options.uts)),
        (LinuxNamespaceType::Pid, own(&options.pid)),
        (LinuxNamespaceType::Ipc, own(&options.ipc)),
        (LinuxNamespaceType::Cgroup, cgroup),
    ]
    .into_iter()
    .filter(|(_, own)| *own)
    .map(|(kind, _)| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind).set_path(None);
        namespace
    })
    .collect()
}

/// In a network of its own, anybody may bind low ports and ping, as in docker: there is nobody to protect from it.
fn sysctls(options: &HostConfig, host: &Host) -> HashMap<String, String> {
    let mut sysctls = HashMap::new();
    if own(&options.network) {
        for (name, value) in
            [("net.ipv4.ping_group_range", "0 2147483647"), ("net.ipv4.ip_unprivileged_port_start", "0")]
        {
            if host.has_sysctl(name) {
                sysctls.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    sysctls.extend(map(&options.sysctls));
    sysctls
}

fn hidden(options: &HostConfig, host: &Host) -> (Vec<String>, Vec<String>) {
    if options.privileged || options.systempaths_unconfined {
        return (Vec::new(), Vec::new());
    }
    let throttled = host.throttled_cpus().into_iter();
    let throttled = throttled.map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    let owned = |path: &str| path.to_owned();
    (MASKED.into_iter().map(owned).chain(throttled).collect(), READ_ONLY.into_iter().map(owned).collect())
}

fn seccomp(options: &HostConfig, capabilities: &HashSet<Capability>) -> Result<Option<LinuxSeccomp>, EngineError> {
    match &options.seccomp {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default if options.privileged => Ok(None),
        Seccomp::Default => Ok(Some(dhow_runtime::seccomp::docker_default(capabilities))),
        Seccomp::Profile(text) => match dhow_runtime::seccomp::parse_profile(text, capabilities) {
            Ok(profile) => Ok(Some(profile)),
            Err(e) => Err(invalid(format!("loading seccomp profile failed: {e}"))),
        },
    }
}
