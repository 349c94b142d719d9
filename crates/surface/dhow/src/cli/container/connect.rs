//! What run, start and attach have in common: the terminal of the one who called, connected with a container's.
//!
//! Must not know how bytes travel: that is `dhow_supervisor::client`.

use crate::cli::Failure;
use dhow_engine::container::view::Container;
use dhow_engine::container::{self, Until};
use dhow_engine::{Engine, EngineError};
use dhow_supervisor::client::{ClientError, Connection, End, Streams, Terminal};
use rustix::termios::{isatty, tcgetwinsize};
use std::io::{ErrorKind, stderr, stdin, stdout};
use std::os::fd::AsFd;

/// Exit code when nobody can tell how a container ended, as docker's is when its daemon was away then.
pub(super) const LOST: u8 = 255;

/// Ctrl-P, Ctrl-Q.
const DETACH_KEYS: [u8; 2] = [16, 17];

/// How to be connected.
pub(super) struct Manner {
    /// With which streams.
    pub(super) streams: Streams,
    /// Whether the container has a terminal.
    pub(super) tty: bool,
    /// What detaches.
    pub(super) keys: Vec<u8>,
    /// Whether signals that come are handed on.
    pub(super) proxy: bool,
    /// Whether we write down how it ended, rather than its supervisor.
    pub(super) records: bool,
}

/// How it ended for the one who was connected.
pub(super) enum Outcome {
    /// The container has ended with this status.
    Exited(u8),
    /// The keys were typed; the container goes on.
    Detached,
}

/// The keys that `--detach-keys` names: letters, `ctrl-` and a letter or one of `@[\]^_`, separated by commas.
pub(super) fn detach_keys(text: Option<&str>) -> Result<Vec<u8>, Failure> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(DETACH_KEYS.to_vec()) };
    let key = |word: &str| match (word.strip_prefix("ctrl-").map(str::as_bytes), word.as_bytes()) {
        (Some([control @ (b'@'..=b'_' | b'a'..=b'z')]), _) => Some(control.to_ascii_uppercase() - b'@'),
        (None, b"DEL") => Some(127),
        (None, [byte]) => Some(*byte),
        _ => None,
    };
    let bytes = text.split(',').map(|word| key(word).ok_or(word)).collect::<Result<Vec<u8>, &str>>();
    bytes.map_err(|word| {
        Failure::error(format!("invalid detach keys ({text}): Unknown character: '{word}'"))
            .with_hint("separate keys by commas: letters, ctrl-a to ctrl-z, ctrl-@ ctrl-[ ctrl-\\ ctrl-] ctrl-^ ctrl-_")
    })
}

/// A container's terminal wants one on this side too.
pub(super) fn check_terminal(stdin_attached: bool, tty: bool) -> Result<(), Failure> {
    match stdin_attached && tty && !isatty(stdin()) {
        true => Err(Failure::plain("the input device is not a TTY")
            .with_hint("leave out -t when standard input is a pipe or a file")),
        false => Ok(()),
    }
}

/// Rows and columns of the terminal we are at; zeros without one.
pub(super) fn size() -> (u16, u16) {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin()));
    size.map_or((0, 0), |size| (size.ws_row, size.ws_col))
}

/// Connects this process's streams with the container's until either is done.
pub(super) fn stream(
    engine: &Engine,
    id: &str,
    mut connection: Connection,
    manner: &Manner,
) -> Result<Outcome, Failure> {
    let (stdin, stdout, stderr) = (stdin(), stdout(), stderr());
    let mut hand_on = |signal: i32| {
        // It may have ended meanwhile; the stream's end will tell.
        let _ = container::kill(engine, id, signal);
    };
    loop {
        if manner.records {
            connection.will_record();
        }
        let terminal = Terminal {
            stdin: manner.streams.stdin.then(|| stdin.as_fd()),
            stdout: stdout.as_fd(),
            stderr: stderr.as_fd(),
            tty: manner.tty,
            detach_keys: manner.keys.clone(),
            on_signal: manner.proxy.then_some(&mut hand_on as &mut dyn FnMut(i32)),
        };
        match connection.attend(terminal).map_err(failed)? {
            End::Exited(record) => return conclude(engine, id, connection, manner, record.code),
            End::Detached => return Ok(Outcome::Detached),
            // Supervisor and keeper were killed at once. If the container goes on it is watched again, and so do we.
            End::Lost => match container::reattach(engine, id, manner.streams) {
                Ok(Some(again)) => connection = again,
                Ok(None) | Err(EngineError::NoSuchContainer(_)) => return outcome_of_lost(engine, id),
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// The container ended while we were connected.
fn conclude(
    engine: &Engine,
    id: &str,
    connection: Connection,
    manner: &Manner,
    code: Option<i32>,
) -> Result<Outcome, Failure> {
    if manner.records {
        match container::exited(engine, id) {
            Ok(_) => connection.recorded(),
            // Its supervisor tries next, and whoever looks at it later. How it ended is known all the same.
            Err(e) => {
                Failure::error(format!("the end of the container could not be recorded: {e}")).report();
            }
        }
    }
    Ok(status(code))
}

/// How a container ended that nobody watched.
fn outcome_of_lost(engine: &Engine, id: &str) -> Result<Outcome, Failure> {
    match container::wait(engine, id, Until::NotRunning) {
        Ok(code) => Ok(status(code)),
        // With --rm it is gone, and how it ended with it.
        Err(EngineError::NoSuchContainer(_)) => Ok(status(None)),
        Err(error) => Err(error.into()),
    }
}

fn status(code: Option<i32>) -> Outcome {
    if code.is_none() {
        lost();
    }
    Outcome::Exited(code.map_or(LOST, exit_code))
}

fn lost() {
    Failure::error("the exit status of the container is lost: its supervisor and its keeper were killed").report();
}

/// What a process can end with of a container's status.
pub(super) fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(LOST)
}

pub(super) fn failed(error: ClientError) -> Failure {
    match error {
        // Whoever read our output has gone: nobody is told, and the container goes on.
        ClientError::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe => source.into(),
        error => Failure::error(error.to_string()),
    }
}

/// The streams that a container was made to be connected with.
pub(super) fn streams_of(container: &Container, stdin_wanted: bool) -> Streams {
    Streams { stdin: stdin_wanted && container.config.open_stdin, stdout: true, stderr: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let keys = |text| detach_keys(Some(text)).ok();
        assert_eq!(detach_keys(None).ok(), Some(vec![16, 17]));
        assert_eq!(keys(""), Some(vec![16, 17]));
        assert_eq!(keys("ctrl-a,q"), Some(vec![1, b'q']));
        assert_eq!(keys("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_"), Some(vec![0, 27, 28, 29, 30, 31]));
        assert_eq!(keys("DEL"), Some(vec![127]));
        for bad in ["ctrl-", "ctrl-ab", "foo", "a,,b", "ctrl-1"] {
            assert_eq!(keys(bad), None, "{bad}");
        }
    }

    #[test]
    fn statuses_are_bytes() {
        assert_eq!((exit_code(0), exit_code(137), exit_code(256), exit_code(-1)), (0, 137, 0, 255));
    }
}
