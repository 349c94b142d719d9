//! Names: labels in wire form, at most 255 bytes with the root (RFC 1035, 3.1), and the compression of 4.1.4.
//!
//! A label may hold any bytes, dots too: names are compared in wire form, so that `a\.b` never becomes `a.b`.

use super::Malformed;
use std::fmt;

/// The longest name in bytes, with the length of each label and the root.
pub const NAME_MAX: usize = 255;
/// The longest label.
const LABEL_MAX: usize = 63;

/// A name in wire form, as it was written: upper and lower case are kept, because they may be a client's nonce.
#[derive(Clone, Copy)]
pub struct Name {
    octets: [u8; NAME_MAX],
    length: u8,
}

impl Name {
    /// The root: no label at all.
    pub const ROOT: Name = Name { octets: [0; NAME_MAX], length: 1 };

    /// Reads the name at `at` of a message; also returns where the bytes behind it begin.
    ///
    /// A pointer must point before the labels that it ends, so reading always comes to an end.
    ///
    /// # Errors
    /// [`Malformed`] says where and what.
    pub fn read(message: &[u8], at: usize) -> Result<(Name, usize), Malformed> {
        let mut name = Name { octets: [0; NAME_MAX], length: 0 };
        let (mut cursor, mut lowest, mut behind) = (at, at, None);
        loop {
            let length = *message.get(cursor).ok_or(Malformed::Short { at: cursor })?;
            match length {
                0 => {
                    name.push(&[0]).ok_or(Malformed::LongName { at })?;
                    return Ok((name, behind.unwrap_or(cursor + 1)));
                }
                1..=63 => {
                    let end = cursor + 1 + usize::from(length);
                    let label = message.get(cursor..end).ok_or(Malformed::Short { at: cursor })?;
                    name.push(label).ok_or(Malformed::LongName { at })?;
                    cursor = end;
                }
                192.. => {
                    let low = *message.get(cursor + 1).ok_or(Malformed::Short { at: cursor + 1 })?;
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    if target >= lowest {
                        return Err(Malformed::Pointer { at: cursor });
                    }
                    behind.get_or_insert(cursor + 2);
                    (cursor, lowest) = (target, target);
                }
                64..=191 => return Err(Malformed::Label { at: cursor }),
            }
        }
    }

    /// The name that this text means, with or without the dot of the root. None when it is none: an empty or too long
    /// label, too long in sum, or not plain printable ASCII. There are no escapes.
    pub fn from_text(text: &str) -> Option<Name> {
        let mut name = Name { octets: [0; NAME_MAX], length: 0 };
        let text = text.strip_suffix('.').unwrap_or(text);
        for label in text.split('.').filter(|_| !text.is_empty()) {
            if label.is_empty() || label.len() > LABEL_MAX || !label.bytes().all(|b| b.is_ascii_graphic()) {
                return None;
            }
            name.push(&[label.len() as u8])?;
            name.push(label.as_bytes())?;
        }
        name.push(&[0])?;
        Some(name)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let start = usize::from(self.length);
        self.octets.get_mut(start..start + bytes.len())?.copy_from_slice(bytes);
        self.length = (start + bytes.len()) as u8;
        Some(())
    }

    /// The wire form, uncompressed.
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// The same name in lower case: what names are looked up by.
    #[must_use]
    pub fn lower(&self) -> Name {
        let mut lower = *self;
        // A length is below 64 and so no letter.
        lower.octets.make_ascii_lowercase();
        lower
    }

    /// Its labels, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.as_wire();
        std::iter::from_fn(move || {
            let (&length, behind) = rest.split_first()?;
            let label;
            (label, rest) = behind.split_at_checked(usize::from(length))?;
            (length > 0).then_some(label)
        })
    }

    /// Whether both upper and lower case letters occur: a client that draws them by lot wants them back as they are.
    pub fn is_mixed_case(&self) -> bool {
        self.as_wire().iter().any(u8::is_ascii_lowercase) && self.as_wire().iter().any(u8::is_ascii_uppercase)
    }
}

/// Names are the same whatever their case (RFC 4343).
impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_wire().eq_ignore_ascii_case(other.as_wire())
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// With the dot of the root; what is not plain is written as `\DDD`, a dot or backslash within a label with a backslash.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.as_wire().len() <= 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                    b if b.is_ascii_graphic() => write!(f, "{}", char::from(b))?,
                    b => write!(f, "\\{b:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}
