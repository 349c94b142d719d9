//! From a plan to a container that runs.

use super::clients::{Client, STDIN};
use super::input::Input;
use super::keeping::Keeping;
use super::pump::Transit;
use super::slate::Slate;
use super::watch::{Brief, Source, Watch};
use super::{Talk, now};
use crate::failure::Failure;
use crate::log::{Stream, Writer};
use crate::plan::{ExitRecord, Plan, Stdin};
use crate::wire::{self, Message};
use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::{Cgroup, Entry, Hierarchies};
use dhow_runtime::seccomp::{Filter, docker_default_filter};
use dhow_runtime::start::{Start, Starting, Stdio, start};
use dhow_sys::lock::{Locked, Share, Wait};
use dhow_sys::mount::{self, MountAttrFlags};
use dhow_sys::process::ProcessIdentity;
use dhow_sys::terminal;
use oci_spec::runtime::{LinuxNamespaceType, LinuxResources};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// The lock of a run directory.
pub(super) const LOCK: &str = "supervisor.lock";
/// How often to try the lock, a millisecond apart.
const LOCK_ATTEMPTS: u32 = 20;
pub(crate) const OOM_SCORE: &str = "/proc/self/oom_score_adj";
/// The socket of a run directory.
pub(crate) const SOCKET: &str = "supervisor.sock";

/// Why there is nothing to watch.
enum Quit {
    /// The launcher is gone, or has thought better of it.
    Alone,
    /// The launcher is to be told.
    Failed(Failure),
}

impl From<RuntimeError> for Quit {
    fn from(error: RuntimeError) -> Quit {
        Quit::Failed(error.into())
    }
}

/// What went wrong with which step of our own.
fn failed(what: &'static str) -> impl Fn(io::Error) -> Quit {
    move |error| Quit::Failed(Failure::of(what, &error))
}

/// What others can see, and what is to be taken back when the start fails.
#[derive(Default)]
struct Made {
    group: Option<Cgroup>,
    run_dir: Option<std::path::PathBuf>,
    lock: Option<OwnedFd>,
    /// What the launcher wants kept open: the claim on the snapshot.
    kept: Vec<OwnedFd>,
}

impl Made {
    fn take_back(self) {
        if let Some(run_dir) = self.run_dir {
            let _ = std::fs::remove_file(run_dir.join(SOCKET));
        }
        if let Some(group) = self.group {
            let _ = group.kill();
            let _ = group.remove();
        }
        // Last: whoever gets these begins the next start, and makes a group of the same name.
        drop((self.lock, self.kept));
    }
}

/// Starts the container that the launcher asks for. None when it did not come to that; the launcher knows why.
pub(super) fn launch(mut talk: Talk, streams: u8) -> Option<Watch> {
    let mut made = Made::default();
    let brought = hear_plan(&mut talk, streams).and_then(|plan| bring_up(&mut talk, &plan, &mut made));
    let failure = match brought {
        Ok(up) => match release(&mut talk, up) {
            Ok(watch) => return Some(introduce(watch, talk, streams)),
            Err(quit) => quit,
        },
        Err(quit) => {
            made.take_back();
            quit
        }
    };
    // Last, so that who hears of the failure finds nothing left.
    if let Quit::Failed(failure) = failure {
        let bytes = serde_json::to_vec(&failure).expect("texts and numbers are JSON");
        let _ = talk.tell(Message::Failed(&bytes));
    }
    None
}

fn hear_plan(talk: &mut Talk, streams: u8) -> Result<Plan, Quit> {
    let version = if streams & wire::SPEAKS_2 != 0 { wire::WIRE } else { 1 };
    talk.tell(Message::Welcome { version }).map_err(|_| Quit::Alone)?;
    talk.wait().map_err(|_| Quit::Alone)?;
    match talk.inbox.next() {
        Ok(Some(Message::Plan(bytes))) => Plan::from_bytes(bytes).map_err(failed("read the plan")),
        _ => Err(Quit::Failed(Failure::of("read the plan", &io::ErrorKind::InvalidData.into()))),
    }
}

/// A container that waits at its gate, and all that is needed to watch it.
struct Up {
    waiting: Starting,
    watch: Watch,
}

