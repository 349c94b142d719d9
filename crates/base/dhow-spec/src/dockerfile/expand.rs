//! Quotes removed and variables replaced: `$name`, `${name}`, `${name:-word}`, `-`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`,
//! `%%`, `/` and `//`, as a shell does within a word. No commands, no globs.

use super::pattern::{Greed, InvalidEscape, Pattern};
use std::iter::Peekable;
use std::str::Chars;

/// The longest word that may come out, in bytes: what Linux takes as one argument or variable (`MAX_ARG_STRLEN`).
/// Without a limit, thirty lines that double a variable fill the memory.
const MAX_EXPANDED: usize = 128 << 10;
/// Steps of one pattern search; more is an attack or a mistake.
const MAX_PATTERN_STEPS: usize = 64 << 20;
/// `${a:-${b:-…}}`, at most so deep.
const MAX_DEPTH: usize = 64;

/// Expands words.
pub struct Expander<'a> {
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Expander<'a> {
    /// `lookup` gives the value of a variable, or `None` when it is not set.
    pub fn new(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Expander<'a> {
        Expander { escape, lookup }
    }

    /// Expands to one word; blanks stay.
    ///
    /// # Errors
    /// [`ExpandError`].
    pub fn word(&self, text: &str) -> Result<String, ExpandError> {
        self.run(text).map(|output| output.text)
    }

    /// Expands, then splits at the blanks that no quote protects, those of the variables' values included.
    ///
    /// # Errors
    /// [`ExpandError`].
    pub fn words(&self, text: &str) -> Result<Vec<String>, ExpandError> {
        self.run(text).map(Output::into_words)
    }

    fn run(&self, text: &str) -> Result<Output, ExpandError> {
        let mut run = Run { chars: text.chars().peekable(), expander: self, depth: 0 };
        run.until(None, false).map_err(|fault| ExpandError { text: crate::digest::clip(text), fault })
    }
}

/// A word that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {text:?}: {fault}")]
pub struct ExpandError {
    text: String,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("unexpected end of statement while looking for matching {0}")]
    Open(&'static str),
    #[error("syntax error: missing '{0}'")]
    Missing(char),
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    #[error("invalid pattern ({0}) in substitution: invalid escape")]
    Pattern(String),
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("it becomes longer than {MAX_EXPANDED} bytes")]
    TooLong,
    #[error("more than {MAX_DEPTH} substitutions within each other")]
    TooDeep,
}

/// The text so far, and where it may be split.
#[derive(Default)]
struct Output {
    text: String,
    /// Byte ranges of blanks in `text` that separate words.
    blanks: Vec<std::ops::Range<usize>>,
}

impl Output {
    fn push(&mut self, c: char, splits: bool) -> Result<(), Fault> {
        if self.text.len() + c.len_utf8() > MAX_EXPANDED {
            return Err(Fault::TooLong);
        }
        let start = self.text.len();
        self.text.push(c);
        if splits && c.is_whitespace() {
            self.blanks.push(start..self.text.len());
        }
        Ok(())
    }

    fn extend(&mut self, text: &str, splits: bool) -> Result<(), Fault> {
        text.chars().try_for_each(|c| self.push(c, splits))
    }

    fn into_words(self) -> Vec<String> {
        let mut words = Vec::new();
        let mut start = 0;
        for blank in self.blanks {
            words.push(&self.text[start..blank.start]);
            start = blank.end;
        }
        words.push(&self.text[start..]);
        words.into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }
}

/// One expansion under way.
struct Run<'a, 'e> {
    chars: Peekable<Chars<'a>>,
    expander: &'e Expander<'e>,
    depth: usize,
}

