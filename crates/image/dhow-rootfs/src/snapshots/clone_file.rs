//! One file copied whole: content, owner, mode, attributes, time.
//!
//! Content is shared with the original where the file system can (FICLONE), else copied inside the kernel, else through
//! memory; holes stay holes. Marks of the overlay (`trusted.overlay.*`) are not part of a file.

use dhow_sys::tree::{self, FileTime, Target, Tree};
use rustix::fs::{FileType, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Attributes that belong to an overlay and not to the file.
const OVERLAY_MARKS: &[u8] = b"trusted.overlay.";

/// Room for copying through memory.
const BUFFER: usize = 128 * 1024;

/// Gives the root of one tree the attributes of another's.
pub(super) fn copy_root(from: &Tree, to: &Tree) -> io::Result<()> {
    copy_directory_attributes(from.root(), to.root())
}

/// Gives one directory the attributes of another.
pub(super) fn copy_directory_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    copy_attributes(Target::Fd(from), &rustix::fs::fstat(from)?, Target::Fd(to))
}

/// Makes in `to` what `name` is in `from`, under the same name. `stat` is its status; it is no directory.
pub(super) fn copy_file(from: BorrowedFd<'_>, name: &OsStr, stat: &Stat, to: BorrowedFd<'_>) -> io::Result<()> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::RegularFile => {
            let source = tree::open_name(from, name, OFlags::RDONLY)?;
            let copy = tree::create_file(to, name, 0o600)?;
            copy_content(source.as_fd(), copy.as_fd(), u64::try_from(stat.st_size).unwrap_or(0))?;
            return copy_attributes(Target::Fd(source.as_fd()), stat, Target::Fd(copy.as_fd()));
        }
        FileType::Symlink => tree::symlink(&tree::read_link(from, name)?, to, name)?,
        FileType::Fifo => tree::make_fifo(to, name, 0o600)?,
        _ => tree::make_node(to, name, kind, 0o600, stat.st_rdev)?,
    }
    copy_attributes(Target::Name(from, name), stat, Target::Name(to, name))
}

/// The order matters: a change of owner clears set-id bits and file capabilities, and all of them change times.
fn copy_attributes(from: Target<'_>, stat: &Stat, to: Target<'_>) -> io::Result<()> {
    tree::set_owner(to, stat.st_uid, stat.st_gid)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        tree::set_mode(to, stat.st_mode & 0o7777)?;
    }
    for name in tree::list_xattrs(from)? {
        if name.as_bytes().starts_with(OVERLAY_MARKS) {
            continue;
        }
        if let Some(value) = tree::get_xattr(from, &name)? {
            tree::set_xattr(to, &name, &value)?;
        }
    }
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    tree::set_times(to, FileTime { seconds: stat.st_mtime, nanoseconds })
}

fn copy_content(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    if size == 0 || rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    rustix::fs::ftruncate(to, size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            // A file system that does not tell: all is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(e) => return Err(e.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        copy_range(from, to, start, end)?;
        at = end.max(start + 1);
    }
    Ok(())
}

fn copy_range(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, end: u64) -> io::Result<()> {
    let mut at = start;
    while at < end {
        let (mut from_at, mut to_at) = (at, at);
        let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), room) {
            Ok(0) => return copy_through_memory(from, to, at, end),
            Ok(n) => at += n as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                return copy_through_memory(from, to, at, end);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, end: u64) -> io::Result<()> {
    let mut buffer = vec![0u8; BUFFER];
    let mut at = start;
    while at < end {
        let room = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let n = rustix::io::retry_on_intr(|| rustix::io::pread(from, &mut buffer[..room], at))?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut written = 0;
        while written < n {
            let chunk = &buffer[written..n];
            written += rustix::io::retry_on_intr(|| rustix::io::pwrite(to, chunk, at + written as u64))?;
        }
        at += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Seek, Write};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn both_ways_of_copying_keep_content_and_holes() {
        let dir = std::env::temp_dir().join(format!("dhow-clone-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let source = dir.join("source");
        let mut file = File::create(&source).unwrap();
        file.seek(io::SeekFrom::Start(10 << 20)).unwrap();
        file.write_all(&[7; 300_000]).unwrap();
        file.set_len(20 << 20).unwrap();
        let (file, size) = (File::open(&source).unwrap(), 20 << 20);

        let sparse = File::create(dir.join("sparse")).unwrap();
        copy_content(file.as_fd(), sparse.as_fd(), size).unwrap();
        let plain = File::create(dir.join("plain")).unwrap();
        copy_through_memory(file.as_fd(), plain.as_fd(), 0, size).unwrap();

        let expected = std::fs::read(&source).unwrap();
        assert!(std::fs::read(dir.join("sparse")).unwrap() == expected);
        assert!(std::fs::read(dir.join("plain")).unwrap() == expected);
        assert!(sparse.metadata().unwrap().blocks() * 512 < 2 << 20);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
