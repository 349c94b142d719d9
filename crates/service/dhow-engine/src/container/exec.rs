//! `exec`: another process in a container that runs.
//!
//! It is a child of the caller, who copies its streams and hears of its end; no supervisor is asked. The caller's own
//! descriptors never go in: a container that got hold of a host's terminal could type into it. If the caller is
//! killed, the process goes on without anybody who reads its output; if he detaches from its terminal, another process of
//! dhow keeps that open (`exec/detached.rs`).

mod detached;
mod streams;

pub use detached::{Detached, exec_detached, exec_ended, hold};

use super::events;
use super::process;
use super::resolve::find_settled;
use super::sealed::is_sealed;
use super::spec::{self, Host};
use super::start::explain;
use super::stored::{Stored, status, view};
use crate::{Engine, EngineError};
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_runtime::seccomp::Filter;
use dhow_runtime::start::{Running, Stdio, Target, enter};
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, Durability};
use dhow_supervisor::client::Terminal;
use dhow_sys::mount::{MountAttrFlags, clone_tree, set_attributes};
use oci_spec::runtime::{Process, Spec};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use streams::{Ends, Left};

/// A process to run in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// `user[:group]`; none: the container's.
    pub user: Option<String>,
    /// Added to the container's; a bare name is dropped.
    pub env: Vec<String>,
    /// Absolute; none: the container's.
    pub working_dir: Option<String>,
    /// With a terminal of its own.
    pub tty: bool,
    /// With standard input.
    pub stdin: bool,
    /// With all rights.
    pub privileged: bool,
}

/// Runs it with the caller's standard streams, and returns its exit status; none when the detach keys were typed.
///
/// # Errors
/// When the container does not run; when the program cannot be executed.
pub fn exec(
    engine: &Engine,
    container: &str,
    request: &ExecRequest,
    terminal: Terminal<'_>,
    size: (u16, u16),
) -> Result<Option<i32>, EngineError> {
    let session = Session::open(engine, container)?;
    let entered = session.begin(container, request)?;
    let process = entered.process(engine, &session.row, request)?;
    let (running, ends) = match request.tty {
        true => {
            let mut running = entered.enter(&process, Stdio::Terminal { size })?;
            let ends = Ends::of_terminal(running.terminal.take(), request.stdin)?;
            (running, ends)
        }
        false => {
            let (theirs, ours) = streams::pipes(request.stdin)?;
            (entered.enter(&process, Stdio::Files(theirs.files()))?, ours)
        }
    };
    let copied = streams::copy(ends, terminal, running.pidfd.as_fd(), request.tty)?;
    if let Left::Detached(master) = copied {
        detached::leave_behind(engine, &session, master, &running)?;
        return Ok(None);
    }
    let code = reap(&running)?;
    session.end(code)?;
    Ok(Some(code))
}

fn reap(running: &Running) -> Result<i32, EngineError> {
    let exit = dhow_sys::pidfd::wait(running.pidfd.as_fd());
    Ok(exit.map_err(|e| EngineError::io("wait for process", running.pid, e))?.status())
}

/// `/dev/null`, for who gets no streams: through a read-only mount, or root in the container could change the mode and
/// owner of the host's.
struct Nothing(File);

impl Nothing {
    fn open() -> Result<Nothing, EngineError> {
        let place = Path::new("/dev/null");
        let mount = clone_tree(place)?;
        set_attributes(mount.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY, MountAttrFlags::empty())?;
        let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
        let file = File::options().read(true).write(true).open(path);
        Ok(Nothing(file.map_err(|e| EngineError::io("open", place.display(), e))?))
    }

    fn files(&self) -> [BorrowedFd<'_>; 3] {
        [self.0.as_fd(); 3]
    }
}

/// A container that can be entered.
struct Entered {
    id: String,
    pidfd: OwnedFd,
    root: OwnedFd,
    spec: Spec,
    seccomp: Option<Filter>,
    cgroup: Cgroup,
}

impl Entered {
    fn open(engine: &Engine, row: &ContainerRow, typed: &str) -> Result<Entered, EngineError> {
        let not_running = || not_running(&row.id);
        let process = match (status(row), &row.state.process) {
            (Status::Running, Some(process)) => process,
            (Status::Paused, _) => {
                return Err(conflict(format!("Container {typed} is paused, unpause the container before exec")));
            }
            (Status::Restarting, _) => return Err(conflict(super::pause::restarting(&row.id))),
            _ => return Err(not_running()),
        };
        let pidfd = process::open(process)?.ok_or_else(not_running)?;
        // One that is ending has no root any more.
        let root = open_root(process.pid)?.ok_or_else(not_running)?;
        // It was the root of this process if the process still is there.
        if process::ended(pidfd.as_fd(), Some(std::time::Duration::ZERO), &crate::Cancel::default())? {
            return Err(not_running());
        }
        let path = super::config_path(&engine.state.container_dir(&row.id));
        let bytes = std::fs::read(&path).map_err(|e| EngineError::io("read", path.display(), e))?;
        let spec: Spec = serde_json::from_slice(&bytes)
            .map_err(|source| EngineError::BadContainer { id: row.id.clone(), source })?;
        let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
        let seccomp = profile.map(Filter::compile).transpose()?;
        let cgroup = Cgroup::beside(&Hierarchies::detect()?, Path::new(&row.cgroup), process.pid)
            .map_err(|e| unless_ended(&row.id, pidfd.as_fd(), e.into()))?;
        Ok(Entered { id: row.id.clone(), pidfd, root, spec, seccomp, cgroup })
    }

