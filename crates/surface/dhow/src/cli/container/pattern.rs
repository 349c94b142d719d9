//! Patterns of the filters `name` and `id`: the small part of regular expressions that people use there.
//!
//! docker takes Go's regular expressions. Here are literal characters, `.`, `[a-z]`, `*`, `+`, `?`, `\` in front of a
//! character, `^`, `$`, and `|` between whole patterns; groups and the rest are refused rather than taken for something
//! else. Rejected: a crate for regular expressions, which is larger than all else that `ps` does.

/// A pattern that is found anywhere in a text.
#[derive(Debug)]
pub(in crate::cli) struct Pattern(Vec<Alternative>);

#[derive(Debug, Default)]
struct Alternative {
    from_start: bool,
    to_end: bool,
    items: Vec<(Item, Times)>,
}

#[derive(Debug)]
enum Item {
    Any,
    One(char),
    Set { not: bool, ranges: Vec<(char, char)> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    Maybe,
    Many,
    Some,
}

impl Pattern {
    /// `None`: it has more in it than is understood here.
    pub(in crate::cli) fn parse(text: &str) -> Option<Pattern> {
        text.split('|').map(Alternative::parse).collect::<Option<Vec<_>>>().map(Pattern)
    }

    pub(in crate::cli) fn is_in(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.0.iter().any(|alternative| alternative.is_in(&text))
    }
}

impl Alternative {
    fn parse(text: &str) -> Option<Alternative> {
        let mut alternative = Alternative::default();
        let mut chars = text.chars().peekable();
        alternative.from_start = chars.next_if_eq(&'^').is_some();
        while let Some(c) = chars.next() {
            let item = match c {
                '$' if chars.peek().is_none() => {
                    alternative.to_end = true;
                    break;
                }
                '.' => Item::Any,
                '[' => set(&mut chars)?,
                '\\' => Item::One(chars.next().filter(|c| !c.is_alphanumeric())?),
                '(' | ')' | '{' | '}' | '*' | '+' | '?' | '^' | '$' => return None,
                c => Item::One(c),
            };
            let times = match chars.next_if(|c| matches!(c, '*' | '+' | '?')) {
                Some('*') => Times::Many,
                Some('+') => Times::Some,
                Some(_) => Times::Maybe,
                None => Times::Once,
            };
            alternative.items.push((item, times));
        }
        Some(alternative)
    }

    fn is_in(&self, text: &[char]) -> bool {
        let starts = if self.from_start { 0..=0 } else { 0..=text.len() };
        let mut seen = vec![false; (self.items.len() + 1) * (text.len() + 1)];
        starts.into_iter().any(|start| self.fits(0, text, start, &mut seen))
    }

    /// Whether the items from `at` on fit the text from `from` on. What was tried is not tried again, so that no pattern
    /// takes long.
    fn fits(&self, at: usize, text: &[char], from: usize, seen: &mut [bool]) -> bool {
        let tried = at * (text.len() + 1) + from;
        if std::mem::replace(&mut seen[tried], true) {
            return false;
        }
        let Some((item, times)) = self.items.get(at) else { return !self.to_end || from == text.len() };
        let one = text.get(from).is_some_and(|c| item.fits(*c));
        match times {
            Times::Once => one && self.fits(at + 1, text, from + 1, seen),
            Times::Maybe => self.fits(at + 1, text, from, seen) || (one && self.fits(at + 1, text, from + 1, seen)),
            Times::Many => self.fits(at + 1, text, from, seen) || (one && self.fits(at, text, from + 1, seen)),
            Times::Some => one && (self.fits(at + 1, text, from + 1, seen) || self.fits(at, text, from + 1, seen)),
        }
    }
}

impl Item {
    fn fits(&self, c: char) -> bool {
        match self {
            Item::Any => true,
            Item::One(one) => c == *one,
            Item::Set { not, ranges } => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *not,
        }
    }
}

fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Item> {
    let not = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match chars.next()? {
            ']' if !ranges.is_empty() => return Some(Item::Set { not, ranges }),
            '[' | '\\' => return None,
            c => c,
        };
        let mut ahead = chars.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *chars = ahead;
                to
            }
            _ => from,
        };
        ranges.push((from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (pattern, text, expected) in [
            ("web", "my-web-1", true),
            ("^web", "my-web-1", false),
            ("^web$", "web", true),
            ("^web$", "web1", false),
            ("web$", "my-web", true),
            ("^web-[0-9]+$", "web-17", true),
            ("^web-[0-9]+$", "web-", false),
            ("web-.*x", "web--abcx", true),
            ("a|^b$", "b", true),
            ("a|^b$", "bb", false),
            ("w.b", "wob", true),
            ("colou?r", "color", true),
            ("[^a-c]", "abc", false),
            ("[a-]", "-", true),
            ("a\\.b", "axb", false),
            ("a\\.b", "a.b", true),
            ("", "anything", true),
            ("_", "a_b", true),
            ("a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(Pattern::parse(pattern).map(|p| p.is_in(text)), Some(expected), "{pattern} in {text}");
        }
        for refused in ["(a)", "a{2}", "*", "a**", "[", "\\d", "a^b", "a$b"] {
            assert!(Pattern::parse(refused).is_none(), "{refused}");
        }
    }
}
