//! The local store: blobs as files, their rows in the ledger.
//!
//! Reading needs a [`State`]; taking in needs an [`Operation`], in whose work directory the bytes lie until they are
//! verified. A blob that is there is leased by the operation, so that nobody collects it meanwhile.

use crate::content::{BlobSink, BlobSource, Descriptor, Ingest, Measure, Names, Verified, VerifiedReader};
use crate::error::StoreError;
use dhow_spec::{Digest, Reference};
use dhow_state::{BlobRow, Operation, State};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The blobs and names of a store, for reading.
#[derive(Clone, Copy)]
pub struct LocalSource<'s> {
    state: &'s State,
}

impl<'s> LocalSource<'s> {
    /// Reads from this store.
    pub fn new(state: &'s State) -> LocalSource<'s> {
        LocalSource { state }
    }

    /// Reads a document whole. Its size is that of its row, and documents are small.
    ///
    /// # Errors
    /// As [`BlobSource::open`], and when the bytes are not what the digest says.
    pub fn document(&self, digest: &Digest, media_type: &str) -> Result<Vec<u8>, StoreError> {
        let row = self.state.read(|r| r.blob(digest))?;
        let row = row.ok_or_else(|| self.missing(digest))?;
        let blob = Descriptor { media_type: media_type.to_owned(), digest: digest.clone(), size: row.size };
        read_document(self, &blob)
    }

    fn missing(&self, digest: &Digest) -> StoreError {
        StoreError::BlobMissing {
            place: format!("the store at {}", self.state.root().display()),
            digest: digest.clone(),
        }
    }
}

/// Largest document that is read, in bytes.
const MAX_DOCUMENT: u64 = dhow_spec::document::MAX_SIZE as u64;

/// Reads a small blob whole, verified.
///
/// # Errors
/// As [`BlobSource::open`] and of verification; a document that declares more than the limit is refused unread.
pub fn read_document(source: &dyn BlobSource, blob: &Descriptor) -> Result<Vec<u8>, StoreError> {
    if blob.size > MAX_DOCUMENT {
        return Err(StoreError::Archive {
            archive: blob.digest.to_string(),
            problem: format!(
                "is declared as a document of {} bytes; documents have at most {}",
                blob.size, MAX_DOCUMENT
            ),
            hint: None,
        });
    }
    let mut bytes = Vec::new();
    let mut reader = source.open(blob)?;
    io::Read::read_to_end(&mut reader, &mut bytes).map_err(|e| StoreError::from_read(&blob.digest, e))?;
    Ok(bytes)
}

impl BlobSource for LocalSource<'_> {
    fn open(&self, blob: &Descriptor) -> Result<VerifiedReader, StoreError> {
        let path = self.state.blob_path(&blob.digest);
        match File::open(&path) {
            Ok(file) => Ok(VerifiedReader::new(blob.clone(), Box::new(file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(self.missing(&blob.digest)),
            Err(e) => Err(StoreError::io("open", path.display(), e)),
        }
    }

    fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.state.read(|r| r.blob(digest))?.is_some())
    }
}

impl Names for LocalSource<'_> {
    fn resolve(&self, name: &Reference) -> Result<Descriptor, StoreError> {
        let missing = || StoreError::NoSuchName(name.familiar());
        self.state.read(|r| {
            let tag = r.tag(&name.canonical())?.ok_or_else(missing)?;
            let manifest = r.manifest(&tag.manifest)?.ok_or_else(missing)?;
            Ok(Descriptor { media_type: manifest.media_type, digest: manifest.digest, size: manifest.size })
        })
    }

    fn tag(&self, name: &Reference, target: &Descriptor) -> Result<(), StoreError> {
        self.state.write(dhow_state::Durability::PowerCut, |w| {
            let missing = || StoreError::NoSuchName(target.digest.to_string());
            let manifest = w.manifest(&target.digest)?.ok_or_else(missing)?;
            let tagged = w.image(&manifest.image)?.ok_or_else(missing)?.loaded;
            let row =
                dhow_state::TagRow { name: name.canonical(), image: manifest.image, manifest: manifest.digest, tagged };
            w.set_tag(&row)?;
            Ok(())
        })
    }
}

