//! The parts of an outer tar, found without unpacking it.
//!
//! A plain tar in a regular file is indexed: its parts are byte ranges of that file. Anything else (a pipe, a
//! compressed file) can be read once only: large parts are written down in the work directory of the operation and
//! hashed meanwhile, small ones stay in memory. No part is ever written under the name that the archive gives it.

use crate::compression;
use crate::content::Verified;
use crate::error::StoreError;
use crate::local::LocalSink;
use dhow_spec::media_type::Compression;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// What `load` reads.
pub enum Input {
    /// A file that was opened, with its name for messages.
    File(File, String),
    /// A pipe or socket, with its name for messages.
    Stream(Box<dyn Read + Send>, String),
}

/// One part of an archive.
#[derive(Debug, Clone)]
pub(super) enum Member {
    /// Bytes of the archive file itself.
    Range {
        offset: u64,
        size: u64,
    },
    /// A file in the work directory, with the proof of what is in it.
    Written {
        path: PathBuf,
        proof: Verified,
    },
    Memory(Arc<[u8]>),
    /// Another name for a part, as old docker archives have them for shared layers.
    Alias(String),
}

/// Parts up to this size stay in memory, in bytes: every document that matters is smaller.
const SMALL: u64 = 1024 * 1024;
/// In all, in bytes; what comes after is written down whatever its size.
const SMALL_TOTAL: u64 = 16 * 1024 * 1024;
/// Names in an archive; an image has some hundred.
const MAX_MEMBERS: usize = 1_000_000;
/// Aliases of aliases.
const MAX_ALIASES: usize = 8;

pub(super) struct Members {
    name: String,
    file: Option<Arc<File>>,
    parts: HashMap<String, Member>,
}

