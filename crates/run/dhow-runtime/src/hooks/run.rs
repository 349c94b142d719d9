//! One hook: a process, its input and output, its time.

use super::Hook;
use dhow_sys::clone::{Relation, clone};
use dhow_sys::exec;
use dhow_sys::pidfd::{self, Exit};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a pipe holds unless it is told otherwise.
const PIPE: usize = 65_536;

/// How much of what a hook says is kept: its end, in bytes.
const WORDS_MAX: usize = 2048;

/// Status of a hook that could not be executed, as shells have it.
const NOT_EXECUTED: u8 = 127;

/// Runs a hook to its end. An error says what was wrong with it.
pub(super) fn run(hook: &Hook, state: &[u8], directory: Option<&Path>) -> Result<(), String> {
    let input = input(state).map_err(|e| format!("cannot hand over the state: {e}"))?;
    let (output, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| format!("cannot make a pipe: {e}"))?;
    let timer = hook.timeout.map(timer).transpose().map_err(|e| format!("cannot set a timer: {e}"))?;
    let child = clone(&Relation::CHILD, || become_hook(hook, directory, &input, &theirs));
    let child = child.map_err(|e| format!("cannot make a process: {e}"))?;
    drop((input, theirs));
    let mut words = Vec::new();
    let ended = wait(child.pidfd.as_fd(), &output, timer.as_ref(), &mut words);
    if !matches!(ended, Ok(true)) {
        // It fails only when there is nobody any more.
        let _ = pidfd::signal(child.pidfd.as_fd(), Signal::KILL);
    }
    let exit = pidfd::wait(child.pidfd.as_fd()).map_err(|e| format!("cannot wait for it: {e}"))?;
    match ended {
        Err(e) => Err(format!("cannot watch it: {e}")),
        Ok(false) => Err(format!("it took longer than {} s, and was killed", hook.timeout.unwrap_or_default())),
        Ok(true) => judge(exit, &words),
    }
}

fn judge(exit: Exit, words: &[u8]) -> Result<(), String> {
    let words = String::from_utf8_lossy(words);
    let words = words.trim();
    match exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(NOT_EXECUTED) if words.starts_with(CANNOT) => Err(words.to_owned()),
        exit if words.is_empty() => Err(format!("it ended with status {}", exit.status())),
        exit => Err(format!("it ended with status {}: {words}", exit.status())),
    }
}

const CANNOT: &str = "cannot execute it: ";

/// A pipe that holds the state, and the end of it. Filled before anybody reads, so that nobody who does not read can keep
/// us from going on, or end us by a signal.
fn input(state: &[u8]) -> io::Result<OwnedFd> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    if state.len() > PIPE {
        rustix::pipe::fcntl_setpipe_size(&writer, state.len())?;
    }
    rustix::io::ioctl_fionbio(&writer, true)?;
    let written = rustix::io::write(&writer, state)?;
    if written == state.len() { Ok(reader) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}

fn timer(seconds: i64) -> io::Result<OwnedFd> {
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let value = Itimerspec { it_interval: once, it_value: Timespec { tv_sec: seconds, tv_nsec: 0 } };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &value)?;
    Ok(timer)
}

/// The new process. Only comes back when the program cannot be executed.
fn become_hook(hook: &Hook, directory: Option<&Path>, input: &OwnedFd, output: &OwnedFd) -> u8 {
    let prepared = || -> io::Result<()> {
        rustix::stdio::dup2_stdin(input)?;
        rustix::stdio::dup2_stdout(output)?;
        rustix::stdio::dup2_stderr(output)?;
        if let Some(directory) = directory {
            rustix::process::chdir(directory)?;
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        exec::default_signals()?;
        exec::close_all_but(&[])
    };
    let error = match prepared() {
        Ok(()) => exec::execute(&hook.program, &hook.arguments, &hook.environment),
        Err(error) => error,
    };
    // Whoever reads it has it from the status, too.
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("{CANNOT}{error}").as_bytes());
    NOT_EXECUTED
}

/// Waits for its end, and listens meanwhile. False: its time is over. What its own children say later is not waited for.
fn wait(process: BorrowedFd<'_>, output: &OwnedFd, timer: Option<&OwnedFd>, words: &mut Vec<u8>) -> io::Result<bool> {
    rustix::io::ioctl_fionbio(output, true)?;
    let mut listening = true;
    loop {
        let mut fds = vec![PollFd::from_borrowed_fd(process, PollFlags::IN)];
        fds.extend(timer.map(|timer| PollFd::new(timer, PollFlags::IN)));
        if listening {
            fds.push(PollFd::new(output, PollFlags::IN));
        }
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
        let [ended, late] = [0, 1].map(|n| fds.get(n).is_some_and(|fd| !fd.revents().is_empty()));
        if listening {
            listening = read(output, words)?;
        }
        if ended {
            return Ok(true);
        }
        if timer.is_some() && late {
            return Ok(false);
        }
    }
}

/// Reads what there is; false at the end.
fn read(output: &OwnedFd, words: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    loop {
        match rustix::io::read(output, &mut bytes) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                words.extend_from_slice(&bytes[..length]);
                words.drain(..words.len().saturating_sub(WORDS_MAX));
            }
            Err(Errno::AGAIN) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
