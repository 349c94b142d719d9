//! Documents of inspect commands: a JSON array, or a template for each.
//!
//! Owns: what `--format` means where documents are shown whole. Must not know: what they are about.

use super::json::{Html, indented};
use super::template::{Shape, Template, TemplateError};
use serde_json::Value;

/// Documents under way to the output.
pub(crate) struct Inspection {
    template: Option<Template>,
    documents: Vec<Value>,
}

/// Fields of docker's inspect documents that are maps, so that a missing key is no error.
const MAPS: &[&str] = &["Labels", "ExposedPorts", "Volumes", "Data"];
/// Fields that are lists, likewise.
const LISTS: &[&str] = &["Env", "Cmd", "Entrypoint", "OnBuild", "Shell", "RepoTags", "RepoDigests"];

impl Inspection {
    /// Prints as `format` says: nothing or `json` for a document as it is.
    ///
    /// # Errors
    /// When the format is no template.
    pub(crate) fn new(format: Option<&str>) -> Result<Inspection, TemplateError> {
        let template = match format {
            None | Some("") => None,
            Some("json") => Some(Template::parse("{{json .}}")?),
            Some(format) => Some(Template::parse(format)?),
        };
        Ok(Inspection { template, documents: Vec::new() })
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
        let Some(template) = self.template else {
            return Ok(indented(&Value::Array(self.documents), Html::Keep) + "\n");
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
