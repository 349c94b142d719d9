//! Documents of inspect commands: a JSON array, or a template for each.
//!
//! Owns: what `--format` means where documents are shown whole. Must not know: what they are about.

use super::json::{Html, compact, indented};
use super::template::{Shape, Template, TemplateError};
use serde_json::Value;

/// Documents under way to the output.
pub(crate) struct Inspection {
    format: Format,
    documents: Vec<Value>,
}

enum Format {
    /// The array, for people.
    Indented,
    /// The array, on one line.
    Json,
    /// A line for each document.
    Template(Template),
}

/// Fields of docker's inspect documents that are maps, so that a missing key is no error.
const MAPS: &[&str] = &["Labels", "ExposedPorts", "Volumes", "Data", "Containers", "Options"];
/// Fields that are lists, likewise.
const LISTS: &[&str] = &["Env", "Cmd", "Entrypoint", "OnBuild", "Shell", "RepoTags", "RepoDigests"];

impl Inspection {
    /// Prints as `format` says: nothing or `json` for a document as it is.
    ///
    /// # Errors
    /// When the format is no template.
    pub(crate) fn new(format: Option<&str>) -> Result<Inspection, TemplateError> {
        let format = match format {
            None | Some("") => Format::Indented,
            Some("json") => Format::Json,
            Some(format) => Format::Template(Template::parse(format)?),
        };
        Ok(Inspection { format, documents: Vec::new() })
    }

    /// Adds a document.
    pub(crate) fn add(&mut self, document: Value) {
        self.documents.push(document);
    }

    /// All documents as text.
    ///
    /// # Errors
    /// When the template does not fit a document.
    pub(crate) fn render(self) -> Result<String, TemplateError> {
        let template = match self.format {
            Format::Indented => return Ok(indented(&Value::Array(self.documents), Html::Keep) + "\n"),
            Format::Json => return Ok(compact(&Value::Array(self.documents), Html::Keep) + "\n"),
            Format::Template(template) => template,
        };
        let shape = Shape::inspected(MAPS, LISTS);
        self.documents.iter().map(|d| Ok(template.execute(d, &shape)? + "\n")).collect()
    }
}

/// One document through a format, for commands that show just one; `type_name` is what errors call it.
///
/// # Errors
/// When the format is no template, or does not fit the document.
pub(crate) fn render_one(format: &str, document: &Value, type_name: &'static str) -> Result<String, TemplateError> {
    let format = if format == "json" { "{{json .}}" } else { format };
    Ok(Template::parse(format)?.execute(document, &Shape::of_type(type_name))? + "\n")
}
