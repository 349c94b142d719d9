//! What a supervisor is in the middle of, in memory that outlives it: whoever takes its place finishes exactly that.
//!
//! # One chunk of output
//!
//! ```text
//!     next      the stream is named                                        idle
//!     splice    from the container's pipe into the transit pipe            idle, something in transit
//!     took      its length and the time are stored                         read
//!     read      from the transit pipe into `chunk`                         read, nothing in transit
//!     writing   the log file and its size before are stored                written in part
//!     write     the entries of the chunk
//!     reached   only before the log rotates: so much of the chunk is done  read
//!     done      begun lines, totals                                        idle
//! ```
//!
//! Output is in the container's pipe, in the transit pipe or in `chunk`, whoever dies. The entries are a function of the
//! begun line, the chunk and the time, so how much of them is missing shows in the size of the log file.
//!
//! What changes together is switched by one store to one word: what it leads to was stored before, beside what counted
//! until then. The stores of a process that is killed are seen by the next in the order in which they were made.

use crate::log::{LINE_MAX, Mark, Progress, Stream};
use dhow_sys::shared::Shared;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release};

/// Bytes read at once.
pub(super) const BLOCK: usize = 64 * 1024;
const HEADER: usize = 4096;
const CHUNK: usize = HEADER + 4 * LINE_MAX;
const LENGTH: usize = CHUNK + BLOCK;
/// "dhow" and the version of this layout.
const MAGIC: u64 = 0x6468_6f77_0000_0001;
/// How many who bring input are told from each other.
const SLOTS: usize = 8;

/// Words of the header.
mod at {
    pub(super) const MAGIC: usize = 0;
    pub(super) const STATE: usize = 1;
    pub(super) const TIME: usize = 2;
    pub(super) const DEVICE: usize = 3;
    pub(super) const INODE: usize = 4;
    pub(super) const SIZE: usize = 5;
    pub(super) const STARTED: usize = 6;
    pub(super) const LIFE: usize = 7;
    pub(super) const CODE: usize = 8;
    pub(super) const FINISHED: usize = 9;
    pub(super) const OOM: usize = 10;
    /// Two of each stream.
    pub(super) const TOTALS: usize = 11;
    /// Ditto.
    pub(super) const BEGUN: usize = 15;
    pub(super) const ATTACHED: usize = 19;
    pub(super) const LAST_KEY: usize = 20;
    pub(super) const INTENT: usize = 21;
    pub(super) const INTENT_TOTAL: usize = 22;
    pub(super) const INPUT_ENDS: usize = 23;
    /// Key and total of each.
    pub(super) const SLOTS: usize = 32;
}

/// How far the chunk at hand is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Dealt with; something new may be in transit.
    Idle,
    /// Its length is known.
    Read,
    /// Its entries are being written.
    Writing,
    /// There is no chunk any more: the begun lines are being written.
    Ending,
}

/// How far the container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// It waits at its gate, or has ended there.
    AtTheGate,
    /// The gate was opened.
    Running,
    /// Its end is known: see [`Slate::ended`].
    Ended,
    /// And is recorded for others to read; whatever belonged to the container is theirs.
    Recorded,
}

/// All that is switched at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) stream: Stream,
    /// Bytes of the chunk.
    pub(super) length: usize,
    /// Bytes of it that are in a log file that has been rotated away since.
    pub(super) consumed: usize,
    /// Which of the two begun lines and totals of each stream counts.
    selected: [bool; 2],
}

impl State {
    fn to_word(self) -> u64 {
        let bits = self.phase as u64
            | (self.stream as u64) << 2
            | u64::from(self.selected[0]) << 3
            | u64::from(self.selected[1]) << 4;
        bits | (self.length as u64) << 8 | (self.consumed as u64) << 32
    }

    fn of(word: u64) -> State {
        let part = |shift: u32| usize::try_from(word >> shift & 0xf_ffff).expect("20 bits").min(BLOCK);
        State {
            phase: [Phase::Idle, Phase::Read, Phase::Writing, Phase::Ending][(word & 3) as usize],
            stream: if word & 4 == 0 { Stream::Stdout } else { Stream::Stderr },
            length: part(8),
            consumed: part(32),
            selected: [word & 8 != 0, word & 16 != 0],
        }
    }
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) finished: i64,
    pub(super) oom_killed: bool,
}

/// One who brings input, as long as he may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Slate {
    memory: Shared,
}

impl Slate {
    pub(super) fn new() -> io::Result<Slate> {
        let slate = Slate { memory: Shared::new("dhow-slate", LENGTH)? };
        slate.set(at::MAGIC, MAGIC);
        Ok(slate)
    }

