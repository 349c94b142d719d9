//! The other end: starting a supervisor, and talking to one that runs.
//!
//! What is said is in [`crate::wire`]; [`Connection::attend`] is in `client/stream.rs`, the keys that detach in
//! `client/detach.rs`, signals in `client/signals.rs`. Knows nothing of what a container is for.

mod detach;
mod signals;
mod stream;

pub use detach::{UnknownKey, parse_detach_keys};

use crate::failure::Failure;
use crate::plan::{ExitRecord, Plan, VERSION};
use crate::supervise::{address, open_directory};
use crate::wire::{self, DATA_MAX, Inbox, Message, PLAN_MAX};
use dhow_runtime::RuntimeError;
use dhow_sys::{mount, passing};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Why a container did not come up or cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The runtime says why.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The supervisor died on the way.
    #[error("the supervisor of {id} died while it started the container")]
    Died {
        /// The container.
        id: String,
    },
    /// Nobody listens in the run directory: the container does not run.
    #[error("no supervisor is running")]
    NotRunning,
    /// Of the socket.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why it did not work.
        source: io::Error,
    },
}

/// Which streams to be connected with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streams {
    /// Standard input, which the container must have been made for.
    pub stdin: bool,
    /// Standard output (all output, with a terminal).
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Streams {
    fn bits(self) -> u8 {
        u8::from(self.stdin) | u8::from(self.stdout) << 1 | u8::from(self.stderr) << 2
    }
}

fn failed(operation: &'static str) -> impl Fn(io::Error) -> ClientError {
    move |source| ClientError::Io { operation, source }
}

/// A container that waits at the gate. Dropped: the container ends, and nothing of it is left but what the caller made.
#[derive(Debug)]
pub struct Waiting {
    /// Its first process, in our pid namespace.
    pub pid: u32,
    /// Clock ticks since boot, as [`dhow_sys::process::ProcessIdentity`] has it.
    pub start_time: u64,
    id: String,
    /// None once the gate was opened.
    talk: Option<Talk>,
}

/// Starts a supervisor with this plan, and waits until the container waits at its gate. `program` is this very binary,
/// called as `<program> <arguments..>`; `attach` connects the caller before the first byte of output.
///
/// The program is executed from a read-only mount of its own, so that a container that gets hold of it through
/// `/proc/<pid>/exe` cannot write to it (CVE-2019-5736); where such a mount is refused, from its path.
///
/// The supervisor is a child of the calling process. One that lives on for long after the container has ended has to
/// reap it.
///
/// # Errors
/// Why the container cannot be started.
pub fn launch(
    program: &Path,
    arguments: &[&OsStr],
    plan: &Plan,
    descriptors: Vec<OwnedFd>,
    attach: Streams,
) -> Result<Waiting, ClientError> {
    let json = serde_json::to_vec(plan).map_err(|e| failed("write the plan")(e.into()))?;
    if json.len() > PLAN_MAX {
        return Err(failed("write the plan")(io::ErrorKind::FileTooLarge.into()));
    }
    let (ours, theirs) = pair().map_err(failed("make a socket"))?;
    let child = spawn(program, arguments, theirs).map_err(failed("start a supervisor"))?;
    let mut talk = Talk { socket: ours, inbox: Inbox::default(), child: Some(child) };
    let waiting = talk.present(&json, &descriptors, attach).and_then(|()| {
        drop(descriptors);
        loop {
            match talk.hear()? {
                Said::Waiting { pid, start_time } => return Ok((pid, start_time)),
                Said::Failed(failure) => return Err(Cause::Failure(failure)),
                Said::Other => {}
            }
        }
    });
    match waiting {
        Ok((pid, start_time)) => Ok(Waiting { pid, start_time, id: plan.id.clone(), talk: Some(talk) }),
        Err(cause) => Err(talk.explain(cause, &plan.id)),
    }
}

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

fn spawn(program: &Path, arguments: &[&OsStr], socket: OwnedFd) -> io::Result<Child> {
    // Kept until the program has been executed.
    let mount = read_only(program).ok();
    let path = mount
        .as_ref()
        .map_or_else(|| program.to_owned(), |mount| PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd())));
    let mut command = Command::new(path);
    command.arg0(program).args(arguments).stdin(socket).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn()
}

fn read_only(program: &Path) -> Result<OwnedFd, mount::MountError> {
    let mount = mount::clone_tree(program)?;
    let attributes = mount::MountAttrFlags::MOUNT_ATTR_RDONLY | mount::MountAttrFlags::MOUNT_ATTR_NODEV;
    mount::set_attributes(mount.as_fd(), attributes, mount::MountAttrFlags::empty())?;
    Ok(mount)
}

