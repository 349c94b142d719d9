//! `load`: images from an archive.

use super::bring::{Bring, Brought};
use crate::error::EngineError;
use crate::progress::Progress;
use crate::{Engine, image::tag};
use dhow_spec::{Digest, Platform, Reference};
use dhow_state::{Durability, NewEvent, Write};
use dhow_store::archive::{Archive, ArchivedImage, Input};
use dhow_store::local::LocalSink;
use std::collections::BTreeMap;

/// What to load.
pub struct LoadRequest {
    /// The archive.
    pub input: Input,
    /// Which variant of images for several platforms; the host's own when not said.
    pub platform: Option<Platform>,
}

/// An image that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// Its names, in familiar form.
    pub names: Vec<String>,
    /// Names that another image had before, with that image's id.
    pub taken: Vec<(String, Digest)>,
}

impl Engine {
    /// Loads every image of an archive, or none.
    ///
    /// # Errors
    /// When the archive is not what it should be or the store cannot take it; nothing is changed then.
    pub fn load(&self, request: LoadRequest, progress: &dyn Progress) -> Result<Vec<Loaded>, EngineError> {
        self.load_all(request, progress).map_err(|e| e.on_disk(self.state.root()))
    }

    fn load_all(&self, request: LoadRequest, progress: &dyn Progress) -> Result<Vec<Loaded>, EngineError> {
        let operation = self.state.begin("load", self.now())?;
        let brought = {
            let sink = LocalSink::new(&operation);
            let mut so_far = 0;
            let mut spooled = |bytes| {
                so_far += bytes;
                progress.spooled(so_far);
            };
            let archive = Archive::open(request.input, &sink, request.platform.as_ref(), &mut spooled)?;
            let bring = Bring {
                state: &self.state,
                operation: &operation,
                sink: &sink,
                source: &archive,
                progress,
                cancel: &self.cancel,
                now: self.now(),
                trees: Default::default(),
            };
            let image = |image: &ArchivedImage| Ok((image.clone(), bring.image(&image.manifest)?));
            archive.images().iter().map(image).collect::<Result<Vec<_>, EngineError>>()?
        };
        progress.flushing();
        operation.sync_published()?;
        if self.cancel.is_set() {
            return Err(EngineError::Interrupted);
        }
        operation.commit(Durability::PowerCut, |w| brought.iter().map(|(a, b)| self.record(w, a, b)).collect())
    }

    fn record(&self, w: &Write<'_>, archived: &ArchivedImage, brought: &Brought) -> Result<Loaded, EngineError> {
        w.put_image(&brought.image, &brought.manifest)?;
        let id = brought.image.id.clone();
        let mut loaded = Loaded { id, names: Vec::new(), taken: Vec::new() };
        for name in &archived.names {
            let before = tag::set(w, name, &brought.image.id, &brought.manifest.digest, self.now())?;
            loaded.names.push(name.familiar());
            if let Some(before) = before.filter(|b| b.image != brought.image.id) {
                loaded.taken.push((name.familiar(), before.image));
            }
        }
        w.record_event(&event(self.now(), "load", &brought.image.id, archived.names.first()))?;
        Ok(loaded)
    }
}

/// An event about an image, as docker words it.
pub(crate) fn event(now: i64, action: &'static str, id: &Digest, name: Option<&Reference>) -> NewEvent {
    let name = name.map_or_else(|| id.to_string(), Reference::familiar);
    NewEvent {
        time: now,
        kind: "image",
        action: action.into(),
        actor: id.to_string(),
        attributes: BTreeMap::from([("name".to_owned(), name)]),
    }
}
