//! What a supervisor is told, and what it leaves for others to read.
//!
//! # The run directory of a container
//!
//! ```text
//! <run root>/<store id>/containers/<id>/     0700
//!     supervisor.lock    flock, held by the supervisor for life: who takes it has taken over
//!     supervisor.sock    0600; attach, resize, wait
//!     exit               ExitRecord, JSON, renamed into place; there once the process has ended
//! ```

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The version of [`Plan`], [`ExitRecord`] and of the messages on the socket.
pub const VERSION: u32 = 1;

/// What becomes of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// `/dev/null`.
    Closed,
    /// A pipe (or the terminal) that stays open as long as the container runs.
    Open,
    /// Closed once the first client that brought a standard input is gone.
    Once,
}

/// Where output is logged to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlan {
    /// docker's json-file format; rotated to `<path>.1`, `<path>.2`, ...
    pub path: PathBuf,
    /// Bytes at which the file is rotated; none: never.
    pub max_size: Option<u64>,
    /// How many files there are at most, the current one included; at least 1.
    pub max_files: u32,
}

/// Everything a supervisor needs to know. Beside it come descriptors: the root, then one for each of `join`, then any
/// that are only to be kept open as long as the container runs (the claim on its snapshot).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// The container's id, 64 hex digits.
    pub id: String,
    /// What to run.
    pub spec: Spec,
    /// Its control group, relative to the root of the hierarchies; none: stay where we are.
    pub cgroup: Option<PathBuf>,
    /// The supervisor's own control group, likewise.
    pub supervisor_cgroup: Option<PathBuf>,
    /// See the top of this file. Made by the caller.
    pub run_dir: PathBuf,
    /// None: output is only shown to who is attached.
    pub log: Option<LogPlan>,
    /// Rows and columns, where the container has a terminal.
    pub terminal: Option<(u16, u16)>,
    /// What becomes of standard input.
    pub stdin: Stdin,
    /// Namespaces that are joined; a descriptor of each is handed over in this order.
    pub join: Vec<LinuxNamespaceType>,
    /// Program and arguments to run when the container has ended and nobody who is connected has said that he records
    /// it. Nobody waits for more than its own end.
    pub exited: Vec<OsString>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The exit status, or 128 + the number of the signal; none: nobody could tell.
    pub code: Option<i32>,
    /// Nanoseconds since the Unix epoch.
    pub started: i64,
    /// Ditto.
    pub finished: i64,
    /// Whether the kernel has killed something in it for want of memory.
    pub oom_killed: bool,
}

impl ExitRecord {
    /// Reads the record in a run directory; `None` while there is none.
    ///
    /// # Errors
    /// Of reading; `InvalidData` for what is no record of a known version.
    pub fn read(run_dir: &Path) -> std::io::Result<Option<ExitRecord>> {
        let _ = run_dir;
        unimplemented!()
    }
}
