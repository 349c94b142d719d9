//! The pull reader: header, extended headers merged in, content as runs of borrowed bytes.

use super::entry::{Entry, EntryKind, Mtime};
use super::header::{Header, string};
use super::input::Input;
use super::pax::Pax;
use super::sparse::{self, Announced, MapInContent, RunOfData};
use super::{BLOCK, Fault, Limits, TarError};
use std::io::BufRead;

/// Reads an archive member by member.
///
/// After an error the reader is of no further use.
pub struct Reader<R> {
    input: Input<R>,
    limits: Limits,
    content: Content,
    headers: u64,
    /// The path of the last entry given out.
    last: Option<Vec<u8>>,
    ended: bool,
}

/// A piece of a regular file's content.
#[derive(Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Where it belongs in the file. Between runs, and behind the last, are holes: they read as zeros.
    pub offset: u64,
    /// The bytes, at least one.
    pub bytes: &'a [u8],
}

/// What is left of the present member in the stream.
#[derive(Default)]
struct Content {
    /// Stored bytes not yet read.
    stored: u64,
    /// Bytes that fill the last block.
    padding: u64,
    /// Where the next stored byte belongs.
    position: u64,
    /// Stored bytes left in the run at `position`.
    run: u64,
    /// The runs after that.
    runs: std::vec::IntoIter<RunOfData>,
}

/// What extended headers said before the header proper.
#[derive(Default)]
struct Announcement {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl Announcement {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

impl<R: BufRead> Reader<R> {
    /// A reader at the start of an archive.
    pub fn new(stream: R, limits: Limits) -> Reader<R> {
        Reader { input: Input::new(stream), limits, content: Content::default(), headers: 0, last: None, ended: false }
    }

    /// Bytes of the stream done with.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Bytes of the present member's content that are still in the stream: less than its size when it has holes.
    pub fn stored(&self) -> u64 {
        self.content.stored
    }

    /// The next member, passing over what is left of the present one; nothing at the end of the archive. An archive
    /// ends with two blocks of zeros, or where the stream ends between members.
    ///
    /// # Errors
    /// [`TarError`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_content()?;
        let mut start = self.input.offset();
        let mut said = Announcement::default();
        loop {
            let Some(header) = self.next_header(&said).map_err(|fault| self.error(start, None, fault))? else {
                self.ended = true;
                return Ok(None);
            };
            if matches!(header.kind(), b'x' | b'g' | b'L' | b'K') {
                self.read_extended(&header, &mut said).map_err(|fault| self.error(start, None, fault))?;
                start = self.input.offset();
                continue;
            }
            let path = entry_path(&header, &mut said).map_err(|fault| self.error(start, None, fault))?;
            return match self.read_entry(&header, path.clone(), said) {
                Ok(entry) => {
                    self.last = Some(path);
                    Ok(Some(entry))
                }
                Err(fault) => Err(self.error(start, Some(path), fault)),
            };
        }
    }

    /// The next piece of the present member's content; nothing at its end.
    ///
    /// # Errors
    /// [`TarError`].
    pub fn next_run(&mut self) -> Result<Option<Run<'_>>, TarError> {
        while self.content.run == 0 {
            match self.content.runs.next() {
                Some((offset, length)) => (self.content.position, self.content.run) = (offset, length),
                None => return Ok(None),
            }
        }
        let at = self.input.offset();
        // The two early returns are written without `?` and map_err closures on self, which the lent bytes forbid.
        match self.input.slice(self.content.run) {
            Ok([]) => Err(located(at, self.last.clone(), &self.last, Fault::Truncated("the content of a file"))),
            Ok(bytes) => {
                let (n, offset) = (bytes.len() as u64, self.content.position);
                self.content.position += n;
                self.content.run -= n;
                self.content.stored -= n;
                Ok(Some(Run { offset, bytes }))
            }
            Err(fault) => Err(located(at, self.last.clone(), &self.last, fault)),
        }
    }

    /// Reads the stream to its very end: writers pad archives, and a digest is over all of it.
    ///
    /// # Errors
    /// [`TarError`] when the stream fails.
    pub fn drain(&mut self) -> Result<(), TarError> {
        self.ended = true;
        self.input.drain().map_err(|fault| self.error(self.input.offset(), None, fault))
    }

