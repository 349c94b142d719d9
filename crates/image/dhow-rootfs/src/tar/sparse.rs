//! Maps of sparse files: where the stored bytes belong. GNU tar manual, "Storing Sparse Files".
//!
//! Four ways to write one: records in the header and in blocks behind it (old GNU), pairs of PAX records (0.0), one
//! PAX record (0.1), and decimal lines in front of the content (1.0).

use super::header::{SPARSE_RECORD, number};
use super::pax::{decimal, text};
use super::{BLOCK, Fault, Limits};

/// A run of data: offset in the file and length.
pub(super) type RunOfData = (u64, u64);

/// What the PAX records say.
#[derive(Default)]
pub(super) struct PaxSparse {
    major: Option<u64>,
    minor: Option<u64>,
    /// The name proper; the `path` record holds a made-up one.
    pub(super) name: Option<Vec<u8>>,
    real_size: Option<u64>,
    map: Vec<RunOfData>,
    has_map: bool,
    /// An offset that waits for its length (0.0).
    pending: Option<u64>,
}

/// Which of the ways the PAX records announce.
pub(super) enum Announced {
    /// Not a sparse file.
    No,
    /// The map, and the length of the file.
    Map(Vec<RunOfData>, u64),
    /// The map is in front of the content; the length of the file.
    InContent(u64),
}

impl PaxSparse {
    /// Takes a record whose keyword began with `GNU.sparse.`.
    pub(super) fn set(&mut self, keyword: &[u8], value: &[u8], limits: &Limits) -> Result<(), Fault> {
        let digits = || decimal(value).ok_or(Fault::Sparse("a record is no number"));
        match keyword {
            b"major" => self.major = Some(digits()?),
            b"minor" => self.minor = Some(digits()?),
            b"name" => self.name = text(value)?,
            b"size" | b"realsize" => self.real_size = Some(digits()?),
            b"offset" if self.pending.is_some() => return Err(Fault::Sparse("an offset without a length")),
            b"offset" => self.pending = Some(digits()?),
            b"numbytes" => {
                let offset = self.pending.take().ok_or(Fault::Sparse("a length without an offset"))?;
                self.has_map = true;
                push(&mut self.map, (offset, digits()?), limits)?;
            }
            b"map" => {
                self.has_map = true;
                self.map = comma_separated(value, limits)?;
            }
            // numblocks: the number of runs, which the runs themselves tell.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn announced(&mut self) -> Result<Announced, Fault> {
        if self.pending.is_some() {
            return Err(Fault::Sparse("an offset without a length"));
        }
        let version = (self.major, self.minor);
        let size = || self.real_size.ok_or(Fault::Sparse("the length of the file is missing"));
        match version {
            (Some(1), Some(0)) => Ok(Announced::InContent(size()?)),
            // 0.0 and 0.1 need not say which they are.
            (None, None) if !self.has_map => Ok(Announced::No),
            (Some(0), Some(0 | 1)) | (None, None) => {
                let size = size()?;
                Ok(Announced::Map(std::mem::take(&mut self.map), size))
            }
            _ => Err(Fault::Sparse("unknown version")),
        }
    }
}

fn push(map: &mut Vec<RunOfData>, run: RunOfData, limits: &Limits) -> Result<(), Fault> {
    if map.len() >= limits.sparse_runs {
        return Err(Fault::Limit { limit: "runs of data in a sparse file", max: limits.sparse_runs as u64 });
    }
    map.push(run);
    Ok(())
}

/// The 0.1 way: `offset,length,offset,length`.
fn comma_separated(value: &[u8], limits: &Limits) -> Result<Vec<RunOfData>, Fault> {
    let mut map = Vec::new();
    if value.is_empty() {
        return Ok(map);
    }
    let mut numbers = value.split(|&b| b == b',').map(|n| decimal(n).ok_or(Fault::Sparse("the map holds no numbers")));
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or(Fault::Sparse("an offset without a length"))?;
        push(&mut map, (offset?, length?), limits)?;
    }
    Ok(map)
}

/// The old GNU way: adds the records of one header or extension block. An empty record ends them.
pub(super) fn add_records(map: &mut Vec<RunOfData>, records: &[u8], limits: &Limits) -> Result<(), Fault> {
    for record in records.chunks_exact(SPARSE_RECORD) {
        if record[0] == 0 {
            break;
        }
        let part = |field: &[u8]| number(field).and_then(|n| u64::try_from(n).ok());
        let offset = part(&record[..12]).ok_or(Fault::Sparse("the map holds no numbers"))?;
        let length = part(&record[12..]).ok_or(Fault::Sparse("the map holds no numbers"))?;
        push(map, (offset, length), limits)?;
    }
    Ok(())
}

/// The 1.0 way: a count, then offsets and lengths, each a line; padded to a whole number of blocks.
/// Fed block by block, because only the lines tell how many blocks there are.
#[derive(Default)]
pub(super) struct MapInContent {
    line: Vec<u8>,
    left: Option<u64>,
    offset: Option<u64>,
    map: Vec<RunOfData>,
}

impl MapInContent {
    /// Takes one block; the map, when it was the last.
    pub(super) fn feed(&mut self, block: &[u8; BLOCK], limits: &Limits) -> Result<Option<Vec<RunOfData>>, Fault> {
        for &byte in block {
            if byte != b'\n' {
                // Twenty digits are the longest number.
                if self.line.len() == 20 {
                    return Err(Fault::Sparse("the map holds no numbers"));
                }
                self.line.push(byte);
                continue;
            }
            let n = decimal(&self.line).ok_or(Fault::Sparse("the map holds no numbers"))?;
            self.line.clear();
            match (self.left, self.offset.take()) {
                (None, _) if n > limits.sparse_runs as u64 => {
                    return Err(Fault::Limit {
                        limit: "runs of data in a sparse file",
                        max: limits.sparse_runs as u64,
                    });
                }
                (None, _) => self.left = Some(n),
                (Some(_), None) => self.offset = Some(n),
                (Some(left), Some(offset)) => {
                    self.map.push((offset, n));
                    self.left = Some(left - 1);
                }
            }
            if self.left == Some(0) {
                return Ok(Some(std::mem::take(&mut self.map)));
            }
        }
        Ok(None)
    }
}

/// Checks that the runs are in order, inside the file, and hold as many bytes as are stored.
pub(super) fn check(map: &[RunOfData], size: u64, stored: u64) -> Result<(), Fault> {
    if size > i64::MAX as u64 {
        return Err(Fault::Sparse("the file is longer than any file can be"));
    }
    let (mut end, mut sum) = (0u64, 0u64);
    for &(offset, length) in map {
        if offset < end {
            return Err(Fault::Sparse("runs of data overlap or are out of order"));
        }
        end = offset
            .checked_add(length)
            .filter(|&e| e <= size)
            .ok_or(Fault::Sparse("data behind the end of the file"))?;
        // Cannot overflow: the runs are disjoint and end at `size`.
        sum += length;
    }
    if sum != stored {
        return Err(Fault::Sparse("the map does not match the bytes stored"));
    }
    Ok(())
}
