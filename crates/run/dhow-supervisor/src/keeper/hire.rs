//! Reaching the keeper: connecting to it, and starting one where there is none.

use super::{LOCK, Post, SOCKET, VERSION, this_program};
use crate::client::{ClientError, Upgraded, ask_to_upgrade};
use crate::plan::KeeperPlan;
use crate::supervise::{address, listen_as, open_directory};
use crate::wire::Message;
use dhow_sys::lock::{Locked, Share, Wait};
use dhow_sys::passing;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How many connections may wait for a keeper that has not got to them: as many as the kernel allows.
const BACKLOG: i32 = 4096;
/// How often to look while somebody else is just about to start one, or the old one to end.
const ATTEMPTS: u32 = 50;

/// A connection to the keeper, which is started where there is none; its pid goes to `child` then.
pub(crate) fn reach(plan: &KeeperPlan, group: Option<&Path>, child: &mut Option<u32>) -> io::Result<OwnedFd> {
    let directory = open_directory(&plan.dir)?;
    for _ in 0..ATTEMPTS {
        if let Some(connection) = connect(directory.as_fd())? {
            return Ok(connection);
        }
        match lock(directory.as_fd())? {
            Some(lock) => *child = Some(start(plan, group, &lock)?),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// None: nobody listens.
fn connect(directory: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address(directory, SOCKET)?) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// None: somebody has it.
fn lock(directory: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    let Some(held) = Locked::acquire(file.as_fd(), Share::Exclusive, Wait::No)? else { return Ok(None) };
    // It goes with the open file, to the keeper.
    std::mem::forget(held);
    Ok(Some(file))
}

/// Starts a keeper that has the lock and listens already.
fn start(plan: &KeeperPlan, group: Option<&Path>, lock: &OwnedFd) -> io::Result<u32> {
    let listener = listen_as(&plan.dir, SOCKET, BACKLOG)?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let post =
        Post { version: VERSION, dir: plan.dir.clone(), group: group.map(Path::to_owned), share: plan.share.clone() };
    let post = serde_json::to_vec(&post)?;
    passing::send(ours.as_fd(), &Message::Keep(&post).to_bytes(), &[lock.as_fd(), listener.as_fd()])?;
    Ok(this_program(&plan.keep).stdin(theirs).spawn()?.id())
}

/// Asks the keeper of this directory (`<run root>/<store id>`) to go on as `program`, as
/// [`client::upgrade`](crate::client::upgrade) does.
///
/// # Errors
/// As there.
pub fn upgrade(dir: &Path, program: BorrowedFd<'_>) -> Result<Upgraded, ClientError> {
    let failed = |source| ClientError::Io { operation: "connect to the keeper", source };
    let directory = match open_directory(dir) {
        Ok(directory) => directory,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Upgraded::NotRunning),
        Err(e) => return Err(failed(e)),
    };
    let Some(connection) = connect(directory.as_fd()).map_err(failed)? else { return Ok(Upgraded::NotRunning) };
    rustix::io::ioctl_fionbio(&connection, false).map_err(|e| failed(e.into()))?;
    ask_to_upgrade(connection, program)
}
