//! The files of a log as a reader finds them, while a writer may be renaming them.

use super::rotate;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

/// One file, by what it is and not by its name, which changes.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) file: File,
    pub(super) identity: (u64, u64),
}

const BLOCK: u64 = 64 * 1024;
/// How often to begin anew when files are renamed meanwhile. A writer that rotates faster than they can be opened is not
/// waited for.
const ATTEMPTS: u32 = 64;

impl Part {
    fn open(path: &Path) -> io::Result<Option<Part>> {
        match File::open(path) {
            Ok(file) => {
                let metadata = file.metadata()?;
                Ok(Some(Part { file, identity: (metadata.dev(), metadata.ino()) }))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Where the last `lines` lines begin, and how many there really are. What follows the last newline is no line yet.
    pub(super) fn tail(&self, lines: u64) -> io::Result<(u64, u64)> {
        let mut end = self.file.metadata()?.len();
        let mut block = vec![0; usize::try_from(BLOCK).expect("64 KiB")];
        let mut seen = 0;
        while end > 0 {
            let start = end.saturating_sub(BLOCK);
            let part = &mut block[..usize::try_from(end - start).expect("at most a block")];
            self.file.read_exact_at(part, start)?;
            for at in memchr::memrchr_iter(b'\n', part) {
                // The newline before the first line that is wanted.
                if seen == lines {
                    return Ok((start + at as u64 + 1, lines));
                }
                seen += 1;
            }
            end = start;
        }
        Ok((0, seen))
    }
}

/// What the path leads to now.
pub(super) fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// All files, oldest first, none of them missed because it was renamed meanwhile.
pub(super) fn snapshot(path: &Path) -> io::Result<Vec<Part>> {
    let mut best = Vec::new();
    for _ in 0..ATTEMPTS {
        let current = Part::open(path)?;
        let numbers = rotate::numbers(path)?;
        let rotated: Vec<Option<Part>> =
            numbers.iter().map(|n| Part::open(&rotate::numbered(path, *n))).collect::<io::Result<_>>()?;
        let complete = rotated.iter().all(Option::is_some) && current.is_some();
        let unmoved = rotate::numbers(path)? == numbers && identity(path)? == current.as_ref().map(|c| c.identity);
        best = rotated.into_iter().flatten().chain(current).collect();
        best.dedup_by_key(|part| part.identity);
        if complete && unmoved {
            break;
        }
        // Without a current file, as after a crash between two renames, there is nothing to wait for.
        if unmoved && best.is_empty() {
            break;
        }
    }
    Ok(best)
}
