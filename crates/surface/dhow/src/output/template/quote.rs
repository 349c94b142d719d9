//! Go's quoted strings: reading literals of a template, and writing them for `%q` and error messages.
//!
//! Follows the lexical rules of the Go specification ("String literals", "Rune literals") and `strconv.Quote`.
//! Strings here are always UTF-8: where Go would keep bytes that are none (`"\xff"`), U+FFFD takes their place.

use std::borrow::Cow;
use std::fmt::Write;

/// The text of a quoted or raw string literal, its quotes included. `None`: it is malformed.
pub(super) fn unquote(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let mut rest = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let (unit, tail) = unescape(rest, '"')?;
        match unit {
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(byte) => bytes.push(byte),
        }
        rest = tail;
    }
    Some(lossy(bytes))
}

/// The code point of a character literal, its quotes included.
pub(super) fn unquote_char(literal: &str) -> Result<i64, String> {
    let malformed = || format!("malformed character constant: {literal}");
    let inner = literal.strip_prefix('\'').ok_or_else(malformed)?;
    let (unit, tail) = unescape(inner, '\'').ok_or("invalid syntax")?;
    if tail != "'" {
        return Err(malformed());
    }
    Ok(match unit {
        Unit::Char(c) => i64::from(c as u32),
        Unit::Byte(byte) => i64::from(byte),
    })
}

enum Unit {
    Char(char),
    /// `\x41` and `\101` name bytes, not characters.
    Byte(u8),
}

fn unescape(text: &str, quote: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == quote {
        return None;
    }
    if c != '\\' {
        return Some((Unit::Char(c), chars.as_str()));
    }
    let c = chars.next()?;
    let rest = chars.as_str();
    let simple = |c| Some((Unit::Char(c), rest));
    match c {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' => simple('\\'),
        '\'' | '"' => (c == quote).then_some((Unit::Char(c), rest)),
        'x' => digits(rest, 2, 16).map(|(n, rest)| (Unit::Byte(n as u8), rest)),
        'u' | 'U' => {
            let (n, rest) = digits(rest, if c == 'u' { 4 } else { 8 }, 16)?;
            Some((Unit::Char(char::from_u32(n)?), rest))
        }
        '0'..='7' => {
            let (n, rest) = digits(&text[1..], 3, 8)?;
            Some((Unit::Byte(u8::try_from(n).ok()?), rest))
        }
        _ => None,
    }
}

fn digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let (head, rest) = text.split_at_checked(count)?;
    if !head.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some((u32::from_str_radix(head, radix).ok()?, rest))
}

/// `text` in double quotes with what can't be printed escaped.
pub(crate) fn quote(text: &str) -> String {
    quote_with(text, '"', false)
}

/// As [`quote`], with another quote character, or with everything beyond ASCII escaped.
pub(super) fn quote_with(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        escape_char(&mut out, c, quote, ascii);
    }
    out.push(quote);
    out
}

fn escape_char(out: &mut String, c: char, quote: char, ascii: bool) {
    let letter = match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\\' => '\\',
        _ if c == quote => quote,
        _ if c.is_ascii_graphic() || c == ' ' || (!ascii && is_print(c)) => return out.push(c),
        _ => {
            let n = c as u32;
            let written = match n {
                0..0x20 | 0x7f => write!(out, "\\x{n:02x}"),
                0..0x10000 => write!(out, "\\u{n:04x}"),
                _ => write!(out, "\\U{n:08x}"),
            };
            return written.expect("writing to a string never fails");
        }
    };
    out.push('\\');
    out.push(letter);
}

/// Go's `unicode.IsPrint`, as near as the standard library tells: no controls, no blanks but the space.
pub(super) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() || c == ' ';
    }
    // After a letter, so that a combining mark isn't escaped for being one.
    let mut after_letter = String::from("a");
    after_letter.push(c);
    !c.is_whitespace() && after_letter.escape_debug().count() == 2
}

/// The text of `bytes`, with U+FFFD for what is no UTF-8.
pub(super) fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// The bytes `from..to` of `text`; a character cut in two becomes U+FFFD. `None`: out of range.
pub(super) fn cut(text: &str, from: usize, to: usize) -> Option<Cow<'_, str>> {
    text.as_bytes().get(from..to).map(String::from_utf8_lossy)
}
