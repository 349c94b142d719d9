//! The pipeline: one thread reads (and so inflates), one hashes, and the caller's applies.
//!
//! Bytes travel in recycled chunks that both consumers share, so file content is written straight from the buffer that
//! it was inflated into. The number of chunks is fixed: a slow consumer stops the reader, and memory stays the same
//! however large the layer is. Rejected: a bounded channel of fresh buffers, whose page faults cost as much as the
//! hash.

use dhow_spec::digest::{Algorithm, Digest};
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Large enough that a wake-up per chunk costs nothing, small enough to stay in the cache between threads.
const CHUNK: usize = 256 << 10;
/// 8 MiB in all.
const CHUNKS: usize = 32;

/// A piece of the stream. Its buffer goes home when the last consumer drops it.
pub(super) struct Chunk {
    buffer: Vec<u8>,
    length: usize,
    home: Sender<Vec<u8>>,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Nobody is there any more when the stream has ended; the buffer is freed then.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// Where the reading thread puts its chunks.
pub(super) struct Feed {
    apply: Sender<io::Result<Arc<Chunk>>>,
    hash: Option<Sender<Arc<Chunk>>>,
}

/// Makes the pipeline's ends: for the reading thread, the applying one and, if asked for, the hashing one.
pub(super) fn pipeline(hash: bool) -> (Feed, Chunks, Option<Receiver<Arc<Chunk>>>) {
    let (apply, chunks) = channel();
    let (hash, hashed) = if hash { Some(channel()).unzip() } else { (None, None) };
    (Feed { apply, hash }, Chunks { incoming: chunks, current: None, at: 0 }, hashed)
}

impl Feed {
    /// Reads `stream` to its end, to its first error, or until the applying side has gone.
    pub(super) fn pump(self, stream: &mut impl Read) {
        let (home, returned) = channel();
        let mut made = 0;
        loop {
            let buffer = match returned.try_recv() {
                Ok(buffer) => buffer,
                Err(TryRecvError::Empty) if made < CHUNKS => {
                    made += 1;
                    vec![0; CHUNK]
                }
                // `home` is kept here, so waiting ends with a buffer: both consumers drop what they are sent.
                Err(_) => returned.recv().expect("a sender is kept"),
            };
            let mut chunk = Chunk { buffer, length: 0, home: home.clone() };
            let filled = fill(stream, &mut chunk);
            let ended = filled.is_err() || chunk.length < CHUNK;
            if chunk.length > 0 {
                let chunk = Arc::new(chunk);
                if let Some(hash) = &self.hash {
                    // The hashing thread stops only with this sender.
                    let _ = hash.send(Arc::clone(&chunk));
                }
                if self.apply.send(Ok(chunk)).is_err() {
                    return;
                }
            }
            if let Err(e) = filled {
                let _ = self.apply.send(Err(e));
            }
            if ended {
                return;
            }
        }
    }
}

/// Fills a chunk, or as much of it as there is.
fn fill(stream: &mut impl Read, chunk: &mut Chunk) -> io::Result<()> {
    while chunk.length < CHUNK {
        match stream.read(&mut chunk.buffer[chunk.length..]) {
            Ok(0) => break,
            // A reader that claims more than it was given room for would be a bug; the slice above then catches it.
            Ok(n) => chunk.length += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The digest of all chunks.
pub(super) fn hash(chunks: &Receiver<Arc<Chunk>>) -> Digest {
    let mut hasher = Algorithm::Sha256.hasher();
    for chunk in chunks {
        hasher.update(chunk.bytes());
    }
    hasher.finish()
}

/// The applying side: the stream again, without copying.
pub(super) struct Chunks {
    incoming: Receiver<io::Result<Arc<Chunk>>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|chunk| self.at == chunk.length) {
            // Dropped before waiting: with every chunk in use the reader could not go on.
            self.current = None;
            self.at = 0;
            self.current = self.incoming.recv().ok().transpose()?;
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk.bytes()[self.at..]))
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let n = bytes.len().min(buf.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        self.consume(n);
        Ok(n)
    }
}
