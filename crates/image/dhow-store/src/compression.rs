//! Compressions of layers and archives, recognised by their first bytes and never by a name or media type, since
//! both lie in practice.
//!
//! gzip: RFC 1952, members may follow each other. zstd: RFC 8878, frames may follow each other.

use crate::error::StoreError;
use dhow_spec::media_type::Compression;
use std::io::{BufReader, Cursor, Read};

/// Bytes that [`recognise`] wants to see; fewer are fine at the end of a file.
pub const MAGIC_LEN: usize = 10;

/// How much compressed input is read at a time, in bytes.
const INPUT: usize = 256 * 1024;

/// Largest window a zstd frame may ask for, as a power of two: 128 MiB, what the zstd tools accept by default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Compressions we know by sight and refuse by name.
const REFUSED: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"LZIP\x01", "lzip"),
    (b"\x1f\x9d", "compress"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
];

/// The compression of data that starts with `start`; `what` names the data in an error.
///
/// # Errors
/// [`StoreError::Compression`] for one that is known but not read.
pub fn recognise(start: &[u8], what: &str) -> Result<Compression, StoreError> {
    let known = Compression::sniff(start);
    if known != Compression::None {
        return Ok(known);
    }
    // bzip2 writes its block size, 1 to 9, as the fourth character.
    let level: Vec<u8> = start.iter().enumerate().map(|(i, b)| if i == 3 { b'9' } else { *b }).collect();
    if level.starts_with(b"BZh91AY&SY") {
        return Err(StoreError::Compression { what: what.to_owned(), format: "bzip2" });
    }
    match REFUSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, format)) => Err(StoreError::Compression { what: what.to_owned(), format }),
        None => Ok(Compression::None),
    }
}

/// A reader of the plain bytes behind whatever compression `input` has.
///
/// # Errors
/// [`StoreError::Compression`] for an unsupported one; I/O errors of the first read.
pub fn decode<'r, R: Read + Send + 'r>(
    mut input: R,
    what: &str,
) -> Result<(Compression, Box<dyn Read + Send + 'r>), StoreError> {
    let mut start = Vec::with_capacity(MAGIC_LEN);
    let read = input.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut start);
    read.map_err(|e| match e.downcast::<StoreError>() {
        Ok(ours) => ours,
        Err(e) => StoreError::io("read", what, e),
    })?;
    let compression = recognise(&start, what)?;
    let whole = Cursor::new(start).chain(input);
    let plain: Box<dyn Read + Send + 'r> = match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(INPUT, whole))),
        Compression::Zstd => {
            let zstd = |e| StoreError::io("decompress", what, e);
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(INPUT, whole)).map_err(zstd)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(zstd)?;
            Box::new(decoder)
        }
    };
    Ok((compression, plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn plain(bytes: &[u8]) -> (Compression, Vec<u8>) {
        let (compression, mut reader) = decode(bytes, "test").unwrap();
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        (compression, out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn decodes_what_it_recognises_with_members_and_frames_in_a_row() {
        assert_eq!(plain(b"abc"), (Compression::None, b"abc".to_vec()));
        assert_eq!(plain(b""), (Compression::None, Vec::new()));
        let two = [gzip(b"abc"), gzip(b"def")].concat();
        assert_eq!(plain(&two), (Compression::Gzip, b"abcdef".to_vec()));
        let frame = |b: &[u8]| zstd::encode_all(b, 3).unwrap();
        let two = [frame(b"abc"), frame(b"def")].concat();
        assert_eq!(plain(&two), (Compression::Zstd, b"abcdef".to_vec()));
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        for whole in [gzip(&[7; 10_000]), zstd::encode_all(&[7; 10_000][..], 3).unwrap()] {
            let (_, mut reader) = decode(&whole[..whole.len() - 3], "test").unwrap();
            assert!(reader.read_to_end(&mut Vec::new()).is_err());
        }
    }

    #[test]
    fn other_compressions_are_refused_by_name() {
        let bzip2 = (&b"BZh61AY&SY"[..], "bzip2");
        for (magic, name) in REFUSED.iter().chain([&bzip2]) {
            let error = recognise(magic, "x.tar").unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("x.tar"), "{error}");
        }
    }

    #[test]
    fn a_plain_tar_may_begin_with_a_name_that_looks_like_a_magic() {
        assert_eq!(recognise(b"BZhang/\0\0\0", "x").unwrap(), Compression::None);
    }
}
