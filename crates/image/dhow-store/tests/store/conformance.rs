//! What every source, sink and set of names must do.

use crate::place::Place;
use dhow_spec::{Digest, Reference, media_type};
use dhow_state::{Durability, ImageRow, ManifestRow};
use dhow_store::local::{LocalSink, LocalSource};
use dhow_store::memory::Memory;
use dhow_store::{BlobSink, BlobSource, Descriptor, Names, StoreError, Verified};
use std::io::{Read, Write};

fn describe(bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: "text/plain".into(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

/// A proof about `bytes`, as only verified reading makes one.
fn proof(bytes: &[u8]) -> Verified {
    let memory = Memory::default();
    let blob = memory.put("text/plain", bytes.to_vec());
    memory.open(&blob).unwrap().finish().unwrap()
}

fn read(source: &dyn BlobSource, blob: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.open(blob).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn content(source: &dyn BlobSource, sink: &dyn BlobSink) {
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    for bytes in [&b""[..], b"small", &big] {
        let blob = describe(bytes);
        assert!(!source.has(&blob.digest).unwrap());
        assert!(matches!(source.open(&blob), Err(StoreError::BlobMissing { .. })));
        let mut ingest = sink.begin(&blob).unwrap();
        ingest.write_all(bytes).unwrap();
        assert!(!source.has(&blob.digest).unwrap(), "a blob must not be visible before its commit");
        ingest.commit(proof(bytes)).unwrap();
        assert!(source.has(&blob.digest).unwrap() && sink.holds(&blob.digest).unwrap());
        assert_eq!(read(source, &blob), bytes);
        // The same again is no error: somebody else may have been faster.
        let mut again = sink.begin(&blob).unwrap();
        again.write_all(bytes).unwrap();
        again.commit(proof(bytes)).unwrap();
        assert_eq!(read(source, &blob), bytes);
    }
}

fn what_must_not_become_visible(source: &dyn BlobSource, sink: &dyn BlobSink) {
    let blob = describe(b"dropped");
    let mut ingest = sink.begin(&blob).unwrap();
    ingest.write_all(b"dropped").unwrap();
    drop(ingest);
    assert!(!source.has(&blob.digest).unwrap());
    let mut ingest = sink.begin(&blob).unwrap();
    ingest.write_all(b"changed").unwrap();
    assert!(matches!(ingest.commit(proof(b"changed")), Err(StoreError::ProofMismatch { .. })));
    assert!(!source.has(&blob.digest).unwrap());
}

fn names(names: &dyn Names, first: &Descriptor, second: &Descriptor) {
    let name = Reference::parse("example/app:1").unwrap();
    assert!(matches!(names.resolve(&name), Err(StoreError::NoSuchName(_))));
    names.tag(&name, first).unwrap();
    assert_eq!(names.resolve(&name).unwrap(), *first);
    names.tag(&name, second).unwrap();
    assert_eq!(names.resolve(&name).unwrap(), *second);
}

#[test]
fn memory_conforms() {
    let memory = Memory::default();
    content(&memory, &memory);
    what_must_not_become_visible(&memory, &memory);
    let (first, second) = (memory.put("m", b"1".to_vec()), memory.put("m", b"2".to_vec()));
    names(&memory, &first, &second);
}

#[test]
fn the_local_store_conforms() {
    let place = Place::new();
    let state = place.open();
    let operation = state.begin("test", 1).unwrap();
    let (source, sink) = (LocalSource::new(&state), LocalSink::new(&operation));
    content(&source, &sink);
    what_must_not_become_visible(&source, &sink);
    let images = [b"first", b"other"].map(|text| image(&sink, text));
    operation.sync_published().unwrap();
    operation
        .commit(Durability::Crash, |w| images.iter().try_for_each(|(image, manifest, _)| w.put_image(image, manifest)))
        .unwrap();
    names(&source, &images[0].2, &images[1].2);
}

/// Rows of an image without layers, whose documents are there.
fn image(sink: &LocalSink<'_, '_>, config: &[u8]) -> (ImageRow, ManifestRow, Descriptor) {
    let config = sink.put(media_type::OCI_CONFIG, config).unwrap();
    let bytes = dhow_store::archive::manifest(&config, &[]);
    let manifest = sink.put(media_type::OCI_MANIFEST, &bytes).unwrap();
    let image = ImageRow {
        id: config.digest.clone(),
        config_size: config.size,
        os: "linux".into(),
        architecture: "amd64".into(),
        variant: None,
        created: None,
        loaded: 1,
        size: 0,
        labels: Default::default(),
        layers: Vec::new(),
    };
    let row = ManifestRow {
        digest: manifest.digest.clone(),
        image: config.digest,
        media_type: manifest.media_type.clone(),
        size: manifest.size,
        blobs: Vec::new(),
    };
    (image, row, manifest)
}
