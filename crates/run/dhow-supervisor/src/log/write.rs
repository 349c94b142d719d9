//! Appending: one formatted buffer and one write(2) per chunk of output.

use super::format::{Stamp, entry};
use super::{LINE_MAX, Stream, repair, rotate};
use crate::plan::LogPlan;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Bytes that are held back while they cannot be written.
const HELD_MAX: usize = 1024 * 1024;

/// Capacity above which a buffer is given back once it is empty.
const KEEP_CAPACITY: usize = 512 * 1024;

/// Who writes down how far a chunk of output has got, so that another writer can go on from there.
pub(crate) trait Progress {
    /// What is written next goes to this file (device and inode), which has this size.
    fn writing(&self, file: (u64, u64), size: u64);
    /// The text of so many bytes of the chunk is in the file, and no more; another file may be next.
    fn reached(&self, consumed: usize);
}

/// Nobody does.
impl Progress for () {
    fn writing(&self, _: (u64, u64), _: u64) {}
    fn reached(&self, _: usize) {}
}

/// The file, and its size, to which a writer wrote when it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Device and inode.
    pub(crate) file: (u64, u64),
    /// Before the text of the chunk at hand.
    pub(crate) size: u64,
}

/// Appends to a log.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    max_size: Option<u64>,
    max_files: u32,
    file: File,
    /// Device and inode of `file`.
    identity: (u64, u64),
    /// Bytes in `file`.
    size: u64,
    /// So much of what is to be written next is in the file already.
    skip: u64,
    /// The file was rotated away, and its successor could not be made yet.
    superseded: bool,
    /// Begun and not ended lines of stdout and stderr, at most [`LINE_MAX`].
    begun: [Vec<u8>; 2],
    /// Whole entries to be written.
    out: Vec<u8>,
    /// The rest of an entry that was written in part: before anything else.
    cut: Vec<u8>,
    /// Entries dropped before the first of `out`.
    lost: u64,
}

