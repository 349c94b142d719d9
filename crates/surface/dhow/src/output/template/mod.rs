//! Go's `text/template` over JSON, for `--format`.
//!
//! Owns: the language (<https://pkg.go.dev/text/template>), docker's functions beside Go's, and how JSON data stands for
//! the Go values that docker's templates see ([`Shape`]). Must not know: commands, tables, terminals.
//!
//! Text is cut into tokens (lex), built into a tree (parse, node) and run (eval) over values (value) with functions
//! (function, compare) that print (print, printf, number, quote). Errors have docker's wording.
//!
//! Where it differs from Go: there are no methods, so no field takes arguments; no imaginary numbers; nesting is
//! bounded much tighter, since this must not exhaust the stack; text is always UTF-8, so what cuts a character in two
//! leaves U+FFFD; integers of the data are `int`, whatever their size in docker's structs.

mod compare;
mod eval;
mod function;
mod lex;
mod node;
mod number;
mod parse;
mod print;
mod printf;
mod quote;
mod value;

#[cfg(test)]
mod tests;

use serde_json::Value;

use value::Val;

pub(crate) use quote::quote;
pub(crate) use value::Shape;

/// Why a template can't be used. Both kinds read as docker prints them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateError {
    /// The text is no template.
    #[error("template parsing error: {0}")]
    Parse(String),
    /// It doesn't fit the data.
    #[error("template parsing error: {0}")]
    Execute(String),
}

/// A template that is ready to run.
#[derive(Debug)]
pub(crate) struct Template(Parsed);

/// The tree, and the text its positions refer to.
#[derive(Debug)]
struct Parsed {
    text: String,
    tree: parse::Tree,
}

impl Template {
    /// Parses `text` as it is: unlike in lists, `\t` outside of actions is two characters.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let is_function = |name: &str| function::find(name, eval::Functions::Values).is_some();
        let tree = parse::parse(text, is_function).map_err(TemplateError::Parse)?;
        Ok(Self(Parsed { text: text.to_owned(), tree }))
    }

    /// Runs the template over `data`. No line break is added.
    pub(crate) fn execute(&self, data: &Value, shape: &Shape<'_>) -> Result<String, TemplateError> {
        let mut out = String::new();
        eval::run(&self.0, Val::of(data, shape), shape, eval::Functions::Values, &mut out)
            .map_err(TemplateError::Execute)?;
        Ok(out)
    }

    /// Runs the template over headings of columns, where docker's functions return a heading as it is. What fails ends
    /// the line early and is no error, as in docker.
    pub(super) fn execute_headings(&self, headings: &Value) -> String {
        let mut out = String::new();
        let dot = Val::of(headings, &Shape::MAPS);
        // What docker drops here is dropped: the rows have been printed without an error by then.
        let _ = eval::run(&self.0, dot, &Shape::MAPS, eval::Functions::Headings, &mut out);
        out
    }
}
