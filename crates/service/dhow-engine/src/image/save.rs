//! `save`: images into one archive.

use super::resolve::resolve;
use crate::Engine;
use crate::error::EngineError;
use dhow_spec::{Platform, Reference};
use dhow_state::{ManifestRow, Operation, Read};
use dhow_store::archive::{ArchiveSink, SavedImage};
use dhow_store::copy::{CopyOptions, copy};
use dhow_store::local::LocalSource;
use dhow_store::{Descriptor, StoreError};
use std::io::Write;

/// What to save.
#[derive(Debug, Clone, Default)]
pub struct SaveRequest {
    /// Names, repositories (all their tags) or ids.
    pub images: Vec<String>,
    /// Refuse images of another platform.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Writes images as one tar that is an OCI layout and a docker archive. Returns the bytes of blobs written.
    ///
    /// # Errors
    /// When an image is missing or damaged, or writing fails; the output is then not whole.
    pub fn save<W: Write + Send>(
        &self,
        request: &SaveRequest,
        out: W,
        written: &(dyn Fn(u64) + Sync),
    ) -> Result<u64, EngineError> {
        // Where the store can be written, its blobs are held so that a removal meanwhile does not take them away.
        let operation = match self.read_only() {
            true => None,
            false => Some(self.state.begin("save", self.now())?),
        };
        let images = self.state.read(|r| selected(r, request))?;
        if let Some(operation) = &operation {
            images.iter().try_for_each(|image| hold(operation, image))?;
        }
        let source = LocalSource::new(&self.state);
        let sink = ArchiveSink::new(out);
        let progress = |_: &Descriptor, bytes| written(bytes);
        let mut total = 0;
        for image in &images {
            if self.cancel.is_set() {
                return Err(EngineError::Interrupted);
            }
            total += copy(&source, &sink, &image.manifest, CopyOptions { parallel: 1 }, &progress)?;
        }
        sink.finish(&images)?;
        if let Some(operation) = operation {
            operation.commit(dhow_state::Durability::Crash, |_| Ok::<_, EngineError>(()))?;
        }
        Ok(total)
    }
}

/// Leases what an image consists of.
fn hold(operation: &Operation<'_>, image: &SavedImage) -> Result<(), EngineError> {
    for digest in image.layers.iter().chain([&image.config, &image.manifest.digest]) {
        if operation.lease_blob(digest)?.is_none() {
            return Err(StoreError::BlobMissing { place: "the store".to_owned(), digest: digest.clone() }.into());
        }
    }
    Ok(())
}

/// The images of a request, each manifest once, with the names that were asked for.
fn selected(r: &Read<'_>, request: &SaveRequest) -> Result<Vec<SavedImage>, EngineError> {
    let mut images: Vec<SavedImage> = Vec::new();
    for text in &request.images {
        for one in expand(r, text)? {
            let found = resolve(r, &one)?;
            let platform = Platform::new(&found.image.os, &found.image.architecture, found.image.variant.as_deref());
            if let Some(wanted) = request.platform.as_ref().filter(|wanted| !wanted.runs(&platform)) {
                return Err(EngineError::Invalid {
                    problem: format!("image {one} is for {platform}, not for {wanted}"),
                    hint: None,
                });
            }
            let name =
                found.tag.as_ref().filter(|_| !found.by_digest).map(|t| Reference::parse(&t.name)).transpose()?;
            add(&mut images, &found.manifest, platform, name);
        }
    }
    Ok(images)
}

fn add(images: &mut Vec<SavedImage>, manifest: &ManifestRow, platform: Platform, name: Option<Reference>) {
    if let Some(known) = images.iter_mut().find(|i| i.manifest.digest == manifest.digest) {
        known.names.extend(name.filter(|n| !known.names.contains(n)));
        return;
    }
    let image = SavedImage {
        names: name.into_iter().collect(),
        manifest: Descriptor {
            media_type: manifest.media_type.clone(),
            digest: manifest.digest.clone(),
            size: manifest.size,
        },
        config: manifest.image.clone(),
        layers: manifest.blobs.clone(),
        platform,
    };
    images.push(image);
}

/// A repository without a tag stands for all its tags; anything else for itself.
fn expand(r: &Read<'_>, text: &str) -> Result<Vec<String>, EngineError> {
    // A short id may be a name as well (`cafe`), and a name comes first.
    let Ok(name) = Reference::parse(text) else { return Ok(vec![text.to_owned()]) };
    if name.tag().is_some() || name.digest().is_some() {
        return Ok(vec![text.to_owned()]);
    }
    let tags = r.tags_with_prefix(&format!("{}:", name.name()))?;
    match tags.is_empty() {
        true => Ok(vec![text.to_owned()]),
        false => Ok(tags.into_iter().map(|t| t.name).collect()),
    }
}
