//! The text of a Dockerfile: lines, instructions, words, variables. Syntax only.
//!
//! Owns how text becomes an [`Instruction`] with its arguments taken apart the way that instruction wants them, and how
//! variables in a word are replaced. Does not know what an instruction does: `change` gives a meaning to the dozen that
//! touch nothing but a configuration. Follows Docker's Dockerfile reference and, where that is silent, the reader of
//! buildkit. Here-documents are not read.
//!
//! ```text
//! text --lines--> "ENV a=$b c"  --instruction--> ENV [a = "$b c"]  --expand--> a = "value c"
//! ```

mod expand;
mod lines;
mod pattern;
mod words;

pub use expand::{ExpandError, Expander};
pub use words::Pair;

use lines::Line;

/// One instruction, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The line that it begins at, from 1.
    pub line: usize,
    /// Its name as it was typed.
    pub name: String,
    /// Its flags, `--name=value`, quotes removed.
    pub flags: Vec<String>,
    /// Its arguments.
    pub args: Args,
    /// The whole instruction on one line, continuations joined.
    pub text: String,
}

/// The arguments of an instruction, in the form that its name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Args {
    /// Nothing stands there.
    None,
    /// A JSON list: the exec form. Variables and quotes mean nothing in it.
    Json(Vec<String>),
    /// The rest of the line as it is: the shell form, or a single value.
    Text(String),
    /// Words between blanks, quotes not removed.
    Words(Vec<String>),
    /// Names and values, quotes not removed.
    Pairs(Vec<Pair>),
    /// A word and what follows it: `HEALTHCHECK`.
    Typed(String, Box<Args>),
    /// Another instruction: `ONBUILD`.
    Nested(Box<Instruction>),
}

/// A text taken apart into instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The instructions, in order; never empty.
    pub instructions: Vec<Instruction>,
    /// The character that escapes and continues lines: a backslash, unless the text says otherwise.
    pub escape: char,
}

impl Dockerfile {
    /// Takes a text apart. Unknown instructions pass, with [`Args::None`]: what is known depends on the reader.
    ///
    /// # Errors
    /// [`SyntaxError`].
    pub fn parse(text: &str) -> Result<Dockerfile, SyntaxError> {
        let (lines, escape) = lines::logical(text)?;
        let instructions: Result<Vec<_>, _> = lines.into_iter().map(|line| instruction(line, escape, 0)).collect();
        let instructions = instructions?;
        if instructions.is_empty() {
            return Err(SyntaxError::Empty);
        }
        Ok(Dockerfile { instructions, escape })
    }
}

/// `ONBUILD ONBUILD …` nests; nobody means it, and no reader accepts it.
const MAX_NESTED: usize = 4;

fn instruction(line: Line, escape: char, depth: usize) -> Result<Instruction, SyntaxError> {
    let (name, flags, rest) = words::split_instruction(&line.text, escape);
    let args = match name.to_ascii_lowercase().as_str() {
        _ if rest.is_empty() => Args::None,
        "cmd" | "entrypoint" | "run" | "shell" => words::json(rest)?.unwrap_or_else(|| Args::Text(rest.to_owned())),
        "add" | "copy" | "volume" => words::json(rest)?.unwrap_or_else(|| words::blank_separated(rest)),
        "expose" | "from" => words::blank_separated(rest),
        "arg" => match words::split(rest, escape) {
            words if words.is_empty() => Args::None,
            words => Args::Words(words),
        },
        "env" => words::pairs(rest, "ENV", escape)?,
        "label" => words::pairs(rest, "LABEL", escape)?,
        "maintainer" | "stopsignal" | "user" | "workdir" => Args::Text(rest.to_owned()),
        "healthcheck" => {
            let (kind, command) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            let command = command.trim_start();
            let args = match words::json(command)? {
                Some(list) => list,
                None if command.is_empty() => Args::None,
                None => Args::Text(command.to_owned()),
            };
            Args::Typed(kind.to_owned(), Box::new(args))
        }
        "onbuild" if depth < MAX_NESTED => {
            let inner = Line { number: line.number, text: rest.to_owned() };
            Args::Nested(Box::new(instruction(inner, escape, depth + 1)?))
        }
        "onbuild" => return Err(SyntaxError::Nested),
        _ => Args::None,
    };
    Ok(Instruction { line: line.number, name: name.to_owned(), flags, args, text: line.text })
}