impl Run<'_, '_> {
    /// Expands up to `stop`, which is consumed, or the end. `raw_escapes` keeps the escape characters, for patterns.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<Output, Fault> {
        let escape = self.expander.escape;
        let mut output = Output::default();
        while let Some(c) = self.chars.next() {
            match c {
                c if stop == Some(c) => return Ok(output),
                '\'' => self.single_quoted(&mut output)?,
                '"' => self.double_quoted(&mut output, raw_escapes)?,
                '$' => {
                    let value = self.dollar()?;
                    output.extend(&value, true)?;
                }
                c if c == escape => {
                    if raw_escapes {
                        output.push(c, false)?;
                    }
                    // At the end of a word it escapes nothing, and is dropped.
                    if let Some(escaped) = self.chars.next() {
                        output.push(escaped, false)?;
                    }
                }
                c => output.push(c, true)?,
            }
        }
        match stop {
            None => Ok(output),
            Some(stop) => Err(Fault::Missing(stop)),
        }
    }

    fn single_quoted(&mut self, output: &mut Output) -> Result<(), Fault> {
        loop {
            match self.chars.next() {
                None => return Err(Fault::Open("single-quote")),
                Some('\'') => return Ok(()),
                Some(c) => output.push(c, false)?,
            }
        }
    }

    fn double_quoted(&mut self, output: &mut Output, raw_escapes: bool) -> Result<(), Fault> {
        let escape = self.expander.escape;
        loop {
            match self.chars.next() {
                None => return Err(Fault::Open("double-quote")),
                Some('"') => return Ok(()),
                Some('$') => {
                    let value = self.dollar()?;
                    output.extend(&value, false)?;
                }
                Some(c) if c == escape => {
                    let special = |c: &char| *c == '"' || *c == '$' || *c == escape;
                    let escaped = self.chars.next_if(special);
                    // Before anything else a backslash is itself; before a special character it is kept for patterns.
                    if raw_escapes && escaped.is_some() {
                        output.push(c, false)?;
                    }
                    output.push(escaped.unwrap_or(c), false)?;
                }
                Some(c) => output.push(c, false)?,
            }
        }
    }

    /// What stands behind a `$`.
    fn dollar(&mut self) -> Result<String, Fault> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name).unwrap_or_default() });
        }
        match self.chars.peek() {
            None => return Err(Fault::Missing('}')),
            Some('{' | '}' | ':') => return Err(Fault::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        let value = self.substitution(&name)?;
        self.depth -= 1;
        Ok(value)
    }

    /// `name` was read; the rest up to and with the `}`.
    fn substitution(&mut self, name: &str) -> Result<String, Fault> {
        let value = self.value(name);
        let modifier = self.chars.next().ok_or(Fault::Missing('}'))?;
        let (modifier, empty_is_unset) = match modifier {
            '}' => return Ok(value.unwrap_or_default()),
            ':' => (self.chars.next().ok_or(Fault::Missing('}'))?, true),
            modifier => (modifier, false),
        };
        let is_set = value.as_ref().is_some_and(|value| !(empty_is_unset && value.is_empty()));
        match modifier {
            '-' => {
                let word = self.until(Some('}'), false)?.text;
                Ok(value.filter(|_| is_set).unwrap_or(word))
            }
            '+' => {
                let word = self.until(Some('}'), false)?.text;
                Ok(if is_set { word } else { String::new() })
            }
            '?' => {
                let word = self.until(Some('}'), false)?.text;
                let default = match value {
                    Some(value) if is_set => return Ok(value),
                    Some(_) => "is not allowed to be empty",
                    None => "is not allowed to be unset",
                };
                let message = if word.is_empty() { default.to_owned() } else { word };
                Err(Fault::Required { name: name.to_owned(), message })
            }
            '#' | '%' if !empty_is_unset => self.trimmed(modifier, &value.unwrap_or_default()),
            '/' if !empty_is_unset => self.replaced(&value.unwrap_or_default()),
            other => Err(Fault::Modifier(if empty_is_unset { format!(":{other}") } else { other.to_string() })),
        }
    }

    fn trimmed(&mut self, modifier: char, value: &str) -> Result<String, Fault> {
        let word = self.until(Some('}'), true)?.text;
        let (pattern, greed) = match word.strip_prefix(modifier) {
            Some(pattern) => (pattern, Greed::Longest),
            None => (word.as_str(), Greed::Shortest),
        };
        let pattern = parse_pattern(pattern, value)?;
        Ok(if modifier == '#' { pattern.trim_start(value, greed) } else { pattern.trim_end(value, greed) })
    }

    fn replaced(&mut self, value: &str) -> Result<String, Fault> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let pattern = self.until(Some('/'), true)?.text;
        let replacement = self.until(Some('}'), true)?.text;
        let pattern = parse_pattern(&pattern, value)?;
        if all && value.len().saturating_mul(replacement.len() + 1) > MAX_PATTERN_STEPS {
            return Err(Fault::TooLong);
        }
        Ok(pattern.replace(value, &replacement, all))
    }

    /// Letters, digits and `_`; or digits alone; or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(c) if c.is_numeric() => {
                while let Some(digit) = self.chars.next_if(|c| c.is_numeric()) {
                    name.push(digit);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.chars.next()),
            _ => {
                while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.expander.lookup)(name)
    }
}

