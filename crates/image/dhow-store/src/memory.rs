//! Content and names in memory: for tests, and the reference for what the others must do.

use crate::content::{BlobSink, BlobSource, Descriptor, Ingest, Names, Verified, VerifiedReader};
use crate::error::StoreError;
use dhow_spec::{Digest, Reference};
use std::collections::HashMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store in memory. Clones share their content.
#[derive(Default, Clone)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    blobs: HashMap<Digest, Arc<[u8]>>,
    names: HashMap<String, Descriptor>,
}

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts bytes in and describes them.
    pub fn put(&self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        self.inner().blobs.insert(digest.clone(), bytes.into());
        Descriptor { media_type: media_type.to_owned(), digest, size }
    }
}

impl BlobSource for Memory {
    fn open(&self, blob: &Descriptor) -> Result<VerifiedReader, StoreError> {
        let bytes = self.inner().blobs.get(&blob.digest).cloned();
        let bytes =
            bytes.ok_or_else(|| StoreError::BlobMissing { place: "memory".into(), digest: blob.digest.clone() })?;
        Ok(VerifiedReader::new(blob.clone(), Box::new(Cursor::new(bytes))))
    }

    fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.inner().blobs.contains_key(digest))
    }
}

struct MemoryIngest {
    store: Memory,
    expect: Descriptor,
    bytes: Vec<u8>,
}

impl Write for MemoryIngest {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ingest for MemoryIngest {
    fn commit(self: Box<Self>, proof: Verified) -> Result<(), StoreError> {
        proof.check(&self.expect)?;
        self.store.inner().blobs.insert(self.expect.digest, self.bytes.into());
        Ok(())
    }
}

impl BlobSink for Memory {
    fn begin<'a>(&'a self, expect: &Descriptor) -> Result<Box<dyn Ingest + 'a>, StoreError> {
        Ok(Box::new(MemoryIngest { store: self.clone(), expect: expect.clone(), bytes: Vec::new() }))
    }

    fn holds(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.has(digest)
    }
}

impl Names for Memory {
    fn resolve(&self, name: &Reference) -> Result<Descriptor, StoreError> {
        let found = self.inner().names.get(&name.canonical()).cloned();
        found.ok_or_else(|| StoreError::NoSuchName(name.familiar()))
    }

    fn tag(&self, name: &Reference, target: &Descriptor) -> Result<(), StoreError> {
        self.inner().names.insert(name.canonical(), target.clone());
        Ok(())
    }
}
