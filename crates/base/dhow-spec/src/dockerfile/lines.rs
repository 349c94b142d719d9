//! Physical lines to logical ones: comments, continuations, and the directives of the first lines.

use super::SyntaxError;

/// An instruction on one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The physical line that it begins at, from 1.
    pub(super) number: usize,
    pub(super) text: String,
}

/// The logical lines of a text, and its escape character.
pub(super) fn logical(text: &str) -> Result<(Vec<Line>, char), SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut directives = Directives { escape: '\\', seen: Vec::new(), over: false };
    let mut lines = Vec::new();
    let mut physical = text.split('\n').enumerate();
    while let Some((at, raw)) = physical.next() {
        // Blanks before an instruction do not count; those before a continuation do.
        let raw = raw.trim_end_matches('\r').trim_start();
        directives.read(raw)?;
        if raw.is_empty() || raw.starts_with('#') {
            continue;
        }
        let (start, mut goes_on) = without_continuation(raw, directives.escape);
        let mut text = start.to_owned();
        while goes_on {
            let Some((_, raw)) = physical.next() else { break };
            let raw = raw.trim_end_matches('\r');
            let shown = raw.trim_start();
            if shown.is_empty() || shown.starts_with('#') {
                continue;
            }
            let (more, again) = without_continuation(raw, directives.escape);
            text.push_str(more);
            goes_on = again;
        }
        if !text.trim().is_empty() {
            lines.push(Line { number: at + 1, text });
        }
    }
    Ok((lines, directives.escape))
}

/// The line without its last escape character, and whether there was one that nothing escapes.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

/// `# name=value` at the very top.
struct Directives {
    escape: char,
    seen: Vec<String>,
    over: bool,
}

impl Directives {
    fn read(&mut self, line: &str) -> Result<(), SyntaxError> {
        if self.over {
            return Ok(());
        }
        let Some((name, value)) = directive(line) else {
            self.over = true;
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        if !matches!(name.as_str(), "syntax" | "check" | "escape") {
            self.over = true;
            return Ok(());
        }
        if self.seen.contains(&name) {
            return Err(SyntaxError::DuplicateDirective(name));
        }
        if name == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => return Err(SyntaxError::Escape(other.to_owned())),
            };
        }
        self.seen.push(name);
        Ok(())
    }
}

fn directive(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    (named && !value.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str)]) {
        let (lines, _) = logical(text).unwrap();
        let lines: Vec<_> = lines.iter().map(|line| (line.number, line.text.as_str())).collect();
        assert_eq!(lines, expected, "{text:?}");
    }

    #[test]
    fn continuations() {
        check("A b\nC d", &[(1, "A b"), (2, "C d")]);
        check("A b\\\nc", &[(1, "A bc")]);
        check("A b \\ \t\r\n  c\\\n\n# not this\n d\nE", &[(1, "A b   c d"), (6, "E")]);
        check("A b\\\\\nC", &[(1, "A b\\\\"), (2, "C")]);
        check("A b\\", &[(1, "A b")]);
        check("  A\n\t# c\n\r\nB", &[(1, "A"), (4, "B")]);
        check("\\\nA", &[(1, "A")]);
        check("\\\n", &[]);
        check("\u{feff}A", &[(1, "A")]);
        check("#!/x\nA", &[(2, "A")]);
    }

    #[test]
    fn directives() {
        let escape = |text| logical(text).map(|(_, escape)| escape);
        assert_eq!(escape("# escape=`\nA b`\nc"), Ok('`'));
        assert_eq!(escape("#syntax=x\n# Escape = ` \nA"), Ok('`'));
        assert_eq!(escape("# a comment\n# escape=`\nA"), Ok('\\'));
        assert_eq!(escape("A\n# escape=`"), Ok('\\'));
        assert_eq!(escape("# escape=x"), Err(SyntaxError::Escape("x".to_owned())));
        assert_eq!(escape("# escape=`\n# escape=`"), Err(SyntaxError::DuplicateDirective("escape".to_owned())));
        check("# escape=`\nA `\nb\\\nC", &[(2, "A b\\"), (4, "C")]);
    }
}
