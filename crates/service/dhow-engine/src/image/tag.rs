//! `tag`: another name for an image.

use super::load::event;
use super::resolve::resolve;
use crate::Engine;
use crate::error::EngineError;
use dhow_spec::{Digest, Reference};
use dhow_state::{Durability, TagRow, Timestamp, Write};

impl Engine {
    /// Gives `source` the name `target`, taking that name from whatever had it.
    ///
    /// # Errors
    /// When there is no such image, or the target is no name with or without a tag.
    pub fn tag(&self, source: &str, target: &str) -> Result<(), EngineError> {
        let target = Reference::parse(target)?;
        if target.digest().is_some() {
            return Err(EngineError::Invalid {
                problem: "refusing to create a tag with a digest reference".to_owned(),
                hint: None,
            });
        }
        let target = target.with_default_tag();
        self.state.write(Durability::PowerCut, |w| {
            let found = resolve(w, source)?;
            set(w, &target, &found.image.id, &found.manifest.digest, self.now())?;
            w.record_event(&event(self.now(), "tag", &found.image.id, Some(&target)))?;
            Ok(())
        })
    }
}

/// Sets a name and returns what it stood for. A manifest that nothing names any more goes with it, unless it is its
/// image's last.
pub(crate) fn set(
    w: &Write<'_>,
    name: &Reference,
    image: &Digest,
    manifest: &Digest,
    now: Timestamp,
) -> Result<Option<TagRow>, EngineError> {
    let row = TagRow {
        name: name.clone().with_default_tag().canonical(),
        image: image.clone(),
        manifest: manifest.clone(),
        tagged: now,
    };
    let before = w.set_tag(&row)?;
    if let Some(before) = &before {
        w.delete_unused_manifests(&before.image)?;
    }
    Ok(before)
}