fn bring_up(talk: &mut Talk, plan: &Plan, made: &mut Made) -> Result<Up, Quit> {
    // Fails only for who leads a session already, which is as good.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/").map_err(|e| failed("change to /")(e.into()))?;
    let mut descriptors = std::mem::take(&mut talk.descriptors);
    made.kept = descriptors.split_off(descriptors.len().min(1 + plan.join.len()));
    made.lock = Some(lock(&plan.run_dir).map_err(failed("lock the run directory"))?);
    ExitRecord::clear(&plan.run_dir).map_err(failed("clear the exit record"))?;
    ExitRecord::make_room(&plan.run_dir).map_err(failed("make room for the exit record"))?;
    let listener = listen(&plan.run_dir).map_err(failed("listen on the socket"))?;
    made.run_dir = Some(plan.run_dir.clone());

    let hierarchies = match plan.cgroup.is_some() || plan.supervisor_cgroup.is_some() {
        true => Some(Hierarchies::detect()?),
        false => None,
    };
    let (mut waiting, mut stdio) = up_to_the_gate(plan, hierarchies.as_ref(), descriptors, made)?;
    let pid = waiting.pid();
    let start_time = ProcessIdentity::of(pid).map_err(failed("identify the container"))?.start_time;
    talk.tell(Message::Waiting { pid, start_time }).map_err(|_| Quit::Alone)?;

    // While the launcher writes that down.
    let mut still_to_join = None;
    if let (Some(on), Some(path)) = (&hierarchies, &plan.supervisor_cgroup) {
        still_to_join = enter_group(on, path)?;
    }
    // The container has been cloned already, so it keeps its own.
    let oom_score = std::fs::read_to_string(OOM_SCORE).ok().and_then(|score| score.trim().parse().ok()).unwrap_or(0);
    let _ = std::fs::write(OOM_SCORE, "-999");
    if let Some(master) = waiting.take_terminal() {
        stdio.take_terminal(master, plan.stdin).map_err(failed("take the terminal"))?;
    }
    let brief = Brief::of(plan, oom_score, (pid, start_time));
    let pidfd = waiting.pidfd().try_clone_to_owned().map_err(failed("hold the container"))?;
    let mut watch = watch(brief, pidfd, listener, stdio).map_err(failed("make a slate"))?;
    watch.log = plan.log.as_ref().map(Writer::open).transpose().map_err(failed("open the log"))?;
    watch.still_to_join = still_to_join;
    watch.group = made.group.take();
    watch.lock = made.lock.take();
    watch.kept = std::mem::take(&mut made.kept);
    Ok(Up { waiting, watch })
}

/// Somebody to watch a container of which nothing has been heard yet.
pub(super) fn watch(brief: Brief, pidfd: OwnedFd, listener: OwnedFd, stdio: Ours) -> io::Result<Watch> {
    let keeping = brief.keeper.clone().map(|plan| Keeping::new(plan, brief.supervisor_cgroup.clone()));
    Ok(Watch {
        brief,
        pidfd,
        sources: stdio.sources,
        input: stdio.input,
        peer: stdio.peer,
        listener,
        full_until: None,
        clients: Vec::new(),
        log: None,
        slate: Slate::new()?,
        transit: Transit::new()?,
        away: None,
        keeping,
        expected: 0,
        grace: Instant::now(),
        lock: None,
        kept: Vec::new(),
        group: None,
        still_to_join: None,
        lean: false,
        recorded: false,
        took: 0,
    })
}

/// Opens the gate once the launcher says so. From here on the container goes on without us.
fn release(talk: &mut Talk, up: Up) -> Result<Watch, Quit> {
    let Up { waiting, mut watch } = up;
    watch.keep();
    let outcome = wait_for_go(talk).and_then(|()| {
        watch.slate.start(now());
        Ok(waiting.release()?)
    });
    match outcome {
        Ok(_) => Ok(watch),
        Err(quit) => {
            watch.give_up();
            Err(quit)
        }
    }
}