    fn error(&self, offset: u64, entry: Option<Vec<u8>>, fault: Fault) -> TarError {
        located(offset, entry, &self.last, fault)
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        let content = std::mem::take(&mut self.content);
        let what = if content.stored > 0 { "the content of a file" } else { "the padding of a file" };
        let skipped = self.input.skip(content.stored + content.padding, what);
        skipped.map_err(|fault| self.error(self.input.offset(), self.last.clone(), fault))
    }

    /// The next header, verified; nothing at the end of the archive.
    fn next_header(&mut self, said: &Announcement) -> Result<Option<Header>, Fault> {
        const DANGLING: Fault = Fault::Truncated("the archive: an extended header without its entry");
        let end = if said.is_empty() { Ok(None) } else { Err(DANGLING) };
        let Some(block) = self.input.block()? else { return end };
        if block == [0; BLOCK] {
            return match self.input.block()? {
                None => end,
                Some(next) if next == [0; BLOCK] => end,
                Some(_) => Err(Fault::LoneZeroBlock),
            };
        }
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(Fault::Limit { limit: "entries", max: self.limits.entries });
        }
        Header::verify(block).map(Some)
    }

    fn read_extended(&mut self, header: &Header, said: &mut Announcement) -> Result<(), Fault> {
        let size = header.size()?;
        if size > self.limits.extended_header {
            return Err(Fault::Limit { limit: "bytes of an extended header", max: self.limits.extended_header });
        }
        let body = self.input.take(size, "an extended header")?;
        self.input.skip(padding(size), "an extended header")?;
        match header.kind() {
            b'x' => said.pax = Some(Pax::parse(&body, &self.limits)?),
            b'g' => drop(Pax::parse(&body, &self.limits)?),
            b'L' => said.long_name = Some(string(&body).to_vec()),
            _ => said.long_link = Some(string(&body).to_vec()),
        }
        Ok(())
    }

    fn read_entry(&mut self, header: &Header, path: Vec<u8>, said: Announcement) -> Result<Entry, Fault> {
        check_path(&path, &self.limits)?;
        let Announcement { pax, long_link, .. } = said;
        let mut pax = pax.unwrap_or_default();
        let stored = match pax.size {
            Some(size) => size,
            None => header.size()?,
        };
        let link = agreed(long_link, pax.link.take())?.unwrap_or_else(|| header.link().to_vec());
        let (kind, size) = match header.kind() {
            // v7 has no directories: they are files whose name ends with a slash.
            b'0' | 0 | b'7' | b'S' if path.ends_with(b"/") => {
                // With content, some readers would take it for the next header and others not.
                if stored != 0 {
                    return Err(Fault::Field("size of a directory"));
                }
                (EntryKind::Directory, 0)
            }
            kind @ (b'0' | 0 | b'7' | b'S') => (EntryKind::File, self.begin_content(header, kind, stored, &mut pax)?),
            b'1' => {
                check_path(&link, &self.limits)?;
                (EntryKind::HardLink { target: link }, 0)
            }
            b'2' if link.is_empty() => return Err(Fault::Field("link target")),
            b'2' if link.len() > self.limits.path => return Err(path_limit(&self.limits)),
            b'2' => (EntryKind::Symlink { target: link }, 0),
            b'3' => {
                let (major, minor) = header.device()?;
                (EntryKind::CharDevice { major, minor }, 0)
            }
            b'4' => {
                let (major, minor) = header.device()?;
                (EntryKind::BlockDevice { major, minor }, 0)
            }
            b'5' => (EntryKind::Directory, 0),
            b'6' => (EntryKind::Fifo, 0),
            other => return Err(Fault::UnknownKind(other)),
        };
        let mtime = match pax.mtime {
            Some(mtime) => mtime,
            None => Mtime { seconds: header.mtime()?, nanoseconds: 0 },
        };
        let uid = pax.uid.map_or_else(|| header.uid(), Ok)?;
        let gid = pax.gid.map_or_else(|| header.gid(), Ok)?;
        Ok(Entry { path, kind, mode: header.mode()?, uid, gid, mtime, size, xattrs: pax.xattrs })
    }

    /// Sets up the content of a regular file of `stored` bytes; its length as it reads.
    fn begin_content(&mut self, header: &Header, kind: u8, stored: u64, pax: &mut Pax) -> Result<u64, Fault> {
        // File offsets are signed.
        if stored > i64::MAX as u64 {
            return Err(Fault::Field("size"));
        }
        let (map, size, in_front) = if kind == b'S' {
            let (map, size) = self.read_gnu_map(header)?;
            (map, size, 0)
        } else {
            match pax.sparse.announced()? {
                Announced::No => (vec![(0, stored)], stored, 0),
                Announced::Map(map, size) => (map, size, 0),
                Announced::InContent(size) => {
                    let (map, in_front) = self.read_map_in_content(stored)?;
                    (map, size, in_front)
                }
            }
        };
        sparse::check(&map, size, stored - in_front)?;
        self.content =
            Content { stored: stored - in_front, padding: padding(stored), position: 0, run: 0, runs: map.into_iter() };
        Ok(size)
    }

    fn read_gnu_map(&mut self, header: &Header) -> Result<(Vec<RunOfData>, u64), Fault> {
        let (records, mut more, size) = header.gnu_sparse()?;
        let mut map = Vec::new();
        sparse::add_records(&mut map, records, &self.limits)?;
        while more {
            let block = self.input.block()?.ok_or(Fault::Truncated("the map of a sparse file"))?;
            let before = map.len();
            sparse::add_records(&mut map, &block[..504], &self.limits)?;
            more = block[504] != 0;
            if more && map.len() == before {
                return Err(Fault::Sparse("an empty part of the map"));
            }
        }
        Ok((map, size))
    }

    /// The map in front of the content, and how many of the stored bytes it takes.
    fn read_map_in_content(&mut self, stored: u64) -> Result<(Vec<RunOfData>, u64), Fault> {
        let mut parser = MapInContent::default();
        let mut taken = 0;
        loop {
            if stored - taken < BLOCK as u64 {
                return Err(Fault::Sparse("the content ends within the map"));
            }
            let block = self.input.block()?.ok_or(Fault::Truncated("the map of a sparse file"))?;
            taken += BLOCK as u64;
            if let Some(map) = parser.feed(&block, &self.limits)? {
                return Ok((map, taken));
            }
        }
    }
}

