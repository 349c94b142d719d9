//! `start`: from a row to a program that runs.
//!
//! ```text
//! starting, by us            | commit |  whoever finds us dead says that the start came to nothing
//! root, spec, supervisor     |        |  the container waits at its gate
//! running, by its pid        | commit |  from here on it belongs to itself
//! gate opened, exec
//! ```
//!
//! If this process dies before the gate is opened, the supervisor sees its socket close, and ends the container there.

use super::answers;
use super::events;
use super::exited::{End, Recorded, record};
use super::files;
use super::join;
use super::keeper;
use super::networks;
use super::process;
use super::request::{HostConfig, Namespace, Seccomp};
use super::resolve::{again, find_settled};
use super::root;
use super::sealed;
use super::settle;
use super::spec::{self, Host};
use super::stored::{Stored, moved, status, view};
use super::view::Container;
use crate::network::names::{self, Asker, Member};
use crate::network::{Lease, Wiring};
use crate::{Engine, EngineError};
use dhow_rootfs::snapshots::Stack;
use dhow_runtime::RuntimeError;
use dhow_runtime::status::{Action, Status};
use dhow_state::{ContainerRow, ContainerState, Durability, ObjectKind};
use dhow_supervisor::client::{ClientError, Connection, Launcher, Streams, Waiting};
use dhow_supervisor::plan::{LogPlan, Plan, Stdin, VERSION};
use dhow_sys::process::ProcessIdentity;
use oci_spec::runtime::{Capability, LinuxNamespaceType, Spec};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

/// The words that make this program a supervisor.
pub(super) const SUPERVISE: [&str; 2] = ["internal", "supervise"];

/// The word behind the id of a container whose end lets go of networks, too.
pub const NETWORKS: &str = "networks";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody: restarts are counted anew.
    Asked,
    /// The restart policy.
    Policy,
}

/// A supervisor that waits to be told what to start. Dropped: it ends.
#[derive(Debug)]
pub struct Supervisor(Launcher);

impl Supervisor {
    /// Executes one, for [`start_with`]: to be called as soon as it is certain that a container will be started.
    ///
    /// # Errors
    /// [`EngineError::Start`].
    pub fn ready() -> Result<Supervisor, EngineError> {
        let arguments = SUPERVISE.map(OsStr::new);
        Launcher::ready(Path::new(super::PROGRAM), &arguments).map(Supervisor).map_err(|e| explain(e.into()))
    }
}

/// Starts a container and returns once its program runs; the connection shows `streams` from the first byte. Fine, and
/// without a connection, when it runs already.
///
/// # Errors
/// [`EngineError::Start`] with docker's exit status 125, 126 or 127.
pub fn start(
    engine: &Engine,
    container: &str,
    streams: Streams,
    size: (u16, u16),
) -> Result<Option<Connection>, EngineError> {
    start_with(engine, container, streams, size, None)
}

/// The same, under a supervisor that is there already.
///
/// # Errors
/// As [`start()`].
pub fn start_with(
    engine: &Engine,
    container: &str,
    streams: Streams,
    size: (u16, u16),
    supervisor: Option<Supervisor>,
) -> Result<Option<Connection>, EngineError> {
    let id = engine.state.read(|r| super::resolve::find(r, container))?.id;
    let _lock = engine.state.lock(ObjectKind::Container, &id)?;
    let mut row = find_settled(engine, &id)?;
    if is_broken_off(engine, &row)? {
        row = again(engine, &id)?;
    }
    start_locked(engine, &row, streams, size, Why::Asked, supervisor)
}

/// Whether it is in the middle of a start whose command was killed. Its supervisor ends what waits at the gate, and
/// then itself: that is waited for.
pub(super) fn is_broken_off(engine: &Engine, row: &ContainerRow) -> Result<bool, EngineError> {
    let starter = row.state.process.as_ref().filter(|_| status(row) == Status::Starting);
    let broken_off = starter.map(process::alive).transpose()? == Some(false);
    if broken_off {
        process::recorded(engine, row)?;
    }
    Ok(broken_off)
}

/// Starts a container that its restart policy starts again; fine when somebody stopped or removed it meanwhile.
///
/// # Errors
/// As [`start()`].
pub fn start_again(engine: &Engine, container: &str) -> Result<(), EngineError> {
    let row = match engine.state.read(|r| super::resolve::find(r, container)) {
        Err(EngineError::NoSuchContainer(_)) => return Ok(()),
        other => other?,
    };
    let _lock = engine.state.lock(ObjectKind::Container, &row.id)?;
    let row = match again(engine, &row.id) {
        Err(EngineError::NoSuchContainer(_)) => return Ok(()),
        other => other?,
    };
    match status(&row) {
        Status::Restarting => start_locked(engine, &row, Streams::default(), (0, 0), Why::Policy, None).map(drop),
        _ => Ok(()),
    }
}

