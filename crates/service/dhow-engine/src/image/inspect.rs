//! `image inspect`: all that is known of an image.

use super::resolve::{Resolved, resolve};
use crate::Engine;
use crate::error::EngineError;
use dhow_spec::{Digest, ImageConfig, Reference, document};
use dhow_state::Timestamp;
use dhow_store::local::LocalSource;
use std::path::PathBuf;

/// An image in full.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Its rows.
    pub found: Resolved,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its names, sorted.
    pub names: Vec<Reference>,
    /// `name@digest` for each repository and manifest, sorted.
    pub digests: Vec<String>,
    /// When it last got a name.
    pub last_tagged: Option<Timestamp>,
    /// Its unpacked layers, bottom first.
    pub layer_paths: Vec<PathBuf>,
}

impl Engine {
    /// All about the image that `text` stands for.
    ///
    /// # Errors
    /// When there is no such image or its configuration cannot be read.
    pub fn inspect_image(&self, text: &str) -> Result<Inspected, EngineError> {
        let (found, tags) = self.state.read(|r| {
            let found = resolve(r, text)?;
            let tags = r.tags_of(&found.image.id)?;
            Ok::<_, EngineError>((found, tags))
        })?;
        let config = self.image_config(&found.image.id)?;
        let mut names = Vec::new();
        let mut digests = Vec::new();
        for tag in &tags {
            let name = Reference::parse(&tag.name)?;
            digests.push(format!("{}@{}", name.familiar_name(), tag.manifest));
            names.push(name);
        }
        names.sort_by_cached_key(Reference::familiar);
        digests.sort();
        digests.dedup();
        let layer_paths = found.image.layers.iter().map(|key| self.state.layer_path(key)).collect();
        let last_tagged = tags.iter().map(|t| t.tagged).max();
        Ok(Inspected { found, config, names, digests, last_tagged, layer_paths })
    }

    /// The configuration of an image.
    pub(crate) fn image_config(&self, id: &Digest) -> Result<ImageConfig, EngineError> {
        let bytes = LocalSource::new(&self.state).document(id, dhow_spec::media_type::OCI_CONFIG)?;
        Ok(document::config(&bytes)?)
    }
}
