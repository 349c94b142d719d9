//! What is asked for when a container is made, as values: stored with the container, and judged before anything acts.
//!
//! The field names are docker's (`Config` and `HostConfig` of its API), the types are ours: nothing here is text that
//! still has to be taken apart, except what only the image or the kernel can judge.

mod network;

pub use network::{EndpointConfig, Publish, Target};

use dhow_network::mac::Mac;
use dhow_spec::Platform;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A container to make.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// Its name; none: one is made up.
    pub name: Option<String>,
    /// Its root filesystem.
    pub root: RootSource,
    /// Which platform the image must be for.
    pub platform: Option<Platform>,
    /// What runs.
    pub config: Config,
    /// How it runs.
    pub host: HostConfig,
}

/// Where the root filesystem comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootSource {
    /// An image, as it was typed.
    Image(String),
    /// A directory of the host (`--rootfs`).
    Directory {
        /// Absolute.
        path: PathBuf,
        /// `:O`: what is written goes to a layer of its own, and the directory stays as it is.
        overlay: bool,
    },
}

/// What runs in a container. Options that are none take the image's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The host name; none: the first 12 digits of the id.
    pub hostname: Option<String>,
    /// The NIS domain name.
    pub domainname: Option<String>,
    /// `user[:group]`, names or numbers.
    pub user: Option<String>,
    /// Whether the one who starts it is connected with standard input.
    pub attach_stdin: bool,
    /// With standard output.
    pub attach_stdout: bool,
    /// With standard error.
    pub attach_stderr: bool,
    /// `-t`.
    pub tty: bool,
    /// `-i`.
    pub open_stdin: bool,
    /// Standard input is closed when the first client that brought one leaves.
    pub stdin_once: bool,
    /// `NAME=value`; a bare `NAME` takes the variable away that the image sets.
    pub env: Vec<String>,
    /// Arguments, or the command where there is no entry point.
    pub cmd: Option<Vec<String>>,
    /// The entry point; an empty list takes the image's away, and its command with it.
    pub entrypoint: Option<Vec<String>>,
    /// The working directory, absolute.
    pub working_dir: Option<String>,
    /// Labels, in addition to the image's.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to end, by name or number.
    pub stop_signal: Option<String>,
    /// Seconds from that signal to SIGKILL; -1: never.
    pub stop_timeout: Option<i64>,
    /// Ports that the program listens on, `80/tcp`, in addition to the image's.
    pub exposed_ports: BTreeSet<String>,
    /// The hardware address on its first network, for those who ask the container for it.
    pub mac_address: Option<Mac>,
}

/// How a container runs on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// Bind mounts, in the order in which they were given.
    pub binds: Vec<Bind>,
    /// tmpfs mounts: where, and the options of tmpfs(5) as they were typed.
    pub tmpfs: BTreeMap<String, String>,
    /// The network.
    pub network: Namespace,
    /// The networks it is on when it is made, where [`Namespace::Networks`] says that it is on some: the first one is
    /// docker's `NetworkMode`. Later ones are in the ledger alone.
    pub networks: Vec<EndpointConfig>,
    /// Ports that the host has for it.
    pub ports: Vec<Publish>,
    /// `-P`: every exposed port that is not among them gets a random one.
    pub publish_all: bool,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Domains that short names are looked for in.
    pub dns_search: Vec<String>,
    /// Options of resolv.conf(5).
    pub dns_options: Vec<String>,
    /// `NAME:ADDRESS`, for its `/etc/hosts`; the address may be `host-gateway`.
    pub extra_hosts: Vec<String>,
    /// Process ids.
    pub pid: Namespace,
    /// System V and POSIX IPC, and /dev/shm.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Control groups.
    pub cgroupns: Namespace,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// `--rm`.
    pub auto_remove: bool,
    /// `--init`: a small program of our own reaps and hands on signals as pid 1.
    pub init: bool,
    /// Where output goes.
    pub log: LogConfig,
    /// Everything is allowed and every device is there.
    pub privileged: bool,
    /// The root filesystem cannot be written.
    pub read_only: bool,
    /// Capabilities to add, `NET_ADMIN` or `ALL`, upper case and without `CAP_`.
    pub cap_add: Vec<String>,
    /// To take away, likewise.
    pub cap_drop: Vec<String>,
    /// Seccomp.
    pub seccomp: Seccomp,
    /// No program gains rights by setuid or file capabilities.
    pub no_new_privileges: bool,
    /// Nothing in /proc and /sys is masked or read-only.
    pub systempaths_unconfined: bool,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Device rules as in cgroup v1: `c 1:3 rwm`.
    pub device_cgroup_rules: Vec<String>,
    /// Groups in addition, names of the image or numbers.
    pub group_add: Vec<String>,
    /// Bytes of /dev/shm; none: 64 MiB.
    pub shm_size: Option<u64>,
    /// Limits.
    pub resources: Resources,
    /// Limits per process.
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// The parent of its control group; none: `dhow/<store id>`.
    pub cgroup_parent: Option<String>,
    /// Handed on in the OCI spec.
    pub annotations: BTreeMap<String, String>,
}

