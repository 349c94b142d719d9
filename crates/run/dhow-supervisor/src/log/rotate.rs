//! The chain of a rotated log: `<path>`, `<path>.1`, `<path>.2`, the higher the older.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The name of the file that was rotated `n` times; the current one for 0.
pub(super) fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path);
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

/// The numbers of the rotated files that are there, oldest (highest) first. Gaps are possible after a crash.
pub(super) fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?.file_name();
        let number = entry.to_str().and_then(|entry| entry.strip_prefix(name)).and_then(|rest| rest.strip_prefix('.'));
        // `.01` and `.+1` are not ours.
        if let Some(n) =
            number.and_then(|n| n.parse::<u32>().ok().filter(|parsed| parsed.to_string() == n && *parsed > 0))
        {
            found.push(n);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Opens the current file for appending, and makes it when there is none.
pub(super) fn open_current(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create(true).mode(0o640).open(path)
}

/// Moves every file one further and drops what is more than `files` then, the new current one included. From the oldest
/// on, so that a crash in between leaves a gap and never overwrites a file that is still wanted.
pub(super) fn shift(path: &Path, files: u32) -> io::Result<()> {
    let keep = files.saturating_sub(1);
    if keep == 0 {
        // Unlinked and not cut to nothing: who is reading it may finish.
        return std::fs::remove_file(path).or_else(gone_is_fine);
    }
    for n in numbers(path)? {
        if n >= keep {
            std::fs::remove_file(numbered(path, n)).or_else(gone_is_fine)?;
        } else {
            std::fs::rename(numbered(path, n), numbered(path, n + 1)).or_else(gone_is_fine)?;
        }
    }
    std::fs::rename(path, numbered(path, 1)).or_else(gone_is_fine)
}

fn gone_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
