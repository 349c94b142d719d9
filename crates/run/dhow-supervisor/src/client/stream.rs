//! Both ways until the end: what is typed to the container, what it says to the caller's streams, signals to whoever
//! hands them on.
//!
//! One poll loop. The caller's descriptors may be shared with other processes, so they are never made non-blocking: input
//! is read when there is some, and output written in pieces that a pipe with any room takes.

use super::back::Back;
use super::detach::Scanner;
use super::signals::Signals;
use super::talk::Talk;
use super::{ClientError, End, Terminal, failed};
use crate::plan::ExitRecord;
use crate::wire::Message;
use dhow_sys::terminal::{self, RawMode};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::SendFlags;
use signal_hook::consts::{SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use std::os::fd::{AsFd as _, BorrowedFd};

/// Signals that are handed on. Not those of job control over terminals (TTIN, TTOU): they are about the caller itself.
const HANDED_ON: [i32; 9] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGTSTP];
/// Signals that end or stop the caller, who leaves raw mode first.
const ENDING: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];
/// Bytes of input on their way beyond which no more is read.
const OUTGOING_MAX: usize = 64 * 1024;
/// What a pipe that poll(2) calls writable takes without blocking: PIPE_BUF.
const PIECE: usize = 4096;

pub(super) fn attend(talk: &mut Talk, mut terminal: Terminal<'_>) -> Result<End, ClientError> {
    let raw_input = terminal.stdin.filter(|stdin| terminal.tty && terminal::is_terminal(*stdin));
    let mut wanted = Vec::new();
    if raw_input.is_some() {
        wanted.push(SIGWINCH);
    }
    if terminal.on_signal.is_some() {
        wanted.extend(HANDED_ON);
    } else if raw_input.is_some() {
        wanted.extend(ENDING);
    }
    // Before raw mode, so that there is no moment in which a signal would end us in it.
    let signals = Signals::take_in(&wanted).map_err(failed("take signals in"))?;
    let raw = raw_input.map(RawMode::enter).transpose().map_err(failed("put the terminal into raw mode"))?;
    let keys = if terminal.tty { std::mem::take(&mut terminal.detach_keys) } else { Vec::new() };
    let whole = [terminal.stdout, terminal.stderr].map(takes_anything);
    let mut session = Session {
        talk,
        input: terminal.stdin,
        terminal,
        raw_input,
        raw,
        signals,
        keys: Scanner::new(keys),
        outgoing: Vec::new(),
        shown: Shown::default(),
        whole,
        end: None,
        cut_off: false,
    };
    session.tell_size();
    session.run()
}

