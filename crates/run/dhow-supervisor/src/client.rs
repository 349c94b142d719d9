//! The other end: starting a supervisor, and talking to one that runs.

use crate::plan::{ExitRecord, Plan};
use dhow_runtime::RuntimeError;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

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

/// A container that waits at the gate. Dropped: the container ends, and nothing of it is left but what the caller made.
#[derive(Debug)]
pub struct Waiting {
    /// Its first process, in our pid namespace.
    pub pid: u32,
    /// Clock ticks since boot, as [`dhow_sys::process::ProcessIdentity`] has it.
    pub start_time: u64,
    // the socket
}

/// Starts a supervisor with this plan, and waits until the container waits at its gate. `program` is this very binary,
/// called as `<program> <arguments..>`; `attach` connects the caller before the first byte of output.
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
    let _ = (program, arguments, plan, descriptors, attach);
    unimplemented!()
}

impl Waiting {
    /// Opens the gate; to be called once the pid is written down. Returns after the exec.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`] among others: the container has ended then.
    pub fn open(self) -> Result<Connection, ClientError> {
        unimplemented!()
    }
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Connection {
    // the socket
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
    /// Connects to the supervisor that serves this run directory.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`].
    pub fn open(run_dir: &Path, streams: Streams) -> Result<Connection, ClientError> {
        let _ = (run_dir, streams);
        unimplemented!()
    }

    /// Copies both ways until the end. `recorded` is asked for at the end of the container: with true the caller will
    /// write the exit status down, and the supervisor does not run `Plan::exited`.
    ///
    /// # Errors
    /// Of reading input and writing output.
    pub fn stream(self, terminal: Terminal<'_>, records: bool) -> Result<End, ClientError> {
        let _ = (terminal, records);
        unimplemented!()
    }

    /// Waits for the end without any stream.
    ///
    /// # Errors
    /// Of the socket.
    pub fn wait(self, records: bool) -> Result<End, ClientError> {
        let _ = records;
        unimplemented!()
    }

    /// Tells the size of the terminal.
    ///
    /// # Errors
    /// Of the socket.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), ClientError> {
        let _ = (rows, columns);
        unimplemented!()
    }
}
