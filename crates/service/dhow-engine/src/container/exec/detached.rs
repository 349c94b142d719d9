//! `exec` of which nobody waits for the end, and of which the caller detaches: a process of dhow stays behind, which keeps
//! its terminal open, takes what it prints there, and tells of its end.

use super::{Entered, ExecRequest, Nothing, Session, reap, tell_end};
use crate::container::sealed;
use crate::container::stored::Stored;
use crate::{Engine, EngineError};
use dhow_runtime::start::{Running, Stdio};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio as Streams;

/// What an end is told as that nobody could see, as with containers.
const LOST: i32 = 255;

/// A process in a container that nobody is connected with.
#[derive(Debug)]
#[must_use = "it is to be waited for"]
pub struct Detached {
    running: Running,
    container: String,
    id: String,
}

/// Runs it without streams, or with a terminal that nobody looks at. It is a child of the caller, who has to wait for its
/// end, or else to end himself: until one of the two the container cannot end.
///
/// # Errors
/// As [`super::exec()`].
pub fn exec_detached(
    engine: &Engine,
    container: &str,
    request: &ExecRequest,
    size: (u16, u16),
) -> Result<Detached, EngineError> {
    let session = Session::open(engine, container)?;
    let entered: Entered = session.begin(container, request)?;
    let process = entered.process(engine, &session.row, request)?;
    let running = match request.tty {
        true => entered.enter(&process, Stdio::Terminal { size })?,
        false => entered.enter(&process, Stdio::Files(Nothing::open()?.files()))?,
    };
    Ok(Detached { running, container: session.row.id, id: session.id })
}

impl Detached {
    /// Waits for its end: how it is to be told.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn wait(mut self) -> Result<Gone, EngineError> {
        if let Some(master) = self.running.terminal.take() {
            drain(master, self.running.pidfd.as_fd())?;
        }
        Ok(Gone { code: reap(&self.running)?, container: self.container, id: self.id })
    }
}

/// The end of a process that was executed in a container.
#[derive(Debug)]
pub struct Gone {
    container: String,
    id: String,
    code: i32,
}

/// Tells of an end that was waited for, unless the container has gone.
///
/// # Errors
/// Of the ledger.
pub fn exec_ended(engine: &Engine, gone: &Gone) -> Result<(), EngineError> {
    match engine.state.read(|r| r.container(&gone.container))? {
        Some(row) => tell_end(engine, &row, &Stored::of(&row)?, &gone.id, gone.code),
        None => Ok(()),
    }
}

/// Leaves a process of this program behind with the terminal.
pub(super) fn leave_behind(
    engine: &Engine,
    session: &Session<'_>,
    master: OwnedFd,
    running: &Running,
) -> Result<(), EngineError> {
    let failed = |e| EngineError::io("leave", "the terminal to another process", e);
    let [root, run_root] = [engine.state.root(), engine.state.run_root()].map(OsString::from);
    let words = ["--root".into(), root, "--runroot".into(), run_root];
    let rest = ["internal", "hold", &session.row.id, &session.id].map(OsString::from);
    let (mut command, _kept) = sealed::command(words.into_iter().chain(rest)).map_err(failed)?;
    let pidfd = running.pidfd.try_clone().map_err(failed)?;
    // Not in the group that the end of the caller's session is told to.
    command.current_dir("/").process_group(0);
    command.stdin(master).stdout(pidfd).stderr(Streams::null());
    command.spawn().map_err(failed).map(drop)
}

/// What the one left behind does: holds the terminal until the process has ended.
///
/// # Errors
/// Of the kernel.
pub fn hold(master: OwnedFd, pidfd: BorrowedFd<'_>, container: &str, id: &str) -> Result<Gone, EngineError> {
    drain(master, pidfd)?;
    // It is no child of ours.
    let code = dhow_supervisor::status::of(pidfd, None).unwrap_or(LOST);
    Ok(Gone { code, container: container.to_owned(), id: id.to_owned() })
}

/// Takes what is printed on a terminal, so that nobody waits for a reader, until the process has ended.
fn drain(master: OwnedFd, pidfd: BorrowedFd<'_>) -> Result<(), EngineError> {
    let mut block = vec![0; 4096];
    let mut open = true;
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        if open {
            fds.push(PollFd::new(&master, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(EngineError::io("wait for", "a process", e.into())),
        }
        let ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        if ready(0) {
            return Ok(());
        }
        if ready(1) {
            // EIO: nobody has it open at the moment, which may be for ever; the process is waited for all the same.
            open = !matches!(rustix::io::read(&master, &mut block[..]), Ok(0) | Err(Errno::IO));
        }
    }
}
