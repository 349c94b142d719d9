//! The other end: starting a supervisor, and talking to one that runs.
//!
//! What is said is in [`crate::wire`]; [`launch()`] is in `client/launch.rs`,
//! [`Connection::attend`] in `client/stream.rs`, the keys that detach in
//! `client/detach.rs`, signals in `client/signals.rs`. Knows nothing of what a container is for.

mod adopt;
mod back;
mod detach;
mod launch;
mod signals;
mod stream;
mod talk;
mod upgrade;

pub use adopt::{Adoption, adopt};
pub use detach::{Scanner, UnknownKey, parse_detach_keys};
pub use launch::{Launcher, Waiting, launch};
pub(crate) use upgrade::ask_to_upgrade;
pub use upgrade::{Upgraded, upgrade};

use crate::plan::ExitRecord;
use crate::supervise::{SOCKET, address, open_directory};
use crate::wire::{self, Inbox, Message};
use back::Back;
use dhow_runtime::RuntimeError;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use talk::Talk;

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

/// A socket that leads to the supervisor of this run directory.
fn connect(run_dir: &Path) -> Result<OwnedFd, ClientError> {
    connect_within(run_dir, None)
}

/// Waits so long for one who lets nobody in; None: for ever.
fn connect_within(run_dir: &Path, at_most: Option<Duration>) -> Result<OwnedFd, ClientError> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|e| failed("make a socket")(e.into()))?;
    if at_most.is_some() {
        set_socket_timeout(&socket, Timeout::Send, at_most).map_err(|e| failed("set a time limit")(e.into()))?;
    }
    let connected = open_directory(run_dir)
        .and_then(|directory| Ok(rustix::net::connect(&socket, &address(directory.as_fd(), SOCKET)?)?));
    match connected {
        Ok(()) => Ok(socket),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Err(ClientError::NotRunning)
        }
        Err(e) => Err(failed("connect to the supervisor")(e)),
    }
}

/// A connection that is closed at the other end is no error.
fn closed(error: io::Error) -> io::Result<bool> {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(false),
        _ => Err(error),
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
    /// The supervisor is gone, and nobody has taken its place.
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
        for _ in 0..back::ATTEMPTS {
            if let Some(connection) = Connection::attempt(run_dir, streams)? {
                return Ok(connection);
            }
            // It ended while we came in, and then nobody listens any more; or it was killed, and another follows.
            std::thread::sleep(back::BETWEEN);
        }
        Err(ClientError::NotRunning)
    }

    /// None: it closed the connection before it said anything.
    fn attempt(run_dir: &Path, streams: Streams) -> Result<Option<Connection>, ClientError> {
        let socket = connect(run_dir)?;
        let mut talk = Talk { socket, inbox: Inbox::default(), child: None, back: None };
        let hello = Message::Hello { version: 1, streams: streams.bits() | wire::SPEAKS_2 };
        let mut back = Back::new(run_dir, streams.bits());
        let of_supervisor = failed("understand the supervisor");
        let mut greeted = talk.tell(hello).map(|()| true);
        loop {
            if !greeted.and_then(|_| talk.wait()).or_else(closed).map_err(failed("greet the supervisor"))? {
                return Ok(None);
            }
            match talk.inbox.next().map_err(&of_supervisor)? {
                Some(Message::Welcome { version: 1 }) => break,
                Some(Message::Welcome { version }) => wire::known(version).map_err(&of_supervisor)?,
                Some(numbers @ Message::Numbers { .. }) => {
                    back.note(&numbers);
                    break;
                }
                _ => return Err(of_supervisor(io::ErrorKind::InvalidData.into())),
            }
            greeted = Ok(true);
        }
        talk.back = Some(back);
        Ok(Some(Connection { talk }))
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
        if records {
            self.will_record();
        }
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
        if records {
            self.will_record();
        }
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
        loop {
            while self.talk.wait().map_err(&of_socket)? {
                let message = self.talk.inbox.next().map_err(&of_socket)?;
                if let Some(Message::Exited(bytes)) = message {
                    return Ok(End::Exited(ExitRecord::from_bytes(bytes).map_err(&of_socket)?));
                }
                if let (Some(back), Some(message)) = (&mut self.talk.back, message) {
                    back.note(&message);
                }
            }
            if !self.talk.come_back() {
                return self.talk.how_it_ended();
            }
        }
    }

    /// Says that [`recorded`](Connection::recorded) will follow, so that the supervisor waits for it.
    pub fn will_record(&mut self) {
        if let Some(back) = &mut self.talk.back
            && back.records()
        {
            let _ = self.talk.tell(Message::Records);
        }
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