impl Writer {
    /// Opens or makes the file; a line that was cut off by a crash is completed.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(plan: &LogPlan) -> io::Result<Writer> {
        Writer::resume(plan, [Vec::new(), Vec::new()], None)
    }

    /// Goes on where another writer left off: with the lines that it had begun.
    ///
    /// # Errors
    /// As [`open`](Writer::open).
    pub fn take_up(plan: &LogPlan, begun: [Vec<u8>; 2]) -> io::Result<Writer> {
        Writer::resume(plan, begun, None)
    }

    /// The same; with a mark, that writer was killed at it, and the rest of its chunk is to be written first.
    pub(crate) fn resume(plan: &LogPlan, begun: [Vec<u8>; 2], mark: Option<Mark>) -> io::Result<Writer> {
        let file = rotate::open_current(&plan.path)?;
        let (identity, length) = describe(&file)?;
        let mark = mark.filter(|mark| mark.file == identity && mark.size <= length);
        let (size, skip) = match mark {
            // What looks like a line that was cut off is completed by the rest of the chunk.
            Some(Mark { size, .. }) => (size, length - size),
            None => {
                repair::complete(&file)?;
                (describe(&file)?.1, 0)
            }
        };
        Ok(Writer {
            path: plan.path.clone(),
            max_size: plan.max_size,
            max_files: plan.max_files.max(1),
            file,
            identity,
            size,
            skip,
            superseded: false,
            begun,
            out: Vec::new(),
            cut: Vec::new(),
            lost: 0,
        })
    }

    /// Adds a chunk of output as it came. Lines are kept together up to 16 KiB, as docker does.
    ///
    /// # Errors
    /// Of the file system; nothing is lost that a later call can write.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: i64) -> io::Result<()> {
        self.append(stream, bytes, now, &())
    }

    /// The same, as somebody follows who could go on. Not while something is held back: that is lost with this writer.
    pub(crate) fn append(&mut self, stream: Stream, bytes: &[u8], now: i64, progress: &dyn Progress) -> io::Result<()> {
        let progress = if self.held_back() == 0 && self.lost == 0 { progress } else { &() };
        let stamp = Stamp::new(now);
        let mut rest = bytes;
        let mut outcome = Ok(());
        while !rest.is_empty() {
            let begun = &mut self.begun[stream as usize];
            let room = LINE_MAX - begun.len();
            let window = &rest[..rest.len().min(room)];
            let (piece, ends) = match memchr::memchr(b'\n', window) {
                Some(at) => (&window[..=at], true),
                None => (window, window.len() == room),
            };
            rest = &rest[piece.len()..];
            if !ends {
                begun.extend_from_slice(piece);
                break;
            }
            if begun.is_empty() {
                entry(&mut self.out, piece, stream, &stamp);
            } else {
                begun.extend_from_slice(piece);
                let line = std::mem::take(begun);
                entry(&mut self.out, &line, stream, &stamp);
            }
            outcome = self.rotate_if_full(&stamp, progress, bytes.len() - rest.len()).and(outcome);
        }
        self.flush(&stamp, progress).and(outcome)
    }

    /// Tries again to write what is held back.
    ///
    /// # Errors
    /// Of the file system, as [`write`](Writer::write).
    pub fn retry(&mut self, now: i64) -> io::Result<()> {
        self.flush(&Stamp::new(now), &())
    }

    /// Bytes of whole entries that could not be written yet.
    pub fn held_back(&self) -> usize {
        self.cut.len() + self.out.len()
    }

    /// The begun lines of stdout and stderr that are not in the file yet.
    pub fn begun(&self) -> [&[u8]; 2] {
        [&self.begun[0], &self.begun[1]]
    }

    /// Writes what is held back, and of unfinished lines what there is.
    ///
    /// # Errors
    /// Of the file system.
    pub fn finish(&mut self, now: i64) -> io::Result<()> {
        self.conclude(now, &())
    }

    /// The same, as somebody follows.
    pub(crate) fn conclude(&mut self, now: i64, progress: &dyn Progress) -> io::Result<()> {
        let stamp = Stamp::new(now);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let line = std::mem::take(&mut self.begun[stream as usize]);
            if !line.is_empty() {
                entry(&mut self.out, &line, stream, &stamp);
            }
        }
        self.flush(&stamp, progress)
    }

    /// Flushes the file and those it was rotated to to the disk.
    ///
    /// # Errors
    /// Of the file system.
    pub fn sync(&self) -> io::Result<()> {
        if self.max_size.is_some() {
            for n in rotate::numbers(&self.path)? {
                // Clean files cost next to nothing; one that is gone by now is nobody's loss.
                File::open(rotate::numbered(&self.path, n))
                    .and_then(|file| file.sync_data())
                    .or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
            }
        }
        self.file.sync_data()
    }

    /// Wakes those who follow, so that they ask again whether more will come.
    pub fn nudge(&self) {
        let now = std::time::SystemTime::now();
        let _ = self.file.set_times(std::fs::FileTimes::new().set_accessed(now));
    }

    /// As docker, a file is full once it has reached the size; the entry that reached it is still in it.
    fn rotate_if_full(&mut self, stamp: &Stamp, progress: &dyn Progress, consumed: usize) -> io::Result<()> {
        let Some(max) = self.max_size else { return Ok(()) };
        if self.size + self.held_back() as u64 >= max {
            self.flush(stamp, progress)?;
            progress.reached(consumed);
            self.rotate()?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if !self.superseded {
            rotate::shift(&self.path, self.max_files)?;
            self.superseded = true;
        }
        self.file = rotate::open_current(&self.path)?;
        self.superseded = false;
        (self.identity, self.size) = describe(&self.file)?;
        self.skip = 0;
        Ok(())
    }

    /// Writes `cut`, the note about lost entries, then `out`.
    fn flush(&mut self, stamp: &Stamp, progress: &dyn Progress) -> io::Result<()> {
        if self.skip > 0 {
            let written = usize::try_from(self.skip).map_or(self.out.len(), |skip| skip.min(self.out.len()));
            self.out.drain(..written);
            self.size += written as u64;
            self.skip -= written as u64;
        } else if self.cut.is_empty() && self.lost == 0 && !self.out.is_empty() {
            progress.writing(self.identity, self.size);
        }
        let mut outcome = self.drain_cut();
        if outcome.is_ok() && self.lost > 0 {
            let note = format!("[dhow: {} log entries are missing here: they could not be written]\n", self.lost);
            entry(&mut self.cut, note.as_bytes(), Stream::Stderr, stamp);
            self.lost = 0;
            outcome = self.drain_cut();
        }
        if outcome.is_ok() && !self.out.is_empty() {
            let (written, result) = write_all(&mut self.file, &self.out);
            self.size += written as u64;
            outcome = result;
            if written == self.out.len() {
                self.out.clear();
            } else if written > 0 {
                // The entry that was cut goes first, whatever happens to those behind it.
                let is_whole = self.out[written - 1] == b'\n';
                let end = memchr::memchr(b'\n', &self.out[written..]).map_or(self.out.len(), |at| written + at + 1);
                if !is_whole {
                    self.cut.extend_from_slice(&self.out[written..end]);
                }
                self.out.drain(..if is_whole { written } else { end });
            }
        }
        self.drop_oldest();
        if self.out.is_empty() && self.out.capacity() > KEEP_CAPACITY {
            self.out = Vec::new();
        }
        outcome
    }

    fn drain_cut(&mut self) -> io::Result<()> {
        if self.cut.is_empty() {
            return Ok(());
        }
        let (written, result) = write_all(&mut self.file, &self.cut);
        self.size += written as u64;
        self.cut.drain(..written);
        result
    }

    /// Half of it at once, so that the rest is not moved for each entry.
    fn drop_oldest(&mut self) {
        if self.out.len() <= HELD_MAX {
            return;
        }
        let wanted = self.out.len() - HELD_MAX / 2;
        let end = memchr::memchr(b'\n', &self.out[wanted..]).map_or(self.out.len(), |at| wanted + at + 1);
        self.lost += memchr::memchr_iter(b'\n', &self.out[..end]).count() as u64;
        self.out.drain(..end);
    }
}

/// Device and inode, and the size.
fn describe(file: &File) -> io::Result<((u64, u64), u64)> {
    let metadata = file.metadata()?;
    Ok(((metadata.dev(), metadata.ino()), metadata.len()))
}

/// Writes what goes; how much it was, and why no more.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (written, Err(e)),
        }
    }
    (written, Ok(()))
}
