//! The keys that detach: how they are written, and how they are found in what is typed.

/// A key that has no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown character: '{0}'")]
pub struct UnknownKey(pub String);

/// Reads keys as docker writes them: `ctrl-p,ctrl-q`. A key is one character, `ctrl-` with a letter or one of `@[\]^_`,
/// or `DEL`.
///
/// # Errors
/// Names the key that there is none of.
pub fn parse_detach_keys(text: &str) -> Result<Vec<u8>, UnknownKey> {
    let key = |key: &str| match (key.as_bytes(), key.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([one], _) => Ok(*one),
        (_, Some([letter @ (b'@' | b'a'..=b'z' | b'['..=b'_')])) => Ok(letter & 0x1f),
        (b"DEL", _) => Ok(0x7f),
        _ => Err(UnknownKey(key.to_owned())),
    };
    text.split(',').map(key).collect()
}

/// Looks for the keys in what is typed, across reads. What may become them is held back.
#[derive(Debug, Default)]
pub struct Scanner {
    keys: Vec<u8>,
    /// How many of the keys have been typed.
    held: usize,
}

impl Scanner {
    /// For these keys; for none, nothing is found.
    pub fn new(keys: Vec<u8>) -> Scanner {
        Scanner { keys, held: 0 }
    }

    /// Appends to `out` what is to be sent; true when the keys were typed: nothing after them is looked at.
    pub fn scan(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            out.extend_from_slice(typed);
            return false;
        }
        for byte in typed {
            while self.held > 0 && self.keys[self.held] != *byte {
                // Of what is held, the longest end that is a beginning stays.
                let shorter = (1..=self.held)
                    .find(|gone| self.keys[*gone..self.held] == self.keys[..self.held - gone])
                    .unwrap_or(self.held);
                out.extend_from_slice(&self.keys[..shorter]);
                self.held -= shorter;
            }
            if self.keys[self.held] == *byte {
                self.held += 1;
            } else {
                out.push(*byte);
            }
            if self.held == self.keys.len() {
                self.held = 0;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_written_as_in_docker() {
        assert_eq!(parse_detach_keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(parse_detach_keys("a,ctrl-@,ctrl-[,ctrl-\\,ctrl-_,DEL"), Ok(vec![b'a', 0, 27, 28, 31, 127]));
        for bad in ["", "ctrl-", "ctrl-P", "ctrl-1", "ab", "a,,b", "ä"] {
            assert!(parse_detach_keys(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_detach_keys("a,ctrl-1").unwrap_err().to_string(), "Unknown character: 'ctrl-1'");
    }

    fn run(keys: &[u8], reads: &[&[u8]]) -> (Vec<u8>, bool) {
        let (mut scanner, mut out) = (Scanner::new(keys.to_vec()), Vec::new());
        let detached = reads.iter().any(|read| scanner.scan(read, &mut out));
        (out, detached)
    }

    #[test]
    fn keys_are_found_across_reads_and_nothing_else_is_lost() {
        assert_eq!(run(&[16, 17], &[b"ls\n\x10", b"\x11rest"]), (b"ls\n".to_vec(), true));
        assert_eq!(run(&[16, 17], &[b"\x10", b"x\x10"]), (b"\x10x".to_vec(), false));
        assert_eq!(run(&[16, 17], &[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
        assert_eq!(run(b"aab", &[b"aaab"]), (b"a".to_vec(), true));
        assert_eq!(run(&[], &[b"\x10\x11"]), (b"\x10\x11".to_vec(), false));
    }

    proptest! {
        #[test]
        fn found_exactly_where_they_first_stand(keys in "[ab]{1,4}", typed in "[abc]{0,12}", cut in 0usize..12) {
            let (first, second) = typed.split_at(cut.min(typed.len()));
            let (out, found) = run(keys.as_bytes(), &[first.as_bytes(), second.as_bytes()]);
            match typed.find(&keys) {
                Some(at) => prop_assert_eq!((out.as_slice(), found), (&typed.as_bytes()[..at], true)),
                None => {
                    prop_assert!(!found);
                    let held = typed.len() - out.len();
                    prop_assert_eq!(&typed.as_bytes()[..out.len()], out.as_slice());
                    prop_assert_eq!(&typed.as_bytes()[out.len()..], &keys.as_bytes()[..held]);
                }
            }
        }
    }
}