/// Whether a write of any length does not block.
fn takes_anything(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Output that is being written.
#[derive(Debug, Default)]
struct Shown {
    is_stderr: bool,
    bytes: Vec<u8>,
    written: usize,
}

impl Shown {
    fn is_done(&self) -> bool {
        self.written == self.bytes.len()
    }
}

struct Session<'t, 'a> {
    talk: &'t mut Talk,
    terminal: Terminal<'a>,
    /// None once it has ended.
    input: Option<BorrowedFd<'a>>,
    raw_input: Option<BorrowedFd<'a>>,
    raw: Option<RawMode>,
    signals: Signals,
    keys: Scanner,
    outgoing: Vec<u8>,
    shown: Shown,
    whole: [bool; 2],
    end: Option<End>,
    /// The supervisor takes nothing any more; what it said before is still to be read.
    cut_off: bool,
}

impl Session<'_, '_> {
    fn run(mut self) -> Result<End, ClientError> {
        loop {
            while self.shown.is_done() && self.end.is_none() && self.next_message()? {}
            if let Some(end) = self.end.take_if(|_| self.shown.is_done()) {
                return Ok(end);
            }
            let [socket, input, output, signals] = self.wait()?;
            if signals {
                self.handle_signals()?;
            }
            if output {
                self.show()?;
            }
            if input && self.read_input()? {
                self.send_rest();
                return Ok(End::Detached);
            }
            if !self.outgoing.is_empty() {
                self.send_some();
            }
            if socket && self.shown.is_done() && !self.talk.receive().map_err(failed("hear from the supervisor"))? {
                while self.end.is_none() && self.shown.is_done() && self.next_message()? {}
                self.lost()?;
            }
        }
    }

    /// The connection is closed: to whom there is instead, if nothing is left of what came over it.
    fn lost(&mut self) -> Result<(), ClientError> {
        if self.end.is_some() || !self.shown.is_done() {
            return Ok(());
        }
        if !self.talk.come_back() {
            self.end = Some(self.talk.how_it_ended()?);
            return Ok(());
        }
        self.cut_off = false;
        self.outgoing.clear();
        self.tell_size();
        if let Some(back) = &self.talk.back {
            back.again(&mut self.outgoing);
        }
        Ok(())
    }

    /// Takes the next message that has come whole; false when there is none.
    fn next_message(&mut self) -> Result<bool, ClientError> {
        let of_socket = failed("understand the supervisor");
        let message = self.talk.inbox.next().map_err(&of_socket)?;
        if let (Some(back), Some(message)) = (&mut self.talk.back, &message) {
            back.note(message);
        }
        match message {
            Some(message @ (Message::Stdout(bytes) | Message::Stderr(bytes))) => {
                self.shown.is_stderr = matches!(message, Message::Stderr(_));
                self.shown.bytes.clear();
                self.shown.bytes.extend_from_slice(bytes);
                self.shown.written = 0;
            }
            Some(Message::Exited(bytes)) => {
                self.end = Some(End::Exited(ExitRecord::from_bytes(bytes).map_err(&of_socket)?));
            }
            Some(_) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Waits until something can be done: socket, input, output, signals.
    fn wait(&self) -> Result<[bool; 4], ClientError> {
        let target = if self.shown.is_stderr { self.terminal.stderr } else { self.terminal.stdout };
        let mut of_socket = PollFlags::empty();
        of_socket.set(PollFlags::IN, self.shown.is_done());
        of_socket.set(PollFlags::OUT, !self.outgoing.is_empty());
        let mut fds = vec![PollFd::new(&self.signals.pipe, PollFlags::IN)];
        let mut add = |wanted: bool, fd, events| {
            wanted.then(|| fds.push(PollFd::from_borrowed_fd(fd, events))).map(|()| fds.len() - 1)
        };
        let socket = add(!of_socket.is_empty(), self.talk.socket.as_fd(), of_socket);
        let output = add(!self.shown.is_done(), target, PollFlags::OUT);
        let under_way = self.talk.back.as_ref().map_or(0, Back::under_way);
        let reads = self.input.filter(|_| self.outgoing.len() < OUTGOING_MAX && under_way < 2 * OUTGOING_MAX);
        let input = reads.and_then(|input| add(true, input, PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok([false, false, false, true]),
            Err(e) => return Err(failed("wait")(e.into())),
        }
        let any = |at: Option<usize>| at.is_some_and(|at| !fds[at].revents().is_empty());
        let readable = socket.is_some_and(|at| fds[at].revents().intersects(PollFlags::IN | PollFlags::HUP));
        Ok([readable, any(input), any(output), any(Some(0))])
    }

    fn show(&mut self) -> Result<(), ClientError> {
        let (target, whole) = match self.shown.is_stderr {
            true => (self.terminal.stderr, self.whole[1]),
            false => (self.terminal.stdout, self.whole[0]),
        };
        let rest = &self.shown.bytes[self.shown.written..];
        let piece = if whole { rest } else { &rest[..rest.len().min(PIECE)] };
        match rustix::io::write(target, piece) {
            Ok(n) => self.shown.written += n,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(e) => return Err(failed("write output")(e.into())),
        }
        Ok(())
    }

    /// Reads what is typed, or that no more will be; true for the detach keys.
    fn read_input(&mut self) -> Result<bool, ClientError> {
        let Some(input) = self.input else { return Ok(false) };
        let mut bytes = [0; 16 * 1024];
        match rustix::io::read(input, &mut bytes[..]) {
            // EIO: a terminal whose session is gone.
            Ok(0) | Err(Errno::IO) => {
                Message::EndOfInput.put(&mut self.outgoing);
                self.input = None;
                if let Some(back) = &mut self.talk.back {
                    back.ended();
                }
            }
            Ok(n) => {
                let mut passed = Vec::new();
                let detached = self.keys.scan(&bytes[..n], &mut passed);
                if !passed.is_empty() {
                    Message::Input(&passed).put(&mut self.outgoing);
                    if let Some(back) = &mut self.talk.back {
                        back.sent(&passed);
                    }
                }
                return Ok(detached);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(e) => return Err(failed("read input")(e.into())),
        }
        Ok(false)
    }

    fn send_some(&mut self) {
        match rustix::net::send(&self.talk.socket, &self.outgoing, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(n) => drop(self.outgoing.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // It takes nothing any more; what it said before is still to be read.
            Err(_) => {
                self.outgoing.clear();
                self.cut_off = true;
                // Who comes back may go on.
                if self.talk.back.is_none() {
                    self.input = None;
                }
            }
        }
    }

    /// What was typed before the detach keys is still meant for the container.
    fn send_rest(&mut self) {
        let _ = self.talk.send(&self.outgoing);
    }

    fn tell_size(&mut self) {
        if self.cut_off {
            return;
        }
        if let Some((rows, columns)) = self.raw_input.and_then(|input| terminal::size(input).ok()) {
            Message::Window { rows, columns }.put(&mut self.outgoing);
        }
    }

    fn handle_signals(&mut self) -> Result<(), ClientError> {
        for signal in self.signals.take() {
            match (signal, self.terminal.on_signal.as_mut()) {
                (SIGWINCH, _) => self.tell_size(),
                (signal, Some(on_signal)) => on_signal(signal),
                (signal, None) => {
                    self.raw = None;
                    emulate_default_handler(signal).map_err(failed("do what a signal does"))?;
                    // It was SIGTSTP, and we go on.
                    self.raw = self.raw_input.map(RawMode::enter).transpose().map_err(failed("return to raw mode"))?;
                    self.tell_size();
                }
            }
        }
        Ok(())
    }
}
