//! The OCI image layout: `index.json` leads to manifests, blobs lie under `blobs/<algorithm>/<encoded>`.
//!
//! An index for several platforms gives the image for the one that was asked for. What belongs to an image without
//! being one (attestations, signatures) is passed over.

use super::{Archive, ArchivedImage, docker};
use crate::content::Descriptor;
use crate::error::StoreError;
use crate::local::read_document;
use dhow_spec::document::{self, Root};
use dhow_spec::{Digest, Platform, Reference, media_type};
use oci_spec::image::Descriptor as OciDescriptor;

/// The name of an image in full, as containerd and docker write it.
const FULL_NAME: &str = "io.containerd.image.name";
/// The name of an image, or only its tag (OCI image-spec `annotations.md`).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Indexes may nest; nobody nests them deeper than this.
const MAX_DEPTH: usize = 4;

pub(super) fn interpret(archive: &mut Archive, platform: Option<&Platform>) -> Result<(), StoreError> {
    let version = archive.members.document("oci-layout")?.unwrap_or_default();
    document::layout_version(&version)?;
    find_blobs(archive);
    let index = archive.members.document("index.json")?.unwrap_or_default();
    let index = document::layout_index(&index)?;
    let named_elsewhere = docker_names(archive)?;
    for entry in index.manifests() {
        let Some(manifest) = choose(archive, entry, platform, 0)? else { continue };
        let mut names: Vec<Reference> = name(entry).into_iter().collect();
        names.extend(named_elsewhere.iter().filter(|(config, _)| manifest.1 == *config).map(|(_, n)| n.clone()));
        archive.images.push(ArchivedImage { names, manifest: manifest.0 });
    }
    match archive.images.is_empty() {
        true => Err(archive.problem("its index.json leads to no container image")),
        false => Ok(()),
    }
}

fn find_blobs(archive: &mut Archive) {
    let blob = |path: &str| {
        let (algorithm, encoded) = path.strip_prefix("blobs/")?.split_once('/')?;
        format!("{algorithm}:{encoded}").parse::<Digest>().ok()
    };
    let found = archive.members.iter().filter_map(|(path, member)| Some((blob(path)?, member.clone())));
    archive.blobs = found.collect();
}

/// The names that a `manifest.json` beside the layout gives, by configuration.
fn docker_names(archive: &Archive) -> Result<Vec<(Digest, Reference)>, StoreError> {
    let Some(bytes) = archive.members.document("manifest.json")? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for image in document::archive_manifest(&bytes)? {
        let encoded = image.config.rsplit('/').next().unwrap_or_default();
        let Ok(config) = Digest::from_sha256_hex(encoded.trim_end_matches(".json")) else { continue };
        names.extend(docker::names(archive, &image.repo_tags)?.into_iter().map(|name| (config.clone(), name)));
    }
    Ok(names)
}

/// The name in an entry's annotations. A bare tag names nothing: of which repository?
fn name(entry: &OciDescriptor) -> Option<Reference> {
    let annotations = entry.annotations().as_ref()?;
    let full = annotations.get(FULL_NAME).or_else(|| {
        let name = annotations.get(REF_NAME)?;
        name.contains([':', '/']).then_some(name)
    })?;
    Some(Reference::parse(full).ok()?.with_default_tag())
}

/// The manifest that an entry of an index leads to, with the digest of its configuration.
fn choose(
    archive: &Archive,
    entry: &OciDescriptor,
    platform: Option<&Platform>,
    depth: usize,
) -> Result<Option<(Descriptor, Digest)>, StoreError> {
    let blob = Descriptor::of(entry)?;
    if !media_type::is_manifest(&blob.media_type) && !media_type::is_index(&blob.media_type) {
        return Ok(None);
    }
    let bytes = read_document(archive, &blob)?;
    match document::root(&bytes, Some(&blob.media_type))? {
        Root::Manifest(manifest) if is_image(&manifest) => {
            check_platform(archive, entry, platform)?;
            Ok(Some((blob, document::digest(manifest.config())?)))
        }
        Root::Manifest(_) => Ok(None),
        Root::Index(index) if depth < MAX_DEPTH => {
            let host = Platform::host();
            let wanted = platform.unwrap_or(&host);
            let known: Vec<_> =
                index.manifests().iter().filter_map(|m| Some((Platform::of_descriptor(m)?, m))).collect();
            match wanted.best(known.iter().map(|(platform, _)| platform)) {
                Some(best) => choose(archive, known[best].1, platform, depth + 1),
                None if known.is_empty() && index.manifests().len() == 1 => {
                    choose(archive, &index.manifests()[0], platform, depth + 1)
                }
                None => Err(no_such_platform(archive, &blob, wanted, &known)),
            }
        }
        Root::Index(_) => Err(archive.problem(format!("its indexes are nested deeper than {MAX_DEPTH}"))),
    }
}

/// Whether a manifest is a container image and no other artifact.
fn is_image(manifest: &dhow_spec::ImageManifest) -> bool {
    media_type::is_config(manifest.config().media_type().as_ref())
}

/// A single manifest that says what it is for must be for what was asked for.
fn check_platform(archive: &Archive, entry: &OciDescriptor, wanted: Option<&Platform>) -> Result<(), StoreError> {
    match (Platform::of_descriptor(entry), wanted) {
        (Some(platform), Some(wanted)) if !wanted.runs(&platform) => {
            Err(archive.problem(format!("{} is for {platform}, not for {wanted}", entry.digest())))
        }
        _ => Ok(()),
    }
}

fn no_such_platform(
    archive: &Archive,
    blob: &Descriptor,
    wanted: &Platform,
    known: &[(Platform, &OciDescriptor)],
) -> StoreError {
    let mut there: Vec<_> = known.iter().map(|(p, _)| p.to_string()).filter(|p| !p.contains("unknown")).collect();
    there.dedup();
    StoreError::Archive {
        archive: archive.members.name().to_owned(),
        problem: format!("image {} has no variant for {wanted}; it has: {}", blob.digest, there.join(", ")),
        hint: Some("choose one with --platform".to_owned()),
    }
}
