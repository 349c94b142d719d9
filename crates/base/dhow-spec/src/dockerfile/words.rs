//! One logical line to its name, flags and words. Quotes stay: [`super::expand`] removes them, because a variable means
//! something else within them.

use super::{Args, SyntaxError};

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name; it may be empty.
    pub name: String,
    /// The value, quotes not removed.
    pub value: String,
}

/// What separates words outside quotes: the blanks of a Dockerfile, which are fewer than those of Unicode.
const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Splits an instruction into name, flags and the rest.
pub(super) fn split_instruction(line: &str, escape: char) -> (&str, Vec<String>, &str) {
    let line = line.trim();
    let Some(end) = line.find(BLANKS) else {
        return (line, Vec::new(), "");
    };
    let (flags, rest) = split_flags(line[end..].trim_start_matches(BLANKS), escape);
    (&line[..end], flags, rest.trim())
}

/// Takes words that begin with `--` off the front; a lone `--` ends them.
fn split_flags(mut line: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    loop {
        line = line.trim_start();
        if !line.starts_with("--") {
            return (flags, line);
        }
        let (flag, rest) = flag(line, escape);
        line = rest;
        if flag == "--" {
            return (flags, line);
        }
        flags.push(flag);
    }
}

/// One flag without its quotes, and what follows it.
fn flag(line: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &line[at..]),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// Words between blanks, where quotes keep blanks together; quotes and escapes are kept.
pub(super) fn split(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            // An empty word that was quoted is `""` here, with its quotes, and so is never lost.
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if c == escape && quote != Some('\'') {
            // The last character of a line escapes nothing, and is dropped.
            if let Some(escaped) = chars.next() {
                word.extend([c, escaped]);
            }
            continue;
        }
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `a=b c="d e"`, or the old form `a b c` with a single name.
pub(super) fn pairs(rest: &str, instruction: &'static str, escape: char) -> Result<Args, SyntaxError> {
    let words = split(rest, escape);
    let Some(first) = words.first() else { return Ok(Args::None) };
    if !first.contains('=') {
        let (name, value) = rest.split_once(BLANKS).ok_or(SyntaxError::NoValue(instruction))?;
        let value = value.trim_start_matches(BLANKS);
        return Ok(Args::Pairs(vec![Pair { name: name.to_owned(), value: value.to_owned() }]));
    }
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) => Ok(Pair { name: name.to_owned(), value: value.to_owned() }),
        None => Err(SyntaxError::NoEquals(word)),
    };
    words.into_iter().map(pair).collect::<Result<_, _>>().map(Args::Pairs)
}

/// Words between blanks, quotes without meaning.
pub(super) fn blank_separated(rest: &str) -> Args {
    Args::Words(rest.split(BLANKS).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// The JSON form; `None` when it is no JSON list, which then is a command for the shell.
pub(super) fn json(rest: &str) -> Result<Option<Args>, SyntaxError> {
    let rest = rest.trim_start();
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else { return Ok(None) };
    let word = |value| match value {
        serde_json::Value::String(word) => Ok(word),
        _ => Err(SyntaxError::NotStrings),
    };
    list.into_iter().map(word).collect::<Result<_, _>>().map(|list| Some(Args::Json(list)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_first() {
        let check = |line, name, flags: &[&str], rest| {
            let (n, f, r) = split_instruction(line, '\\');
            assert_eq!((n, f, r), (name, flags.iter().map(|f| (*f).to_owned()).collect(), rest), "{line}");
        };
        check("RUN a --b", "RUN", &[], "a --b");
        check("RUN --a=1  --b='x y'\t c ", "RUN", &["--a=1", "--b=x y"], "c");
        check("RUN --a=\"x\\\"y\" c", "RUN", &["--a=x\"y"], "c");
        check("RUN --a -- --b c", "RUN", &["--a"], "--b c");
        check("RUN --a", "RUN", &["--a"], "");
        check("RUN --", "RUN", &[], "");
        check("RUN -a", "RUN", &[], "-a");
        check("RUN", "RUN", &[], "");
        check("RUN --é=à b", "RUN", &["--é=à"], "b");
    }

    #[test]
    fn words_keep_their_quotes() {
        let check = |text, words: &[&str]| assert_eq!(split(text, '\\'), words, "{text}");
        check("a  b\tc", &["a", "b", "c"]);
        check("a\"b c\"d e", &["a\"b c\"d", "e"]);
        check("'a \\' b", &["'a \\'", "b"]);
        check("\"a \\\" b\" c", &["\"a \\\" b\"", "c"]);
        check("a\\ b c", &["a\\ b", "c"]);
        check("a \"\" ''", &["a", "\"\"", "''"]);
        check("a b\\", &["a", "b"]);
        check("'open end", &["'open end"]);
    }

    #[test]
    fn both_forms_of_pairs() {
        let check = |text, expected: &[(&str, &str)]| {
            let pairs = expected.iter().map(|(n, v)| Pair { name: (*n).to_owned(), value: (*v).to_owned() }).collect();
            assert_eq!(pairs_of(text), Ok(Args::Pairs(pairs)), "{text}");
        };
        check("a=b", &[("a", "b")]);
        check("a=b c=\"d e\" f=", &[("a", "b"), ("c", "\"d e\""), ("f", "")]);
        check("a b=c d", &[("a", "b=c d")]);
        check("a   'b  c'", &[("a", "'b  c'")]);
        check("a=b=c", &[("a", "b=c")]);
        check("=b", &[("", "b")]);
        assert_eq!(pairs_of("a"), Err(SyntaxError::NoValue("ENV")));
        assert_eq!(pairs_of("a=b c"), Err(SyntaxError::NoEquals("c".to_owned())));
    }

    fn pairs_of(text: &str) -> Result<Args, SyntaxError> {
        pairs(text, "ENV", '\\')
    }
}