fn located(offset: u64, entry: Option<Vec<u8>>, last: &Option<Vec<u8>>, fault: Fault) -> TarError {
    TarError { offset, entry, after: last.clone(), fault }
}

/// The path: of the sparse records, of the other extended headers, or of the header.
fn entry_path(header: &Header, said: &mut Announcement) -> Result<Vec<u8>, Fault> {
    let long_name = said.long_name.take();
    let (path, sparse_name) = match &mut said.pax {
        Some(pax) => (pax.path.take(), pax.sparse.name.take()),
        None => (None, None),
    };
    if sparse_name.is_some() {
        return Ok(sparse_name.unwrap_or_default());
    }
    Ok(agreed(long_name, path)?.unwrap_or_else(|| header.path()))
}

/// A GNU long name and a PAX record for the same thing. GNU tar believes the one, Go the other: they must agree.
fn agreed(gnu: Option<Vec<u8>>, pax: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Fault> {
    match (gnu, pax) {
        (Some(gnu), Some(pax)) if gnu != pax => {
            Err(Fault::Extended("a GNU long name and a PAX record contradict each other"))
        }
        (gnu, pax) => Ok(gnu.or(pax)),
    }
}

fn check_path(path: &[u8], limits: &Limits) -> Result<(), Fault> {
    if path.is_empty() {
        return Err(Fault::Field("path: it is empty"));
    }
    if path.len() > limits.path {
        return Err(path_limit(limits));
    }
    if path.split(|&b| b == b'/').filter(|c| !c.is_empty()).count() > limits.depth {
        return Err(Fault::Limit { limit: "components of a path", max: limits.depth as u64 });
    }
    Ok(())
}

fn path_limit(limits: &Limits) -> Fault {
    Fault::Limit { limit: "bytes of a path", max: limits.path as u64 }
}

/// Bytes that fill the last block of `size` bytes of content.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}
