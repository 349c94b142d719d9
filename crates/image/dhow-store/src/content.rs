//! The contract for content.
//!
//! **Words.** A *blob* is a sequence of bytes named by its digest. A *descriptor* says which blob is meant: media
//! type, digest, size (OCI image-spec `descriptor.md`). A *source* opens blobs, a *sink* takes them in, *names* map
//! references to descriptors. An *ingest* is one blob on its way into a sink.
//!
//! **Lifecycle of an ingest.** `begin` → `write`… → `commit(proof)`. The proof is a [`Verified`], and only
//! [`VerifiedReader::finish`] and a hash of the bytes actually written make one: unverified bytes cannot become
//! visible, by type. Dropping an ingest without commit aborts it; nothing becomes visible.
//!
//! **Worked example.**
//! ```
//! use dhow_store::{BlobSink, BlobSource, Descriptor, memory::Memory};
//! let (from, to) = (Memory::default(), Memory::default());
//! let blob = from.put("text/plain", b"hello".to_vec());
//! let mut reader = from.open(&blob)?;
//! let mut ingest = to.begin(&blob)?;
//! std::io::copy(&mut reader, &mut ingest)?;
//! ingest.commit(reader.finish()?)?;
//! assert!(to.has(&blob.digest)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::StoreError;
use dhow_spec::{Digest, DigestError, Hasher, Reference};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// The three fields of an OCI descriptor that moving bytes needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// Media type, as the referring document states it.
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

impl Descriptor {
    /// The three fields of an OCI descriptor.
    ///
    /// # Errors
    /// When its digest is of an algorithm that is not supported.
    pub fn of(descriptor: &oci_spec::image::Descriptor) -> Result<Descriptor, DigestError> {
        Ok(Descriptor {
            media_type: descriptor.media_type().to_string(),
            digest: dhow_spec::document::digest(descriptor)?,
            size: descriptor.size(),
        })
    }
}

