//! The disk under test: a file system in user space with one file, `disk.img`, that a loop device makes a disk of. Each
//! write request and each flush is written down in the order in which they arrive and are answered.
//!
//! The file is opened for direct I/O, so that nothing stays in a cache between the loop device and this record. One thread
//! answers one request at a time: a write that was answered before a flush arrived is covered by it. A disk could hold
//! back a write that the file system sent at the same time as the flush, without waiting for it; this one never does.
//!
//! It is a process of its own, because a process that waits for a disk cannot be killed: were the server one of its threads,
//! SIGKILL would end the server and leave the others waiting for it for ever. So it outlives the harness until the disk is
//! closed, and it is in another mount namespace, so that the harness's mounts can end before it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, MountOption,
    OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, Session, WriteFlags,
};
use nix::sched::{CloneFlags, unshare};

use super::recorder::{Event, append};
use crate::failure::Failure;

/// The process: `DISK DIRECTORY RECORD`. Shows the disk in the directory, says so in one line, and serves until its
/// standard input ends and nobody has the disk open.
pub(crate) fn serve(arguments: &[OsString]) -> Result<(), Failure> {
    let [disk, directory, record] = arguments else {
        return Err(Failure::Usage("serve-disk: DISK DIRECTORY RECORD".into()));
    };
    let (disk, directory, record) = (Path::new(disk), Path::new(directory), Path::new(record));
    let open = OpenOptions::new().read(true).write(true).open(disk).map_err(Failure::io("open", disk))?;
    let size = open.metadata().map_err(Failure::io("look at", disk))?.len();
    let record = OpenOptions::new().append(true).open(record).map_err(Failure::io("open", record))?;
    let opened = Arc::new(AtomicUsize::new(0));
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("dhow-crash".into())];
    let server = Server { disk: open, size, record, opened: opened.clone() };
    let session = Session::new(server, directory, &config).map_err(Failure::io("mount on", directory))?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(Failure::kernel("unshare"))?;
    let session = session.spawn().map_err(Failure::io("serve", directory))?;
    let told = io::stdout().write_all(b"ready\n").and_then(|()| io::stdout().flush());
    told.map_err(Failure::io("tell of", directory))?;
    // The end of the harness, wanted or not.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    for _ in 0..500 {
        if opened.load(Ordering::SeqCst) == 0 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    // Not unmounted from here: the process ends, and with it the connection.
    std::mem::forget(session);
    Ok(())
}

const NAME: &str = "disk.img";
const FILE: INodeNo = INodeNo(2);
const LIFE: Duration = Duration::from_secs(3600);

struct Server {
    disk: File,
    size: u64,
    /// Opened for appending: the harness appends to it as well.
    record: File,
    opened: Arc<AtomicUsize>,
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
        self.opened.fetch_add(1, Ordering::SeqCst);
        reply.opened(FileHandle(1), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn release(
        &self,
        _request: &Request,
        _node: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.opened.fetch_sub(1, Ordering::SeqCst);
        reply.ok();
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
        let fits = offset + data.len() as u64 <= self.size;
        let event = Event::Write { offset, data: data.to_vec() };
        if fits && self.disk.write_all_at(data, offset).is_ok() && append(&self.record, &event).is_ok() {
            reply.written(data.len() as u32);
        } else {
            reply.error(Errno::EIO);
        }
    }

    fn fsync(&self, _request: &Request, _node: INodeNo, _handle: FileHandle, _data: bool, reply: ReplyEmpty) {
        match append(&self.record, &Event::Flush) {
            Ok(()) => reply.ok(),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn flush(&self, _request: &Request, _node: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        // The end of a file descriptor, which makes nothing durable.
        reply.ok();
    }
}
