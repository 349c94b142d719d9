//! The flags of `run` and `create`: from words to a [`CreateRequest`].
//!
//! Spellings, values, messages and exit status are docker 28's. clap only tells the words apart; what a value means is
//! found out here and in the files below, each with one kind of value, so that every message can be docker's. What dhow
//! cannot do yet is refused by name (`later`). Files and variables come in through [`Surroundings`]. Must not know the
//! engine beyond the request.

mod devices;
mod environment;
mod fault;
mod later;
mod limits;
mod modes;
mod mounts;
mod networks;
mod security;
#[cfg(test)]
mod tests;
mod value;

pub(in crate::cli) use environment::environment;
pub(in crate::cli) use networks::addresses;

use self::fault::{Fault, Flag};
use crate::cli::{Failure, global};
use dhow_engine::container::request::{Config, CreateRequest, HostConfig, LogConfig, Namespace, RootSource};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What flags refer to beside themselves.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Surroundings<'a> {
    /// A variable of the environment.
    pub(in crate::cli) env: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file.
    pub(in crate::cli) read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The working directory, absolute.
    pub(in crate::cli) directory: &'a Path,
}

/// The flags that `run` and `create` have in common, and the words behind them.
#[derive(clap::Args, Debug, Default)]
pub(in crate::cli) struct Create {
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    add_host: Vec<String>,
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long, value_name = "map", allow_hyphen_values = true)]
    annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short = 'a', long, value_name = "list", allow_hyphen_values = true)]
    pub(in crate::cli) attach: Vec<String>,
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
    #[arg(long, value_name = "uint16", allow_hyphen_values = true)]
    blkio_weight: Option<String>,
    /// Block IO weight (relative device weight)
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    blkio_weight_device: Vec<String>,
    /// Add Linux capabilities
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    cap_drop: Vec<String>,
    /// Optional parent cgroup for the container
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    cgroup_parent: Option<String>,
    /// Cgroup namespace to use (host|private)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    cgroupns: Option<String>,
    /// Write the container ID to the file
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    pub(in crate::cli) cidfile: Option<PathBuf>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    cpu_period: Option<String>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    cpu_quota: Option<String>,
    /// CPU shares (relative weight)
    #[arg(short = 'c', long, value_name = "int", allow_hyphen_values = true)]
    cpu_shares: Option<String>,
    /// Number of CPUs
    #[arg(long, value_name = "decimal", allow_hyphen_values = true)]
    cpus: Option<String>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    cpuset_mems: Option<String>,
    /// Add a host device to the container
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    device: Vec<String>,
    /// Add a rule to the cgroup allowed devices list
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    device_cgroup_rule: Vec<String>,
    /// Limit read rate (bytes per second) from a device
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    device_read_bps: Vec<String>,
    /// Limit read rate (IO per second) from a device
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    device_read_iops: Vec<String>,
    /// Limit write rate (bytes per second) to a device
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    device_write_bps: Vec<String>,
    /// Limit write rate (IO per second) to a device
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    device_write_iops: Vec<String>,
    /// Set custom DNS servers
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    dns: Vec<String>,
    /// docker's old name for it.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    dns_opt: Vec<String>,
    /// Set DNS options
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    dns_search: Vec<String>,
    /// Container NIS domain name
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short = 'e', long, value_name = "list", allow_hyphen_values = true)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    env_file: Vec<String>,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    expose: Vec<String>,
    /// Add additional groups to join
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    group_add: Vec<String>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "string", allow_hyphen_values = true)]
    hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Keep STDIN open even if not attached
    #[arg(short = 'i', long)]
    pub(in crate::cli) interactive: bool,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    ip: Option<String>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    ip6: Option<String>,
    /// IPC mode to use
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    ipc: Option<String>,
    /// Set meta data on a container
    #[arg(short = 'l', long, value_name = "list", allow_hyphen_values = true)]
    label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    label_file: Vec<String>,
    /// Logging driver for the container
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    log_driver: Option<String>,
    /// Log driver options
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    log_opt: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    mac_address: Option<String>,
    /// Memory limit
    #[arg(short = 'm', long, value_name = "bytes", allow_hyphen_values = true)]
    memory: Option<String>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", allow_hyphen_values = true)]
    memory_reservation: Option<String>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "bytes", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Tune container memory swappiness (0 to 100) (default -1)
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    memory_swappiness: Option<String>,
    /// Attach a filesystem mount to the container
    #[arg(long, value_name = "mount", allow_hyphen_values = true)]
    mount: Vec<String>,
    /// Assign a name to the container
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    pub(in crate::cli) name: Option<String>,
    /// Connect a container to a network
    #[arg(long, value_name = "network", allow_hyphen_values = true)]
    network: Vec<String>,
    /// docker's old name for it.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    net: Vec<String>,
    /// docker's old name for it.
    #[arg(long, hide = true, allow_hyphen_values = true)]
    net_alias: Vec<String>,
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    network_alias: Vec<String>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
    /// Disable OOM Killer
    #[arg(long)]
    oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    oom_score_adj: Option<String>,
    /// PID namespace to use
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    pid: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    pids_limit: Option<String>,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    pub(in crate::cli) platform: Option<String>,
    /// Give extended privileges to this container
    #[arg(long)]
    privileged: bool,
    /// Publish a container's port(s) to the host
    #[arg(short = 'p', long, value_name = "list", allow_hyphen_values = true)]
    publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Pull image before running ("always", "missing", "never") (default "missing")
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    pub(in crate::cli) pull: Option<String>,
    /// Suppress the pull output
    #[arg(short = 'q', long)]
    pub(in crate::cli) quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Restart policy to apply when a container exits (default "no")
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    restart: Option<String>,
    /// Automatically remove the container and its associated anonymous volumes when it exits
    #[arg(long)]
    rm: bool,
    /// Directory to use as root filesystem instead of an image; with :O it stays as it is
    #[arg(long, value_name = "path", allow_hyphen_values = true)]
    rootfs: Option<String>,
    /// Security Options
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "bytes", allow_hyphen_values = true)]
    shm_size: Option<String>,
    /// Signal to stop the container
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    stop_signal: Option<String>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, value_name = "int", allow_hyphen_values = true)]
    stop_timeout: Option<String>,
    /// Sysctl options
    #[arg(long, value_name = "map", allow_hyphen_values = true)]
    sysctl: Vec<String>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "list", allow_hyphen_values = true)]
    tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short = 't', long)]
    pub(in crate::cli) tty: bool,
    /// Ulimit options
    #[arg(long, value_name = "ulimit", allow_hyphen_values = true)]
    ulimit: Vec<String>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short = 'u', long, value_name = "string", allow_hyphen_values = true)]
    user: Option<String>,
    /// User namespace to use
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    userns: Option<String>,
    /// UTS namespace to use
    #[arg(long, value_name = "string", allow_hyphen_values = true)]
    uts: Option<String>,
    /// Bind mount a volume
    #[arg(short = 'v', long, value_name = "list", allow_hyphen_values = true)]
    volume: Vec<String>,
    /// Working directory inside the container
    #[arg(short = 'w', long, value_name = "string", allow_hyphen_values = true)]
    workdir: Option<String>,
    #[command(flatten)]
    later: later::Later,
    /// The image and its command; with `--rootfs` only the command.
    #[arg(hide = true)]
    pub(in crate::cli) words: Vec<OsString>,
}