fn parse_pattern(text: &str, value: &str) -> Result<Pattern, Fault> {
    let pattern = Pattern::parse(text).map_err(|InvalidEscape(_)| Fault::Pattern(crate::digest::clip(text)))?;
    if pattern.cost(value) > MAX_PATTERN_STEPS { Err(Fault::TooLong) } else { Ok(pattern) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Option<String> {
        let variables = [
            ("PWD", "/home"),
            ("SHELL", "bash"),
            ("NULL", ""),
            ("KOREAN", "한국어"),
            ("spaced", "  ab c "),
            ("FILE", "a.tar.gz"),
        ];
        variables.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    fn word(text: &str) -> Result<String, ExpandError> {
        Expander::new('\\', &value).word(text)
    }

    #[test]
    fn words_expand_as_in_a_shell() {
        for (text, expected) in [
            ("hello", "hello"),
            ("he'll'o", "hello"),
            (r"he\'llo", "he'llo"),
            (r"abc\tdef", "abctdef"),
            (r#""abc\tdef""#, r"abc\tdef"),
            (r#""abc\\tdef""#, r"abc\tdef"),
            (r"'abc\tdef'", r"abc\tdef"),
            ("hello\\", "hello"),
            (r"hello\\", "hello\\"),
            (r#""hel'lo""#, "hel'lo"),
            (r"'hello\'", "hello\\"),
            ("\"''\"", "''"),
            ("$.", "$."),
            ("$", "$"),
            ("he$1x", "hex"),
            ("he$.x", "he$.x"),
            ("he$pwd.", "he."),
            ("he$PWD", "he/home"),
            (r"he\$PWD", "he$PWD"),
            (r"he\\$PWD", r"he\/home"),
            (r#""he\$PWD""#, "he$PWD"),
            (r#""he\\$PWD""#, r"he\/home"),
            (r"\${}", "${}"),
            ("he${hi}xx", "hexx"),
            ("he${PWD}", "he/home"),
            ("'he${XX}'", "he${XX}"),
            ("\"he'$PWD'\"", "he'/home'"),
            ("안녕$KOREAN", "안녕한국어"),
            ("${aaa}}", "}"),
            ("$1${2}$999aaa", "aaa"),
            ("${1:-bbb}", "bbb"),
            ("$@@@", "@@"),
            ("${@:-bbb}", "bbb"),
            ("$$", ""),
            ("a$spaced.", "a  ab c ."),
        ] {
            assert_eq!(word(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn modifiers() {
        for (text, expected) in [
            ("he${XXX:-000}xx", "he000xx"),
            ("he${PWD:-000}xx", "he/homexx"),
            ("he${XXX:-$PWD}xx", "he/homexx"),
            ("he${XXX:-${YYY:-yyy}}xx", "heyyyxx"),
            ("${NULL-a}${NULL:-b}${XXX-c}", "bc"),
            ("${NULL+a}${NULL:+b}${XXX+c}${PWD:+d}", "ad"),
            ("he${PWD?}${NULL?}", "he/home"),
            ("he${PWD:+${SHELL}}xx", "hebashxx"),
            ("he${PWD:+${PWD}:}xx", "he/home:xx"),
            (r"he${XXX:-\$PWD:}xx", "he$PWD:xx"),
            (r"he${XXX:-\${PWD}z}xx", "he${PWDz}xx"),
            ("${aaa:-bbb {foo}", "bbb {foo"),
            ("${FILE#*.}", "tar.gz"),
            ("${FILE##*.}", "gz"),
            ("${FILE%.*}", "a.tar"),
            ("${FILE%%.*}", "a"),
            ("${FILE/a/b}", "b.tar.gz"),
            ("${FILE//a/b}", "b.tbr.gz"),
            (r"${PWD/\//_}", "_home"),
            ("${FILE/.*/}", "a"),
            ("${XXX#a}", ""),
        ] {
            assert_eq!(word(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded() {
        for text in [
            "he'llo",
            r"he\\'llo",
            "\"hello",
            r#""hello\""#,
            "${}",
            "he${}xx",
            "he${.}",
            "he${XXX:YYY}",
            "he${XXX?}",
            "he${XXX:?}",
            "he${NULL:?}",
            "he${PWD",
            "he${PWD:=000}xx",
            "${{aaa}",
            "${{aaa:-bbb}",
            "${aaa:-bbb",
            "${aaa:-bbb ${foo}",
            "${:}",
            "${:-bbb}",
            "${PWD:#a}",
            r"${PWD#\a}",
            "${PWD/a}",
            "${PWD/a/b",
            "${",
            "${PWD:",
        ] {
            assert!(word(text).is_err(), "{text} gave {:?}", word(text));
        }
        let message = word("${XXX:?say $PWD}").unwrap_err().to_string();
        assert_eq!(message, "failed to process \"${XXX:?say $PWD}\": XXX: say /home");
    }

    #[test]
    fn bombs_are_refused() {
        let deep = format!("{}x{}", "${a:-".repeat(100_000), "}".repeat(100_000));
        assert!(word(&deep).is_err());
        let long = "x".repeat(100_000);
        let twice = |_: &str| Some(long.clone());
        assert!(Expander::new('\\', &twice).word("$a$b").is_err());
        assert!(Expander::new('\\', &twice).word("${a//x/xxxxxxxxxxxxxxxx}").is_err());
        let pattern = format!("${{a#{}}}", "?*x".repeat(1_000));
        assert!(Expander::new('\\', &twice).word(&pattern).is_err());
    }

    #[test]
    fn splitting_happens_outside_quotes() {
        let words = |text| Expander::new('\\', &value).words(text).unwrap();
        assert_eq!(words("a${spaced}b"), ["a", "ab", "c", "b"]);
        assert_eq!(words("a\"${spaced}\"b"), ["a  ab c b"]);
        assert_eq!(words(r"a\ b 'c d' e"), ["a b", "c d", "e"]);
        assert_eq!(words("8${x:-0} 443"), ["80", "443"]);
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words("'' a"), ["a"]);
    }
}
