//! What a person typed, as an image: a name with or without a tag, a digest, an id, or the start of an id.
//!
//! A name wins over an id that starts alike, as with docker.

use crate::error::EngineError;
use dhow_spec::reference::{self, AnyReference};
use dhow_spec::{Digest, Reference};
use dhow_state::{ImageRow, ManifestRow, Read, TagRow};

/// An image that was found.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The image.
    pub image: ImageRow,
    /// The manifest that was meant: that of the name, or the image's first.
    pub manifest: ManifestRow,
    /// The name, when it was found by one.
    pub tag: Option<TagRow>,
    /// Whether it was asked for by a digest of its manifest behind a name.
    pub by_digest: bool,
}

/// Finds the image that `text` stands for.
///
/// # Errors
/// [`EngineError::NoSuchImage`], [`EngineError::AmbiguousId`], an invalid reference.
pub fn resolve(read: &Read<'_>, text: &str) -> Result<Resolved, EngineError> {
    let missing = || match Reference::parse(text) {
        Ok(name) => EngineError::NoSuchImage(name.with_default_tag().familiar()),
        Err(_) => EngineError::NoSuchImage(text.to_owned()),
    };
    match reference::parse_any(text)? {
        AnyReference::Digest(digest) => by_digest(read, &digest)?.ok_or_else(missing),
        AnyReference::Named(name) => by_name(read, &name)?.ok_or_else(missing),
        AnyReference::HexPrefix(hex) => {
            if let Ok(name) = Reference::parse(text)
                && let Some(found) = by_name(read, &name)?
            {
                return Ok(found);
            }
            by_prefix(read, &hex)?.ok_or_else(missing)
        }
    }
}

fn by_name(read: &Read<'_>, name: &Reference) -> Result<Option<Resolved>, EngineError> {
    if let Some(digest) = name.digest() {
        return by_named_digest(read, name, digest);
    }
    let Some(tag) = read.tag(&name.clone().with_default_tag().canonical())? else { return Ok(None) };
    let (Some(image), Some(manifest)) = (read.image(&tag.image)?, read.manifest(&tag.manifest)?) else {
        return Ok(None);
    };
    Ok(Some(Resolved { image, manifest, tag: Some(tag), by_digest: false }))
}

/// `name@sha256:…`: the manifest, if some tag of that repository names its image.
fn by_named_digest(read: &Read<'_>, name: &Reference, digest: &Digest) -> Result<Option<Resolved>, EngineError> {
    let Some(manifest) = read.manifest(digest)? else { return Ok(None) };
    let prefix = format!("{}:", name.name());
    let tag = read.tags_of(&manifest.image)?.into_iter().find(|t| t.name.starts_with(&prefix));
    let (Some(tag), Some(image)) = (tag, read.image(&manifest.image)?) else { return Ok(None) };
    Ok(Some(Resolved { image, manifest, tag: Some(tag), by_digest: true }))
}

fn by_digest(read: &Read<'_>, digest: &Digest) -> Result<Option<Resolved>, EngineError> {
    if let Some(manifest) = read.manifest(digest)?
        && let Some(image) = read.image(&manifest.image)?
    {
        return Ok(Some(Resolved { image, manifest, tag: None, by_digest: false }));
    }
    let Some(image) = read.image(digest)? else { return Ok(None) };
    let Some(manifest) = read.manifests_of(&image.id)?.into_iter().next() else { return Ok(None) };
    Ok(Some(Resolved { image, manifest, tag: None, by_digest: false }))
}

fn by_prefix(read: &Read<'_>, hex: &str) -> Result<Option<Resolved>, EngineError> {
    let found = read.images_by_hex_prefix(hex)?;
    match found.as_slice() {
        [] => Ok(None),
        [one] => by_digest(read, one),
        several => Err(EngineError::AmbiguousId {
            prefix: hex.to_owned(),
            candidates: several.iter().take(4).map(|d| d.short()).collect::<Vec<_>>().join(", "),
        }),
    }
}
