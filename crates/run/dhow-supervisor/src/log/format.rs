//! How an entry is written: the escapes of docker's own encoder (`jsonlogbytes.go`) and Go's RFC3339Nano.
//!
//! docker's encoder differs from Go's `encoding/json` in small things: a tab is `\u0009`, not `\t`. Readers take both.

use super::Stream;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the entry, with the newline after it.
pub(super) fn entry(out: &mut Vec<u8>, text: &[u8], stream: Stream, stamp: &Stamp) {
    // Mostly nothing is escaped but the newline at the end.
    out.reserve(text.len() + 96);
    if text.is_empty() {
        // Go leaves an empty text out.
        out.extend_from_slice(b"{\"stream\":\"");
    } else {
        out.extend_from_slice(b"{\"log\":\"");
        escape(out, text);
        out.extend_from_slice(b"\",\"stream\":\"");
    }
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// Whether the byte stands for itself: printable ASCII without `"`, `\`, `<`, `>`, `&`. As a signed number all that is
/// not ASCII is below the space too.
#[inline]
fn is_plain(byte: u8) -> bool {
    (byte.cast_signed() >= 0x20) & (byte != b'"') & (byte != b'\\') & (byte != b'<') & (byte != b'>') & (byte != b'&')
}

/// How many bytes from the start stand for themselves. Without branches in the inner loop, so that it becomes vector code.
#[inline]
fn plain_prefix(text: &[u8]) -> usize {
    let mut length = 0;
    for block in text.chunks_exact(16) {
        if !block.iter().fold(true, |all, &byte| all & is_plain(byte)) {
            break;
        }
        length += 16;
    }
    length + text[length..].iter().position(|&byte| !is_plain(byte)).unwrap_or(text.len() - length)
}

pub(super) fn escape(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let plain = plain_prefix(text);
        out.extend_from_slice(&text[..plain]);
        text = &text[plain..];
        let Some(&byte) = text.first() else { return };
        let used = match byte {
            b'"' | b'\\' => short(out, byte),
            b'\n' => short(out, b'n'),
            b'\r' => short(out, b'r'),
            0..0x80 => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                1
            }
            0x80.. => beyond_ascii(out, text),
        };
        text = &text[used..];
    }
}

fn short(out: &mut Vec<u8>, letter: u8) -> usize {
    out.extend_from_slice(&[b'\\', letter]);
    1
}

/// A run of characters beyond ASCII; one byte at a time is replaced of what is none, as Go's `DecodeRune` has it.
fn beyond_ascii(out: &mut Vec<u8>, text: &[u8]) -> usize {
    let length = match text[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match text.get(..length).map(std::str::from_utf8) {
        Some(Ok(_)) if text[..length] == *b"\xe2\x80\xa8" => out.extend_from_slice(b"\\u2028"),
        Some(Ok(_)) if text[..length] == *b"\xe2\x80\xa9" => out.extend_from_slice(b"\\u2029"),
        Some(Ok(_)) => out.extend_from_slice(&text[..length]),
        _ => {
            out.extend_from_slice(b"\\ufffd");
            return 1;
        }
    }
    length
}

/// A time as text: RFC 3339 in UTC with up to nine digits of fraction, without zeros at its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    bytes: [u8; 30],
    length: usize,
}

