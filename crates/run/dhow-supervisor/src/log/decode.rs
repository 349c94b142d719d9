//! One line of a log, read: by hand in the form that docker and we write, else by a JSON parser.

use super::{Entry, Stream};
use serde::Deserialize;

/// Reads one line, with or without the newline at its end; `None` when it is no entry. `scratch` holds the text where it
/// cannot be borrowed from the line.
pub fn decode<'b>(line: &'b [u8], scratch: &'b mut Vec<u8>) -> Option<Entry<'b>> {
    scratch.clear();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let quick = quick(line, scratch);
    match quick {
        Some(Quick { time, stream, borrowed: Some(text) }) => Some(Entry { time, stream, bytes: text }),
        Some(Quick { time, stream, borrowed: None }) => Some(Entry { time, stream, bytes: scratch }),
        None => thorough(line, scratch),
    }
}

struct Quick<'l> {
    time: i64,
    stream: Stream,
    /// The text where it has no escapes; else it is in the scratch buffer.
    borrowed: Option<&'l [u8]>,
}

/// The form that docker's encoder writes, field by field.
fn quick<'l>(line: &'l [u8], scratch: &mut Vec<u8>) -> Option<Quick<'l>> {
    let (borrowed, rest) = match line.strip_prefix(b"{\"log\":\"") {
        Some(rest) => {
            let (text, rest) = string(rest, scratch)?;
            (text, rest.strip_prefix(b",")?)
        }
        None => (Some(&line[..0]), line.strip_prefix(b"{")?),
    };
    let rest = rest.strip_prefix(b"\"stream\":\"std")?;
    let (stream, rest) = match rest.strip_prefix(b"out\"") {
        Some(rest) => (Stream::Stdout, rest),
        None => (Stream::Stderr, rest.strip_prefix(b"err\"")?),
    };
    let time = rest.strip_prefix(b",\"time\":\"")?.strip_suffix(b"\"}")?;
    Some(Quick { time: parse_time(time)?, stream, borrowed })
}

/// A JSON string behind its opening quote: the text (`None`: it was put into `scratch`), and what follows the closing
/// quote. `None` altogether when it does not end, or an escape makes no sense.
fn string<'l>(line: &'l [u8], scratch: &mut Vec<u8>) -> Option<(Option<&'l [u8]>, &'l [u8])> {
    let mut rest = line;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let raw = &rest[..at];
        // Such bytes have to be escaped in JSON.
        if !raw.iter().fold(true, |all, byte| all & (*byte >= b' ')) {
            return None;
        }
        if rest[at] == b'"' {
            let after = &rest[at + 1..];
            if rest.len() == line.len() {
                return is_text(raw).then_some((Some(raw), after));
            }
            scratch.extend_from_slice(raw);
            return is_text(scratch).then_some((None, after));
        }
        scratch.extend_from_slice(raw);
        let used = unescape(&rest[at..], scratch)?;
        rest = &rest[at + used..];
    }
}

/// Text of our own making always is. Asked first is what is quicker to tell.
fn is_text(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

/// Appends what an escape stands for; its length.
fn unescape(escape: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let short = match escape.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        byte @ (b'"' | b'\\' | b'/') => *byte,
        b'u' => {
            let unit = hex(escape.get(2..6)?)?;
            let (character, used) = match unit {
                // A pair that is one character; half a pair is none, as in Go.
                0xd800..0xdc00 => match escape.get(6..8) == Some(b"\\u") {
                    true => match escape.get(8..12).and_then(hex) {
                        Some(low @ 0xdc00..0xe000) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
                        _ => (0xfffd, 6),
                    },
                    false => (0xfffd, 6),
                },
                0xdc00..0xe000 => (0xfffd, 6),
                unit => (unit, 6),
            };
            let character = char::from_u32(character)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(used);
        }
        _ => return None,
    };
    out.push(short);
    Some(2)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

#[derive(Deserialize)]
struct Foreign {
    #[serde(default)]
    log: String,
    stream: String,
    time: String,
}

/// Any other JSON with the same fields, as docker writes it with `attrs`.
fn thorough<'b>(line: &[u8], scratch: &'b mut Vec<u8>) -> Option<Entry<'b>> {
    let foreign: Foreign = serde_json::from_slice(line).ok()?;
    let stream = match foreign.stream.as_str() {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let time = parse_time(foreign.time.as_bytes())?;
    scratch.clear();
    scratch.extend_from_slice(foreign.log.as_bytes());
    Some(Entry { time, stream, bytes: scratch })
}

/// Of a line that was cut off: its text as far as it goes, and its stream if that is there.
pub(super) fn salvage(fragment: &[u8]) -> Option<(Vec<u8>, Option<Stream>)> {
    let mut rest = fragment.strip_prefix(b"{\"log\":\"")?;
    let mut text = Vec::new();
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if rest.first() != Some(&b'\\') {
            break;
        }
        match unescape(rest, &mut text) {
            Some(used) => rest = &rest[used..],
            // The cut is in the escape.
            None => return Some((text, None)),
        }
    }
    if rest.is_empty() {
        // The cut may be in a character.
        let whole = std::str::from_utf8(&text).map_or_else(|e| e.valid_up_to(), str::len);
        text.truncate(whole);
    }
    let stream = match rest {
        _ if rest.starts_with(b"\",\"stream\":\"stdo") => Some(Stream::Stdout),
        _ if rest.starts_with(b"\",\"stream\":\"stde") => Some(Stream::Stderr),
        _ => None,
    };
    Some((text, stream))
}

