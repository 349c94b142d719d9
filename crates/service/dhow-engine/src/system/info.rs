//! `info`: the store, and what this machine offers it.

use crate::Engine;
use crate::error::EngineError;
use dhow_rootfs::mount_plan;
use dhow_state::Usage;
use std::path::PathBuf;

/// What `info` tells.
#[derive(Debug, Clone)]
pub struct Info {
    /// Id of the store.
    pub store_id: String,
    /// Data root.
    pub root: PathBuf,
    /// Run root.
    pub run_root: PathBuf,
    /// Whether the file system of the data root can only be read.
    pub read_only: bool,
    /// What the store holds.
    pub usage: Usage,
    /// How root filesystems are put together.
    pub snapshots: Snapshots,
    /// The file system that the data root is on.
    pub file_system: String,
    /// The machine.
    pub machine: Machine,
    /// What is missing here, and what is done instead.
    pub warnings: Vec<String>,
}

/// How root filesystems are put together on this machine.
#[derive(Debug, Clone)]
pub enum Snapshots {
    /// By overlayfs, mounted by this method.
    Overlay(&'static str),
    /// By copying, for this reason.
    Copy(String),
}

impl Snapshots {
    /// Name of the way.
    pub fn driver(&self) -> &'static str {
        match self {
            Snapshots::Overlay(_) => "overlay",
            Snapshots::Copy(_) => "copy",
        }
    }

    /// The method of mounting, or that nothing is mounted.
    pub fn method(&self) -> &str {
        match self {
            Snapshots::Overlay(method) => method,
            Snapshots::Copy(_) => "none",
        }
    }
}

/// The machine that dhow runs on.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: String,
    /// Name of the distribution.
    pub operating_system: String,
    /// Architecture as the kernel names it.
    pub architecture: String,
    /// Name of the host.
    pub host_name: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// `2`, `1`, or `1 (hybrid)` when an empty v2 tree stands beside the v1 controllers.
    pub cgroup_version: String,
}

impl Engine {
    /// The store and what this machine offers it.
    ///
    /// # Errors
    /// Of the store.
    pub fn info(&self) -> Result<Info, EngineError> {
        let root = self.state.root().to_owned();
        let read_only =
            rustix::fs::statvfs(&root).is_ok_and(|s| s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
        let snapshots = snapshots(self)?;
        let mut warnings = Vec::new();
        if let Snapshots::Copy(reason) = &snapshots {
            warnings.push(format!("root filesystems are copied, which is slow and takes space: {reason}"));
        }
        if read_only {
            warnings
                .push(format!("{} is on a read-only file system: images can be listed and saved only", root.display()));
        }
        Ok(Info {
            store_id: self.state.store_id().to_owned(),
            run_root: self.state.run_root().to_owned(),
            read_only,
            usage: self.state.read(|r| r.usage())?,
            snapshots,
            file_system: file_system(&root),
            machine: machine(),
            warnings,
            root,
        })
    }
}

/// The way that works here: tried out where the store can be written, else judged by what the kernel says it takes.
fn snapshots(engine: &Engine) -> Result<Snapshots, EngineError> {
    if engine.read_only() {
        let capabilities = mount_plan::probe();
        return Ok(match capabilities.methods.first() {
            Some(method) => Snapshots::Overlay(method.name()),
            None => Snapshots::Copy(capabilities.missing.unwrap_or_else(|| NO_METHOD.to_owned())),
        });
    }
    let operation = engine.state.begin("info", engine.now())?;
    let choice = dhow_rootfs::snapshots::choose(operation.work(), operation.work());
    Ok(match choice.method {
        Some(method) => Snapshots::Overlay(method.name()),
        None => Snapshots::Copy(choice.reason.unwrap_or_else(|| NO_METHOD.to_owned())),
    })
}

/// When nothing says why overlays cannot be mounted.
const NO_METHOD: &str = "overlays cannot be mounted";

fn file_system(root: &std::path::Path) -> String {
    let opened = std::fs::File::open(root);
    let name = opened.and_then(|dir| dhow_sys::tree::file_system_name(std::os::fd::AsFd::as_fd(&dir)));
    name.unwrap_or_else(|_| "unknown".to_owned())
}

fn machine() -> Machine {
    let uname = rustix::system::uname();
    let sysinfo = rustix::system::sysinfo();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Machine {
        kernel: uname.release().to_string_lossy().into_owned(),
        operating_system: pretty.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned()),
        architecture: uname.machine().to_string_lossy().into_owned(),
        host_name: uname.nodename().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        memory: sysinfo.totalram.saturating_mul(u64::from(sysinfo.mem_unit)),
        cgroup_version: cgroup_version(),
    }
}

/// Magic number of cgroup v2 (`statfs(2)`).
const CGROUP2_MAGIC: u64 = 0x6367_7270;

fn cgroup_version() -> String {
    let is_v2 = |path: &str| rustix::fs::statfs(path).is_ok_and(|s| s.f_type as u64 == CGROUP2_MAGIC);
    if is_v2("/sys/fs/cgroup") {
        "2".to_owned()
    } else if is_v2("/sys/fs/cgroup/unified") {
        "1 (hybrid)".to_owned()
    } else {
        "1".to_owned()
    }
}
