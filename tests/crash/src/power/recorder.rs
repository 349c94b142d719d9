//! The disk under test: a file system in user space with one file, `disk.img`, that a loop device makes a disk of. Each
//! write request and each flush is written down in the order in which they arrive and are answered.
//!
//! The file is opened for direct I/O, so that nothing stays in a cache between the loop device and this record. One thread
//! answers one request at a time: a write that was answered before a flush arrived is covered by it. A disk could hold
//! back a write that the file system sent at the same time as the flush, without waiting for it; this one never does.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    WriteFlags,
};

use crate::failure::Failure;

/// What happened to the disk, or above it.
#[derive(Debug)]
pub(crate) enum Event {
    /// Sectors were written.
    Write { offset: u64, data: Vec<u8> },
    /// All that was written before is on the disk for good.
    Flush,
    /// A command of the workload has ended with success: from here on its promises hold.
    Done,
}

#[derive(Debug, Clone)]
struct Record(Arc<Mutex<Vec<Event>>>);

impl Record {
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The disk while it is being recorded.
#[derive(Debug)]
pub(crate) struct Recorder {
    record: Record,
    session: BackgroundSession,
}

impl Recorder {
    /// Shows `disk` (which is changed) as `directory/disk.img`.
    pub(crate) fn start(disk: File, directory: &Path) -> Result<Recorder, Failure> {
        let size = disk.metadata().map_err(Failure::io("look at the disk for", directory))?.len();
        let record = Record(Arc::default());
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("dhow-crash".into())];
        let server = Server { disk, size, record: record.clone() };
        let session = fuser::spawn_mount(server, directory, &config).map_err(Failure::io("mount on", directory))?;
        Ok(Recorder { record, session })
    }

    /// Writes down that a command has ended.
    pub(crate) fn done(&self) {
        self.record.lock().push(Event::Done);
    }

    /// How much is written down so far.
    pub(crate) fn count(&self) -> usize {
        self.record.lock().len()
    }

    /// Ends it; the loop device has to be gone.
    pub(crate) fn finish(self) -> Vec<Event> {
        drop(self.session);
        std::mem::take(&mut *self.record.lock())
    }
}

const NAME: &str = "disk.img";
const FILE: INodeNo = INodeNo(2);
const LIFE: Duration = Duration::from_secs(3600);

struct Server {
    disk: File,
    size: u64,
    record: Record,
}

impl Server {
    fn attributes(&self, node: INodeNo) -> FileAttr {
        let directory = node == INodeNo::ROOT;
        FileAttr {
            ino: node,
            size: if directory { 0 } else { self.size },
            blocks: self.size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if directory { FileType::Directory } else { FileType::RegularFile },
            perm: if directory { 0o700 } else { 0o600 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Server {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == NAME {
            reply.entry(&LIFE, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, node: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&LIFE, &self.attributes(node));
    }

    fn open(&self, _request: &Request, _node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(1), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = u64::from(size).min(self.size.saturating_sub(offset));
        let mut data = vec![0; size as usize];
        match self.disk.read_exact_at(&mut data, offset) {
            Ok(()) => reply.data(&data),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if offset + data.len() as u64 > self.size || self.disk.write_all_at(data, offset).is_err() {
            reply.error(Errno::EIO);
            return;
        }
        self.record.lock().push(Event::Write { offset, data: data.to_vec() });
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _request: &Request, _node: INodeNo, _handle: FileHandle, _data: bool, reply: ReplyEmpty) {
        self.record.lock().push(Event::Flush);
        reply.ok();
    }

    fn flush(&self, _request: &Request, _node: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        // The end of a file descriptor, which makes nothing durable.
        reply.ok();
    }
}