/// Why a text cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// There is nothing but comments and empty lines.
    #[error("file with no instructions")]
    Empty,
    /// The first lines name an escape character that is none.
    #[error("invalid escape token '{0}' does not match ` or \\")]
    Escape(String),
    /// The first lines say the same thing twice.
    #[error("only one {0} parser directive can be used")]
    DuplicateDirective(String),
    /// A JSON list with something else than strings.
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings,
    /// `ENV name` without a value.
    #[error("{0} must have two arguments")]
    NoValue(&'static str),
    /// `ENV a=b c`.
    #[error("Syntax error - can't find = in {0:?}. Must be of the form: name=value")]
    NoEquals(String),
    /// Too many instructions within another.
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    Nested,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Instruction {
        let mut file = Dockerfile::parse(text).unwrap();
        assert_eq!(file.instructions.len(), 1, "{text}");
        file.instructions.remove(0)
    }

    #[test]
    fn arguments_take_the_form_of_their_instruction() {
        let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        for (text, args) in [
            (r#"CMD ["a", "b c"]"#, Args::Json(list(&["a", "b c"]))),
            ("CMD [a, b]", Args::Text("[a, b]".to_owned())),
            ("RUN echo  hi ", Args::Text("echo  hi".to_owned())),
            ("CMD", Args::None),
            ("CMD []", Args::Json(vec![])),
            ("VOLUME /a  /b", Args::Words(list(&["/a", "/b"]))),
            (r#"VOLUME ["/a b"]"#, Args::Json(list(&["/a b"]))),
            ("EXPOSE [1]", Args::Words(list(&["[1]"]))),
            ("USER  a b", Args::Text("a b".to_owned())),
            ("FLY away", Args::None),
            ("ARG a b=\"c d\"", Args::Words(list(&["a", "b=\"c d\""]))),
        ] {
            assert_eq!(one(text).args, args, "{text}");
        }
    }

    #[test]
    fn health_checks_and_triggers_hold_more() {
        let health = one("HEALTHCHECK --interval=5s --retries=3 cmd [\"a\"]");
        assert_eq!(health.flags, ["--interval=5s", "--retries=3"]);
        assert_eq!(health.args, Args::Typed("cmd".to_owned(), Box::new(Args::Json(vec!["a".to_owned()]))));
        assert_eq!(one("HEALTHCHECK NONE").args, Args::Typed("NONE".to_owned(), Box::new(Args::None)));
        let Args::Nested(inner) = one("onbuild  RUN --x make").args else { panic!("no trigger") };
        assert_eq!((inner.name.as_str(), inner.flags), ("RUN", vec!["--x".to_owned()]));
        assert_eq!(Dockerfile::parse("ONBUILD ENV a"), Err(SyntaxError::NoValue("ENV")));
        let deep = "ONBUILD ".repeat(100_000);
        assert_eq!(Dockerfile::parse(&deep), Err(SyntaxError::Nested));
    }

    #[test]
    fn what_is_no_dockerfile() {
        assert_eq!(Dockerfile::parse(""), Err(SyntaxError::Empty));
        assert_eq!(Dockerfile::parse("\n# nothing\n"), Err(SyntaxError::Empty));
        assert_eq!(Dockerfile::parse("CMD [1]"), Err(SyntaxError::NotStrings));
        assert_eq!(Dockerfile::parse("ENV a=b c"), Err(SyntaxError::NoEquals("c".to_owned())));
    }
}