impl Stamp {
    /// Of nanoseconds since the Unix epoch.
    pub(super) fn new(nanoseconds: i64) -> Stamp {
        let seconds = nanoseconds.div_euclid(1_000_000_000);
        let fraction = nanoseconds.rem_euclid(1_000_000_000);
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil(day);
        let mut stamp = Stamp { bytes: *b"0000-00-00T00:00:00.000000000Z", length: 30 };
        let fields = [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, second / 3600)];
        let rest = [(14, 2, second / 60 % 60), (17, 2, second % 60), (20, 9, fraction)];
        for (start, width, mut value) in fields.into_iter().chain(rest) {
            for place in stamp.bytes[start..start + width].iter_mut().rev() {
                *place = b'0' + u8::try_from(value % 10).expect("a digit");
                value /= 10;
            }
        }
        let mut length = 29;
        while stamp.bytes[length - 1] == b'0' {
            length -= 1;
        }
        if stamp.bytes[length - 1] == b'.' {
            length -= 1;
        }
        stamp.bytes[length] = b'Z';
        stamp.length = length + 1;
        stamp
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Year, month and day of a day counted from 1970-01-01; Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_dockers() {
        assert_eq!(escaped(b"plain text, 16 and more of it\n"), "plain text, 16 and more of it\\n");
        assert_eq!(escaped(b"\"\\\r\t\0\x1b\x7f"), "\\\"\\\\\\r\\u0009\\u0000\\u001b\x7f");
        assert_eq!(escaped(b"<a&b>"), "\\u003ca\\u0026b\\u003e");
        assert_eq!(escaped("ä€𝄞\u{2028}\u{2029}\u{fffd}".as_bytes()), "ä€𝄞\\u2028\\u2029\u{fffd}");
        // A lone continuation, a cut character, a surrogate, an overlong slash, beyond the last plane.
        assert_eq!(escaped(b"\x80"), "\\ufffd");
        assert_eq!(escaped(b"\xe2\x82"), "\\ufffd\\ufffd");
        assert_eq!(escaped(b"\xed\xa0\x80"), "\\ufffd\\ufffd\\ufffd");
        assert_eq!(escaped(b"\xc0\xafx"), "\\ufffd\\ufffdx");
        assert_eq!(escaped(b"\xf4\x90\x80\x80"), "\\ufffd\\ufffd\\ufffd\\ufffd");
    }

    #[test]
    fn times_are_gos() {
        let text = |n| String::from_utf8(Stamp::new(n).as_bytes().to_vec()).unwrap();
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(1_795_255_200_123_456_789), "2026-11-21T10:00:00.123456789Z");
        assert_eq!(text(1_795_255_200_120_000_000), "2026-11-21T10:00:00.12Z");
        assert_eq!(text(951_782_400_000_000_001), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(text(i64::MAX), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(text(i64::MIN), "1677-09-21T00:12:43.145224192Z");
    }

    #[derive(serde::Deserialize)]
    struct Line {
        #[serde(default)]
        log: String,
        stream: String,
        time: String,
    }

    /// What Go makes of bytes: each that belongs to no character is U+FFFD, one by one.
    fn as_go_reads(mut bytes: &[u8]) -> String {
        let mut text = String::new();
        while !bytes.is_empty() {
            let good = match std::str::from_utf8(bytes) {
                Ok(all) => all.len(),
                Err(e) => e.valid_up_to(),
            };
            text.push_str(std::str::from_utf8(&bytes[..good]).unwrap());
            bytes = &bytes[good..];
            if let Some((_, rest)) = bytes.split_first() {
                text.push('\u{fffd}');
                bytes = rest;
            }
        }
        text
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_back_by_serde(text in proptest::collection::vec(any::<u8>(), 0..200), now in any::<i64>()) {
            let mut out = Vec::new();
            entry(&mut out, &text, Stream::Stderr, &Stamp::new(now));
            let line: Line = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(line.log, as_go_reads(&text));
            prop_assert_eq!(line.stream, "stderr");
            let stamp = Stamp::new(now);
            prop_assert_eq!(line.time.as_bytes(), stamp.as_bytes());
            prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        }

        #[test]
        fn any_text_is_read_back_by_serde(text in "\\PC{0,80}[\u{2028}\u{2029}<>&\"\\\\\n]{0,8}\\PC{0,8}") {
            let mut out = Vec::new();
            entry(&mut out, text.as_bytes(), Stream::Stdout, &Stamp::new(0));
            prop_assert_eq!(serde_json::from_slice::<Line>(&out).unwrap().log, text);
        }
    }
}
