//! What must hold for any bytes that are read as a line of a log, or as messages on a supervisor's socket. The first byte
//! chooses the parser, the rest is its input.

use dhow_supervisor::{log, wire};

#[derive(serde::Deserialize)]
struct Line {
    #[serde(default)]
    log: String,
    stream: String,
    time: String,
}

/// Panics when the parsers contradict themselves, or a JSON parser.
pub(crate) fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice {
        b'l' => line(rest),
        b'w' => messages(rest),
        _ => {}
    }
}

fn line(bytes: &[u8]) {
    let mut scratch = Vec::new();
    let ours = log::decode(bytes, &mut scratch);
    let theirs =
        serde_json::from_slice::<Line>(bytes).ok().filter(|line| ["stdout", "stderr"].contains(&&*line.stream));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            assert_eq!(ours.bytes, theirs.log.as_bytes());
            assert_eq!(ours.stream.name(), theirs.stream);
        }
        // A time that is none, or out of range.
        (None, Some(theirs)) => {
            let odd = format!(r#"{{"stream":"stdout","time":"{}"}}"#, theirs.time);
            assert!(log::decode(odd.as_bytes(), &mut Vec::new()).is_none(), "{theirs:?}", theirs = theirs.log);
        }
        // Half a surrogate pair is U+FFFD for Go and us, and an error for serde_json.
        (Some(_), None) => assert!(bytes.windows(3).any(|w| w[..2] == *b"\\u" && w[2].eq_ignore_ascii_case(&b'd'))),
        (None, None) => {}
    }
}

fn messages(mut bytes: &[u8]) {
    while let Ok(Some((message, length))) = wire::parse(bytes) {
        assert_eq!(message.to_bytes(), &bytes[..length]);
        bytes = &bytes[length..];
    }
}
