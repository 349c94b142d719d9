//! One header block: where its fields are, and how numbers and strings are written in them.
//!
//! POSIX.1-1988 (ustar), the GNU tar manual ("Basic Tar Format"), star(5).

use super::{BLOCK, Fault};

/// A header whose checksum has been verified.
pub(super) struct Header(pub(super) [u8; BLOCK]);

/// What the magic bytes say about the fields behind the first 257 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// Run of data in an old GNU sparse header: two numbers of twelve bytes.
pub(super) const SPARSE_RECORD: usize = 24;

impl Header {
    /// Checks the sum over the block. Old writers summed signed bytes, so both are good.
    pub(super) fn verify(block: [u8; BLOCK]) -> Result<Header, Fault> {
        let stored = number(&block[148..156]).ok_or(Fault::Checksum)?;
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (at, &byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        if stored != unsigned && stored != signed {
            return Err(Fault::Checksum);
        }
        Ok(Header(block))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn mode(&self) -> Result<u32, Fault> {
        let mode = number(&self.0[100..108]).filter(|&m| m >= 0).ok_or(Fault::Field("mode"))?;
        Ok((mode & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> Result<u32, Fault> {
        number(&self.0[108..116]).and_then(owner).ok_or(Fault::Field("owner"))
    }

    pub(super) fn gid(&self) -> Result<u32, Fault> {
        number(&self.0[116..124]).and_then(owner).ok_or(Fault::Field("group"))
    }

    /// Bytes of content that follow in the archive.
    pub(super) fn size(&self) -> Result<u64, Fault> {
        number(&self.0[124..136]).and_then(|n| u64::try_from(n).ok()).ok_or(Fault::Field("size"))
    }

    pub(super) fn mtime(&self) -> Result<i64, Fault> {
        number(&self.0[136..148]).ok_or(Fault::Field("time"))
    }

    pub(super) fn link(&self) -> &[u8] {
        string(&self.0[157..257])
    }

    /// Major and minor number of a device. Linux has twelve and twenty bits for them.
    pub(super) fn device(&self) -> Result<(u32, u32), Fault> {
        let part = |field: &[u8], bits: u32| number(field).filter(|n| (0..1 << bits).contains(n)).map(|n| n as u32);
        let major = part(&self.0[329..337], 12).ok_or(Fault::Field("device number"))?;
        let minor = part(&self.0[337..345], 20).ok_or(Fault::Field("device number"))?;
        Ok((major, minor))
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = string(&self.0[..100]);
        let prefix: &[u8] = match self.format() {
            Format::Ustar => string(&self.0[345..500]),
            Format::Star => string(&self.0[345..476]),
            // Go before 1.8, and so docker of that time, wrote a ustar prefix under a GNU magic. It lies where
            // GNU has two times, and is recognised by not being numbers.
            Format::Gnu if self.has_misplaced_prefix() => string(&self.0[345..500]),
            Format::Gnu | Format::V7 => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    fn has_misplaced_prefix(&self) -> bool {
        let is_text = |field: &[u8]| field[0] != 0 && number(field).is_none();
        is_text(&self.0[345..357]) || is_text(&self.0[357..369])
    }

    fn format(&self) -> Format {
        match &self.0[257..263] {
            b"ustar\0" if &self.0[508..512] == b"tar\0" => Format::Star,
            b"ustar\0" => Format::Ustar,
            b"ustar " => Format::Gnu,
            _ => Format::V7,
        }
    }

    /// The four sparse records of an old GNU header, whether more follow in blocks of their own, and the length of
    /// the file with its holes.
    pub(super) fn gnu_sparse(&self) -> Result<(&[u8], bool, u64), Fault> {
        if self.format() != Format::Gnu {
            return Err(Fault::Sparse("a GNU sparse entry without the GNU magic"));
        }
        let size = number(&self.0[483..495]).and_then(|n| u64::try_from(n).ok());
        let size = size.ok_or(Fault::Sparse("the length of the file is no number"))?;
        Ok((&self.0[386..386 + 4 * SPARSE_RECORD], self.0[482] != 0, size))
    }
}

/// A user or group number. The highest means "no change" to chown(2), so it cannot be one.
pub(super) fn owner(n: i64) -> Option<u32> {
    u32::try_from(n).ok().filter(|&n| n != u32::MAX)
}

/// A string field: up to the first NUL, or the whole field.
pub(super) fn string(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// A number field: octal digits amid spaces and NULs (nothing at all is zero), or, with the highest bit of the first
/// byte set, a big-endian two's complement number in the rest (GNU base-256).
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let Some(start) = field.iter().position(|b| !blank(b)) else { return Some(0) };
    let end = field.iter().rposition(|b| !blank(b))? + 1;
    // What follows a NUL is left-over memory of the writer.
    string(&field[start..end]).iter().try_fold(0i64, |sum, &digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

fn base256(field: &[u8]) -> Option<i64> {
    // Bit 6 of the first byte is the sign; the marker bit above it takes the sign's value.
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let mut sum: i128 = if negative { -1 } else { 0 };
    for &byte in std::iter::once(&first).chain(&field[1..]) {
        // At most twelve bytes: 96 bits.
        sum = (sum << 8) | i128::from(byte);
    }
    i64::try_from(sum).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_writers_write_them() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"        "), Some(0));
        assert_eq!(number(b"777777777777"), Some(0o777_777_777_777));
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"-000001\0"), None);
        assert_eq!(number(b"644\0junk"), Some(0o644));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]), Some(-2));
        assert_eq!(number(&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]), None, "beyond 63 bits");
        assert_eq!(owner(i64::from(u32::MAX)), None);
        assert_eq!(owner(i64::from(u32::MAX) - 1), Some(u32::MAX - 1));
    }
}
