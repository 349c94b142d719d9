//! Output on its way from the container to the log and to those who look on: [`slate`](super::slate) says how.

use super::now;
use super::slate::{BLOCK, Phase, Slate};
use super::watch::{Source, Watch};
use crate::log::{Progress, Stream, Writer};
use crate::plan::LogPlan;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// As much output as it is worth being woken for
const LITTLE: usize = 8 * 1024;
/// more often than this, in nanoseconds.
const OFTEN: i64 = 1_000_000;
/// How long to let more of it come otherwise. A pipe that a busy program writes lines to is full about twice as late.
const REST: Duration = Duration::from_micros(100);

/// A pipe of ours that output goes through: reading end, writing end. Neither blocks.
#[derive(Debug)]
pub(super) struct Transit {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

impl Transit {
    pub(super) fn new() -> io::Result<Transit> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Transit { reader, writer })
    }

    /// Bytes in it.
    pub(super) fn held(&self) -> io::Result<usize> {
        Ok(usize::try_from(rustix::io::ioctl_fionread(&self.reader)?).unwrap_or(usize::MAX))
    }

    /// Reads all of it into `buffer`, from `at` on, up to `end`.
    fn read(&self, buffer: &mut [u8], mut at: usize, end: usize) -> io::Result<()> {
        while at < end {
            match rustix::io::read(&self.reader, &mut buffer[at..end]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => at += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// What came of an attempt to take output.
enum Taken {
    Chunk,
    Nothing,
    End,
}

impl Watch {
    /// Takes a block of output, logs it, sends it on. False at its end.
    pub(super) fn pump(&mut self, n: usize) -> bool {
        let Source { fd, stream } = &self.sources[n];
        let stream = *stream;
        self.slate.next(stream);
        let spliced = splice(fd, None, &self.transit.writer, None, BLOCK, SpliceFlags::NONBLOCK | SpliceFlags::MOVE);
        let taken = match spliced {
            Ok(0) => Taken::End,
            Ok(taken) => {
                self.slate.took(taken, now());
                // Nothing but memory that cannot be had stands against it, and then the next supervisor tries.
                if self.transit.read(self.slate.room(), 0, taken).is_err() {
                    return true;
                }
                Taken::Chunk
            }
            // Something that cannot be spliced from: what is read by a supervisor that is killed then is lost.
            Err(Errno::INVAL) => match rustix::io::read(fd, self.slate.room()) {
                Ok(0) => Taken::End,
                Ok(taken) => {
                    self.slate.took(taken, now());
                    Taken::Chunk
                }
                Err(Errno::AGAIN | Errno::INTR) => Taken::Nothing,
                Err(_) => Taken::End,
            },
            Err(Errno::AGAIN | Errno::INTR) => Taken::Nothing,
            Err(_) => Taken::End,
        };
        match taken {
            Taken::End => false,
            Taken::Nothing => true,
            Taken::Chunk => {
                finish_chunk(&mut self.slate, self.log.as_mut());
                let chunk = self.slate.chunk();
                self.clients.iter_mut().for_each(|client| client.output(stream, chunk));
                let (taken, at) = (chunk.len(), self.slate.time());
                let before = std::mem::replace(&mut self.took, at);
                // A program that writes line by line would wait for us to be woken, and we for it, with each of them. A
                // terminal holds no more than this at once.
                if taken < LITTLE && (0..OFTEN).contains(&(at - before)) && self.peer.is_none() {
                    std::thread::sleep(REST);
                }
                true
            }
        }
    }
}

/// Logs what is left of the chunk at hand.
fn finish_chunk(slate: &mut Slate, log: Option<&mut Writer>) {
    let state = slate.state();
    let Some(log) = log else { return slate.done(b"") };
    let from = Consumed { slate, before: state.consumed };
    // What cannot be written now is held back, and beyond a bound counted (see `log`).
    let _ = log.append(state.stream, &slate.chunk()[state.consumed..], slate.time(), &from);
    slate.done(log.begun()[state.stream as usize]);
}

/// Counts from the start of the chunk, of which a part may have been written by another supervisor.
struct Consumed<'j> {
    slate: &'j Slate,
    before: usize,
}

impl Progress for Consumed<'_> {
    fn writing(&self, file: (u64, u64), size: u64) {
        self.slate.writing(file, size);
    }

    fn reached(&self, consumed: usize) {
        self.slate.reached(self.before + consumed);
    }
}

/// Finishes what the supervisor before was in the middle of, and opens the log for what follows.
///
/// # Errors
/// Of the log: the container goes on without it, better unlogged than unwatched.
pub(super) fn take_up(slate: &mut Slate, transit: &Transit, plan: Option<&LogPlan>) -> io::Result<Option<Writer>> {
    let held = transit.held()?;
    let mut state = slate.state();
    if state.phase == Phase::Idle && held > 0 {
        slate.took(held.min(BLOCK), now());
        state = slate.state();
    }
    if state.phase == Phase::Read {
        // It was killed before it had read all of it.
        transit.read(slate.room(), state.length.saturating_sub(held), state.length)?;
    }
    let mut log = plan.map(|plan| open_log(slate, plan)).transpose();
    let writer = log.as_mut().ok().and_then(Option::as_mut);
    match state.phase {
        Phase::Idle => {}
        Phase::Read | Phase::Writing => finish_chunk(slate, writer),
        Phase::Ending => {
            if let Some(log) = writer {
                let _ = log.conclude(slate.time(), &slate.ending());
            }
            slate.ended_lines();
        }
    }
    log
}

fn open_log(slate: &Slate, plan: &LogPlan) -> io::Result<Writer> {
    let state = slate.state();
    let begun = [Stream::Stdout, Stream::Stderr].map(|stream| {
        // A log is rotated between lines.
        let ended = state.consumed > 0 && stream == state.stream && state.phase != Phase::Idle;
        if ended { Vec::new() } else { slate.begun(stream).to_vec() }
    });
    Writer::resume(plan, begun, slate.mark())
}

#[cfg(test)]
mod tests;
