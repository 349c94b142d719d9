//! `image prune`: images that nobody names, or with `all` those that nobody uses; never those of containers.

use super::load::event;
use super::remove::{Removal, deleted_layers};
use crate::Engine;
use crate::error::EngineError;
use crate::image::list::{ImageFilter, Listed};
use dhow_spec::Reference;
use dhow_state::Durability;

/// What to prune.
#[derive(Debug, Clone, Default)]
pub struct PruneRequest {
    /// Also images with names, as long as no container uses them.
    pub all: bool,
    /// Only images that pass.
    pub filter: ImageFilter,
}

/// What a prune did.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// In order.
    pub removed: Vec<Removal>,
    /// Bytes freed on disk, blobs and unpacked layers.
    pub freed: u64,
}

impl Engine {
    /// Removes unused images.
    ///
    /// # Errors
    /// Of the store.
    pub fn prune_images(&self, request: &PruneRequest) -> Result<Pruned, EngineError> {
        self.in_reserve(|| self.pruned(request))
    }

    fn pruned(&self, request: &PruneRequest) -> Result<Pruned, EngineError> {
        let operation = self.state.begin("image prune", self.now())?;
        let id = operation.id();
        operation.commit(Durability::PowerCut, |w| {
            let mut pruned = Pruned::default();
            for image in Listed::all(w)? {
                let named = !image.names.is_empty();
                let used = !w.containers_of_image(&image.id)?.is_empty();
                if used || (named && !request.all) || !request.filter.accepts(&image) {
                    continue;
                }
                for name in &image.names {
                    w.delete_tag(&name.reference.canonical())?;
                    pruned.removed.push(Removal::Untagged(Reference::familiar(&name.reference)));
                }
                w.delete_image(&image.id)?;
                w.record_event(&event(self.now(), "delete", &image.id, None))?;
                pruned.removed.push(Removal::Deleted(image.id));
            }
            let garbage = w.collect_garbage(id)?;
            pruned.removed.extend(deleted_layers(&garbage));
            pruned.freed = garbage.iter().map(|g| g.size).sum();
            Ok(pruned)
        })
    }
}
