//! Copying between the caller's streams and those of a process in a container: pipes, or a terminal.
//!
//! One thread and poll(2). What comes in is read only when what came before has been taken, so a process that does not
//! read its input does not keep its output from being read.

use crate::EngineError;
use dhow_supervisor::client::{Scanner, Terminal};
use dhow_sys::terminal::{RawMode, is_terminal, resize, size};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// As much as a pipe holds.
const BLOCK: usize = 64 * 1024;

/// The ends of the streams that the process gets.
pub(super) struct Theirs {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Theirs {
    pub(super) fn files(&self) -> [BorrowedFd<'_>; 3] {
        [self.stdin.as_fd(), self.stdout.as_fd(), self.stderr.as_fd()]
    }
}

/// The other ends.
pub(super) struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// Pipes; without `stdin` the process gets an end of file at once.
pub(super) fn pipes(stdin: bool) -> Result<(Theirs, Ends), EngineError> {
    let pipe = || std::io::pipe().map_err(|e| EngineError::io("make", "a pipe", e));
    let ((in_read, in_write), (out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?, pipe()?);
    let theirs = Theirs { stdin: in_read.into(), stdout: out_write.into(), stderr: err_write.into() };
    let stdin = stdin.then(|| OwnedFd::from(in_write));
    Ends { stdin, stdout: Some(out_read.into()), stderr: Some(err_read.into()) }.prepared().map(|ends| (theirs, ends))
}

impl Ends {
    /// A terminal, by its master.
    pub(super) fn of_terminal(master: Option<OwnedFd>, stdin: bool) -> Result<Ends, EngineError> {
        let copy = master.as_ref().filter(|_| stdin).map(OwnedFd::try_clone).transpose();
        let stdin = copy.map_err(|e| EngineError::io("duplicate", "the terminal", e))?;
        Ends { stdin, stdout: master, stderr: None }.prepared()
    }

    fn prepared(self) -> Result<Ends, EngineError> {
        for end in [&self.stdin, &self.stdout, &self.stderr].into_iter().flatten() {
            let failed = |e: Errno| EngineError::io("prepare", "a stream", e.into());
            let flags = rustix::fs::fcntl_getfl(end).map_err(failed)?;
            rustix::fs::fcntl_setfl(end, flags | OFlags::NONBLOCK).map_err(failed)?;
        }
        Ok(self)
    }
}

/// Why the copying has ended.
pub(super) enum Left {
    /// The process has ended.
    Ended,
    /// The detach keys were typed; the terminal, by its master.
    Detached(OwnedFd),
}

/// Copies until the process has ended and all that it had written by then is shown, or until the detach keys are typed.
pub(super) fn copy(
    mut ends: Ends,
    mut terminal: Terminal<'_>,
    pidfd: BorrowedFd<'_>,
    tty: bool,
) -> Result<Left, EngineError> {
    let keys = if tty { std::mem::take(&mut terminal.detach_keys) } else { Vec::new() };
    let raw = match terminal.stdin.filter(|stdin| tty && is_terminal(*stdin)) {
        Some(stdin) => Some(RawMode::enter(stdin).map_err(|e| EngineError::io("prepare", "the terminal", e))?),
        None => None,
    };
    let window = if tty { Some(Window::watch(&ends, &terminal)?) } else { None };
    let mut input =
        Input { from: terminal.stdin, buffer: Vec::new(), keys: Scanner::new(keys), leaves: false, detached: false };
    let mut block = vec![0; BLOCK];
    loop {
        let ready = Ready::wait(&ends, &input, pidfd, window.as_ref())?;
        if ready.window
            && let Some(window) = &window
        {
            window.follow(&ends, &terminal);
        }
        input.step(&mut ends.stdin, &ready, &mut block)?;
        if input.detached
            && let Some(master) = ends.stdout.take()
        {
            drop(raw);
            return Ok(Left::Detached(master));
        }
        let stdout = pass(&mut ends.stdout, ready.stdout || ready.ended, terminal.stdout, &mut block)?;
        let stderr = pass(&mut ends.stderr, ready.stderr || ready.ended, terminal.stderr, &mut block)?;
        // What children of it still hold open is not waited for.
        if ready.ended && !stdout && !stderr {
            break;
        }
    }
    drop(raw);
    Ok(Left::Ended)
}

/// What poll(2) found.
#[derive(Default)]
struct Ready {
    ended: bool,
    window: bool,
    from: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Ready {
    fn wait(
        ends: &Ends,
        input: &Input<'_>,
        pidfd: BorrowedFd<'_>,
        window: Option<&Window>,
    ) -> Result<Ready, EngineError> {
        let mut polled = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        let mut marks: Vec<fn(&mut Ready)> = vec![|r| r.ended = true];
        let mut add = |fd, flags, mark: fn(&mut Ready)| {
            if let Some(fd) = fd {
                polled.push(PollFd::from_borrowed_fd(fd, flags));
                marks.push(mark);
            }
        };
        add(window.map(|w| w.changed.as_fd()), PollFlags::IN, |r| r.window = true);
        let idle = input.buffer.is_empty();
        add(input.from.filter(|_| idle && ends.stdin.is_some()), PollFlags::IN, |r| r.from = true);
        let wanted = if idle { PollFlags::empty() } else { PollFlags::OUT };
        add(ends.stdin.as_ref().map(|fd| fd.as_fd()), wanted, |r| r.stdin = true);
        add(ends.stdout.as_ref().map(|fd| fd.as_fd()), PollFlags::IN, |r| r.stdout = true);
        add(ends.stderr.as_ref().map(|fd| fd.as_fd()), PollFlags::IN, |r| r.stderr = true);
        match poll(&mut polled, None::<&Timespec>) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(EngineError::io("wait for", "a stream", e.into())),
        }
        let mut ready = Ready::default();
        for (fd, mark) in polled.iter().zip(marks) {
            if !fd.revents().is_empty() {
                mark(&mut ready);
            }
        }
        Ok(ready)
    }
}

/// What was read from the caller and not yet taken by the process.
struct Input<'a> {
    from: Option<BorrowedFd<'a>>,
    buffer: Vec<u8>,
    keys: Scanner,
    /// Whether the keys that detach were typed.
    leaves: bool,
    /// Whether the keys that detach were typed, and all before them was taken.
    detached: bool,
}

impl Input<'_> {
    fn step(&mut self, to: &mut Option<OwnedFd>, ready: &Ready, block: &mut [u8]) -> Result<(), EngineError> {
        if ready.from
            && let Some(from) = self.from
        {
            match rustix::io::read(from, &mut *block) {
                Ok(0) => self.from = None,
                Ok(n) => {
                    if self.keys.scan(&block[..n], &mut self.buffer) {
                        (self.from, self.leaves) = (None, true);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                // A terminal that was hung up, a descriptor that is none: an end as good as any.
                Err(_) => self.from = None,
            }
        }
        let Some(end) = to else { return Ok(()) };
        let mut gone = false;
        if !self.buffer.is_empty() {
            match rustix::io::write(&*end, &self.buffer) {
                Ok(n) => drop(self.buffer.drain(..n)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => gone = true,
            }
        } else if ready.stdin && !ready.from {
            // Nothing was asked of it, so it tells that nobody reads it any more.
            gone = true;
        }
        if gone || (self.from.is_none() && self.buffer.is_empty()) {
            *to = None;
            self.buffer.clear();
            self.detached = self.leaves;
        }
        Ok(())
    }
}

/// Passes on what is there to be read; whether there was something.
fn pass(from: &mut Option<OwnedFd>, ready: bool, to: BorrowedFd<'_>, block: &mut [u8]) -> Result<bool, EngineError> {
    let Some(end) = from.as_ref().filter(|_| ready) else { return Ok(false) };
    match rustix::io::read(end, &mut *block) {
        Ok(0) => *from = None,
        Ok(n) => {
            if !write_all(to, &block[..n])? {
                *from = None;
            }
            return Ok(true);
        }
        Err(Errno::INTR) => return Ok(true),
        Err(Errno::AGAIN) => {}
        // EIO: the last who had the terminal open has closed it.
        Err(_) => *from = None,
    }
    Ok(false)
}

/// Writes all of it; false when nobody reads it any more.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<bool, EngineError> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                let _ = poll(&mut fds, None::<&Timespec>);
            }
            Err(Errno::PIPE) => return Ok(false),
            Err(e) => return Err(EngineError::io("write to", "the output", e.into())),
        }
    }
    Ok(true)
}

/// Watches the size of the caller's terminal.
struct Window {
    changed: UnixStream,
    registered: signal_hook::SigId,
}

impl Window {
    fn watch(ends: &Ends, terminal: &Terminal<'_>) -> Result<Window, EngineError> {
        let failed = |e| EngineError::io("watch", "the size of the terminal", e);
        let (changed, told) = UnixStream::pair().map_err(failed)?;
        changed.set_nonblocking(true).map_err(failed)?;
        let registered = signal_hook::low_level::pipe::register(signal_hook::consts::SIGWINCH, told).map_err(failed)?;
        let window = Window { changed, registered };
        window.follow(ends, terminal);
        Ok(window)
    }

    /// Makes the process's terminal as large as the caller's. One that is none has no size to follow.
    fn follow(&self, ends: &Ends, terminal: &Terminal<'_>) {
        let mut told = [0u8; 64];
        while rustix::io::read(&self.changed, &mut told).is_ok_and(|n| n > 0) {}
        if let (Some(Ok((rows, columns))), Some(master)) = (terminal.stdin.map(size), &ends.stdout) {
            let _ = resize(master.as_fd(), rows, columns);
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.registered);
    }
}
