//! PAX extended headers: records of `length keyword=value\n`. POSIX.1-2001, pax(1), "pax Extended Header".

use super::entry::Mtime;
use super::header::owner;
use super::sparse::PaxSparse;
use super::{Fault, Limits};

/// What one extended header says of the entry that follows. A keyword that comes twice counts the last time.
#[derive(Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

const MALFORMED: Fault = Fault::Extended("a record is not of the form \"length keyword=value\"");

impl Pax {
    pub(super) fn parse(mut records: &[u8], limits: &Limits) -> Result<Pax, Fault> {
        let mut pax = Pax::default();
        while !records.is_empty() {
            let record = Record::first_of(records)?;
            pax.set(record.keyword, record.value, limits)?;
            records = record.rest;
        }
        Ok(pax)
    }

    fn set(&mut self, keyword: &[u8], value: &[u8], limits: &Limits) -> Result<(), Fault> {
        if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
            return self.set_xattr(name, value, limits);
        }
        if let Some(keyword) = keyword.strip_prefix(b"GNU.sparse.") {
            return self.sparse.set(keyword, value, limits);
        }
        // An empty value gives back what the plain header says.
        match keyword {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link = text(value)?,
            b"size" => {
                let size = |v: &[u8]| decimal(v).ok_or(Fault::Extended("size is no number"));
                self.size = some(value).map(size).transpose()?;
            }
            b"uid" => self.uid = some(value).map(|v| id(v, "uid is no user number")).transpose()?,
            b"gid" => self.gid = some(value).map(|v| id(v, "gid is no group number")).transpose()?,
            b"mtime" => {
                let time = |v: &[u8]| time(v).ok_or(Fault::Extended("mtime is no time"));
                self.mtime = some(value).map(time).transpose()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), Fault> {
        if name.is_empty() || name.len() > 255 {
            return Err(Fault::Extended("an extended attribute's name is empty or longer than 255 bytes"));
        }
        if value.len() > limits.xattr {
            return Err(Fault::Limit { limit: "bytes of an extended attribute", max: limits.xattr as u64 });
        }
        // Linear, and so bounded: no file system holds as many names as this.
        match self.xattrs.iter().position(|(have, _)| have == name) {
            Some(at) => self.xattrs[at].1 = value.to_vec(),
            None if self.xattrs.len() >= 1024 => {
                return Err(Fault::Limit { limit: "extended attributes of one entry", max: 1024 });
            }
            None => self.xattrs.push((name.to_vec(), value.to_vec())),
        }
        Ok(())
    }
}

/// One record, and what follows it.
struct Record<'a> {
    keyword: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

impl Record<'_> {
    fn first_of(records: &[u8]) -> Result<Record<'_>, Fault> {
        let space = records.iter().take(20).position(|&b| b == b' ').ok_or(MALFORMED)?;
        let length = decimal(&records[..space]).and_then(|n| usize::try_from(n).ok()).ok_or(MALFORMED)?;
        // The length counts itself, the space and the newline.
        if length > records.len() || length < space + 2 {
            return Err(MALFORMED);
        }
        let (record, rest) = records.split_at(length);
        let (&last, body) = record[space + 1..].split_last().ok_or(MALFORMED)?;
        let equals = body.iter().position(|&b| b == b'=').ok_or(MALFORMED)?;
        let (keyword, value) = (&body[..equals], &body[equals + 1..]);
        if last != b'\n' || keyword.is_empty() || keyword.contains(&0) {
            return Err(MALFORMED);
        }
        Ok(Record { keyword, value, rest })
    }
}

fn some(value: &[u8]) -> Option<&[u8]> {
    Some(value).filter(|v| !v.is_empty())
}

/// A path or link target. Readers in C would see it end at a NUL, so it may have none.
pub(super) fn text(value: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    if value.contains(&0) {
        return Err(Fault::Extended("a path with a NUL byte in it"));
    }
    Ok(some(value).map(<[u8]>::to_vec))
}

fn id(value: &[u8], fault: &'static str) -> Result<u32, Fault> {
    let id = decimal(value).and_then(|n| i64::try_from(n).ok()).and_then(owner);
    id.ok_or(Fault::Extended(fault))
}

/// Decimal digits and nothing else.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, &digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// `[-]seconds[.fraction]`; digits beyond nanoseconds are cut off.
fn time(value: &[u8]) -> Option<Mtime> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |&b| b == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let nanoseconds = digits.fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, _) => Mtime { seconds, nanoseconds },
        (true, 0) => Mtime { seconds: -seconds, nanoseconds: 0 },
        (true, _) => Mtime { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_and_fractions() {
        let at = |seconds, nanoseconds| Some(Mtime { seconds, nanoseconds });
        assert_eq!(time(b"1350244992.023960108"), at(1_350_244_992, 23_960_108));
        assert_eq!(time(b"1350244992.02396010855"), at(1_350_244_992, 23_960_108));
        assert_eq!(time(b"1"), at(1, 0));
        assert_eq!(time(b"1."), at(1, 0));
        assert_eq!(time(b"-1.5"), at(-2, 500_000_000));
        assert_eq!(time(b"-0.000000001"), at(-1, 999_999_999));
        assert_eq!(time(b"-3"), at(-3, 0));
        for bad in [&b""[..], b".5", b"-", b"1.-5", b"--1", b"1e3", b" 1", b"99999999999999999999"] {
            assert_eq!(time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn records_must_fit_their_length() {
        let limits = Limits::default();
        assert!(Pax::parse(b"9 size=1\n", &limits).is_ok());
        for bad in ["9 size=12", "11 size=1\n", "8 size=1\n", "size=1\n", "4 a=\n", "2 \n", "0 \n", "9  size=1\n"] {
            assert!(Pax::parse(bad.as_bytes(), &limits).is_err(), "{bad:?}");
        }
        assert!(Pax::parse(b"11 path=a\0b\n", &limits).is_err());
        let twice = Pax::parse(b"9 size=1\n9 size=2\n", &limits).ok().and_then(|p| p.size);
        assert_eq!(twice, Some(2));
    }
}
