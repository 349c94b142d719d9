//! Reading: rotated files first, a tail from the end, and following across rotations.
//!
//! Files are read at offsets, and only whole lines are taken: a last line of which only a part is there yet, or which is
//! being completed after a crash, is read again once something has changed.

use super::files::{self, Part};
use super::{Entry, Query, decode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const BLOCK: usize = 256 * 1024;
/// A line longer than this is no log's.
const LONGEST: usize = 16 * 1024 * 1024;
/// Who follows asks after this time at the latest whether more will come: a writer that was killed tells nobody.
const ASK_AGAIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Reads a log, rotated files first, and hands each entry to `each` until that returns false. With `follow` it waits
/// for more (inotify) across rotations, and asks `ended` each time there is nothing more to read.
///
/// # Errors
/// Of the file system; `InvalidData` names the line that is no entry.
pub fn read(
    path: &Path,
    query: &Query,
    ended: &mut dyn FnMut() -> bool,
    each: &mut dyn FnMut(Entry<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    read_until(path, query, None, ended, each)
}

/// As [`read`]; `wake` becoming readable makes it ask `ended` at once, where it would else ask after a second.
///
/// # Errors
/// As [`read`].
pub fn read_until(
    path: &Path,
    query: &Query,
    wake: Option<BorrowedFd<'_>>,
    ended: &mut dyn FnMut() -> bool,
    each: &mut dyn FnMut(Entry<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    // Before anything is read, so that no change goes by unseen.
    let watch = if query.follow { Some(watch_directory(path)?) } else { None };
    let mut reader = Reader { path: path.to_owned(), query: *query, buffer: vec![0; BLOCK], scratch: Vec::new(), each };
    let mut parts = files::snapshot(path)?;
    let (first, offset) = start(&parts, query.tail)?;
    parts.drain(..first);
    let mut at = None;
    for (n, part) in parts.into_iter().enumerate() {
        let mut place = Place { part, offset: if n == 0 { offset } else { 0 } };
        if !reader.drain(&mut place)? {
            return Ok(());
        }
        at = Some(place);
    }
    let Some(watch) = watch else { return Ok(()) };
    let mut over = false;
    loop {
        match reader.advance(&mut at)? {
            Progress::Stop => return Ok(()),
            Progress::Some => continue,
            Progress::None if over => return Ok(()),
            Progress::None => {}
        }
        // What was written before it ended is read after we know that it has.
        over = ended();
        if !over {
            wait(&watch, wake)?;
        }
    }
}

/// Which file to begin with, and where in it.
fn start(parts: &[Part], tail: Option<u64>) -> io::Result<(usize, u64)> {
    let Some(mut wanted) = tail else { return Ok((0, 0)) };
    for (n, part) in parts.iter().enumerate().rev() {
        let (offset, found) = part.tail(wanted)?;
        wanted -= found;
        if wanted == 0 {
            return Ok((n, offset));
        }
    }
    Ok((0, 0))
}

fn watch_directory(path: &Path) -> io::Result<OwnedFd> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let changes = inotify::WatchFlags::MODIFY | inotify::WatchFlags::ATTRIB | inotify::WatchFlags::CREATE;
    let names = inotify::WatchFlags::MOVE | inotify::WatchFlags::DELETE_SELF | inotify::WatchFlags::ONLYDIR;
    inotify::add_watch(&watch, directory, changes | names)?;
    Ok(watch)
}

fn wait(watch: &OwnedFd, wake: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut fds = vec![PollFd::new(watch, PollFlags::IN)];
    fds.extend(wake.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
    match poll(&mut fds, Some(&ASK_AGAIN)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    // What changed does not matter: the files are looked at again.
    let mut events = [0u8; 4096];
    while rustix::io::read(watch, &mut events).is_ok_and(|n| n > 0) {}
    Ok(())
}

struct Place {
    part: Part,
    /// Of the first line that was not handed on yet.
    offset: u64,
}

enum Progress {
    /// Something was there.
    Some,
    /// Nothing new.
    None,
    /// Nobody wants more.
    Stop,
}

struct Reader<'e> {
    path: PathBuf,
    query: Query,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    each: &'e mut dyn FnMut(Entry<'_>) -> io::Result<bool>,
}

impl Reader<'_> {
    /// Reads what has come since, in this file and in those that took its place.
    fn advance(&mut self, at: &mut Option<Place>) -> io::Result<Progress> {
        let before = at.as_ref().map(|place| place.offset);
        let now = files::identity(&self.path)?;
        // Looked at before the file is read: what is rotated away is complete.
        let rotated = now.is_some() && now != at.as_ref().map(|place| place.part.identity);
        if let Some(place) = at
            && !self.drain(place)?
        {
            return Ok(Progress::Stop);
        }
        if !rotated {
            let after = at.as_ref().map(|place| place.offset);
            return Ok(if after == before { Progress::None } else { Progress::Some });
        }
        let mut parts = files::snapshot(&self.path)?;
        let known = at.as_ref().and_then(|place| parts.iter().position(|part| part.identity == place.part.identity));
        // Not there any more: all that is there is newer.
        parts.drain(..known.map_or(0, |n| n + 1));
        let any = !parts.is_empty();
        for part in parts {
            let mut place = Place { part, offset: 0 };
            if !self.drain(&mut place)? {
                return Ok(Progress::Stop);
            }
            *at = Some(place);
        }
        Ok(if any { Progress::Some } else { Progress::None })
    }

    /// Hands on all whole lines from the place on; false when no more are wanted.
    fn drain(&mut self, place: &mut Place) -> io::Result<bool> {
        loop {
            let mut filled = 0;
            // Until there is a whole line in the buffer, or nothing comes.
            let lines = loop {
                if filled == self.buffer.len() {
                    if filled >= LONGEST {
                        return Err(self.no_entry(place));
                    }
                    self.buffer.resize(filled * 2, 0);
                }
                let n = place.part.file.read_at(&mut self.buffer[filled..], place.offset + filled as u64)?;
                let searched = filled;
                filled += n;
                match memchr::memrchr(b'\n', &self.buffer[searched..filled]) {
                    Some(at) => break searched + at + 1,
                    None if n == 0 => return Ok(true),
                    None => {}
                }
            };
            if !self.hand_on(lines, place)? {
                return Ok(false);
            }
        }
    }

    /// Hands on the lines in the first `end` bytes of the buffer.
    fn hand_on(&mut self, end: usize, place: &mut Place) -> io::Result<bool> {
        let mut start = 0;
        while start < end {
            let length = memchr::memchr(b'\n', &self.buffer[start..end]).map_or(end - start, |at| at + 1);
            let mut line = &self.buffer[start..start + length];
            // A power cut may leave zeros where the file had grown before its bytes were on the disk.
            while let Some(rest) = line.strip_prefix(b"\0") {
                line = rest;
            }
            start += length;
            place.offset += length as u64;
            if line == b"\n" {
                continue;
            }
            let Some(entry) = decode(line, &mut self.scratch) else {
                place.offset -= length as u64;
                return Err(self.no_entry(place));
            };
            if self.query.since.is_some_and(|since| entry.time < since) {
                continue;
            }
            if self.query.until.is_some_and(|until| entry.time > until) {
                if self.query.follow {
                    return Ok(false);
                }
                continue;
            }
            if !(self.each)(entry)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn no_entry(&self, place: &Place) -> io::Error {
        let text = format!("{}: the line at byte {} is no log entry", self.path.display(), place.offset);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}
