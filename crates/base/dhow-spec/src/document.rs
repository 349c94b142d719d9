//! Image documents from foreign bytes: manifests, indexes, configurations and what archives add.
//!
//! Owns the checks that make a parsed document safe to act on: its size, its version, that it is one thing and not two
//! (CVE-2021-41190), that its digests are digests. Does no I/O and follows no descriptor. The types of manifest and
//! index are those of `oci-spec`; what is decoded here first is looser, because Go writes `null` for an empty list.
//!
//! Follows OCI image-spec 1.1 `manifest.md`, `image-index.md`, `config.md` and `image-layout.md`, Docker's manifest
//! version 2 schema 2, and Docker's image specification 1.3 for `manifest.json`. A field that occurs twice is refused:
//! programs differ in which of the two they take. Nesting ends at serde_json's own limit of 128.

mod fault;

pub use fault::{Document, DocumentError, Fault};

use crate::digest::{Digest, DigestError, clip};
use crate::image_config::{ImageConfig, RootFs};
use crate::media_type;
use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder, ImageManifest, ImageManifestBuilder, MediaType};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::HashMap;

/// The largest document that is read, in bytes: the limit that registries have for manifests.
pub const MAX_SIZE: usize = 4 << 20;

/// The document that a reference or an index entry leads to.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one of them at a time, and it is matched at once")]
pub enum Root {
    /// One image.
    Manifest(ImageManifest),
    /// A choice of images.
    Index(ImageIndex),
}

/// Parses a manifest or an index, whichever it is. `declared` is the media type of the descriptor that led here; the
/// document must not contradict it.
///
/// # Errors
/// [`DocumentError`].
pub fn root(bytes: &[u8], declared: Option<&str>) -> Result<Root, DocumentError> {
    let name = |document| Named { document, bytes };
    let raw: RawRoot = name(Document::Root).decode()?;
    let own = raw.media_type.as_deref().filter(|t| !t.is_empty());
    let document = match own.or(declared.filter(|t| media_type::is_manifest(t) || media_type::is_index(t))) {
        Some(named) if media_type::is_index(named) => Document::Index,
        Some(_) => Document::Manifest,
        None if raw.manifests.is_some() => Document::Index,
        None => Document::Manifest,
    };
    if let (Some(declared), Some(own)) = (declared, own)
        && declared != own
    {
        let fault = Fault::MediaType { found: own.to_owned(), expected: declared.to_owned() };
        return Err(name(document).fails(fault));
    }
    match document {
        Document::Index => raw.into_index(&name(document)).map(Root::Index),
        _ => raw.into_manifest(&name(document)).map(Root::Manifest),
    }
}

/// Parses a manifest.
///
/// # Errors
/// [`DocumentError`].
pub fn manifest(bytes: &[u8]) -> Result<ImageManifest, DocumentError> {
    let name = Named { document: Document::Manifest, bytes };
    name.decode::<RawRoot>()?.into_manifest(&name)
}

/// Parses an index.
///
/// # Errors
/// [`DocumentError`].
pub fn index(bytes: &[u8]) -> Result<ImageIndex, DocumentError> {
    let name = Named { document: Document::Index, bytes };
    name.decode::<RawRoot>()?.into_index(&name)
}

/// Parses the `index.json` of an OCI layout.
///
/// # Errors
/// [`DocumentError`].
pub fn layout_index(bytes: &[u8]) -> Result<ImageIndex, DocumentError> {
    let name = Named { document: Document::LayoutIndex, bytes };
    name.decode::<RawRoot>()?.into_index(&name)
}

