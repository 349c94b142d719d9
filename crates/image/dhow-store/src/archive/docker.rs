//! The docker archive: `manifest.json` lists configurations, names and layers by their paths in the tar.
//!
//! It has no manifest with a digest, so one is made, always the same for the same archive. A plain layer's digest is
//! its diff id, which the configuration states; a compressed layer is read once to learn its digest.

use super::members::Member;
use super::{Archive, ArchivedImage};
use crate::compression;
use crate::content::{Descriptor, Measure};
use crate::error::StoreError;
use dhow_spec::media_type::{self, Compression};
use dhow_spec::{Digest, ImageConfig, Reference, document};
use std::io::Read;

pub(super) fn interpret(archive: &mut Archive) -> Result<(), StoreError> {
    let bytes = archive.members.document("manifest.json")?.unwrap_or_default();
    for image in document::archive_manifest(&bytes)? {
        let names = names(archive, &image.repo_tags)?;
        let manifest = interpret_image(archive, &image)?;
        archive.images.push(ArchivedImage { names, manifest });
    }
    match archive.images.is_empty() {
        true => Err(archive.problem("its manifest.json lists no image")),
        false => Ok(()),
    }
}

/// Names of an image as `manifest.json` lists them.
pub(super) fn names(archive: &Archive, tags: &[String]) -> Result<Vec<Reference>, StoreError> {
    let named = |tag: &String| match Reference::parse(tag) {
        Ok(name) => Ok(name.with_default_tag()),
        Err(e) => Err(archive.problem(format!("names an image {tag:?}: {e}"))),
    };
    tags.iter().map(named).collect()
}

fn interpret_image(archive: &mut Archive, image: &document::ArchiveImage) -> Result<Descriptor, StoreError> {
    let bytes = archive.members.document(&image.config)?;
    let bytes = bytes.ok_or_else(|| archive.problem(format!("lacks {}, which manifest.json names", image.config)))?;
    let config = document::config(&bytes)?;
    if config.rootfs.diff_ids.len() != image.layers.len() {
        return Err(archive.problem(format!(
            "{} has {} layers in manifest.json and {} in its configuration",
            image.config,
            image.layers.len(),
            config.rootfs.diff_ids.len()
        )));
    }
    let config_blob = keep(archive, media_type::OCI_CONFIG, bytes);
    let layers = layers(archive, image, &config)?;
    let manifest = super::manifest(&config_blob, &layers);
    Ok(keep(archive, media_type::OCI_MANIFEST, manifest))
}

fn keep(archive: &mut Archive, media_type: &str, bytes: Vec<u8>) -> Descriptor {
    let blob = Descriptor { media_type: media_type.to_owned(), digest: Digest::of(&bytes), size: bytes.len() as u64 };
    archive.blobs.insert(blob.digest.clone(), Member::Memory(bytes.into()));
    blob
}

fn layers(
    archive: &mut Archive,
    image: &document::ArchiveImage,
    config: &ImageConfig,
) -> Result<Vec<Descriptor>, StoreError> {
    let mut layers = Vec::new();
    for (path, diff_id) in image.layers.iter().zip(&config.rootfs.diff_ids) {
        let member = archive.members.get(path).cloned();
        let member = member.ok_or_else(|| archive.problem(format!("lacks {path}, which manifest.json names")))?;
        let blob = layer(archive, path, &member, diff_id)?;
        archive.blobs.insert(blob.digest.clone(), member);
        layers.push(blob);
    }
    Ok(layers)
}

fn layer(archive: &Archive, path: &str, member: &Member, diff_id: &Digest) -> Result<Descriptor, StoreError> {
    let size = archive.members.size(member);
    let mut start = Vec::new();
    let read_error = |e| StoreError::io("read", archive.members.name(), e);
    let start_reader = archive.members.open(member)?;
    start_reader.take(compression::MAGIC_LEN as u64).read_to_end(&mut start).map_err(read_error)?;
    let compression = compression::recognise(&start, path)?;
    let digest = match (compression, member) {
        (_, Member::Written { proof, .. }) => proof.digest().clone(),
        (Compression::None, _) => diff_id.clone(),
        (_, member) => measure(archive, member)?,
    };
    Ok(Descriptor { media_type: compression.oci_layer().to_owned(), digest, size })
}

fn measure(archive: &Archive, member: &Member) -> Result<Digest, StoreError> {
    let mut reader = archive.members.open(member)?;
    let mut measure = Measure::new();
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        match reader.read(&mut buffer).map_err(|e| StoreError::io("read", archive.members.name(), e))? {
            0 => return Ok(measure.finish().digest().clone()),
            n => measure.update(&buffer[..n]),
        }
    }
}