impl Create {
    /// How many arguments there are, for docker's complaint: a directory stands for the image.
    pub(in crate::cli) fn count(&self) -> usize {
        self.words.len() + usize::from(self.rootfs.is_some())
    }

    /// What is asked for. `verb` is the command's name, for messages.
    ///
    /// # Errors
    /// In docker's words, exit status 125.
    pub(in crate::cli) fn request(&self, verb: &str, around: &Surroundings<'_>) -> Result<CreateRequest, Failure> {
        self.requested(around).map_err(|fault| fault.failure(verb))
    }

    fn requested(&self, around: &Surroundings<'_>) -> Result<CreateRequest, Fault> {
        self.later.refuse()?;
        let mut words = self.words.iter().map(|word| global::text(word));
        let root = match &self.rootfs {
            Some(text) => mounts::root(text, around.directory)?,
            None => RootSource::Image(words.next().ok_or(Fault::Whole("invalid reference format".to_owned()))?),
        };
        let cmd: Vec<String> = words.collect();
        let platform = match self.platform.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse().map_err(|e| Fault::Whole(format!("{e}")))?),
            None => None,
        };
        let mut config = self.config(cmd, around)?;
        let host = self.host(around)?;
        config.exposed_ports = networks::exposed(&self.expose, &host.ports)?;
        config.mac_address = host.networks.first().and_then(|first| first.mac);
        Ok(CreateRequest { name: self.name.clone().filter(|name| !name.is_empty()), root, platform, config, host })
    }

    fn config(&self, cmd: Vec<String>, around: &Surroundings<'_>) -> Result<Config, Fault> {
        let attach = modes::attach(&self.attach)?;
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let attach_stdin = self.interactive || attach.contains(&"stdin");
        let shown = |stream| attach.is_empty() || attach.contains(&stream);
        let timeout = Flag::new("--stop-timeout");
        Ok(Config {
            hostname: some(&self.hostname),
            domainname: some(&self.domainname),
            user: some(&self.user),
            attach_stdin,
            attach_stdout: shown("stdout"),
            attach_stderr: shown("stderr"),
            tty: self.tty,
            open_stdin: self.interactive,
            stdin_once: self.interactive && attach_stdin,
            env: environment::variables(&self.env, &self.env_file, around)?,
            cmd: (!cmd.is_empty()).then_some(cmd),
            entrypoint: self.entrypoint.as_ref().map(|word| match word.as_str() {
                "" => Vec::new(),
                word => vec![word.to_owned()],
            }),
            working_dir: some(&self.workdir),
            labels: environment::labels(&self.label, &self.label_file, around)?,
            stop_signal: some(&self.stop_signal),
            stop_timeout: self.stop_timeout.as_deref().map(|text| timeout.take(text, value::integer)).transpose()?,
            ..Config::default()
        })
    }

    fn host(&self, around: &Surroundings<'_>) -> Result<HostConfig, Fault> {
        modes::userns(self.userns.as_deref())?;
        let mounts = mounts::all(&self.volume, &self.mount, &self.tmpfs, around)?;
        let security = security::options(&self.security_opt, around)?;
        let restart = modes::restart(self.restart.as_deref())?;
        if self.rm && restart != Default::default() {
            return Err(Fault::Whole("conflicting options: cannot specify both --restart and --rm".to_owned()));
        }
        let (network, networks) = networks::all(self)?;
        let adjust = Flag::new("--oom-score-adj");
        let shm_size = Flag::new("--shm-size").size(self.shm_size.as_deref())?;
        Ok(HostConfig {
            binds: mounts.binds,
            tmpfs: mounts.tmpfs,
            network,
            networks,
            ports: networks::publish(&self.publish)?,
            publish_all: self.publish_all,
            dns: networks::dns(&self.dns)?,
            dns_search: networks::dns_search(&self.dns_search)?,
            dns_options: [self.dns_option.as_slice(), &self.dns_opt].concat(),
            extra_hosts: networks::extra_hosts(&self.add_host)?,
            pid: modes::pid(self.pid.as_deref())?,
            ipc: modes::ipc(self.ipc.as_deref())?,
            uts: modes::host_or_own("--uts: invalid UTS mode", self.uts.as_deref())?,
            cgroupns: match self.cgroupns.as_deref() {
                Some("private") => Namespace::Private,
                mode => modes::host_or_own("--cgroupns: invalid CGROUP mode", mode)?,
            },
            restart,
            auto_remove: self.rm,
            init: self.init,
            log: self.log()?,
            privileged: self.privileged,
            read_only: self.read_only,
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            seccomp: security.seccomp,
            no_new_privileges: security.no_new_privileges,
            systempaths_unconfined: security.systempaths_unconfined,
            devices: devices::all(&self.device)?,
            device_cgroup_rules: devices::rules(&self.device_cgroup_rule)?,
            group_add: self.group_add.clone(),
            shm_size: shm_size.filter(|&size| size != 0),
            resources: limits::resources(self)?,
            ulimits: limits::ulimits(&self.ulimit)?,
            sysctls: limits::sysctls(&self.sysctl)?,
            oom_score_adj: self.oom_score_adj.as_deref().map(|text| adjust.take(text, value::integer)).transpose()?,
            cgroup_parent: self.cgroup_parent.clone().filter(|parent| !parent.is_empty()),
            annotations: pairs(&self.annotation),
        })
    }

    fn log(&self) -> Result<LogConfig, Fault> {
        let default = LogConfig::default();
        let driver = self.log_driver.clone().filter(|driver| !driver.is_empty()).unwrap_or(default.driver);
        let log = LogConfig { driver, options: pairs(&self.log_opt) };
        let limits = dhow_engine::container::spec::log_limits(&log);
        limits.map(|_| log).map_err(|e| Fault::Whole(e.to_string()))
    }
}

/// `KEY=VALUE` each; of one key the last counts, and what has no value has an empty one.
fn pairs(list: &[String]) -> BTreeMap<String, String> {
    list.iter()
        .map(|text| text.split_once('=').unwrap_or((text, "")))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}