/// Where blobs come from.
pub trait BlobSource: Send + Sync {
    /// Opens a blob for one pass of verified reading.
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`] when the source does not hold it; I/O errors.
    fn open(&self, blob: &Descriptor) -> Result<VerifiedReader, StoreError>;

    /// Whether the source holds this blob.
    ///
    /// # Errors
    /// When the source cannot be asked.
    fn has(&self, digest: &Digest) -> Result<bool, StoreError>;

    /// The blob as a file that a sink on the same file system may rename into place, with its proof: for sources
    /// that had to write the bytes down to learn their digest. `None` for all others.
    fn written_down(&self, _blob: &Descriptor) -> Option<(PathBuf, Verified)> {
        None
    }
}

/// Where blobs go to.
pub trait BlobSink: Send + Sync {
    /// Starts to take in the blob that `expect` describes.
    ///
    /// # Errors
    /// When the sink cannot take it: no space, read-only.
    fn begin<'a>(&'a self, expect: &Descriptor) -> Result<Box<dyn Ingest + 'a>, StoreError>;

    /// Whether the sink holds this blob already, so that it need not be sent.
    ///
    /// # Errors
    /// When the sink cannot be asked.
    fn holds(&self, digest: &Digest) -> Result<bool, StoreError>;
}

/// One blob on its way in. Dropping it aborts.
pub trait Ingest: Write + Send {
    /// Makes the blob visible.
    ///
    /// # Errors
    /// [`StoreError::ProofMismatch`] when the proof is about another blob; I/O errors.
    fn commit(self: Box<Self>, proof: Verified) -> Result<(), StoreError>;
}

/// References and what they stand for.
pub trait Names: Send + Sync {
    /// The manifest or index that a reference names.
    ///
    /// # Errors
    /// [`StoreError::NoSuchName`].
    fn resolve(&self, name: &Reference) -> Result<Descriptor, StoreError>;

    /// Lets a reference name a manifest, taking it from whatever it named before.
    ///
    /// # Errors
    /// When the names cannot be written.
    fn tag(&self, name: &Reference, target: &Descriptor) -> Result<(), StoreError>;
}

/// Proof that bytes with this digest and size were read to their end. Cannot be made outside this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    digest: Digest,
    size: u64,
}

impl Verified {
    /// Digest of the bytes seen.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Length of the bytes seen.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fails unless the proof is about `blob`.
    ///
    /// # Errors
    /// [`StoreError::ProofMismatch`].
    pub fn check(&self, blob: &Descriptor) -> Result<(), StoreError> {
        if self.digest == blob.digest && self.size == blob.size {
            return Ok(());
        }
        Err(StoreError::ProofMismatch { expected: blob.digest.clone(), found: self.digest.clone() })
    }
}

/// Hashes bytes of unknown digest as they are written; the other maker of a [`Verified`].
pub(crate) struct Measure {
    hasher: Hasher,
    size: u64,
}

impl Measure {
    pub(crate) fn new() -> Measure {
        Measure { hasher: dhow_spec::Algorithm::Sha256.hasher(), size: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> Verified {
        Verified { digest: self.hasher.finish(), size: self.size }
    }
}

/// Reads a blob and checks it while it passes: never more than its declared size, and an error instead of the end
/// when size or digest are not those declared.
pub struct VerifiedReader {
    inner: Box<dyn Read + Send>,
    expect: Descriptor,
    measure: Option<Measure>,
    proof: Option<Verified>,
    read: u64,
}

impl VerifiedReader {
    /// Verifies `inner` against `expect`.
    pub fn new(expect: Descriptor, inner: Box<dyn Read + Send>) -> VerifiedReader {
        let measure = Measure { hasher: expect.digest.algorithm().hasher(), size: 0 };
        VerifiedReader { inner, expect, measure: Some(measure), proof: None, read: 0 }
    }

    /// What is being read.
    pub fn descriptor(&self) -> &Descriptor {
        &self.expect
    }

    /// Reads what is left and hands out the proof.
    ///
    /// # Errors
    /// [`StoreError::SizeMismatch`], [`StoreError::DigestMismatch`], I/O errors of the source.
    pub fn finish(mut self) -> Result<Verified, StoreError> {
        let mut scrap = vec![0; 64 * 1024];
        loop {
            match self.proof.take() {
                Some(proof) => return Ok(proof),
                None => {
                    self.read(&mut scrap).map_err(|e| StoreError::from_read(&self.expect.digest, e))?;
                }
            }
        }
    }

    fn at_end(&mut self) -> io::Result<usize> {
        let Some(measure) = self.measure.take() else { return Ok(0) };
        if self.read != self.expect.size {
            return Err(self.size_error());
        }
        let proof = measure.finish();
        if proof.digest != self.expect.digest {
            let error = StoreError::DigestMismatch { expected: self.expect.digest.clone(), found: proof.digest };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.proof = Some(proof);
        Ok(0)
    }

    fn size_error(&self) -> io::Error {
        let error = StoreError::SizeMismatch {
            digest: self.expect.digest.clone(),
            declared: self.expect.size,
            longer: self.read > self.expect.size,
        };
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl Read for VerifiedReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        // One byte more than declared is asked for, so that a longer blob is noticed without reading all of it.
        let left = (self.expect.size - self.read).saturating_add(1);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let n = match self.inner.read(&mut buf[..want]) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return self.read(buf),
            Err(e) => return Err(e),
        };
        if n == 0 {
            return self.at_end();
        }
        self.read += n as u64;
        if self.read > self.expect.size {
            return Err(self.size_error());
        }
        if let Some(measure) = &mut self.measure {
            measure.update(&buf[..n]);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(declared: &[u8], real: &'static [u8]) -> VerifiedReader {
        let expect =
            Descriptor { media_type: String::new(), digest: Digest::of(declared), size: declared.len() as u64 };
        VerifiedReader::new(expect, Box::new(real))
    }

    #[test]
    fn whole_content_gives_a_proof_also_when_nobody_read_it() {
        assert_eq!(reader(b"abc", b"abc").finish().unwrap().digest(), &Digest::of(b"abc"));
        assert_eq!(reader(b"", b"").finish().unwrap().size(), 0);
    }

    #[test]
    fn other_content_is_an_error_that_says_how() {
        assert!(matches!(reader(b"abc", b"abd").finish(), Err(StoreError::DigestMismatch { .. })));
        assert!(matches!(reader(b"abc", b"ab").finish(), Err(StoreError::SizeMismatch { longer: false, .. })));
        assert!(matches!(reader(b"abc", b"abcd").finish(), Err(StoreError::SizeMismatch { longer: true, .. })));
    }

    #[test]
    fn a_reader_that_stops_at_the_end_hears_of_a_wrong_digest() {
        let mut text = Vec::new();
        assert!(reader(b"abc", b"abd").read_to_end(&mut text).is_err());
    }
}
