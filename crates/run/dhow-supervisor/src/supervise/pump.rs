//! Output on its way from the container to the log and to those who look on: [`journal`](super::journal) says how.

use super::journal::{BLOCK, Journal, Phase};
use super::now;
use super::watch::{Source, Watch};
use crate::log::{Progress, Stream, Writer};
use crate::plan::LogPlan;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::os::fd::OwnedFd;

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
        self.journal.next(stream);
        let spliced = splice(fd, None, &self.transit.writer, None, BLOCK, SpliceFlags::NONBLOCK | SpliceFlags::MOVE);
        let taken = match spliced {
            Ok(0) => Taken::End,
            Ok(taken) => {
                self.journal.took(taken, now());
                // Nothing but memory that cannot be had stands against it, and then the next supervisor tries.
                if self.transit.read(self.journal.room(), 0, taken).is_err() {
                    return true;
                }
                Taken::Chunk
            }
            // Something that cannot be spliced from: what is read by a supervisor that is killed then is lost.
            Err(Errno::INVAL) => match rustix::io::read(fd, self.journal.room()) {
                Ok(0) => Taken::End,
                Ok(taken) => {
                    self.journal.took(taken, now());
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
                finish_chunk(&mut self.journal, self.log.as_mut());
                let chunk = self.journal.chunk();
                self.clients.iter_mut().for_each(|client| client.output(stream, chunk));
                true
            }
        }
    }
}

/// Logs what is left of the chunk at hand.
fn finish_chunk(journal: &mut Journal, log: Option<&mut Writer>) {
    let state = journal.state();
    let Some(log) = log else { return journal.done(b"") };
    let from = Consumed { journal, before: state.consumed };
    // What cannot be written now is held back, and beyond a bound counted (see `log`).
    let _ = log.append(state.stream, &journal.chunk()[state.consumed..], journal.time(), &from);
    journal.done(log.begun()[state.stream as usize]);
}

/// Counts from the start of the chunk, of which a part may have been written by another supervisor.
struct Consumed<'j> {
    journal: &'j Journal,
    before: usize,
}

impl Progress for Consumed<'_> {
    fn writing(&self, file: (u64, u64), size: u64) {
        self.journal.writing(file, size);
    }

    fn reached(&self, consumed: usize) {
        self.journal.reached(self.before + consumed);
    }
}

/// Finishes what the supervisor before was in the middle of, and opens the log for what follows.
///
/// # Errors
/// Of the log: the container goes on without it, better unlogged than unwatched.
pub(super) fn take_up(journal: &mut Journal, transit: &Transit, plan: Option<&LogPlan>) -> io::Result<Option<Writer>> {
    let held = transit.held()?;
    let mut state = journal.state();
    if state.phase == Phase::Idle && held > 0 {
        journal.took(held.min(BLOCK), now());
        state = journal.state();
    }
    if state.phase == Phase::Read {
        // It was killed before it had read all of it.
        transit.read(journal.room(), state.length.saturating_sub(held), state.length)?;
    }
    let mut log = plan.map(|plan| open_log(journal, plan)).transpose();
    let writer = log.as_mut().ok().and_then(Option::as_mut);
    match state.phase {
        Phase::Idle => {}
        Phase::Read | Phase::Writing => finish_chunk(journal, writer),
        Phase::Ending => {
            if let Some(log) = writer {
                let _ = log.conclude(journal.time(), &journal.ending());
            }
            journal.ended_lines();
        }
    }
    log
}

fn open_log(journal: &Journal, plan: &LogPlan) -> io::Result<Writer> {
    let state = journal.state();
    let begun = [Stream::Stdout, Stream::Stderr].map(|stream| {
        // A log is rotated between lines.
        let ended = state.consumed > 0 && stream == state.stream && state.phase != Phase::Idle;
        if ended { Vec::new() } else { journal.begun(stream).to_vec() }
    });
    Writer::resume(plan, begun, journal.mark())
}