/// RFC 3339 with any fraction, as nanoseconds since the Unix epoch. What they cannot hold becomes the nearest they can.
pub(super) fn parse_time(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?
            .iter()
            .try_fold(0i64, |n, digit| digit.is_ascii_digit().then(|| n * 10 + i64::from(digit - b'0')))
    };
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    if !(is(4, b'-') && is(7, b'-') && (is(10, b'T') || is(10, b't')) && is(13, b':') && is(16, b':')) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }
    let mut at = 19;
    let mut nanoseconds = 0;
    if is(at, b'.') {
        let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        nanoseconds = number(at + 1, at + 1 + digits.min(9))?;
        (digits..9).for_each(|_| nanoseconds *= 10);
        at += 1 + digits;
    }
    let offset = match text.get(at)? {
        b'Z' | b'z' if text.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == at + 6 && is(at + 3, b':') => {
            let seconds = number(at + 1, at + 3)? * 3600 + number(at + 4, at + 6)? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let all = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    Some(i64::try_from(all).unwrap_or(if all < 0 { i64::MIN } else { i64::MAX }))
}

/// Days from 1970-01-01; Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::super::format::{Stamp, entry};
    use super::*;
    use proptest::prelude::*;

    fn text(line: &str) -> Option<(i64, Stream, String)> {
        let mut scratch = Vec::new();
        let entry = decode(line.as_bytes(), &mut scratch)?;
        Some((entry.time, entry.stream, String::from_utf8(entry.bytes.to_vec()).unwrap()))
    }

    #[test]
    fn reads_docker_in_all_its_forms() {
        let ours = r#"{"log":"a\u003c\u0009\"\\\n","stream":"stdout","time":"2026-11-21T10:00:00.123456789Z"}"#;
        assert_eq!(text(ours), Some((1_795_255_200_123_456_789, Stream::Stdout, "a<\t\"\\\n".to_owned())));
        let attributes = r#"{"log":"x","stream":"stderr","attrs":{"tag":"t"},"time":"1970-01-01T00:00:01Z"}"#;
        assert_eq!(text(attributes), Some((1_000_000_000, Stream::Stderr, "x".to_owned())));
        let empty = r#"{"stream":"stderr","time":"1970-01-01T01:00:00.5+01:00"}"#;
        assert_eq!(text(empty), Some((500_000_000, Stream::Stderr, String::new())));
        let spaced = r#" { "time" : "1970-01-01T00:00:00Z", "stream": "stdout", "log": "y\n" } "#;
        assert_eq!(text(spaced), Some((0, Stream::Stdout, "y\n".to_owned())));
        let pair = r#"{"log":"\ud834\udd1e\ud834x","stream":"stdout","time":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(text(pair), Some((0, Stream::Stdout, "𝄞\u{fffd}x".to_owned())));
    }

    #[test]
    fn refuses_what_is_no_entry() {
        for line in [
            "",
            "{}",
            r#"{"log":"x","stream":"stdin","time":"1970-01-01T00:00:00Z"}"#,
            r#"{"log":"x","stream":"stdout","time":"1970-13-01T00:00:00Z"}"#,
            r#"{"log":"x","stream":"stdout","time":"yesterday"}"#,
            r#"{"log":"x","stream":"stdout"}"#,
            r#"{"log":"x\"#,
            r#"{"log":"x"#,
            "\0\0\0",
        ] {
            assert_eq!(text(line), None, "{line}");
        }
    }

    #[test]
    fn times_beyond_what_can_be_held_are_the_nearest() {
        assert_eq!(parse_time(b"0001-01-01T00:00:00Z"), Some(i64::MIN));
        assert_eq!(parse_time(b"9999-12-31T23:59:59.999999999999Z"), Some(i64::MAX));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..120), now in any::<i64>()) {
            let mut line = Vec::new();
            entry(&mut line, &bytes, Stream::Stdout, &Stamp::new(now));
            let (mut by_hand, mut by_serde) = (Vec::new(), Vec::new());
            let read = decode(&line, &mut by_hand).unwrap();
            prop_assert_eq!(read, thorough(&line, &mut by_serde).unwrap());
            prop_assert_eq!(read.time, now);
            if std::str::from_utf8(&bytes).is_ok() {
                prop_assert_eq!(read.bytes, &bytes[..]);
            }
        }

        #[test]
        fn a_line_cut_anywhere_gives_what_it_had(text in "\\PC{0,20}[\n\t<€𝄞\"]{0,6}", cut in 0usize..200) {
            let mut line = Vec::new();
            entry(&mut line, text.as_bytes(), Stream::Stderr, &Stamp::new(1));
            line.truncate(cut);
            if let Some((saved, stream)) = salvage(&line) {
                prop_assert!(text.as_bytes().starts_with(&saved));
                prop_assert!(stream.is_none() || (stream == Some(Stream::Stderr) && saved == text.as_bytes()));
            }
        }
    }
}