/// Checks the `oci-layout` file of an OCI layout.
///
/// # Errors
/// [`DocumentError`] when it is of another version than 1.0.0.
pub fn layout_version(bytes: &[u8]) -> Result<(), DocumentError> {
    #[derive(Deserialize)]
    struct Layout {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    let name = Named { document: Document::Layout, bytes };
    let layout: Layout = name.decode()?;
    if layout.version == "1.0.0" { Ok(()) } else { Err(name.fails(Fault::LayoutVersion(layout.version))) }
}

/// Parses the configuration of an image.
///
/// # Errors
/// [`DocumentError`].
pub fn config(bytes: &[u8]) -> Result<ImageConfig, DocumentError> {
    let name = Named { document: Document::Config, bytes };
    let config: ImageConfig = name.decode()?;
    match config.rootfs.kind.as_str() {
        RootFs::LAYERS => Ok(config),
        // An image without one is of Docker's first format, or no image.
        "" => Err(name.fails(Fault::Missing("rootfs"))),
        other => Err(name.fails(Fault::RootFs(clip(other)))),
    }
}

/// Checks that a manifest and the configuration it names speak of the same number of layers.
///
/// A history whose count of non-empty steps differs is common and harmless, and passes.
///
/// # Errors
/// [`DocumentError`] about the configuration.
pub fn check_layers(manifest: &ImageManifest, config: &ImageConfig) -> Result<(), DocumentError> {
    let (layers, diff_ids) = (manifest.layers().len(), config.rootfs.diff_ids.len());
    if layers == diff_ids {
        return Ok(());
    }
    let digest = digest(manifest.config()).ok();
    Err(DocumentError { document: Document::Config, digest, fault: Fault::LayerCount { layers, diff_ids } })
}

/// One image of a docker archive, as its `manifest.json` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ArchiveImage {
    /// Path of the configuration within the archive.
    #[serde(rename = "Config")]
    pub config: String,
    /// Names of the image; they may be none.
    #[serde(rename = "RepoTags", default, deserialize_with = "null_is_empty")]
    pub repo_tags: Vec<String>,
    /// Paths of the layers within the archive, bottom first.
    #[serde(rename = "Layers", default, deserialize_with = "null_is_empty")]
    pub layers: Vec<String>,
}

/// Parses the `manifest.json` of a docker archive.
///
/// # Errors
/// [`DocumentError`]; also when a path would lead out of the archive.
pub fn archive_manifest(bytes: &[u8]) -> Result<Vec<ArchiveImage>, DocumentError> {
    let name = Named { document: Document::ArchiveManifest, bytes };
    let images: Vec<ArchiveImage> = name.decode()?;
    for image in &images {
        for path in image.layers.iter().chain([&image.config]) {
            let climbs = path.starts_with('/') || path.split('/').any(|part| part == "..");
            if path.is_empty() || climbs || path.contains('\0') {
                return Err(name.fails(Fault::Path(clip(path))));
            }
        }
    }
    Ok(images)
}

/// The digest that a descriptor names. Descriptors of documents that were parsed here always have one.
///
/// # Errors
/// [`DigestError`] when its algorithm is not supported.
pub fn digest(descriptor: &Descriptor) -> Result<Digest, DigestError> {
    descriptor.digest().as_ref().parse()
}

/// Bytes and what they are read as, so that each error can name them.
struct Named<'a> {
    document: Document,
    bytes: &'a [u8],
}

impl Named<'_> {
    fn decode<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        if self.bytes.len() > MAX_SIZE {
            return Err(self.fails(Fault::TooLarge(self.bytes.len())));
        }
        serde_json::from_slice(self.bytes).map_err(|error| self.fails(Fault::Json(error)))
    }

    fn fails(&self, fault: Fault) -> DocumentError {
        let by_name = matches!(self.document, Document::ArchiveManifest | Document::LayoutIndex | Document::Layout);
        DocumentError { document: self.document, digest: (!by_name).then(|| Digest::of(self.bytes)), fault }
    }
}

/// Manifest and index in one, with everything that tells them apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRoot {
    schema_version: Option<i64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    /// Schema 1.
    fs_layers: Option<IgnoredAny>,
    subject: Option<Descriptor>,
    annotations: Option<HashMap<String, String>>,
}

impl RawRoot {
    fn check_version(&self, name: &Named<'_>) -> Result<(), DocumentError> {
        match self.schema_version {
            Some(2) => Ok(()),
            other => Err(name.fails(Fault::SchemaVersion(other))),
        }
    }

