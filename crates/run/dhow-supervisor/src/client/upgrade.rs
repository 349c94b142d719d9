//! Having a supervisor, or the keeper, go on as another program.

use super::{ClientError, Streams, Talk, connect_within, failed};
use crate::wire::{self, Inbox, Message};
use dhow_sys::passing;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one may take to become another program. It may do so later all the same.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgraded {
    /// The new program runs.
    Done,
    /// It ran already.
    Same,
    /// What runs is of a version that cannot be upgraded.
    TooOld,
    /// Nobody is there.
    NotRunning,
}

/// Asks the supervisor of this run directory to go on as `program`: the file, open on a read-only mount of its own.
///
/// It executes itself anew with everything that it holds. The container does not notice, nor does who is attached.
///
/// # Errors
/// Of the conversation: `TimedOut` when there is no answer for 10 s, and it may go on as `program` later then; why the program
/// could not be executed, and the old one goes on.
pub fn upgrade(run_dir: &Path, program: BorrowedFd<'_>) -> Result<Upgraded, ClientError> {
    match connect_within(run_dir, Some(PATIENCE)) {
        Ok(socket) => ask_to_upgrade(socket, program),
        Err(ClientError::NotRunning) => Ok(Upgraded::NotRunning),
        Err(e) => Err(e),
    }
}

/// The same, over a connection to anybody who understands it.
pub(crate) fn ask_to_upgrade(socket: OwnedFd, program: BorrowedFd<'_>) -> Result<Upgraded, ClientError> {
    let of_socket = failed("talk about the upgrade");
    let mut talk = Talk { socket, inbox: Inbox::default(), child: None, back: None };
    let streams = Streams::default().bits() | wire::SPEAKS_2;
    talk.tell(Message::Hello { version: 1, streams }).map_err(&of_socket)?;
    let mut asked = false;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if !talk.wait_until(deadline).map_err(&of_socket)? {
            // It ended meanwhile, or took the program and died of it.
            return if asked { Err(of_socket(io::ErrorKind::UnexpectedEof.into())) } else { Ok(Upgraded::NotRunning) };
        }
        match talk.inbox.next().map_err(&of_socket)? {
            Some(Message::Welcome { .. }) if asked => return Ok(Upgraded::Done),
            Some(Message::Welcome { version: 1 }) => return Ok(Upgraded::TooOld),
            Some(Message::Welcome { .. }) => {
                asked = true;
                passing::send(talk.socket.as_fd(), &Message::Upgrade.to_bytes(), &[program]).map_err(&of_socket)?;
            }
            Some(Message::Answer(wire::SAME)) => return Ok(Upgraded::Same),
            Some(Message::Answer(wire::BUSY)) => {
                return Err(failed("upgrade a supervisor that cannot write its log")(
                    io::ErrorKind::StorageFull.into(),
                ));
            }
            Some(Message::Answer(_)) => {
                return Err(failed("execute the new program")(io::ErrorKind::InvalidInput.into()));
            }
            Some(Message::Exited(_)) => return Ok(Upgraded::NotRunning),
            _ => {}
        }
    }
}
