//! Processes of containers: held by pidfd, verified against the identity in the ledger, waited for without polling.

use super::signal;
use crate::{Cancel, Engine, EngineError};
use dhow_state::ContainerRow;
use dhow_sys::lock::{Locked, Share, Wait};
use dhow_sys::process::{ProcessIdentity, is_alive};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Takes hold of a process; none when it has ended.
pub(super) fn open(process: &ProcessIdentity) -> Result<Option<OwnedFd>, EngineError> {
    let failed = |e| EngineError::io("open process", process.pid, e);
    let pidfd = match dhow_sys::pidfd::open(process.pid) {
        Ok(pidfd) => pidfd,
        Err(e) if Errno::from_io_error(&e) == Some(Errno::SRCH) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    // Afterwards: if the process of that identity lives now, it is the one that was opened.
    Ok(alive(process)?.then_some(pidfd))
}

/// Whether the process of this identity lives.
pub(super) fn alive(process: &ProcessIdentity) -> Result<bool, EngineError> {
    is_alive(process).map_err(|e| EngineError::io("look at process", process.pid, e))
}

/// Sends a signal; false when the process has ended.
pub(super) fn send(pidfd: BorrowedFd<'_>, number: i32) -> Result<bool, EngineError> {
    dhow_sys::signal::send(pidfd, number).map_err(|e| EngineError::io("send signal", number, e))
}

/// Sends SIGKILL.
pub(super) fn kill(pidfd: BorrowedFd<'_>) -> Result<bool, EngineError> {
    send(pidfd, signal::KILL)
}

/// Waits until one of these is ready for reading (a pidfd: until its process has ended), at most `within`. Says which
/// are; none when the time is over.
///
/// # Errors
/// [`EngineError::Interrupted`] once `cancel` is set, which a signal tells.
pub(super) fn ready(
    fds: &[BorrowedFd<'_>],
    within: Option<Duration>,
    cancel: &Cancel,
) -> Result<Vec<bool>, EngineError> {
    let end = within.and_then(|within| Instant::now().checked_add(within));
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    loop {
        if cancel.is_set() {
            return Err(EngineError::Interrupted);
        }
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) => return Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(EngineError::io("wait for", "a process", e.into())),
        }
    }
}

/// Waits for a process to end, at most `within`; whether it has.
pub(super) fn ended(pidfd: BorrowedFd<'_>, within: Option<Duration>, cancel: &Cancel) -> Result<bool, EngineError> {
    Ok(ready(&[pidfd], within, cancel)?[0])
}

/// The name of a supervisor's lock in a run directory.
const LOCK: &str = "supervisor.lock";
/// The name of the exit record.
const EXIT: &str = "exit";

/// Whether a supervisor serves this run directory.
pub(super) fn is_supervised(run_dir: &Path) -> Result<bool, EngineError> {
    match lock_file(run_dir)? {
        Some(file) => is_locked(&file, run_dir),
        None => Ok(false),
    }
}

/// The file that a supervisor has locked as long as it lives.
fn lock_file(run_dir: &Path) -> Result<Option<File>, EngineError> {
    let path = run_dir.join(LOCK);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(EngineError::io("look at", path.display(), e)),
    }
}

fn is_locked(file: &File, run_dir: &Path) -> Result<bool, EngineError> {
    // Shared, so that two who look do not take each other for a supervisor.
    let locked = Locked::acquire(file.as_fd(), Share::Shared, Wait::No);
    Ok(locked.map_err(|e| EngineError::io("look at", run_dir.join(LOCK).display(), e))?.is_none())
}

/// How often one looks who cannot be told.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the supervisor of a container whose process has ended, the one in `row`, has written down how, or is gone;
/// not for the next one, when the container has been started again meanwhile.
pub(super) fn recorded(engine: &Engine, row: &ContainerRow) -> Result<(), EngineError> {
    let run_dir = engine.state.container_run_dir(&row.id);
    let failed = |e: Errno| EngineError::io("watch", run_dir.display(), e.into());
    let watch = match inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK) {
        Ok(watch) => Some(watch),
        // A user may have 128 of them, and a crowd of commands may have more. Then one looks again and again.
        Err(Errno::MFILE) => None,
        Err(e) => return Err(failed(e)),
    };
    let flags = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CLOSE | inotify::WatchFlags::DELETE_SELF;
    match watch.as_ref().map(|watch| inotify::add_watch(watch, &run_dir, flags)) {
        None | Some(Ok(_)) => {}
        Some(Err(Errno::NOENT)) => return Ok(()),
        Some(Err(e)) => return Err(failed(e)),
    }
    let Some(lock) = lock_file(&run_dir)? else { return Ok(()) };
    // The next run has a directory of its own in the same place, and before that comes about the row tells of who makes
    // it: if it does not yet, then what is watched and what was opened above are those of this run.
    let now = engine.state.read(|r| r.container(&row.id))?;
    if now.is_none_or(|now| now.state.process != row.state.process) {
        return Ok(());
    }
    loop {
        if run_dir.join(EXIT).exists() || !is_locked(&lock, &run_dir)? {
            return Ok(());
        }
        let Some(watch) = &watch else {
            ready(&[], Some(LOOK), &engine.cancel)?;
            continue;
        };
        if drain(watch).map_err(failed)? {
            Locked::acquire(lock.as_fd(), Share::Shared, Wait::Block)
                .map_err(|e| EngineError::io("wait for", run_dir.join(LOCK).display(), e))?;
            return Ok(());
        }
        ready(&[watch.as_fd()], None, &engine.cancel)?;
    }
}

/// What becomes readable once nobody watches the container any more: neither its supervisor nor one in its place. None when
/// that is so already, or when nobody can tell.
pub(super) fn unwatched(run_dir: &Path) -> Result<Option<OwnedFd>, EngineError> {
    let failed = |e: Errno| EngineError::io("watch", run_dir.display(), e.into());
    let watch = match inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK) {
        Ok(watch) => watch,
        // As in `recorded`: then only the end of the process is seen.
        Err(Errno::MFILE) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    match inotify::add_watch(&watch, run_dir.join(LOCK), inotify::WatchFlags::CLOSE_WRITE) {
        Ok(_) => Ok(is_supervised(run_dir)?.then_some(watch)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(failed(e)),
    }
}

/// Takes all notifications; whether somebody who had the lock's file open for writing has closed it: a supervisor, at its
/// end. The kernel tells so just before it gives the lock free.
fn drain(watch: &OwnedFd) -> Result<bool, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(watch, &mut buffer);
    let mut closed = false;
    loop {
        match reader.next() {
            Ok(event) => closed |= event.events().contains(inotify::ReadFlags::CLOSE_WRITE),
            Err(Errno::WOULDBLOCK) => return Ok(closed),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}