/// Which namespace of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// What is usual: of its own. For the network, `bridge`, which is stored in its place; containers that were made
    /// before there were networks have none.
    #[default]
    Default,
    /// Of its own (`none` of networks, `private` of others).
    Private,
    /// Of its own, and others may join (`--ipc shareable`).
    Shareable,
    /// Network only: its own, and connected with the networks that the container is on.
    Networks,
    /// IPC only: its own and no /dev/shm.
    None,
    /// The host's.
    Host,
    /// That of another container, by id or name; stored by id.
    Container(String),
}

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When its exit status is not 0, at most so often (0: always).
    OnFailure(u32),
    /// Whenever it ended, unless it was stopped by hand.
    Always,
    /// Likewise, and after a reboot only if it had not been stopped.
    UnlessStopped,
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// `json-file` or `none`.
    pub driver: String,
    /// `max-size`, `max-file`.
    pub options: BTreeMap<String, String>,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { driver: "json-file".to_owned(), options: BTreeMap::new() }
    }
}

/// Which system calls are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// docker's default profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// What this profile says: the text of a file in docker's format.
    Profile(String),
}

/// A directory or file of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute.
    pub source: PathBuf,
    /// Absolute, in the container.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
    /// `rprivate` (the default), `rslave`, `rshared`, `private`, `slave`, `shared`.
    pub propagation: Option<String>,
    /// Only itself, not what is mounted below it.
    pub non_recursive: bool,
    /// Make the source if it is missing: `-v` does, `--mount` does not.
    pub create_source: bool,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: String,
    /// Of `r`, `w`, `m`.
    pub permissions: String,
}

/// A limit of setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Lower case: `nofile`.
    pub name: String,
    /// -1: none.
    pub soft: i64,
    /// -1: none.
    pub hard: i64,
}

/// A rate or weight for one block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// The device node on the host.
    pub device: PathBuf,
    /// Bytes or operations a second, or a weight.
    pub rate: u64,
}

/// Limits of the control group. None: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together; -1: no limit.
    pub memory_swap: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<u64>,
    /// 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// Wait for memory instead of being killed (version 1 only).
    pub oom_kill_disable: bool,
    /// Relative weight; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
    /// Microseconds in each period.
    pub cpu_quota: Option<i64>,
    /// Billionths of a CPU (`--cpus`).
    pub nano_cpus: Option<u64>,
    /// `0-3,5`.
    pub cpuset_cpus: Option<String>,
    /// `0,1`.
    pub cpuset_mems: Option<String>,
    /// Processes and threads; -1: no limit.
    pub pids: Option<i64>,
    /// 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Weight per device.
    pub blkio_weight_device: Vec<Throttle>,
    /// Bytes a second.
    pub device_read_bps: Vec<Throttle>,
    /// Bytes a second.
    pub device_write_bps: Vec<Throttle>,
    /// Operations a second.
    pub device_read_iops: Vec<Throttle>,
    /// Operations a second.
    pub device_write_iops: Vec<Throttle>,
}

/// How long restarts wait at first, and at most; each restart doubles it, as in docker.
pub const RESTART_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
