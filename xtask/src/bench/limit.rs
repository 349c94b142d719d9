//! The limit that unpacking is held against: what this machine needs to hash, inflate and write a gzip layer with three
//! threads and nothing else to do. No product code: it trusts its input, keeps no xattrs, and has no error worth reading.
//!
//!     read file -> inflate ---> write the tree
//!              \          \
//!               +----------+--> sha256 of both streams

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::bufread::MultiGzDecoder;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;

const CHUNK: usize = 256 << 10;
const AHEAD: usize = 16;
const MOST_OPEN: usize = 200;

type Chunk = Arc<Vec<u8>>;

/// Unpacks `archive` into `root` as fast as this machine can; with `durable`, also keeps the compressed bytes beside it
/// and waits for the disk, as a store that promises durability must.
pub(crate) fn unpack(archive: &Path, root: &Path, durable: bool) -> Result<(), Failure> {
    let file = File::open(archive).map_err(Failure::at(archive))?;
    let mut blob = match durable {
        true => Some(File::create(root.join("blob")).map_err(Failure::at(root))?),
        false => None,
    };
    let tree_root = root.join("tree");
    std::fs::create_dir(&tree_root).map_err(Failure::at(&tree_root))?;
    let (packed, packed_chunks) = sync_channel::<Chunk>(AHEAD);
    let (plain, plain_chunks) = sync_channel::<Chunk>(AHEAD);
    let (tree, tree_chunks) = sync_channel::<Chunk>(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || hash(&packed_chunks, &plain_chunks, blob.as_mut()));
        let writer = scope.spawn(move || Untar::new(&tree_root).run(Chunks::new(tree_chunks)));
        inflate(file, &packed, &plain, &tree);
        drop((packed, plain, tree));
        writer.join().expect("the limit's input is a good archive");
    });
    if durable {
        let folder = File::open(root).map_err(Failure::at(root))?;
        rustix::fs::syncfs(&folder).map_err(Failure::at(root))?;
    }
    Ok(())
}

fn inflate(file: File, packed: &SyncSender<Chunk>, plain: &SyncSender<Chunk>, tree: &SyncSender<Chunk>) {
    let tee = Tee { file, packed };
    let mut gzip = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, tee));
    loop {
        let mut chunk = vec![0; CHUNK];
        let mut filled = 0;
        while filled < CHUNK {
            match gzip.read(&mut chunk[filled..]).expect("the limit's input is good gzip") {
                0 => break,
                n => filled += n,
            }
        }
        if filled == 0 {
            return;
        }
        chunk.truncate(filled);
        let chunk = Arc::new(chunk);
        // A receiver that is gone has met the end of the archive or a fault that it tells itself.
        let _ = plain.send(Arc::clone(&chunk));
        let _ = tree.send(chunk);
    }
}

/// Hands on a copy of what is read.
struct Tee<'a> {
    file: File,
    packed: &'a SyncSender<Chunk>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buffer)?;
        let _ = self.packed.send(Arc::new(buffer[..n].to_vec()));
        Ok(n)
    }
}

fn hash(packed: &Receiver<Chunk>, plain: &Receiver<Chunk>, mut blob: Option<&mut File>) {
    let mut hashes = [Sha256::new(), Sha256::new()];
    let mut take = |chunk: &Chunk| {
        hashes[0].update(chunk.as_slice());
        if let Some(blob) = &mut blob {
            blob.write_all(chunk).expect("the disk holds the blob");
        }
    };
    let mut plain_hash = Sha256::new();
    for chunk in plain {
        plain_hash.update(chunk.as_slice());
        packed.try_iter().for_each(|chunk| take(&chunk));
    }
    packed.iter().for_each(|chunk| take(&chunk));
    hashes[1] = plain_hash;
    std::hint::black_box(hashes.map(Sha256::finalize));
}

/// The chunks as one stream.
struct Chunks {
    receiver: Receiver<Chunk>,
    chunk: Chunk,
    at: usize,
}

impl Chunks {
    fn new(receiver: Receiver<Chunk>) -> Chunks {
        Chunks { receiver, chunk: Chunk::default(), at: 0 }
    }

    /// Up to `most` bytes of what is there; empty at the end.
    fn some(&mut self, most: usize) -> &[u8] {
        while self.at == self.chunk.len() {
            match self.receiver.recv() {
                Ok(chunk) => (self.chunk, self.at) = (chunk, 0),
                Err(_) => return &[],
            }
        }
        let start = self.at;
        self.at = self.chunk.len().min(start + most);
        &self.chunk[start..self.at]
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let some = self.some(length - bytes.len());
            if some.is_empty() {
                break;
            }
            bytes.extend_from_slice(some);
        }
        bytes
    }
}