/// The same by who holds the lock.
pub(super) fn start_locked(
    engine: &Engine,
    row: &ContainerRow,
    streams: Streams,
    size: (u16, u16),
    why: Why,
    supervisor: Option<Supervisor>,
) -> Result<Option<Connection>, EngineError> {
    let refused = |message: String| Err(EngineError::Conflict { message, hint: None });
    match status(row) {
        Status::Running => return Ok(None),
        Status::Paused => return refused("cannot start a paused container, try unpause instead".to_owned()),
        Status::Removing | Status::Dead => {
            return refused("container is marked for removal and cannot be started".to_owned());
        }
        Status::Starting => return refused(format!("container {} is being started", row.id)),
        Status::Created | Status::Exited | Status::Restarting => {}
    }
    let stored = Stored::of(row)?;
    // Its network comes about beside all else, and is waited for before the gate opens.
    std::thread::scope(|scope| {
        let wiring = match stored.host.network {
            Namespace::Networks => Some(Wiring::begin(scope, engine)?),
            _ => None,
        };
        start_wired(engine, row, &stored, Asked { streams, size, why, supervisor }, wiring)
    })
}

/// How it is to be started.
struct Asked {
    streams: Streams,
    size: (u16, u16),
    why: Why,
    supervisor: Option<Supervisor>,
}

fn start_wired(
    engine: &Engine,
    row: &ContainerRow,
    stored: &Stored,
    asked: Asked,
    wiring: Option<Wiring<'_>>,
) -> Result<Option<Connection>, EngineError> {
    let Asked { streams, size, why, supervisor } = asked;
    let (row, stack, lease) = begin(engine, row, stored, why)?;
    let prepared = prepare(engine, &row, stored, stack.as_ref(), size, wiring.as_ref().zip(lease));
    let waiting = prepared.and_then(|prepared| {
        let Supervisor(launcher) = supervisor.map_or_else(Supervisor::ready, Ok)?;
        Ok(launcher.launch(&prepared.plan, prepared.descriptors, streams)?)
    });
    // In any case: nothing of it may come about any more once the end is recorded.
    let wired = wiring.map_or(Ok(None), Wiring::finish);
    // Why there is no network says more than what comes of it.
    let waiting = wired.and_then(|ready| {
        let waiting = waiting?;
        if let Some(ready) = ready {
            answers::begin(engine, &waiting, ready)?;
        }
        Ok(waiting)
    });
    let waiting = match waiting {
        Ok(waiting) => waiting,
        Err(e) => return Err(fail(engine, &row, stored, e)),
    };
    let running = match run(engine, &row, stored, &waiting, streams) {
        Ok(running) => running,
        // Dropped, the container ends at its gate.
        Err(e) => return Err(fail(engine, &row, stored, e)),
    };
    match waiting.open() {
        Ok(connection) => Ok(Some(connection)),
        // The supervisor died behind the gate: the container may go on, and the row says who it is.
        Err(e) if !matches!(e, ClientError::Runtime(_)) => {
            settle::settle(engine, running)?;
            Err(explain(e.into()))
        }
        Err(e) => {
            // It never ran, so it was last started when it was before.
            let state = ContainerState { started: row.state.started, ..running.state.clone() };
            Err(fail(engine, &ContainerRow { state, ..running }, stored, e.into()))
        }
    }
}

/// What a start begins with: the row as it is now, the layers of its image, and what was leased for it.
type Begun = (ContainerRow, Option<Stack>, Option<Lease>);

/// Writes down who starts it, and leases what it needs of networks.
fn begin(engine: &Engine, row: &ContainerRow, stored: &Stored, why: Why) -> Result<Begun, EngineError> {
    match stored.host.network {
        Namespace::Networks => networks::leasing(engine, row, why, || begin_once(engine, row, stored, why)),
        _ => begin_once(engine, row, stored, why),
    }
}

