//! Image archives: what `save` writes and `load` reads.
//!
//! Two formats, often in one tar: the OCI image layout (`oci-layout`, `index.json`, `blobs/`; OCI image-spec
//! `image-layout.md`) and the docker archive (`manifest.json` and what it names; docker image-spec 1.2 and 1.3). Where
//! a tar has both, the layout is read, because it keeps the manifests that the digests are about; the names of either
//! count.
//!
//! [`members`] finds the parts of a tar, [`docker`] and [`layout`] interpret them, [`write`] writes both formats.

mod docker;
mod layout;
mod members;
mod write;

pub use members::Input;
pub use write::{ArchiveSink, SavedImage};

use crate::content::{BlobSource, Descriptor, Verified, VerifiedReader};
use crate::error::StoreError;
use crate::local::LocalSink;
use dhow_spec::{Digest, Platform, Reference};
use members::{Member, Members};
use std::collections::HashMap;
use std::path::PathBuf;

/// An image archive, opened and understood.
pub struct Archive {
    members: Members,
    blobs: HashMap<Digest, Member>,
    images: Vec<ArchivedImage>,
}

/// One image in an archive.
#[derive(Debug, Clone)]
pub struct ArchivedImage {
    /// Its names, each with a tag. May be empty.
    pub names: Vec<Reference>,
    /// Its manifest: from the layout, or made from the docker archive's list.
    pub manifest: Descriptor,
}

impl Archive {
    /// Finds out what an input holds. An input that cannot be read twice (a pipe, a compressed file) is written down
    /// in the work directory of the sink's operation first.
    ///
    /// # Errors
    /// [`StoreError::Archive`] when it is no image archive or lacks a part, [`StoreError::Compression`], I/O errors.
    pub fn open(
        input: Input,
        sink: &LocalSink<'_, '_>,
        platform: Option<&Platform>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Archive, StoreError> {
        let members = Members::find(input, sink, progress)?;
        let mut archive = Archive { members, blobs: HashMap::new(), images: Vec::new() };
        if archive.members.has("oci-layout") && archive.members.has("index.json") {
            layout::interpret(&mut archive, platform)?;
        } else if archive.members.has("manifest.json") {
            docker::interpret(&mut archive)?;
        } else {
            return Err(archive.not_an_image());
        }
        archive.merge_images();
        Ok(archive)
    }

    /// The images, in the archive's order; each manifest once.
    pub fn images(&self) -> &[ArchivedImage] {
        &self.images
    }

    fn not_an_image(&self) -> StoreError {
        let hint = if self.members.has("repositories") {
            "it was written by Docker before 1.10: load it into a newer Docker and save it again"
        } else if self.members.looks_like_root() {
            "it looks like a root filesystem: bring it in with: dhow import"
        } else {
            "image archives are written by: dhow save, docker save, podman save, skopeo copy"
        };
        StoreError::Archive {
            archive: self.members.name().to_owned(),
            problem: "is no image archive: it has neither index.json with oci-layout nor manifest.json".to_owned(),
            hint: Some(hint.to_owned()),
        }
    }

    /// The same manifest under several names is one image.
    fn merge_images(&mut self) {
        let mut merged: Vec<ArchivedImage> = Vec::new();
        for image in std::mem::take(&mut self.images) {
            let at = merged.iter().position(|m| m.manifest.digest == image.manifest.digest).unwrap_or_else(|| {
                merged.push(ArchivedImage { names: Vec::new(), manifest: image.manifest.clone() });
                merged.len() - 1
            });
            for name in image.names {
                if !merged[at].names.contains(&name) {
                    merged[at].names.push(name);
                }
            }
        }
        self.images = merged;
    }

    /// A problem with this archive, as an error.
    fn problem(&self, problem: impl Into<String>) -> StoreError {
        StoreError::Archive {
            archive: self.members.name().to_owned(),
            problem: problem.into(),
            hint: Some("the archive is damaged or incomplete: make or fetch it again".to_owned()),
        }
    }
}

/// The bytes of an OCI manifest over a configuration and layers: always the same for the same descriptors.
pub fn manifest(config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    let descriptor =
        |d: &Descriptor| serde_json::json!({"mediaType": d.media_type, "digest": d.digest.to_string(), "size": d.size});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": dhow_spec::media_type::OCI_MANIFEST,
        "config": descriptor(config),
        "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
    });
    manifest.to_string().into_bytes()
}

impl BlobSource for Archive {
    fn open(&self, blob: &Descriptor) -> Result<VerifiedReader, StoreError> {
        let member = self.blobs.get(&blob.digest).ok_or_else(|| StoreError::BlobMissing {
            place: self.members.name().to_owned(),
            digest: blob.digest.clone(),
        })?;
        Ok(VerifiedReader::new(blob.clone(), self.members.open(member)?))
    }

    fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.blobs.contains_key(digest))
    }

    fn written_down(&self, blob: &Descriptor) -> Option<(PathBuf, Verified)> {
        match self.blobs.get(&blob.digest)? {
            Member::Written { path, proof } if proof.check(blob).is_ok() => Some((path.clone(), proof.clone())),
            _ => None,
        }
    }
}