/// Writes a tree with one open directory at hand and as few calls for each entry as there can be.
struct Untar {
    root: OwnedFd,
    parents: HashMap<String, OwnedFd>,
    folders: Vec<(String, Timestamps)>,
}

impl Untar {
    fn new(root: &Path) -> Untar {
        rustix::process::umask(Mode::empty());
        let root = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect("the limit's folder");
        Untar { root, parents: HashMap::new(), folders: Vec::new() }
    }

    fn run(mut self, mut stream: Chunks) {
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let header = stream.exactly(512);
            if header.len() < 512 || header[0] == 0 {
                break;
            }
            let size = octal(&header[124..136]) as usize;
            let padding = size.next_multiple_of(512) - size;
            match header[156] {
                b'x' | b'L' | b'K' => {
                    let body = stream.exactly(size);
                    stream.exactly(padding);
                    match header[156] {
                        b'L' => long_name = Some(text(&body)),
                        b'K' => long_link = Some(text(&body)),
                        _ => pax(&body, &mut long_name, &mut long_link),
                    }
                }
                kind => {
                    let name = long_name.take().unwrap_or_else(|| name(&header));
                    let link = long_link.take().unwrap_or_else(|| text(&header[157..257]));
                    self.entry(kind, &name, &link, &header, size, &mut stream);
                    stream.exactly(padding);
                }
            }
        }
        while !stream.some(CHUNK).is_empty() {}
        for (folder, times) in self.folders.iter().rev() {
            rustix::fs::utimensat(&self.root, folder.as_str(), times, AtFlags::empty()).expect("a folder of ours");
        }
    }

    fn entry(&mut self, kind: u8, name: &str, link: &str, header: &[u8], size: usize, stream: &mut Chunks) {
        let name = name.trim_start_matches("./").trim_matches('/');
        if name.is_empty() {
            return;
        }
        let mode = Mode::from_raw_mode(octal(&header[100..108]) as u32 & 0o7777);
        let (uid, gid) = (octal(&header[108..116]) as u32, octal(&header[116..124]) as u32);
        let time = Timespec { tv_sec: octal(&header[136..148]) as i64, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = self.parent(parent);
        let owned = (uid, gid) != (0, 0);
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match kind {
            b'5' => {
                let _ = rustix::fs::mkdirat(folder, last, mode);
                if owned {
                    rustix::fs::chownat(folder, last, uid, gid, AtFlags::empty()).expect("a folder of ours");
                }
                self.folders.push((name.to_owned(), times));
            }
            b'2' => {
                rustix::fs::symlinkat(link, folder, last).expect("a link");
                rustix::fs::utimensat(folder, last, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a link of ours");
            }
            b'1' => {
                let link = link.trim_start_matches("./");
                rustix::fs::linkat(&self.root, link, &self.parents[parent], last, AtFlags::empty())
                    .expect("a hard link");
            }
            b'0' | 0 => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let mut file = File::from(rustix::fs::openat(folder, last, flags, mode).expect("a file"));
                let mut left = size;
                while left > 0 {
                    let some = stream.some(left);
                    assert!(!some.is_empty(), "the limit's input is whole");
                    file.write_all(some).expect("the disk holds the tree");
                    left -= some.len();
                }
                if owned {
                    rustix::fs::fchown(&file, uid, gid).expect("a file of ours");
                    // chown drops set-id bits.
                    rustix::fs::fchmod(&file, mode).expect("a file of ours");
                }
                rustix::fs::futimens(&file, &times).expect("a file of ours");
            }
            _ => {}
        }
    }

    fn parent(&mut self, path: &str) -> &OwnedFd {
        if self.parents.len() > MOST_OPEN {
            self.parents.clear();
        }
        let root = &self.root;
        self.parents.entry(path.to_owned()).or_insert_with(|| {
            let path = if path.is_empty() { "." } else { path };
            rustix::fs::openat(root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .expect("parents come first in the limit's input")
        })
    }
}

fn octal(field: &[u8]) -> u64 {
    if field[0] & 0x80 != 0 {
        return field[field.len() - 8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    }
    let digits = field.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number << 3 | u64::from(digit - b'0'))
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn name(header: &[u8]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    // GNU's headers have times where POSIX has a prefix.
    if prefix.is_empty() || &header[257..263] != b"ustar\0" { name } else { format!("{prefix}/{name}") }
}

fn pax(body: &[u8], name: &mut Option<String>, link: &mut Option<String>) {
    for record in String::from_utf8_lossy(body).lines() {
        let Some((key, value)) = record.split_once(' ').and_then(|(_, pair)| pair.split_once('=')) else { continue };
        match key {
            "path" => *name = Some(value.to_owned()),
            "linkpath" => *link = Some(value.to_owned()),
            _ => {}
        }
    }
}