    /// The process to start.
    fn process(&self, engine: &Engine, row: &ContainerRow, request: &ExecRequest) -> Result<Process, EngineError> {
        let base =
            self.spec.process().as_ref().ok_or_else(|| conflict(format!("container {} has no process", row.id)))?;
        let root = self.root.as_fd();
        let user = request.user.as_deref().map(|user| spec::resolve_user(root, Some(user), &[])).transpose()?;
        let uid = user.as_ref().unwrap_or(base.user()).uid();
        let home = spec::home(root, uid);
        spec::exec_process(&view(engine, row)?, base, request, user, home.as_deref(), &Host::new(super::unified()))
    }

    fn enter(&self, process: &Process, stdio: Stdio<'_>) -> Result<Running, EngineError> {
        let target = Target {
            pidfd: self.pidfd.as_fd(),
            cgroup: self.cgroup.entry(),
            seccomp: self.seccomp.as_ref(),
            spec: &self.spec,
        };
        enter(&target, process, stdio).map_err(|e| unless_ended(&self.id, self.pidfd.as_fd(), explain(e.into())))
    }
}

fn open_root(pid: u32) -> Result<Option<OwnedFd>, EngineError> {
    let path = format!("/proc/{pid}/root");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
        Ok(root) => Ok(Some(root)),
        Err(Errno::NOENT | Errno::SRCH) => Ok(None),
        Err(e) => Err(EngineError::io("open", &path, e.into())),
    }
}

/// What to say of a failure: that the container was ending, if so, and took what came into it along.
fn unless_ended(id: &str, pidfd: BorrowedFd<'_>, error: EngineError) -> EngineError {
    match process::ended(pidfd, Some(ENDING), &crate::Cancel::default()) {
        Ok(true) => not_running(id),
        Ok(false) | Err(_) => error,
    }
}

/// How long a process that has lost its files and groups may take until it counts as ended.
const ENDING: std::time::Duration = std::time::Duration::from_millis(200);

fn not_running(id: &str) -> EngineError {
    conflict(format!("container {id} is not running"))
}

fn conflict(message: String) -> EngineError {
    EngineError::Conflict { message, hint: None }
}

/// One exec, with docker's events.
struct Session<'e> {
    engine: &'e Engine,
    row: ContainerRow,
    stored: Stored,
    id: String,
}

impl<'e> Session<'e> {
    fn open(engine: &'e Engine, container: &str) -> Result<Session<'e>, EngineError> {
        if !is_sealed() {
            return Err(EngineError::Invalid {
                problem: "to enter a container, dhow must run from a read-only mount of its program".to_owned(),
                hint: None,
            });
        }
        let row = find_settled(engine, container)?;
        let stored = Stored::of(&row)?;
        Ok(Session { engine, row, stored, id: hex_id()? })
    }

    /// Opens the container, and tells that something is executed in it, whatever becomes of that.
    fn begin(&self, typed: &str, request: &ExecRequest) -> Result<Entered, EngineError> {
        let entered = Entered::open(self.engine, &self.row, typed)?;
        let (now, command) = (self.engine.now(), request.command.join(" "));
        let told = self.engine.state.write(Durability::Crash, |w| {
            for action in ["exec_create", "exec_start"] {
                let more = [("execID", self.id.clone())];
                events::record(w, now, &self.row, &self.stored, format!("{action}: {command}"), &more)?;
            }
            Ok(())
        });
        unless_full(told)?;
        Ok(entered)
    }

    fn end(&self, code: i32) -> Result<(), EngineError> {
        tell_end(self.engine, &self.row, &self.stored, &self.id, code)
    }
}

fn tell_end(engine: &Engine, row: &ContainerRow, stored: &Stored, id: &str, code: i32) -> Result<(), EngineError> {
    let more = [("execID", id.to_owned()), ("exitCode", code.to_string())];
    let now = engine.now();
    unless_full(engine.state.write(Durability::Crash, |w| events::record(w, now, row, stored, "exec_die", &more)))
}

/// On a full disk nothing is told: who enters a container there may be about to make room.
fn unless_full(told: Result<(), EngineError>) -> Result<(), EngineError> {
    match told {
        Err(error) if error.is_full() => Ok(()),
        other => other,
    }
}

fn hex_id() -> Result<String, EngineError> {
    Ok(super::random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
