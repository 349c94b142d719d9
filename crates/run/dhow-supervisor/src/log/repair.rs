//! A log whose writer was killed in the middle of write(2): its last line is completed with what is known of it.

use super::format::{Stamp, entry};
use super::{Stream, decode};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::time::UNIX_EPOCH;

/// More than the longest line that we write: 16 KiB, each byte escaped as six.
const LONGEST: u64 = 128 * 1024;

/// Completes a last line without a newline. Its text is kept as far as it was written, with the time at which the file
/// was last written to; what shows no text at all is removed.
pub(super) fn complete(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let start = metadata.len().saturating_sub(LONGEST);
    let mut end = vec![0; usize::try_from((metadata.len() - start).min(1)).expect("0 or 1")];
    if end.is_empty() {
        return Ok(());
    }
    file.read_exact_at(&mut end, metadata.len() - 1)?;
    if end == b"\n" {
        return Ok(());
    }
    end.resize(usize::try_from(metadata.len() - start).expect("at most LONGEST"), 0);
    file.read_exact_at(&mut end, start)?;
    let line = memchr::memrchr(b'\n', &end).map_or(0, |at| at + 1);
    let saved = decode::salvage(&end[line..]).filter(|(text, _)| !text.is_empty());
    file.set_len(start + line as u64)?;
    if let Some((text, stream)) = saved {
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let stamp = Stamp::new(i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX));
        let mut whole = Vec::new();
        entry(&mut whole, &text, stream.unwrap_or(Stream::Stdout), &stamp);
        let mut file = file;
        file.write_all(&whole)?;
    }
    Ok(())
}