/// Makes what belongs to the container, and itself, of the root and the namespaces to join.
fn up_to_the_gate(
    plan: &Plan,
    hierarchies: Option<&Hierarchies>,
    descriptors: Vec<OwnedFd>,
    made: &mut Made,
) -> Result<(Starting, Ours), Quit> {
    let mut descriptors = descriptors.into_iter();
    let root = descriptors.next().ok_or_else(too_few)?;
    let mut join: Vec<(LinuxNamespaceType, OwnedFd)> = Vec::new();
    for kind in &plan.join {
        join.push((*kind, descriptors.next().ok_or_else(too_few)?));
    }
    let linux = plan.spec.linux().as_ref();
    if let (Some(on), Some(path)) = (hierarchies, &plan.cgroup) {
        let unlimited = LinuxResources::default();
        let resources = linux.and_then(|linux| linux.resources().as_ref()).unwrap_or(&unlimited);
        made.group = Some(Cgroup::create(on, path, resources)?);
    }
    let filter = match &plan.docker_filter {
        Some(capabilities) => Some(docker_default_filter(capabilities)),
        None => linux.and_then(|linux| linux.seccomp().as_ref()).map(Filter::compile).transpose()?,
    };
    let (theirs, ours) = stdio(plan).map_err(failed("make pipes"))?;
    let waiting = start(Start {
        spec: &plan.spec,
        root: root.as_fd(),
        stdio: match (&theirs, plan.terminal) {
            (_, Some(size)) => Stdio::Terminal { size },
            (Some(files), None) => Stdio::Files([files[0].as_fd(), files[1].as_fd(), files[2].as_fd()]),
            (None, None) => unreachable!("without a terminal there are pipes"),
        },
        cgroup: made.group.as_ref().map_or(Entry::None, Cgroup::entry),
        seccomp: filter.as_ref(),
        join: &join,
        subject: None,
    })?;
    Ok((waiting, ours))
}

fn too_few() -> Quit {
    Quit::Failed(Failure::of("take the descriptors", &io::Error::new(io::ErrorKind::InvalidData, "too few")))
}

fn wait_for_go(talk: &mut Talk) -> Result<(), Quit> {
    talk.wait().map_err(|_| Quit::Alone)?;
    match talk.inbox.next() {
        Ok(Some(Message::Go)) => Ok(()),
        _ => Err(Quit::Alone),
    }
}

/// The launcher is the first who is connected.
fn introduce(mut watch: Watch, talk: Talk, streams: u8) -> Watch {
    // Who is gone by now does not keep the container from running.
    let told = talk.tell(Message::Started);
    let _ = rustix::io::ioctl_fionbio(&talk.socket, true);
    let mut launcher = Client::known(talk.socket, talk.inbox, streams);
    launcher.gone = told.is_err();
    if launcher.comes_back && streams & STDIN != 0 {
        // As he knows: the first key.
        launcher.slot = watch.slate.allot().map(|(slot, _)| slot);
    }
    watch.clients.push(launcher);
    watch
}

/// Our ends of the container's standard streams.
#[derive(Default)]
pub(super) struct Ours {
    pub(super) sources: Vec<Source>,
    pub(super) input: Option<Input>,
    pub(super) peer: Option<OwnedFd>,
}

impl Ours {
    fn take_terminal(&mut self, master: OwnedFd, stdin: Stdin) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&master, true)?;
        self.peer = Some(terminal::open_peer(master.as_fd())?);
        if stdin != Stdin::Closed {
            self.input = Some(Input::new(rustix::io::fcntl_dupfd_cloexec(&master, 3)?)?);
        }
        self.sources.push(Source { fd: master, stream: Stream::Stdout });
        Ok(())
    }
}

/// The container's ends, and ours; with a terminal there are none yet.
fn stdio(plan: &Plan) -> io::Result<(Option<[OwnedFd; 3]>, Ours)> {
    let mut ours = Ours::default();
    if plan.terminal.is_some() {
        return Ok((None, ours));
    }
    let stdin = if plan.stdin == Stdin::Closed {
        null()?
    } else {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        ours.input = Some(Input::new(writer)?);
        reader
    };
    let mut output = |stream| -> io::Result<OwnedFd> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        ours.sources.push(Source { fd: reader, stream });
        // For reading too, so that the container has a reader even while there is nobody else: it waits then, once the
        // pipe is full, and is not ended by SIGPIPE.
        let both = OFlags::RDWR | OFlags::CLOEXEC;
        Ok(rustix::fs::open(format!("/proc/self/fd/{}", writer.as_raw_fd()), both, Mode::empty())?)
    };
    let (stdout, stderr) = (output(Stream::Stdout)?, output(Stream::Stderr)?);
    Ok((Some([stdin, stdout, stderr]), ours))
}

