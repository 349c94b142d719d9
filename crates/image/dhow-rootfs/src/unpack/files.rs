//! Files that are no directories: content, symbolic links, devices and pipes.

use super::apply::{Layer, archive, failed, os};
use super::attributes::Attributes;
use super::directories::DirectoryId;
use crate::tar::Reader;
use crate::{Entry, RootfsError};
use dhow_sys::tree::{self, Target};
use rustix::fs::{Dev, FileType};
use rustix::io::Errno;
use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd};

impl Layer<'_> {
    pub(super) fn make_file(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        entry: &Entry,
        reader: &mut Reader<impl BufRead>,
    ) -> Result<(), RootfsError> {
        let dir = self.fd(at, entry)?;
        let mut file = None;
        self.replacing(at, name, entry, "make the file", || {
            file = Some(tree::create_file(dir.as_fd(), os(name), entry.mode & 0o777)?);
            Ok(())
        })?;
        let file = file.expect("replacing() has run its closure to success");
        self.write_content(file.as_fd(), entry, reader)?;
        self.size = self.size.saturating_add(entry.size);
        self.describe(Target::Fd(file.as_fd()), at, &Attributes::of_entry(entry), entry, false)
    }

    fn write_content(
        &mut self,
        file: BorrowedFd<'_>,
        entry: &Entry,
        reader: &mut Reader<impl BufRead>,
    ) -> Result<(), RootfsError> {
        let mut end = 0;
        loop {
            let offset = reader.offset();
            let Some(run) = reader.next_run().map_err(archive)? else { break };
            if !self.space.may_write(run.bytes.len() as u64).map_err(failed("look at the file system", entry))? {
                return Err(self.no_room(entry));
            }
            write_all(file, run.bytes, run.offset).map_err(failed("write", entry))?;
            end = run.offset + run.bytes.len() as u64;
            self.tell(offset);
        }
        if end < entry.size {
            // A hole at the end.
            rustix::fs::ftruncate(file, entry.size).map_err(|e| failed("set the length", entry)(e.into()))?;
        }
        Ok(())
    }

    pub(super) fn make_symlink(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        target: &[u8],
        entry: &Entry,
    ) -> Result<(), RootfsError> {
        let dir = self.fd(at, entry)?;
        self.replacing(at, name, entry, "make the symbolic link", || tree::symlink(os(target), dir.as_fd(), os(name)))?;
        let made = Target::Name(dir.as_fd(), os(name));
        self.describe(made, at, &Attributes::of_entry(entry), entry, true)
    }

    pub(super) fn make_special(
        &mut self,
        at: DirectoryId,
        name: &[u8],
        kind: FileType,
        device: Dev,
        entry: &Entry,
    ) -> Result<(), RootfsError> {
        let dir = self.fd(at, entry)?;
        let mode = entry.mode & 0o777;
        self.replacing(at, name, entry, "make the special file", || match kind {
            FileType::Fifo => tree::make_fifo(dir.as_fd(), os(name), mode),
            device_kind => tree::make_node(dir.as_fd(), os(name), device_kind, mode, device),
        })?;
        let made = Target::Name(dir.as_fd(), os(name));
        self.describe(made, at, &Attributes::of_entry(entry), entry, false)
    }
}

/// Writes all bytes at an offset.
pub(super) fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
