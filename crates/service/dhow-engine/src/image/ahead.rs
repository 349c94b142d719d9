//! Reads ahead on a thread of its own, so that hashing and writing down a blob runs beside inflating it.
//!
//! Inflating is the longest step of unpacking one layer; whatever shares its thread makes all of it longer.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
/// Chunks read ahead; with the one in use they bound the memory.
const QUEUE: usize = 4;

/// The bytes of a source that is being read on another thread.
pub(super) struct Ahead {
    chunks: Receiver<io::Result<Chunk>>,
    /// Used chunks go back, so that memory is taken from the system once.
    used: Sender<Vec<u8>>,
    current: Chunk,
    at: usize,
}

/// A buffer and how much of it is filled.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    filled: usize,
}

/// Runs `f` with the bytes of `source`, which is read ahead meanwhile. How far the source was read when `f` returns
/// before its end is not said.
///
/// # Errors
/// When no thread can be started.
pub(super) fn read_ahead<R: Read + Send, T>(source: &mut R, f: impl FnOnce(&mut Ahead) -> T) -> io::Result<T> {
    let (full, chunks) = sync_channel(QUEUE);
    let (used, empty) = channel();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("blob-read".to_owned());
        thread.spawn_scoped(scope, move || pump(source, &full, &empty))?;
        let mut ahead = Ahead { chunks, used, current: Chunk::default(), at: 0 };
        let value = f(&mut ahead);
        // Lets the thread go, should it wait for room.
        drop(ahead);
        Ok(value)
    })
}

/// Reads until the end, an error, or until nobody listens any more.
fn pump<R: Read>(source: &mut R, full: &SyncSender<io::Result<Chunk>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut bytes = empty.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        match source.read(&mut bytes) {
            Ok(0) => return,
            Ok(filled) => {
                if full.send(Ok(Chunk { bytes, filled })).is_err() {
                    return;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                // Whoever has stopped listening does not need it.
                let _ = full.send(Err(e));
                return;
            }
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.filled {
            let Ok(next) = self.chunks.recv() else { return Ok(0) };
            let done = std::mem::replace(&mut self.current, next?);
            self.at = 0;
            if !done.bytes.is_empty() {
                // The thread may have ended by now.
                let _ = self.used.send(done.bytes);
            }
        }
        let n = buf.len().min(self.current.filled - self.at);
        buf[..n].copy_from_slice(&self.current.bytes[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in odd pieces, then perhaps an error.
    struct Pieces {
        left: u64,
        fails: bool,
    }

    impl Read for Pieces {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 && self.fails {
                return Err(io::Error::other("broken"));
            }
            let n = buf.len().min(77_777).min(usize::try_from(self.left).unwrap());
            for byte in &mut buf[..n] {
                *byte = (self.left % 251) as u8;
                self.left -= 1;
            }
            Ok(n)
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_source() {
        let mut expected = Vec::new();
        Pieces { left: 3_000_001, fails: false }.read_to_end(&mut expected).unwrap();
        let mut found = Vec::new();
        let read = |ahead: &mut Ahead| ahead.read_to_end(&mut found).unwrap();
        read_ahead(&mut Pieces { left: 3_000_001, fails: false }, read).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn an_error_of_the_source_arrives_behind_its_bytes() {
        let mut found = Vec::new();
        let read = |ahead: &mut Ahead| ahead.read_to_end(&mut found).unwrap_err().to_string();
        assert_eq!(read_ahead(&mut Pieces { left: 1_000_000, fails: true }, read).unwrap(), "broken");
        assert_eq!(found.len(), 1_000_000);
    }

    #[test]
    fn who_stops_early_does_not_wait_for_the_rest() {
        let mut source = Pieces { left: u64::MAX, fails: false };
        let mut byte = [0];
        read_ahead(&mut source, |ahead| ahead.read_exact(&mut byte).unwrap()).unwrap();
    }
}