    fn check_media_type(&self, name: &Named<'_>, expected: (fn(&str) -> bool, &str)) -> Result<(), DocumentError> {
        match self.media_type.as_deref() {
            Some(found) if !found.is_empty() && !expected.0(found) => {
                Err(name.fails(Fault::MediaType { found: clip(found), expected: expected.1.to_owned() }))
            }
            _ => Ok(()),
        }
    }

    fn into_manifest(self, name: &Named<'_>) -> Result<ImageManifest, DocumentError> {
        self.check_version(name)?;
        self.check_media_type(name, (media_type::is_manifest, "that of a manifest"))?;
        if self.manifests.is_some() {
            return Err(name.fails(Fault::Ambiguous("manifests")));
        }
        if self.fs_layers.is_some() {
            return Err(name.fails(Fault::Ambiguous("fsLayers")));
        }
        let config = self.config.ok_or_else(|| name.fails(Fault::Missing("config")))?;
        let layers = self.layers.unwrap_or_default();
        check_descriptor(name, "config", &config)?;
        check_descriptors(name, "layers", &layers)?;
        if let Some(subject) = &self.subject {
            check_descriptor(name, "subject", subject)?;
        }
        // Docker's manifests must name their media type; OCI's need not.
        let inferred = if config.media_type().as_ref() == media_type::DOCKER_CONFIG {
            media_type::DOCKER_MANIFEST
        } else {
            media_type::OCI_MANIFEST
        };
        let named = self.media_type.filter(|t| !t.is_empty());
        let mut manifest = ImageManifestBuilder::default()
            .schema_version(oci_spec::image::SCHEMA_VERSION)
            .media_type(MediaType::from(named.as_deref().unwrap_or(inferred)))
            .config(config)
            .layers(layers)
            .build()
            .expect("every field without a default was set");
        manifest.set_artifact_type(self.artifact_type.as_deref().map(MediaType::from));
        manifest.set_subject(self.subject);
        manifest.set_annotations(self.annotations);
        Ok(manifest)
    }

    fn into_index(self, name: &Named<'_>) -> Result<ImageIndex, DocumentError> {
        self.check_version(name)?;
        self.check_media_type(name, (media_type::is_index, "that of an index"))?;
        for (field, there) in [
            ("config", self.config.is_some()),
            ("layers", self.layers.is_some()),
            ("fsLayers", self.fs_layers.is_some()),
        ] {
            if there {
                return Err(name.fails(Fault::Ambiguous(field)));
            }
        }
        let manifests = self.manifests.unwrap_or_default();
        check_descriptors(name, "manifests", &manifests)?;
        if let Some(subject) = &self.subject {
            check_descriptor(name, "subject", subject)?;
        }
        let named = self.media_type.filter(|t| !t.is_empty());
        let mut index = ImageIndexBuilder::default()
            .schema_version(oci_spec::image::SCHEMA_VERSION)
            .media_type(MediaType::from(named.as_deref().unwrap_or(media_type::OCI_INDEX)))
            .manifests(manifests)
            .build()
            .expect("every field without a default was set");
        index.set_artifact_type(self.artifact_type.as_deref().map(MediaType::from));
        index.set_subject(self.subject);
        index.set_annotations(self.annotations);
        Ok(index)
    }
}

fn check_descriptors(name: &Named<'_>, list: &str, descriptors: &[Descriptor]) -> Result<(), DocumentError> {
    let mut numbered = descriptors.iter().enumerate();
    numbered.try_for_each(|(at, descriptor)| check_descriptor(name, &format!("{list}[{at}]"), descriptor))
}

fn check_descriptor(name: &Named<'_>, at: &str, descriptor: &Descriptor) -> Result<(), DocumentError> {
    if let Err(source) = digest(descriptor) {
        return Err(name.fails(Fault::Digest { at: at.to_owned(), source }));
    }
    if i64::try_from(descriptor.size()).is_err() {
        return Err(name.fails(Fault::Size { at: at.to_owned(), size: descriptor.size() }));
    }
    Ok(())
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
