//! Watching a container that another supervisor has started, of which nothing is left: that one and the keeper were killed
//! at once.
//!
//! What the container has open as its standard streams is opened again, if it is a pipe and nothing else: the process
//! chooses what is there, and opening a pipe does nothing to anybody. A terminal is lost; who lives on without one is
//! watched all the same.

use super::Talk;
use super::input::Input;
use super::start::{self, OOM_SCORE, Ours};
use super::watch::{Brief, Source, Watch};
use crate::client::Adoption;
use crate::log::{Stream, Writer};
use crate::plan::{ExitRecord, Stdin};
use crate::wire::Message;
use dhow_runtime::cgroup::Hierarchies;
use dhow_sys::pidfd;
use dhow_sys::process::is_alive;
use rustix::fs::{FileType, Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The file system that pipes are in, and named ones are not.
const PIPEFS_MAGIC: u64 = 0x5049_5045;

/// Takes the container up, and keeps those descriptors open for it. None when somebody else has, or when it has ended; the
/// caller is told.
pub(super) fn adopt(talk: &Talk, adoption: &Adoption, kept: Vec<OwnedFd>) -> Option<Watch> {
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    match take(adoption) {
        Ok(mut watch) => {
            watch.kept = kept;
            watch.slate.start(adoption.started);
            watch.keep();
            let _ = talk.tell(Message::Started);
            Some(watch)
        }
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
            let _ = talk.tell(Message::Started);
            None
        }
        // The closed socket says enough.
        Err(_) => None,
    }
}

fn take(adoption: &Adoption) -> io::Result<Watch> {
    let Adoption { plan, process, .. } = adoption;
    let lock = start::lock(&plan.run_dir)?;
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    // Somebody may have seen it to its end since the caller looked.
    if ExitRecord::read(&plan.run_dir)?.is_some() {
        return Err(gone());
    }
    let pidfd = pidfd::open(process.pid)?;
    if !is_alive(process)? {
        return Err(gone());
    }
    let stdio = match plan.terminal {
        None => streams(process.pid, plan.stdin)?,
        Some(_) => Ours::default(),
    };
    // The number has been that process's all the time.
    if !is_alive(process)? {
        return Err(gone());
    }
    if let (Ok(on), Some(path)) = (Hierarchies::detect(), &plan.supervisor_cgroup)
        && let Ok(Some(group)) = start::enter_group(&on, path)
    {
        let _ = group.join();
    }
    let oom_score = std::fs::read_to_string(OOM_SCORE).ok().and_then(|score| score.trim().parse().ok()).unwrap_or(0);
    let _ = std::fs::write(OOM_SCORE, "-999");
    // There may be some already, and a container that runs is watched in any case.
    let _ = ExitRecord::make_room(&plan.run_dir);
    let listener = start::listen(&plan.run_dir)?;
    let brief = Brief::of(plan, oom_score, (process.pid, process.start_time));
    let mut watch = start::watch(brief, pidfd, listener, stdio)?;
    // A line that the other one had begun, and a chunk that it had in hand, are lost.
    watch.log = plan.log.as_ref().and_then(|plan| Writer::open(plan).ok());
    watch.lock = Some(lock);
    Ok(watch)
}

fn streams(pid: u32, stdin: Stdin) -> io::Result<Ours> {
    let mut ours = Ours::default();
    if stdin != Stdin::Closed
        && let Some((fd, _)) = open_pipe(pid, 0, OFlags::WRONLY)?
    {
        ours.input = Some(Input::new(fd)?);
    }
    let stdout = open_pipe(pid, 1, OFlags::RDONLY)?;
    let stderr = open_pipe(pid, 2, OFlags::RDONLY)?;
    let same = stdout.as_ref().zip(stderr.as_ref()).is_some_and(|((_, a), (_, b))| a == b);
    if let Some((fd, _)) = stdout {
        ours.sources.push(Source { fd, stream: Stream::Stdout });
    }
    if let Some((fd, _)) = stderr.filter(|_| !same) {
        ours.sources.push(Source { fd, stream: Stream::Stderr });
    }
    Ok(ours)
}

/// Opens what that process has open under that number, if it is a pipe; and which it is.
fn open_pipe(pid: u32, number: u32, direction: OFlags) -> io::Result<Option<(OwnedFd, u64)>> {
    let path = format!("/proc/{pid}/fd/{number}");
    let place = match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(place) => place,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let stat = rustix::fs::fstat(&place)?;
    let on_pipefs = u64::try_from(rustix::fs::fstatfs(&place)?.f_type) == Ok(PIPEFS_MAGIC);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo || !on_pipefs {
        return Ok(None);
    }
    let flags = direction | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // By the place that was looked at, whatever the number leads to now. A pipe that nobody reads cannot be written to.
    match rustix::fs::open(format!("/proc/self/fd/{}", place.as_raw_fd()), flags, Mode::empty()) {
        Ok(fd) => Ok(Some((fd, stat.st_ino))),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(e) => Err(e.into()),
    }
}
