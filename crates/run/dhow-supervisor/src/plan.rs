//! What a supervisor is told, and what it leaves for others to read.
//!
//! # The run directory of a container
//!
//! ```text
//! <run root>/<store id>/containers/<id>/     0700
//!     supervisor.lock    flock, held by the supervisor for life: who takes it has taken over
//!     supervisor.sock    0600; attach, resize, wait
//!     .exit              room for it
//!     exit               ExitRecord, JSON, renamed into place; there once the process has ended
//! ```

use oci_spec::runtime::{Capability, LinuxNamespaceType, Spec};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
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
    /// The container is filtered by docker's default profile for these capabilities, which has 400 strings and is not in
    /// `spec` then.
    #[serde(default)]
    pub docker_filter: Option<HashSet<Capability>>,
    /// Its control group, relative to the root of the hierarchies; none: stay where we are.
    pub cgroup: Option<PathBuf>,
    /// The control group of supervisors, likewise. Made by the first who comes; all of a store may share one, because
    /// nobody can remove the group he is in.
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
    /// Whether that is run in any case: it also lets go of what nobody who is connected should have to wait for.
    #[serde(default)]
    pub exited_always: bool,
    /// Who holds copies of the descriptors; none: nobody, and a supervisor that is killed is lost.
    #[serde(default)]
    pub keeper: Option<KeeperPlan>,
}

/// Where the keeper of a run root is, and how it and supervisors are called (see [`crate::keeper`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperPlan {
    /// `<run root>/<store id>`, 0700: `keeper.lock` and `keeper.sock` are made in it.
    pub dir: PathBuf,
    /// The arguments that make the program a supervisor, its name first.
    pub supervise: Vec<OsString>,
    /// The arguments that make the program a keeper, its name first.
    pub keep: Vec<OsString>,
    /// What it looks after besides, once a plan has said so.
    #[serde(default)]
    pub networks: Option<NetworksPlan>,
    /// A byte that the keeper shares the lock of (fcntl(2)) as long as it lives.
    #[serde(default)]
    pub share: Option<Byte>,
}

/// What a keeper needs to look after networks: their resolvers, which are found in `networks` beside `keeper.sock`, and the
/// firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworksPlan {
    /// The arguments that make the program a resolver, its name first.
    pub resolve: Vec<OsString>,
    /// Our nftables table.
    pub table: String,
    /// The arguments with which the program rebuilds it, its name first.
    pub reload: Vec<OsString>,
}

/// A byte of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Byte {
    /// The file.
    pub path: PathBuf,
    /// Which one.
    pub offset: u32,
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

const EXIT: &str = "exit";
/// What becomes that: room for it is made at the start, when a full file system can still be told of.
const ASIDE: &str = ".exit";
/// More bytes than a record has.
const ROOM: usize = 512;

impl ExitRecord {
    /// Reads the record in a run directory; `None` while there is none.
    ///
    /// # Errors
    /// Of reading; `InvalidData` for what is no record of a known version.
    pub fn read(run_dir: &Path) -> io::Result<Option<ExitRecord>> {
        let bytes = match std::fs::read(run_dir.join(EXIT)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        ExitRecord::from_bytes(&bytes).map(Some)
    }

    /// Puts the record in its place, whole: others see none or all of it. It need not survive a power cut, which ends
    /// every container and empties the run directory. After [`make_room`](ExitRecord::make_room) a full file system is no
    /// reason to fail.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, run_dir: &Path) -> io::Result<()> {
        let bytes = self.to_bytes();
        let aside = run_dir.join(ASIDE);
        // What is there is kept until it is written over: room that is given back may be gone.
        let mut file = File::options().write(true).create(true).truncate(false).open(&aside)?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
        std::fs::rename(aside, run_dir.join(EXIT))
    }

    /// Makes room for a record in a run directory.
    ///
    /// # Errors
    /// Of the file system: `StorageFull`, for one.
    pub fn make_room(run_dir: &Path) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(false).open(run_dir.join(ASIDE))?;
        file.write_all(&[b' '; ROOM])
    }

    /// Removes the record of an earlier run, if there is one, and room for it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn clear(run_dir: &Path) -> io::Result<()> {
        for name in [EXIT, ASIDE] {
            match std::fs::remove_file(run_dir.join(name)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and truth values are JSON")
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> io::Result<ExitRecord> {
        let record: ExitRecord =
            serde_json::from_slice(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        known(record.version)?;
        Ok(record)
    }
}

impl Plan {
    pub(crate) fn from_bytes(bytes: &[u8]) -> io::Result<Plan> {
        let invalid = |e| io::Error::new(io::ErrorKind::InvalidData, e);
        // The version first: the rest of a later one may not even parse.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        known(serde_json::from_slice::<Version>(bytes).map_err(invalid)?.version)?;
        serde_json::from_slice(bytes).map_err(invalid)
    }
}

/// Whether this program understands what was written by that version.
pub(crate) fn known(version: u32) -> io::Result<()> {
    if (1..=VERSION).contains(&version) {
        return Ok(());
    }
    let text = format!("version {version} is not understood, only up to {VERSION}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("dhow-plan-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn an_exit_record_is_there_or_not() {
        let directory = directory("exit");
        assert_eq!(ExitRecord::read(&directory).unwrap(), None);
        let record = ExitRecord { version: VERSION, code: Some(137), started: 1, finished: i64::MAX, oom_killed: true };
        record.write(&directory).unwrap();
        assert_eq!(ExitRecord::read(&directory).unwrap().as_ref(), Some(&record));
        ExitRecord { code: None, ..record.clone() }.write(&directory).unwrap();
        assert_eq!(ExitRecord::read(&directory).unwrap().unwrap().code, None);
        ExitRecord::make_room(&directory).unwrap();
        ExitRecord::make_room(&directory).unwrap();
        assert_eq!(ExitRecord::read(&directory).unwrap().unwrap().code, None);
        let longest = ExitRecord { code: Some(i32::MIN), started: i64::MIN, finished: i64::MIN, ..record };
        assert!(longest.to_bytes().len() < ROOM);
        longest.write(&directory).unwrap();
        assert_eq!(ExitRecord::read(&directory).unwrap(), Some(longest));
        ExitRecord::make_room(&directory).unwrap();
        ExitRecord::clear(&directory).unwrap();
        ExitRecord::clear(&directory).unwrap();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn a_later_version_is_refused_clearly() {
        let directory = directory("version");
        std::fs::write(directory.join("exit"), r#"{"version":9,"code":1,"started":0,"finished":0,"oom_killed":false}"#)
            .unwrap();
        let error = ExitRecord::read(&directory).unwrap_err();
        assert_eq!(error.to_string(), "version 9 is not understood, only up to 1");
        std::fs::write(directory.join("exit"), "{").unwrap();
        assert_eq!(ExitRecord::read(&directory).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            Plan::from_bytes(br#"{"version":2,"new":[]}"#).unwrap_err().to_string(),
            "version 2 is not understood, only up to 1"
        );
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