impl Waiting {
    /// Opens the gate; to be called once the pid is written down. Returns after the exec.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`] among others: the container has ended then.
    pub fn open(mut self) -> Result<Connection, ClientError> {
        let mut talk = self.talk.take().expect("only opening takes it, and uses this up");
        let outcome = talk.tell(Message::Go).map_err(Cause::from).and_then(|()| match talk.hear()? {
            Said::Failed(failure) => Err(Cause::Failure(failure)),
            Said::Waiting { .. } | Said::Other => Ok(()),
        });
        match outcome {
            Ok(()) => Ok(Connection { talk }),
            Err(cause) => Err(talk.explain(cause, &self.id)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut talk) = self.talk.take() {
            let _ = rustix::net::shutdown(&talk.socket, Shutdown::Write);
            // It closes its end when nothing is left.
            let _ = talk.last_words();
            talk.reap();
        }
    }
}

/// What a supervisor says while it starts a container.
enum Said {
    Waiting { pid: u32, start_time: u64 },
    Failed(Failure),
    Other,
}

/// Why a start came to nothing.
enum Cause {
    /// It was told.
    Failure(Failure),
    /// The conversation broke off.
    BrokenOff,
}

impl From<io::Error> for Cause {
    fn from(_: io::Error) -> Cause {
        Cause::BrokenOff
    }
}

/// A conversation: the socket, what came in over it, and who is at the other end if he is our child.
#[derive(Debug)]
struct Talk {
    socket: OwnedFd,
    inbox: Inbox,
    child: Option<Child>,
}

impl Talk {
    fn present(&self, plan: &[u8], descriptors: &[OwnedFd], attach: Streams) -> Result<(), Cause> {
        let hello = Message::Hello { version: VERSION, streams: attach.bits() }.to_bytes();
        let fds: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let sent = passing::send(self.socket.as_fd(), &hello, &fds)?;
        self.send(&hello[sent..])?;
        self.tell(Message::Plan(plan))?;
        Ok(())
    }

    fn tell(&self, message: Message<'_>) -> io::Result<()> {
        self.send(&message.to_bytes())
    }

    fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = &bytes[passing::send(self.socket.as_fd(), bytes, &[])?..];
        }
        Ok(())
    }

    /// Waits until a whole message is there; false at the end of the stream.
    fn wait(&mut self) -> io::Result<bool> {
        while wire::parse(self.inbox.rest())?.is_none() {
            if !self.receive()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes in what there is, or waits for something; false at the end of the stream.
    fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = vec![0; DATA_MAX / 4];
        loop {
            match rustix::io::read(&self.socket, &mut bytes[..]) {
                Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Ok(false),
                Ok(n) => {
                    self.inbox.push(&bytes[..n]);
                    return Ok(true);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn hear(&mut self) -> Result<Said, Cause> {
        if !self.wait()? {
            return Err(Cause::BrokenOff);
        }
        Ok(match self.inbox.next()? {
            Some(Message::Waiting { pid, start_time }) => Said::Waiting { pid, start_time },
            Some(Message::Failed(bytes)) => Said::Failed(serde_json::from_slice(bytes).map_err(io::Error::from)?),
            _ => Said::Other,
        })
    }

    /// The error for a start that came to nothing, once the supervisor has ended.
    fn explain(&mut self, cause: Cause, id: &str) -> ClientError {
        let failure = match cause {
            Cause::Failure(failure) => Some(failure),
            // It may have said why before it closed the socket under our hands.
            Cause::BrokenOff => self.last_words(),
        };
        self.reap();
        failure.map_or_else(|| ClientError::Died { id: id.to_owned() }, |failure| ClientError::Runtime(failure.into()))
    }

    /// Listens until the other end closes the socket, for a reason why.
    fn last_words(&mut self) -> Option<Failure> {
        let mut reason = None;
        while let Ok(said) = self.hear() {
            if let Said::Failed(failure) = said {
                reason = Some(failure);
            }
        }
        reason
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Connection {
    talk: Talk,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The container ended, and all its output was shown.
    Exited(ExitRecord),
    /// The user typed the detach keys.
    Detached,
    /// The supervisor is gone. Whoever wants to go on connects again to the one that takes its place.
    Lost,
}

/// What a client brings.
pub struct Terminal<'a> {
    /// Where input comes from; none: no input is sent. Switched to raw mode while it lasts if the container has a
    /// terminal and this is one.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where output goes.
    pub stdout: BorrowedFd<'a>,
    /// Where errors go.
    pub stderr: BorrowedFd<'a>,
    /// Whether the container has a terminal: then its size follows `stdin`'s (SIGWINCH).
    pub tty: bool,
    /// The keys that detach; empty: none. Only looked for with `tty`.
    pub detach_keys: Vec<u8>,
    /// Called for each signal that came in and is to be handed on to the container (`--sig-proxy`); none: signals do
    /// what they do.
    pub on_signal: Option<&'a mut dyn FnMut(i32)>,
}

impl Connection {
    /// Connects to the supervisor that serves this run directory. Waits while it is still starting the container.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`].
    pub fn open(run_dir: &Path, streams: Streams) -> Result<Connection, ClientError> {
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|e| failed("make a socket")(e.into()))?;
        let connected = open_directory(run_dir)
            .and_then(|directory| Ok(rustix::net::connect(&socket, &address(directory.as_fd())?)?));
        match connected {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Err(ClientError::NotRunning);
            }
            Err(e) => return Err(failed("connect to the supervisor")(e)),
        }
        let mut talk = Talk { socket, inbox: Inbox::default(), child: None };
        let greeted =
            talk.tell(Message::Hello { version: VERSION, streams: streams.bits() }).and_then(|()| talk.wait());
        match greeted {
            Ok(true) => {}
            // It ended while we came in.
            Ok(false) => return Err(ClientError::NotRunning),
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                return Err(ClientError::NotRunning);
            }
            Err(e) => return Err(failed("greet the supervisor")(e)),
        }
        match talk.inbox.next().map_err(failed("understand the supervisor"))? {
            Some(Message::Welcome { version }) => {
                crate::plan::known(version).map_err(failed("understand the supervisor"))?
            }
            _ => return Err(failed("understand the supervisor")(io::ErrorKind::InvalidData.into())),
        }
        Ok(Connection { talk })
    }

    /// Copies both ways until the end. `recorded` is asked for at the end of the container: with true the caller will
    /// write the exit status down, and the supervisor does not run `Plan::exited`.
    ///
    /// Who wants the supervisor to step in if he dies before it is written down uses [`attend`](Connection::attend), and
    /// [`recorded`](Connection::recorded) afterwards.
    ///
    /// # Errors
    /// Of reading input and writing output.
    pub fn stream(mut self, terminal: Terminal<'_>, records: bool) -> Result<End, ClientError> {
        let end = self.attend(terminal)?;
        self.conclude(&end, records);
        Ok(end)
    }

    /// Copies both ways until the end. At the end of the container the supervisor waits a while for
    /// [`recorded`](Connection::recorded); when the connection is dropped without it, it runs `Plan::exited`.
    ///
    /// # Errors
    /// Of reading input and writing output.
    pub fn attend(&mut self, terminal: Terminal<'_>) -> Result<End, ClientError> {
        stream::attend(&mut self.talk, terminal)
    }

    /// Waits for the end without any stream.
    ///
    /// # Errors
    /// Of the socket.
    pub fn wait(mut self, records: bool) -> Result<End, ClientError> {
        let end = self.await_end()?;
        self.conclude(&end, records);
        Ok(end)
    }

    /// As [`wait`](Connection::wait), to be followed by [`recorded`](Connection::recorded) or not.
    ///
    /// # Errors
    /// Of the socket.
    pub fn await_end(&mut self) -> Result<End, ClientError> {
        let of_socket = failed("hear from the supervisor");
        while self.talk.wait().map_err(&of_socket)? {
            if let Some(Message::Exited(bytes)) = self.talk.inbox.next().map_err(&of_socket)? {
                return Ok(End::Exited(ExitRecord::from_bytes(bytes).map_err(&of_socket)?));
            }
        }
        Ok(End::Lost)
    }

    /// Tells the supervisor that the end of the container has been written down.
    pub fn recorded(self) {
        // A supervisor that has ended meanwhile ran Plan::exited, which does nothing a second time.
        let _ = self.talk.tell(Message::Recorded);
    }

    fn conclude(self, end: &End, records: bool) {
        if records && matches!(end, End::Exited(_)) {
            self.recorded();
        }
    }

    /// Tells the size of the terminal.
    ///
    /// # Errors
    /// Of the socket.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), ClientError> {
        self.talk.tell(Message::Window { rows, columns }).map_err(failed("tell the size of the terminal"))
    }
}
