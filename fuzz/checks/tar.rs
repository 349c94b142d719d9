//! What must hold for any bytes that are read as a tar archive.

use dhow_rootfs::tar::{Entry, EntryKind, Limits, Reader};
use std::io::{BufRead, BufReader};

/// More content than this is not followed: a sparse file may claim to be as large as it likes.
const MAX_CONTENT: u64 = 1 << 20;

/// Panics when the reader contradicts itself. Small limits, so that small inputs reach them.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits {
        extended_header: 4 << 10,
        path: 1 << 10,
        depth: 64,
        entries: 64,
        xattr: 512,
        sparse_runs: 64,
        ..Limits::default()
    };
    let whole = read(data, limits);
    let in_pieces = read(BufReader::with_capacity(7, data), limits);
    assert_eq!(whole, in_pieces, "how the bytes arrive must not matter");
}

/// Entries with a sum of their content, and the error that ended the reading.
fn read(stream: impl BufRead, limits: Limits) -> (Vec<(Entry, u64, u64)>, Option<String>) {
    let mut reader = Reader::new(stream, limits);
    let mut entries = Vec::new();
    loop {
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                assert_eq!(reader.next_entry().expect("the end is not passed twice"), None);
                return (entries, reader.drain().err().map(|error| error.to_string()));
            }
            Err(error) => return (entries, Some(error.to_string())),
        };
        check_entry(&entry, &limits);
        let (mut end, mut sum) = (0, 0_u64);
        // Every third entry is left unread, so that passing over content is exercised as well.
        while entries.len() % 3 != 2 && end < MAX_CONTENT {
            match reader.next_run() {
                Ok(Some(run)) => {
                    assert!(!run.bytes.is_empty() && run.offset >= end, "runs go forward");
                    end = run.offset + run.bytes.len() as u64;
                    assert!(end <= entry.size, "runs stay within the file");
                    for byte in run.bytes {
                        sum = sum.wrapping_mul(31).wrapping_add(u64::from(*byte) + 1);
                    }
                }
                Ok(None) => break,
                Err(error) => return (entries, Some(error.to_string())),
            }
        }
        entries.push((entry, end.min(MAX_CONTENT), sum));
    }
}

fn check_entry(entry: &Entry, limits: &Limits) {
    assert!(!entry.path.contains(&0) && entry.path.len() <= limits.path);
    assert!(entry.mtime.nanoseconds < 1_000_000_000);
    assert_eq!(entry.mode & !0o7777, 0);
    assert!(entry.size == 0 || entry.kind == EntryKind::File);
    assert!(entry.xattrs.iter().all(|(name, value)| !name.contains(&0) && value.len() <= limits.xattr));
    if let EntryKind::HardLink { target } | EntryKind::Symlink { target } = &entry.kind {
        assert!(!target.contains(&0) && target.len() <= limits.path);
    }
}