impl Members {
    pub(super) fn find(
        input: Input,
        sink: &LocalSink<'_, '_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Members, StoreError> {
        match input {
            Input::File(file, name) if is_plain_file(&file, &name)? => index(file, name),
            Input::File(file, name) => spool(Box::new(file), name, sink, progress),
            Input::Stream(stream, name) => spool(stream, name, sink, progress),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn has(&self, part: &str) -> bool {
        self.get(part).is_some()
    }

    pub(super) fn looks_like_root(&self) -> bool {
        self.parts.keys().any(|p| ["etc/", "usr/", "bin/"].iter().any(|d| p.starts_with(d)))
    }

    /// A part by its name, aliases followed.
    pub(super) fn get(&self, part: &str) -> Option<&Member> {
        let mut name = part;
        for _ in 0..MAX_ALIASES {
            match self.parts.get(name)? {
                Member::Alias(target) => name = target,
                member => return Some(member),
            }
        }
        None
    }

    /// All parts that are no aliases.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.parts.iter().filter(|(_, m)| !matches!(m, Member::Alias(_))).map(|(n, m)| (n.as_str(), m))
    }

    pub(super) fn size(&self, member: &Member) -> u64 {
        match member {
            Member::Range { size, .. } => *size,
            Member::Written { proof, .. } => proof.size(),
            Member::Memory(bytes) => bytes.len() as u64,
            Member::Alias(_) => 0,
        }
    }

    pub(super) fn open(&self, member: &Member) -> Result<Box<dyn Read + Send>, StoreError> {
        match member {
            Member::Range { offset, size } => {
                let file = self.file.clone().expect("ranges are made only for files");
                Ok(Box::new(RangeReader { file, at: *offset, left: *size }))
            }
            Member::Written { path, .. } => {
                Ok(Box::new(File::open(path).map_err(|e| StoreError::io("open", path.display(), e))?))
            }
            Member::Memory(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Member::Alias(target) => {
                let member = self.get(target).ok_or_else(|| StoreError::Archive {
                    archive: self.name.clone(),
                    problem: format!("lacks {target}"),
                    hint: None,
                })?;
                self.open(member)
            }
        }
    }

    /// A document whole; `None` when there is no such part.
    pub(super) fn document(&self, part: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(member) = self.get(part) else { return Ok(None) };
        let limit = dhow_spec::document::MAX_SIZE as u64;
        if self.size(member) > limit {
            return Err(StoreError::Archive {
                archive: self.name.clone(),
                problem: format!("{part} has {} bytes; documents have at most {limit}", self.size(member)),
                hint: None,
            });
        }
        let mut bytes = Vec::new();
        self.open(member)?.read_to_end(&mut bytes).map_err(|e| StoreError::io("read", &self.name, e))?;
        Ok(Some(bytes))
    }
}

/// Reads a range of a file that others read too, by position.
struct RangeReader {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for RangeReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let n = self.file.read_at(&mut buf[..want], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Whether the input can be indexed: a regular file that is not compressed. Leaves the offset as it was.
fn is_plain_file(file: &File, name: &str) -> Result<bool, StoreError> {
    let meta = file.metadata().map_err(|e| StoreError::io("examine", name, e))?;
    if meta.is_dir() {
        return Err(StoreError::Archive {
            archive: name.to_owned(),
            problem: "is a directory".to_owned(),
            hint: Some("give a tar, for example: tar -C DIR -c . | dhow load".to_owned()),
        });
    }
    // Standard input may be a file somebody has read from already; ranges count from its start.
    if !meta.is_file() || (&mut &*file).stream_position().map_err(|e| StoreError::io("seek in", name, e))? != 0 {
        return Ok(false);
    }
    let mut start = [0; compression::MAGIC_LEN];
    let mut read = 0;
    while read < start.len() {
        match file.read_at(&mut start[read..], read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) => return Err(StoreError::io("read", name, e)),
        }
    }
    Ok(compression::recognise(&start[..read], name)? == Compression::None)
}

/// A name inside an archive without `./` and doubled slashes. `..` stays: it then matches nothing.
fn normal(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.split('/').filter(|c| !c.is_empty() && *c != ".").collect::<Vec<_>>().join("/")
}

/// The name that a symbolic link at `from` points to, within the archive.
fn link_target(from: &str, target: &[u8]) -> String {
    let target = String::from_utf8_lossy(target);
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn tar_error(name: &str, e: io::Error) -> StoreError {
    match e.downcast::<StoreError>() {
        Ok(ours) => ours,
        Err(e) if is_about_contents(&e) => StoreError::Archive {
            archive: name.to_owned(),
            problem: format!("is not a tar archive, or is damaged: {}", words(&e)),
            hint: Some("the archive is damaged or incomplete: make or fetch it again".to_owned()),
        },
        Err(e) => StoreError::io("read", name, e),
    }
}

/// The reader's words without the archive's bytes, which it quotes.
fn words(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" when getting").next().unwrap_or_default();
    text.chars().take_while(|c| !c.is_control()).take(100).collect()
}

fn is_about_contents(e: &io::Error) -> bool {
    use io::ErrorKind as E;
    e.raw_os_error().is_none() && matches!(e.kind(), E::Other | E::InvalidData | E::InvalidInput | E::UnexpectedEof)
}

fn index(file: File, name: String) -> Result<Members, StoreError> {
    let length = file.metadata().map_err(|e| StoreError::io("examine", &name, e))?.len();
    let mut parts = HashMap::new();
    let mut archive = tar::Archive::new(&file);
    for entry in archive.entries_with_seek().map_err(|e| tar_error(&name, e))? {
        let entry = entry.map_err(|e| tar_error(&name, e))?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(size).is_none_or(|end| end > length) {
            return Err(StoreError::Archive {
                archive: name,
                problem: format!("is truncated: it ends within {}", normal(&entry.path_bytes())),
                hint: Some("the archive is damaged or incomplete: make or fetch it again".to_owned()),
            });
        }
        add(&mut parts, &name, &entry, |_| Ok(Member::Range { offset, size }))?;
    }
    if parts.is_empty() {
        return Err(empty(name));
    }
    Ok(Members { name, file: Some(Arc::new(file)), parts })
}

fn empty(archive: String) -> StoreError {
    StoreError::Archive {
        archive,
        problem: "is empty".to_owned(),
        hint: Some("image archives are written by: dhow save, docker save, podman save, skopeo copy".to_owned()),
    }
}

/// Adds an entry that is a part or another name for one; others (directories) are passed over.
fn add<R: Read>(
    parts: &mut HashMap<String, Member>,
    archive: &str,
    entry: &tar::Entry<'_, R>,
    part: impl FnOnce(&str) -> Result<Member, StoreError>,
) -> Result<(), StoreError> {
    let path = normal(&entry.path_bytes());
    let link = entry.link_name_bytes();
    let member = match (entry.header().entry_type(), link) {
        (tar::EntryType::Symlink, Some(target)) => Member::Alias(link_target(&path, &target)),
        (tar::EntryType::Link, Some(target)) => Member::Alias(normal(&target)),
        (tar::EntryType::Regular | tar::EntryType::Continuous, _) => part(&path)?,
        _ => return Ok(()),
    };
    if parts.len() >= MAX_MEMBERS {
        return Err(StoreError::Archive {
            archive: archive.to_owned(),
            problem: format!("has more than {MAX_MEMBERS} parts"),
            hint: None,
        });
    }
    parts.insert(path, member);
    Ok(())
}

fn spool(
    input: Box<dyn Read + Send>,
    name: String,
    sink: &LocalSink<'_, '_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Members, StoreError> {
    let (_, plain) = compression::decode(input, &name)?;
    let mut parts = HashMap::new();
    let mut in_memory = 0;
    let mut archive = tar::Archive::new(plain);
    for entry in archive.entries().map_err(|e| tar_error(&name, e))? {
        let mut entry = entry.map_err(|e| tar_error(&name, e))?;
        let size = entry.size();
        let regular = matches!(entry.header().entry_type(), tar::EntryType::Regular | tar::EntryType::Continuous);
        let member = if !regular {
            None
        } else if size <= SMALL && in_memory + size <= SMALL_TOTAL {
            in_memory += size;
            Some(remember(&mut entry, size, &name)?)
        } else {
            Some(write_down(&mut entry, size, &name, sink, progress)?)
        };
        add(&mut parts, &name, &entry, |_| Ok(member.expect("made above for every regular entry")))?;
    }
    // What follows the archive's end is read too: a compressed stream checks itself only at its own end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|e| tar_error(&name, e))?;
    if parts.is_empty() {
        return Err(empty(name));
    }
    Ok(Members { name, file: None, parts })
}

fn remember(entry: &mut impl Read, size: u64, archive: &str) -> Result<Member, StoreError> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).expect("small parts fit in memory"));
    entry.read_to_end(&mut bytes).map_err(|e| tar_error(archive, e))?;
    if bytes.len() as u64 != size {
        return Err(truncated(archive));
    }
    Ok(Member::Memory(bytes.into()))
}

fn write_down(
    entry: &mut impl Read,
    size: u64,
    archive: &str,
    sink: &LocalSink<'_, '_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Member, StoreError> {
    let mut measured = sink.begin_unknown()?;
    let mut buffer = vec![0; 1024 * 1024];
    let mut left = size;
    while left > 0 {
        let n = entry.read(&mut buffer).map_err(|e| tar_error(archive, e))?;
        if n == 0 {
            return Err(truncated(archive));
        }
        measured.write_all(&buffer[..n]).map_err(|e| StoreError::io("write down", archive, e))?;
        left -= n as u64;
        progress(n as u64);
    }
    let (path, proof) = measured.finish()?;
    Ok(Member::Written { path, proof })
}

fn truncated(archive: &str) -> StoreError {
    StoreError::Archive {
        archive: archive.to_owned(),
        problem: "is truncated".to_owned(),
        hint: Some("the archive is damaged or incomplete: make or fetch it again".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normal_and_links_stay_inside() {
        assert_eq!(normal(b"./blobs//sha256/x"), "blobs/sha256/x");
        assert_eq!(link_target("a/layer.tar", b"../b/layer.tar"), "b/layer.tar");
        assert_eq!(link_target("a/layer.tar", b"../../../etc/passwd"), "etc/passwd");
    }
}