/// Takes blobs into a store on behalf of one operation.
pub struct LocalSink<'o, 's> {
    operation: &'o Operation<'s>,
    next: AtomicU64,
}

impl<'o, 's> LocalSink<'o, 's> {
    /// A sink that writes into the operation's work directory and publishes from there.
    pub fn new(operation: &'o Operation<'s>) -> LocalSink<'o, 's> {
        LocalSink { operation, next: AtomicU64::new(0) }
    }

    /// Whether the blob is there; if so it is leased by the operation from now on.
    ///
    /// # Errors
    /// Of the ledger.
    pub fn lease(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.operation.lease_blob(digest)?.is_some())
    }

    /// Takes in bytes at hand under the digest they have.
    ///
    /// # Errors
    /// Of writing and of the ledger.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, StoreError> {
        let digest = Digest::of(bytes);
        let blob = Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 };
        if !self.lease(&blob.digest)? {
            let mut measured = self.begin_unknown()?;
            measured.write_all(bytes).map_err(|e| StoreError::io("write", measured.path.display(), e))?;
            let (path, proof) = measured.finish()?;
            self.publish(&path, &proof)?;
        }
        Ok(blob)
    }

    /// Starts to write down bytes whose digest only their end will tell.
    ///
    /// # Errors
    /// Of creating the file.
    pub fn begin_unknown(&self) -> Result<Measured, StoreError> {
        let path = self.operation.work().join(format!("blob-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        Ok(Measured { file: create(&path)?, path, measure: Measure::new() })
    }

    /// Renames verified bytes from the operation's work directory into place.
    ///
    /// # Errors
    /// Of the ledger and of renaming.
    pub fn publish(&self, path: &Path, proof: &Verified) -> Result<(), StoreError> {
        let row = BlobRow { digest: proof.digest().clone(), size: proof.size() };
        Ok(self.operation.publish_blob(path, &row)?)
    }
}

fn create(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|e| StoreError::io("create", path.display(), e))
}

/// Blobs are never written again.
fn freeze(file: &File, path: &Path) -> Result<(), StoreError> {
    file.set_permissions(Permissions::from_mode(0o444)).map_err(|e| StoreError::io("protect", path.display(), e))
}

/// Bytes of unknown digest, hashed while they are written down.
pub struct Measured {
    file: File,
    path: PathBuf,
    measure: Measure,
}

impl Measured {
    /// The file and the proof of what is in it.
    ///
    /// # Errors
    /// Of changing the file's mode.
    pub fn finish(self) -> Result<(PathBuf, Verified), StoreError> {
        freeze(&self.file, &self.path)?;
        Ok((self.path, self.measure.finish()))
    }
}

impl Write for Measured {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.measure.update(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct LocalIngest<'o, 's> {
    operation: &'o Operation<'s>,
    expect: Descriptor,
    file: File,
    path: PathBuf,
}

impl Write for LocalIngest<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for LocalIngest<'_, '_> {
    fn commit(self: Box<Self>, proof: Verified) -> Result<(), StoreError> {
        proof.check(&self.expect)?;
        freeze(&self.file, &self.path)?;
        let row = BlobRow { digest: self.expect.digest, size: self.expect.size };
        Ok(self.operation.publish_blob(&self.path, &row)?)
    }
}

impl BlobSink for LocalSink<'_, '_> {
    fn begin<'a>(&'a self, expect: &Descriptor) -> Result<Box<dyn Ingest + 'a>, StoreError> {
        let path = self.operation.work().join(format!("blob-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = create(&path)?;
        Ok(Box::new(LocalIngest { operation: self.operation, expect: expect.clone(), file, path }))
    }

    fn holds(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.lease(digest)
    }
}