    /// That of a supervisor that is no more.
    pub(super) fn open(file: OwnedFd) -> io::Result<Slate> {
        let slate = Slate { memory: Shared::open(file, LENGTH)? };
        if slate.get(at::MAGIC) != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a slate of another version"));
        }
        Ok(slate)
    }

    fn get(&self, at: usize) -> u64 {
        self.memory.word(at).load(Acquire)
    }

    fn set(&self, at: usize, value: u64) {
        self.memory.word(at).store(value, Release);
    }

    pub(super) fn state(&self) -> State {
        State::of(self.get(at::STATE))
    }

    fn switch(&self, state: State) {
        self.set(at::STATE, state.to_word());
    }

    /// What is spliced next comes from this stream.
    pub(super) fn next(&self, stream: Stream) {
        self.switch(State { phase: Phase::Idle, stream, length: 0, consumed: 0, ..self.state() });
    }

    /// So many bytes are in transit, or partly in the chunk already.
    pub(super) fn took(&self, length: usize, time: i64) {
        self.set_time(time);
        self.switch(State { phase: Phase::Read, length, consumed: 0, ..self.state() });
    }

    pub(super) fn time(&self) -> i64 {
        self.get(at::TIME).cast_signed()
    }

    pub(super) fn set_time(&self, time: i64) {
        self.set(at::TIME, time.cast_unsigned());
    }

    /// The chunk at hand; once it is dealt with still the last one, until the next is begun.
    pub(super) fn chunk(&self) -> &[u8] {
        self.memory.bytes(CHUNK..CHUNK + self.state().length)
    }

    /// Room for a whole block.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.memory.bytes_mut(CHUNK..CHUNK + BLOCK)
    }

    /// The line of that stream that was begun before the chunk at hand.
    pub(super) fn begun(&self, stream: Stream) -> &[u8] {
        let (at, length) = self.place(stream, self.state().selected[stream as usize]);
        let length = usize::try_from(self.get(length)).map_or(0, |length| length.min(LINE_MAX));
        self.memory.bytes(at..at + length)
    }

    /// Where a begun line is, and the word of its length.
    fn place(&self, stream: Stream, selected: bool) -> (usize, usize) {
        let n = stream as usize * 2 + usize::from(selected);
        (HEADER + n * LINE_MAX, at::BEGUN + n)
    }

    /// Bytes of that stream before the chunk at hand.
    pub(super) fn total(&self, stream: Stream) -> u64 {
        self.get(at::TOTALS + stream as usize * 2 + usize::from(self.state().selected[stream as usize]))
    }

    /// Stores a begun line and the total where they do not count yet; the selection that makes them count.
    fn prepare(&mut self, stream: Stream, begun: &[u8], total: u64, mut selected: [bool; 2]) -> [bool; 2] {
        let other = !selected[stream as usize];
        let (at, length) = self.place(stream, other);
        let begun = &begun[..begun.len().min(LINE_MAX)];
        self.memory.bytes_mut(at..at + begun.len()).copy_from_slice(begun);
        self.set(length, begun.len() as u64);
        self.set(at::TOTALS + stream as usize * 2 + usize::from(other), total);
        selected[stream as usize] = other;
        selected
    }

    /// The chunk is dealt with; the line that is begun now.
    pub(super) fn done(&mut self, begun: &[u8]) {
        let state = self.state();
        let total = self.total(state.stream) + state.length as u64;
        let selected = self.prepare(state.stream, begun, total, state.selected);
        self.switch(State { phase: Phase::Idle, consumed: 0, selected, ..state });
    }

    /// The begun lines are about to be written, with the time that is stored.
    pub(super) fn ending(&self) -> Ending<'_> {
        Ending(self)
    }

    /// They have been.
    pub(super) fn ended_lines(&mut self) {
        let mut selected = self.state().selected;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let total = self.total(stream);
            selected = self.prepare(stream, b"", total, selected);
        }
        self.switch(State { phase: Phase::Idle, selected, ..self.state() });
    }

    /// Where the log was before what is being written.
    pub(super) fn mark(&self) -> Option<Mark> {
        matches!(self.state().phase, Phase::Writing | Phase::Ending)
            .then(|| Mark { file: (self.get(at::DEVICE), self.get(at::INODE)), size: self.get(at::SIZE) })
    }

    fn set_mark(&self, file: (u64, u64), size: u64) {
        self.set(at::DEVICE, file.0);
        self.set(at::INODE, file.1);
        self.set(at::SIZE, size);
    }

    pub(super) fn life(&self) -> Life {
        match self.get(at::LIFE) {
            0 => Life::AtTheGate,
            1 => Life::Running,
            2 => Life::Ended,
            _ => Life::Recorded,
        }
    }

    /// The gate is about to be opened.
    pub(super) fn start(&self, started: i64) {
        self.set(at::STARTED, started.cast_unsigned());
        self.set(at::LIFE, 1);
    }

    /// Nanoseconds since the Unix epoch.
    pub(super) fn started(&self) -> i64 {
        self.get(at::STARTED).cast_signed()
    }

    /// The end is known.
    pub(super) fn end(&self, ended: &Ended) {
        self.set(at::CODE, ended.code.map_or(0, |code| u64::from(code.cast_unsigned()) + 1));
        self.set(at::FINISHED, ended.finished.cast_unsigned());
        self.set(at::OOM, ended.oom_killed.into());
        self.set(at::LIFE, 2);
    }

    /// How it ended, once that is known.
    pub(super) fn ended(&self) -> Option<Ended> {
        let code = self.get(at::CODE).checked_sub(1).and_then(|code| u32::try_from(code).ok());
        (self.life() >= Life::Ended).then(|| Ended {
            code: code.map(u32::cast_signed),
            finished: self.get(at::FINISHED).cast_signed(),
            oom_killed: self.get(at::OOM) != 0,
        })
    }

    /// Nothing of the container is ours from here on.
    pub(super) fn recorded(&self) {
        self.set(at::LIFE, 3);
    }

    /// How many are connected who will come back if we are killed.
    pub(super) fn attached(&self) -> usize {
        usize::try_from(self.get(at::ATTACHED)).unwrap_or(0)
    }

    pub(super) fn set_attached(&self, count: usize) {
        if self.attached() != count {
            self.set(at::ATTACHED, count as u64);
        }
    }

    /// Room to count the input of somebody; none when there are too many. His key.
    pub(super) fn allot(&self) -> Option<(Slot, u64)> {
        let free = (0..SLOTS).find(|n| self.get(at::SLOTS + 2 * n) == 0)?;
        let key = self.get(at::LAST_KEY) + 1;
        self.set(at::LAST_KEY, key);
        self.set(at::SLOTS + 2 * free + 1, 0);
        self.set(at::SLOTS + 2 * free, key);
        Some((Slot(free), key))
    }

    /// The slot of this key.
    pub(super) fn slot(&self, key: u64) -> Option<Slot> {
        (0..SLOTS).find(|n| key != 0 && self.get(at::SLOTS + 2 * n) == key).map(Slot)
    }

    /// He does not come back.
    pub(super) fn free(&self, slot: Slot) {
        self.set(at::SLOTS + 2 * slot.0, 0);
    }

    /// The keys of all who bring input.
    pub(super) fn slots(&self) -> Vec<(Slot, u64)> {
        (0..SLOTS).map(|n| (Slot(n), self.get(at::SLOTS + 2 * n))).filter(|(_, key)| *key != 0).collect()
    }

    /// Bytes of his input that are on their way to the container.
    pub(super) fn input_total(&self, slot: Slot) -> u64 {
        self.get(at::SLOTS + 2 * slot.0 + 1)
    }

    /// Input of his is about to be written to the input's transit pipe, in which there are so many bytes.
    pub(super) fn input_comes(&self, slot: Slot, in_transit: usize) {
        self.set(at::INTENT_TOTAL, self.input_total(slot));
        self.set(at::INTENT, (slot.0 as u64 + 1) << 32 | in_transit as u64);
    }

    /// So many bytes are in the transit pipe now. Also to be called when taking up.
    pub(super) fn input_came(&self, in_transit: usize) {
        let intent = self.get(at::INTENT);
        if let Some(slot) = usize::try_from(intent >> 32).ok().and_then(|n| n.checked_sub(1)).filter(|n| *n < SLOTS) {
            let came = (in_transit as u64).saturating_sub(intent & 0xffff_ffff);
            self.set(at::SLOTS + 2 * slot + 1, self.get(at::INTENT_TOTAL) + came);
            self.set(at::INTENT, 0);
        }
    }

    pub(super) fn input_ends(&self) -> bool {
        self.get(at::INPUT_ENDS) != 0
    }

    pub(super) fn set_input_ends(&self) {
        self.set(at::INPUT_ENDS, 1);
    }
}

impl Progress for Slate {
    fn writing(&self, file: (u64, u64), size: u64) {
        self.set_mark(file, size);
        self.switch(State { phase: Phase::Writing, ..self.state() });
    }

    fn reached(&self, consumed: usize) {
        self.switch(State { phase: Phase::Read, consumed, ..self.state() });
    }
}

/// Follows the writing of begun lines at the end.
pub(super) struct Ending<'j>(&'j Slate);

impl Progress for Ending<'_> {
    fn writing(&self, file: (u64, u64), size: u64) {
        self.0.set_mark(file, size);
        self.0.switch(State { phase: Phase::Ending, ..self.0.state() });
    }

    fn reached(&self, _: usize) {}
}

impl AsFd for Slate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