fn begin_once(engine: &Engine, row: &ContainerRow, stored: &Stored, why: Why) -> Result<Begun, EngineError> {
    let mut state = moved(row, Action::Start)?;
    state.process = Some(engine.state.identity()?.clone());
    state.error.clear();
    if why == Why::Asked {
        (state.restart_count, state.backoff) = (0, 0);
        state.stopped = false;
    }
    let (stack, lease) = engine.state.write(Durability::Crash, |w| {
        if !w.change_container(&row.id, row.generation, &state)? {
            return Err(EngineError::Conflict {
                message: format!("container {} was changed by somebody else", row.id),
                hint: Some("try again".to_owned()),
            });
        }
        let lease = match stored.host.network {
            Namespace::Networks => Some(networks::lease(engine, w, row, stored)?),
            _ => None,
        };
        let image = row.image.as_ref().map(|image| w.image(image)).transpose()?.flatten();
        Ok((image.map(|image| root::stack(engine, &image)), lease))
    })?;
    Ok((ContainerRow { state, generation: row.generation + 1, ..row.clone() }, stack, lease))
}

/// What a supervisor needs.
struct Prepared {
    plan: Plan,
    descriptors: Vec<OwnedFd>,
}

fn prepare(
    engine: &Engine,
    row: &ContainerRow,
    stored: &Stored,
    stack: Option<&Stack>,
    size: (u16, u16),
    network: Option<(&Wiring<'_>, Lease)>,
) -> Result<Prepared, EngineError> {
    let (mut sockets, mut members) = (None, Vec::new());
    let wiring = network.map(|(wiring, mut lease)| {
        sockets = lease.sockets.take();
        members = names::of_lease(&lease);
        wiring.go(lease, Asker::new(&row.id, &stored.host, &members));
        wiring
    });
    let mut container = view(engine, row)?;
    if let Some(name) = join::hostname(engine, &stored.host)? {
        container.config.hostname = Some(name);
    }
    let run_dir = engine.state.make_container_run_dir(&row.id)?;
    let root = root::mount(row, stored, &container.dir, stack)?;
    let spec = spec_of(engine, &container, &root, &members)?;
    let mut joined = join::open(engine, &stored.host)?;
    if let Some(wiring) = wiring {
        joined.push((LinuxNamespaceType::Network, wiring.netns()?));
    }
    let mut plan = plan(engine, &container, spec, run_dir, size)?;
    plan.join = joined.iter().map(|(kind, _)| *kind).collect();
    let mut descriptors = vec![root.mount];
    descriptors.extend(joined.into_iter().map(|(_, fd)| fd));
    descriptors.extend(root.claim);
    descriptors.extend(sockets);
    Ok(Prepared { plan, descriptors })
}

/// Makes the spec, and keeps it for whoever enters the container later.
fn spec_of(engine: &Engine, container: &Container, root: &root::Root, members: &[Member]) -> Result<Spec, EngineError> {
    let host = Host::new(super::unified());
    spec::make_sources(&container.host)?;
    let files = files::write(engine, container, &host, members)?;
    let inside = root.mount.as_fd();
    let user = spec::resolve_user(inside, container.config.user.as_deref(), &container.host.group_add)?;
    let home = spec::home(inside, user.uid());
    let mut spec = spec::build(container, &user, home.as_deref(), &files, &host)?;
    root.complete(engine, &mut spec)?;
    let path = super::config_path(&container.dir);
    let bytes = serde_json::to_vec(&spec).expect("a spec always encodes");
    std::fs::write(&path, bytes).map_err(|e| EngineError::io("write", path.display(), e))?;
    Ok(spec)
}

/// What a supervisor is told.
pub(super) fn plan(
    engine: &Engine,
    container: &Container,
    mut spec: Spec,
    run_dir: PathBuf,
    size: (u16, u16),
) -> Result<Plan, EngineError> {
    let (config, host) = (&container.config, &container.host);
    let docker_filter = without_docker_filter(&mut spec, host);
    let (max_size, max_files) = spec::log_limits(&host.log)?;
    let stdin = match (config.open_stdin, config.stdin_once) {
        (false, _) => Stdin::Closed,
        (true, false) => Stdin::Open,
        (true, true) => Stdin::Once,
    };
    // By its path: in a supervisor, procfs leads to a mount that has none.
    let program = sealed::program();
    // Without ports nothing is urgent: its wires go with the namespace, and who takes its addresses sees to the rest.
    let publishes = !host.ports.is_empty() || host.publish_all;
    let networked = host.network == Namespace::Networks && publishes;
    let words: [&OsStr; 8] = [
        &program,
        OsStr::new("--root"),
        engine.state.root().as_os_str(),
        OsStr::new("--runroot"),
        engine.state.run_root().as_os_str(),
        OsStr::new("internal"),
        OsStr::new("exited"),
        OsStr::new(&container.id),
    ];
    Ok(Plan {
        version: VERSION,
        id: container.id.clone(),
        spec,
        docker_filter,
        cgroup: Some(container.cgroup.clone()),
        supervisor_cgroup: Some(super::supervisors_group(engine.state.store_id())),
        run_dir,
        log: container.log_path.clone().map(|path| LogPlan { path, max_size, max_files }),
        terminal: config.tty.then_some(size),
        stdin,
        join: Vec::new(),
        exited: words.iter().copied().chain(networked.then_some(OsStr::new(NETWORKS))).map(OsString::from).collect(),
        exited_always: networked,
        keeper: Some(keeper::plan(engine, host)),
    })
}

/// Takes docker's default profile out of a spec that was made with it: what it is for. The supervisor has the profile
/// compiled in, and is spared reading most of what there is in the spec.
fn without_docker_filter(spec: &mut Spec, host: &HostConfig) -> Option<HashSet<Capability>> {
    if host.seccomp != Seccomp::Default || host.privileged {
        return None;
    }
    let capabilities = spec.process().as_ref()?.capabilities().as_ref()?.bounding().clone()?;
    spec.linux_mut().as_mut()?.set_seccomp(None);
    Some(capabilities)
}

/// Writes down who it is that waits at the gate.
fn run(
    engine: &Engine,
    row: &ContainerRow,
    stored: &Stored,
    waiting: &Waiting,
    streams: Streams,
) -> Result<ContainerRow, EngineError> {
    let me = engine.state.identity()?;
    let now = engine.now();
    let process = ProcessIdentity { pid: waiting.pid, start_time: waiting.start_time, ..me.clone() };
    let state = ContainerState {
        process: Some(process),
        started: Some(now),
        finished: row.state.finished,
        exit_code: Some(0),
        oom_killed: false,
        ..moved(row, Action::Started)?
    };
    engine.state.write(Durability::Crash, |w| {
        if !w.change_container(&row.id, row.generation, &state)? {
            return Err(EngineError::Conflict {
                message: format!("container {} was changed while it was being started", row.id),
                hint: None,
            });
        }
        if streams != Streams::default() {
            events::record(w, now, row, stored, "attach", &[])?;
        }
        if stored.host.network == Namespace::Networks {
            networks::connected(w, row, now)?;
        }
        events::record(w, now, row, stored, "start", &[])
    })?;
    Ok(ContainerRow { state, generation: row.generation + 1, ..row.clone() })
}

/// Writes down that the start came to nothing, and why; a container that is to be removed at its end is.
fn fail(engine: &Engine, row: &ContainerRow, stored: &Stored, error: EngineError) -> EngineError {
    if matches!(error, EngineError::Client(ClientError::Died { .. } | ClientError::Io { .. })) {
        settle::sweep(&row.cgroup);
    }
    let error = explain(error.on_disk(engine.state.root()));
    let code = match &error {
        EngineError::Start { status, .. } if *status != 125 => i32::from(*status),
        _ => 128,
    };
    let end = End { code: Some(code), finished: Some(engine.now()), oom_killed: false, error: error.to_string() };
    // The first error is the one to tell. A row that cannot be written now is settled by who reads it next.
    if let Ok(Recorded::Changed) = record(engine, row, &end, false)
        && let Ok(row) = again(engine, &row.id)
    {
        let _ = settle::settle(engine, row);
    }
    if stored.host.network == Namespace::Networks {
        crate::network::send_release(engine);
    }
    error
}

/// docker's exit status and words for a start that failed.
pub(super) fn explain(error: EngineError) -> EngineError {
    let EngineError::Client(ClientError::Runtime(error)) = error else {
        return match error {
            EngineError::Runtime(error) => explain_runtime(error),
            EngineError::Client(error) => EngineError::Start { status: 125, message: error.to_string() },
            other => other,
        };
    };
    explain_runtime(error)
}

fn explain_runtime(error: RuntimeError) -> EngineError {
    let RuntimeError::Exec { program, source } = error else {
        return EngineError::Start { status: 125, message: error.to_string() };
    };
    let status = if source.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    let why = match rustix::io::Errno::from_io_error(&source) {
        Some(rustix::io::Errno::NOENT) if !program.contains('/') => "executable file not found in $PATH".to_owned(),
        Some(rustix::io::Errno::NOENT) => format!("stat {program}: no such file or directory"),
        Some(rustix::io::Errno::ACCESS) => "permission denied".to_owned(),
        Some(rustix::io::Errno::NOEXEC) => "exec format error".to_owned(),
        Some(rustix::io::Errno::ISDIR) => "is a directory: permission denied".to_owned(),
        Some(rustix::io::Errno::NOTDIR) => "not a directory".to_owned(),
        _ => source.to_string(),
    };
    EngineError::Start { status, message: format!("exec: {program:?}: {why}") }
}
