//! Containers as they are shown.

use super::request::{Config, EndpointConfig, HostConfig, RootSource};
use crate::network::EndpointState;
use dhow_network::ports::Port;
use dhow_runtime::status::Status;
use dhow_spec::Digest;
use std::path::PathBuf;

/// Everything about one container. `config` holds what is in force: the request over the image's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// What it was made from, as it was typed.
    pub root: RootSource,
    /// The image, if it was made from one.
    pub image: Option<Digest>,
    /// Nanoseconds since the Unix epoch.
    pub created: i64,
    /// Where it is in its life.
    pub status: Status,
    /// Its first process, while it lives; a pid of our pid namespace.
    pub pid: Option<u32>,
    /// When it was last started.
    pub started: Option<i64>,
    /// When it last ended.
    pub finished: Option<i64>,
    /// How it last ended; 0 while it runs, as in docker; none before that, or when nobody can tell.
    pub exit_code: Option<i32>,
    /// Whether it, or something in it, was killed for want of memory.
    pub oom_killed: bool,
    /// Why the last start failed; empty when it did not.
    pub error: String,
    /// How often its restart policy has started it again.
    pub restart_count: u32,
    /// The program and its arguments: entry point, then command.
    pub command: Vec<String>,
    /// What runs.
    pub config: Config,
    /// How.
    pub host: HostConfig,
    /// The log, where there is one.
    pub log_path: Option<PathBuf>,
    /// Its directory in the data root.
    pub dir: PathBuf,
    /// Of its control group, relative to the root of the hierarchies.
    pub cgroup: PathBuf,
    /// `overlay` or `copy`.
    pub storage: String,
    /// The networks it is on, by name; filled in by `inspect` and `list`.
    pub networks: Vec<OnNetwork>,
    /// Ports of the host that lead to it now; likewise.
    pub ports: Vec<Port>,
}

/// A network that a container is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnNetwork {
    /// The network's name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub asked: EndpointConfig,
    /// What it was given; none while it does not run.
    pub given: Option<EndpointState>,
}
