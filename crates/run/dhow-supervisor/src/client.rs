//! The other end: starting a supervisor, and talking to one that runs.
//!
//! What is said is in [`crate::wire`]; [`launch()`] is in `client/launch.rs`,
//! [`Connection::attend`] in `client/stream.rs`, the keys that detach in
//! `client/detach.rs`, signals in `client/signals.rs`. Knows nothing of what a container is for.

mod adopt;
mod detach;
mod launch;
mod signals;
mod stream;
mod talk;
mod upgrade;

pub use adopt::{Adoption, adopt};
pub use detach::{Scanner, UnknownKey, parse_detach_keys};
pub use launch::{Waiting, launch};
pub use upgrade::{Upgraded, upgrade};

use crate::plan::{ExitRecord, VERSION};
use crate::supervise::{address, open_directory};
use crate::wire::{Inbox, Message};
use dhow_runtime::RuntimeError;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
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
