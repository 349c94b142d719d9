//! Watching a container that another supervisor has started, of which nothing is left: that one and the keeper were killed
//! at once.
//!
//! What the container has open as its standard streams is opened again, if it is a pipe and nothing else: the process
//! chooses what is there, and opening a pipe does nothing to anybody. Anything else is not even looked at: a file system of the
//! container's own might never answer. A terminal is lost; who lives on without one is
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
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// How the kernel calls a pipe without a name, where a path begins with a slash: `pipe:[NUMBER]`.
const PIPE: &str = "pipe:[";

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
        && let Some((fd, _)) = open_pipe(pid, 0, OFlags::WRONLY)
    {
        ours.input = Some(Input::new(fd)?);
    }
    let stdout = open_pipe(pid, 1, OFlags::RDONLY);
    let stderr = open_pipe(pid, 2, OFlags::RDONLY);
    let same = stdout.as_ref().zip(stderr.as_ref()).is_some_and(|((_, a), (_, b))| a == b);
    if let Some((fd, _)) = stdout {
        ours.sources.push(Source { fd, stream: Stream::Stdout });
    }
    if let Some((fd, _)) = stderr.filter(|_| !same) {
        ours.sources.push(Source { fd, stream: Stream::Stderr });
    }
    Ok(ours)
}

/// Opens what that process has open under that number, if it is a pipe; and which it is. What cannot be opened is none.
fn open_pipe(pid: u32, number: u32, direction: OFlags) -> Option<(OwnedFd, String)> {
    let of_process = format!("/proc/{pid}/fd/{number}");
    pipe_name(&of_process)?;
    let place = rustix::fs::open(of_process, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // By the place that was found, whatever the number leads to now.
    let found = format!("/proc/self/fd/{}", place.as_raw_fd());
    let name = pipe_name(&found)?;
    // A pipe that nobody reads cannot be written to.
    let flags = direction | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(found, flags, Mode::empty()).ok().map(|fd| (fd, name))
}

/// How a pipe is called that this leads to; none for anything else. The name is the kernel's own: no file system is asked.
fn pipe_name(link: &str) -> Option<String> {
    let name = rustix::fs::readlink(link, Vec::new()).ok()?.into_string().ok()?;
    let number = name.strip_prefix(PIPE).and_then(|rest| rest.strip_suffix(']'))?;
    number.parse::<u64>().ok().map(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_a_pipe_is_opened_again() {
        let me = std::process::id();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let number = |fd: &dyn std::os::fd::AsRawFd| u32::try_from(fd.as_raw_fd()).unwrap();
        let (again, name) = open_pipe(me, number(&reader), OFlags::RDONLY).unwrap();
        assert!(name.starts_with(PIPE), "{name}");
        writer.write_all(b"said").unwrap();
        let mut bytes = [0; 8];
        assert_eq!(rustix::io::read(&again, &mut bytes), Ok(4));

        // A file may have any name, but it has a path before it.
        let path = std::env::temp_dir().join(format!("pipe:[{me}]"));
        let file = std::fs::File::create(&path).unwrap();
        assert!(open_pipe(me, number(&file), OFlags::RDONLY).is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(open_pipe(me, number(&file), OFlags::RDONLY).is_none());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(open_pipe(me, number(&socket), OFlags::RDONLY).is_none());
        assert!(open_pipe(me, 100_000, OFlags::RDONLY).is_none());
    }
}
