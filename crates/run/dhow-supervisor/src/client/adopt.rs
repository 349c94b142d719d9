//! Watching a container again whose supervisor and keeper were both killed.

use super::launch::{pair, spawn};
use super::{ClientError, Talk, failed};
use crate::plan::Plan;
use crate::wire::{Inbox, Message, PLAN_MAX};
use dhow_sys::passing;
use dhow_sys::process::ProcessIdentity;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a supervisor may take to watch a container.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a container that nobody watches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Adoption {
    /// As it was started; only what is needed after the start counts.
    pub plan: Plan,
    /// Its first process.
    #[serde(with = "Identity")]
    pub process: ProcessIdentity,
    /// When it was started, nanoseconds since the Unix epoch.
    pub started: i64,
}

/// As it goes over the socket.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ProcessIdentity")]
struct Identity {
    boot_id: String,
    pid_namespace: u64,
    pid: u32,
    start_time: u64,
}

/// Starts a supervisor for a container that has lost its own. Returns once it is supervised again, by this or by
/// another. `program` and `arguments` are as for [`launch`](super::launch()); `kept` stays open as long as the container runs,
/// and is then unlocked.
///
/// # Errors
/// [`ClientError::NotRunning`] when the process has ended or cannot be watched; `TimedOut` when that is not known after 10 s.
pub fn adopt(
    program: &Path,
    arguments: &[&OsStr],
    adoption: &Adoption,
    kept: &[BorrowedFd<'_>],
) -> Result<(), ClientError> {
    let json = serde_json::to_vec(adoption).map_err(|e| failed("write the plan")(e.into()))?;
    if json.len() > PLAN_MAX {
        return Err(failed("write the plan")(io::ErrorKind::FileTooLarge.into()));
    }
    let (ours, theirs) = pair().map_err(failed("make a socket"))?;
    let child = spawn(program, arguments, theirs).map_err(failed("start a supervisor"))?;
    let mut talk = Talk { socket: ours, inbox: Inbox::default(), child: Some(child), back: None };
    let message = Message::Adopt(&json).to_bytes();
    let sent = passing::send(talk.socket.as_fd(), &message, kept);
    let answered =
        sent.and_then(|sent| talk.send(&message[sent..])).and_then(|()| talk.wait_until(Instant::now() + PATIENCE));
    match answered {
        // One who came too late ends now; one who watches is a child of ours for as long as we are there.
        Ok(true) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::TimedOut => Err(failed("hear from the supervisor")(e)),
        Ok(false) | Err(_) => {
            talk.reap();
            Err(ClientError::NotRunning)
        }
    }
}
