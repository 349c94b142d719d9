//! The patterns of `${name#pattern}`: `*`, `?`, and `\` before either. No brackets.

/// One position of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    AnyChar,
    AnyRun,
}

/// A parsed pattern.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Token>);

/// The character behind a `\` that may not stand there; `None` at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidEscape(pub(super) Option<char>);

/// How much a `*` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, InvalidEscape> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::AnyRun,
                '?' => Token::AnyChar,
                // `}` and `/` are escaped for the sake of `${}`, not of the pattern.
                '\\' => match chars.next() {
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Token::Char(c),
                    other => return Err(InvalidEscape(other)),
                },
                c => Token::Char(c),
            });
        }
        Ok(Pattern(tokens))
    }

    /// Steps that a search takes at most, for a limit.
    pub(super) fn cost(&self, value: &str) -> usize {
        self.0.len().saturating_add(1).saturating_mul(value.len().saturating_add(1))
    }

    /// The value without what matches at its start.
    pub(super) fn trim_start(&self, value: &str, greed: Greed) -> String {
        let chars: Vec<char> = value.chars().collect();
        let matched = Segments::of(&self.0).match_at(&chars, 0, greed).unwrap_or(0);
        chars[matched..].iter().collect()
    }

    /// The value without what matches at its end.
    pub(super) fn trim_end(&self, value: &str, greed: Greed) -> String {
        let mut tokens = self.0.clone();
        tokens.reverse();
        let chars: Vec<char> = value.chars().rev().collect();
        let matched = Segments::of(&tokens).match_at(&chars, 0, greed).unwrap_or(0);
        chars[matched..].iter().rev().collect()
    }

    /// The value with the first longest match, or each, replaced.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let segments = Segments::of(&self.0);
        let chars: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut last_end = None;
        while at <= chars.len() {
            let Some((start, end)) = segments.find(&chars, at) else { break };
            result.extend(&chars[at..start]);
            let empty_behind_match = start == end && last_end == Some(start);
            if !empty_behind_match {
                result.push_str(replacement);
                last_end = Some(end);
            }
            at = end;
            if start == end {
                result.extend(chars.get(end));
                at += 1;
            }
            if !all {
                break;
            }
        }
        result.extend(chars.get(at..).unwrap_or_default());
        result
    }
}

/// A pattern cut at each `*`.
struct Segments<'a>(Vec<&'a [Token]>);

impl<'a> Segments<'a> {
    fn of(tokens: &'a [Token]) -> Segments<'a> {
        Segments(tokens.split(|token| *token == Token::AnyRun).collect())
    }

    /// The end of the match that begins at `start`.
    ///
    /// Placing every part but the last as early as possible leaves most room for the last, which decides the length.
    fn match_at(&self, value: &[char], start: usize, greed: Greed) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        if !fits(first, value, start) {
            return None;
        }
        let mut end = start + first.len();
        for (at, segment) in rest.iter().enumerate() {
            let last_start = value.len().checked_sub(segment.len())?;
            let mut places = end..=last_start;
            let is_last = at + 1 == rest.len();
            let place = if is_last && greed == Greed::Longest {
                places.rev().find(|place| fits(segment, value, *place))
            } else {
                places.find(|place| fits(segment, value, *place))
            };
            end = place? + segment.len();
        }
        Some(end)
    }

    /// The first longest match at or behind `from`.
    fn find(&self, value: &[char], from: usize) -> Option<(usize, usize)> {
        let first = self.0.first()?;
        for start in from..=value.len() {
            if fits(first, value, start) {
                match self.match_at(value, start, Greed::Longest) {
                    Some(end) => return Some((start, end)),
                    // What is missing behind here is missing behind every later start as well.
                    None => return None,
                }
            }
        }
        None
    }
}

fn fits(segment: &[Token], value: &[char], at: usize) -> bool {
    let Some(value) = value.get(at..).and_then(|value| value.get(..segment.len())) else { return false };
    segment.iter().zip(value).all(|(token, c)| *token == Token::AnyChar || *token == Token::Char(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trimming() {
        use Greed::{Longest, Shortest};
        for (pattern, greed, start, end) in [
            ("*b", Shortest, "cabc", "abcabc"),
            ("*b", Longest, "c", "abcabc"),
            ("a*", Shortest, "bcabc", "abc"),
            ("a*", Longest, "", ""),
            ("?bc", Shortest, "abc", "abc"),
            ("", Longest, "abcabc", "abcabc"),
            ("x", Longest, "abcabc", "abcabc"),
            ("*", Shortest, "abcabc", "abcabc"),
            ("a*c", Shortest, "abc", "abc"),
            ("a*c", Longest, "", ""),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.trim_start("abcabc", greed), start, "#{pattern} {greed:?}");
            assert_eq!(parsed.trim_end("abcabc", greed), end, "%{pattern} {greed:?}");
        }
    }

    #[test]
    fn escapes() {
        let stars = Pattern::parse(r"\**").unwrap();
        assert_eq!(stars.trim_end("xx**", Greed::Longest), "xx");
        assert_eq!(stars.trim_end("xx**", Greed::Shortest), "xx*");
        assert_eq!(Pattern::parse(r"\a").unwrap_err(), InvalidEscape(Some('a')));
        assert_eq!(Pattern::parse("\\").unwrap_err(), InvalidEscape(None));
        assert_eq!(Pattern::parse(r"\/\}").unwrap().trim_start("/}x", Greed::Shortest), "x");
    }

    #[test]
    fn replacing() {
        for (pattern, first, all) in [
            ("b", "aXcabc", "aXcaXc"),
            ("bc", "aXabc", "aXaX"),
            ("a*b", "Xc", "Xc"),
            ("?b", "Xcabc", "XcXc"),
            ("z", "abcabc", "abcabc"),
            ("", "Xabcabc", "XaXbXcXaXbXcX"),
            ("*", "X", "X"),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.replace("abcabc", "X", false), first, "{pattern}");
            assert_eq!(parsed.replace("abcabc", "X", true), all, "{pattern}");
        }
    }
}
