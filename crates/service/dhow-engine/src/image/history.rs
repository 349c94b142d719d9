//! `image history`: how an image came to be, newest step first.

use super::resolve::resolve;
use crate::Engine;
use crate::error::EngineError;
use dhow_spec::Digest;
use dhow_state::Timestamp;

/// One step.
#[derive(Debug, Clone)]
pub struct HistoryStep {
    /// The image's id on its newest step; nothing on the others, which are no images here.
    pub id: Option<Digest>,
    /// When the step was built, if the configuration says.
    pub created: Option<Timestamp>,
    /// The instruction.
    pub created_by: String,
    /// Bytes of file content that the step added.
    pub size: u64,
    /// A comment.
    pub comment: String,
    /// Names of the image, on its newest step.
    pub names: Vec<String>,
}

impl Engine {
    /// The steps of an image, newest first. A configuration without history has one step for each layer.
    ///
    /// # Errors
    /// When there is no such image or its configuration cannot be read.
    pub fn image_history(&self, text: &str) -> Result<Vec<HistoryStep>, EngineError> {
        let inspected = self.inspect_image(text)?;
        let sizes = self.state.read(|r| {
            let image = resolve(r, text)?.image;
            let size = |key: &Digest| Ok(r.layer(key)?.map_or(0, |row| row.size));
            image.layers.iter().map(size).collect::<Result<Vec<u64>, EngineError>>()
        })?;
        let mut sizes = sizes.into_iter();
        let time = |text: &Option<String>| {
            let parsed = text.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
            parsed.and_then(|t| Timestamp::try_from(t.as_nanosecond()).ok())
        };
        let mut steps = Vec::new();
        for step in &inspected.config.history {
            steps.push(HistoryStep {
                id: None,
                created: time(&step.created),
                created_by: step.created_by.clone(),
                size: if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
                comment: step.comment.clone(),
                names: Vec::new(),
            });
        }
        let unexplained = |size| HistoryStep {
            id: None,
            created: time(&inspected.config.created),
            created_by: String::new(),
            size,
            comment: String::new(),
            names: Vec::new(),
        };
        steps.extend(sizes.map(unexplained));
        steps.reverse();
        if let Some(newest) = steps.first_mut() {
            newest.id = Some(inspected.found.image.id.clone());
            newest.names = inspected.names.iter().map(dhow_spec::Reference::familiar).collect();
        }
        Ok(steps)
    }
}