/// The host's `/dev/null`, through a read-only mount of its own: the container's root may not change its mode or owner by
/// way of `/proc/self/fd/0`. Where such a mount is refused there is no root either whom the host's device would obey.
fn null() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let read_only = mount::clone_tree(Path::new("/dev/null")).and_then(|clone| {
        mount::set_attributes(clone.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY, MountAttrFlags::empty())?;
        Ok(clone)
    });
    let opened = match read_only {
        Ok(clone) => rustix::fs::open(format!("/proc/self/fd/{}", clone.as_raw_fd()), flags, Mode::empty())?,
        Err(_) => rustix::fs::open("/dev/null", flags, Mode::empty())?,
    };
    Ok(opened)
}

/// The lock that says who supervises. It belongs to the open file, and stays with it wherever that goes.
pub(super) fn lock(run_dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(run_dir.join(LOCK), flags, Mode::RUSR | Mode::WUSR)?;
    // Others try it for a moment, to find out whether there is a supervisor.
    for _ in 0..LOCK_ATTEMPTS {
        let held = Locked::acquire(file.as_fd(), Share::Exclusive, Wait::No)?;
        let is_held = held.is_some();
        // Not to be released before the end.
        std::mem::forget(held);
        if is_held {
            let _ = act(&file, Wait::No);
            return Ok(file);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another supervisor has it"))
}

/// Becomes the one who acts: a second lock of the same file, which belongs to the process (fcntl(2)) and so is not shared
/// with whoever has a copy of the descriptor. Who takes the place of another waits here until that has ended for good, and
/// two who are to take the same place never both do. Lost when any descriptor of the file is closed, as by an execution.
pub(super) fn act(lock: &OwnedFd, wait: Wait) -> io::Result<()> {
    let operation = match wait {
        Wait::Block => FlockOperation::LockExclusive,
        Wait::No => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::fcntl_lock(lock, operation) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

pub(super) fn listen(run_dir: &Path) -> io::Result<OwnedFd> {
    listen_as(run_dir, SOCKET, 128)
}

/// The next of those who wait to be let in, of our own user; none: nobody does. The directory keeps others out; this holds
/// even when somebody opened it up.
///
/// # Errors
/// Of the kernel: no descriptor is left, for one. Who waits goes on waiting.
pub(crate) fn admit(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    loop {
        let socket = match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => socket,
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(Errno::AGAIN) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let peer = rustix::net::sockopt::socket_peercred(&socket).map(|credentials| credentials.uid);
        if peer.is_ok_and(|uid| uid == rustix::process::geteuid()) {
            return Ok(Some(socket));
        }
    }
}

/// A socket of that name, for us alone. Somebody who holds the lock that goes with it calls this, so what is there was
/// left by the dead.
pub(crate) fn listen_as(directory: &Path, name: &str, backlog: i32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match std::fs::remove_file(directory.join(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let directory = open_directory(directory)?;
    rustix::net::bind(&socket, &address(directory.as_fd(), name)?)?;
    rustix::fs::chmodat(&directory, name, Mode::RUSR | Mode::WUSR, rustix::fs::AtFlags::empty())?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}

pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The socket in that directory. By way of procfs: the address of a socket has room for 107 bytes only.
pub(crate) fn address(directory: BorrowedFd<'_>, name: &str) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))?)
}

/// Into the group of supervisors, as far as that takes no time; the group, if the rest is still to be done. All of a store
/// may share one, as nobody can remove the group he is in. Somebody who tidies up may remove it while it is empty.
pub(crate) fn enter_group(on: &Hierarchies, path: &Path) -> Result<Option<Cgroup>, RuntimeError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match Cgroup::shared(on, path).and_then(|group| Ok(group.join_at_once()?.then_some(group))) {
            Err(_) if attempts < 10 => std::thread::sleep(Duration::from_millis(1)),
            outcome => return outcome,
        }
    }
}
