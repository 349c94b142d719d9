//! Archives: what is written is read back, from files and pipes, plain and compressed; what is broken is named.

use crate::place::Place;
use dhow_spec::{Digest, Platform, Reference, media_type};
use dhow_store::archive::{Archive, ArchiveSink, Input, SavedImage, manifest};
use dhow_store::copy::{CopyOptions, copy};
use dhow_store::local::LocalSink;
use dhow_store::memory::Memory;
use dhow_store::{BlobSource, Descriptor, StoreError};
use std::fs::File;
use std::io::{Cursor, Read, Write};

/// An image in memory: a configuration and layers whose content only has to be bytes.
fn image(memory: &Memory, layers: &[Vec<u8>]) -> SavedImage {
    let diff_ids: Vec<_> = layers.iter().map(|l| Digest::of(l).to_string()).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = memory.put(media_type::OCI_CONFIG, config.to_string().into_bytes());
    let layers: Vec<_> = layers.iter().map(|l| memory.put(media_type::OCI_LAYER, l.clone())).collect();
    let manifest = memory.put(media_type::OCI_MANIFEST, manifest(&config, &layers));
    SavedImage {
        names: vec![Reference::parse("example/app:1").unwrap(), Reference::parse("app:latest").unwrap()],
        manifest,
        config: config.digest,
        layers: layers.into_iter().map(|l| l.digest).collect(),
        platform: Platform::new("linux", "amd64", None),
    }
}

fn saved(memory: &Memory, images: &[SavedImage]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sink = ArchiveSink::new(&mut bytes);
    for image in images {
        copy(memory, &sink, &image.manifest, CopyOptions { parallel: 1 }, &|_, _| ()).unwrap();
    }
    sink.finish(images).unwrap();
    bytes
}

fn layers() -> Vec<Vec<u8>> {
    vec![vec![1; 2_000_000], vec![2; 700], vec![3; 1_500_000]]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn file(place: &Place, bytes: &[u8]) -> Input {
    let path = place.dir.join("archive.tar");
    std::fs::write(&path, bytes).unwrap();
    Input::File(File::open(&path).unwrap(), "archive.tar".into())
}

fn pipe(bytes: &[u8]) -> Input {
    Input::Stream(Box::new(Cursor::new(bytes.to_vec())), "standard input".into())
}

fn with_archive<T>(make: impl Fn(&Place) -> Input, check: impl Fn(Result<Archive, StoreError>) -> T) -> T {
    let place = Place::new();
    let state = place.open();
    let operation = state.begin("test", 1).unwrap();
    let sink = LocalSink::new(&operation);
    check(Archive::open(make(&place), &sink, None, &mut |_| ()))
}

#[test]
fn what_was_saved_is_read_back_from_every_kind_of_input() {
    let memory = Memory::default();
    let image = image(&memory, &layers());
    let bytes = saved(&memory, std::slice::from_ref(&image));
    let zstd = zstd::encode_all(&bytes[..], 1).unwrap();
    let compressed = gzip(&bytes);
    let check = |archive: Result<Archive, StoreError>| {
        let archive = archive.unwrap();
        assert_eq!(archive.images().len(), 1);
        assert_eq!(archive.images()[0].manifest, image.manifest);
        let mut names: Vec<_> = archive.images()[0].names.iter().map(Reference::familiar).collect();
        names.sort();
        assert_eq!(names, ["app:latest", "example/app:1"]);
        let copied = Memory::default();
        copy(&archive, &copied, &image.manifest, CopyOptions { parallel: 3 }, &|_, _| ()).unwrap();
        for layer in layers() {
            assert!(copied.has(&Digest::of(&layer)).unwrap());
        }
    };
    with_archive(|place| file(place, &bytes), check);
    with_archive(|place| file(place, &compressed), check);
    with_archive(|place| file(place, &zstd), check);
    with_archive(|_| pipe(&bytes), check);
    with_archive(|_| pipe(&compressed), check);
}

#[test]
fn equal_images_make_equal_archives_that_tar_can_list() {
    let memory = Memory::default();
    let images = [image(&memory, &layers()), image(&memory, &layers()[..1])];
    let bytes = saved(&memory, &images);
    assert_eq!(bytes, saved(&memory, &images));
    let mut archive = tar::Archive::new(&bytes[..]);
    let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names.iter().filter(|n| n.starts_with("blobs/sha256/")).count(), 3 + 2 + 2, "shared blobs once");
    assert_eq!(&names[names.len() - 3..], ["index.json", "manifest.json", "oci-layout"]);
}

/// A docker archive as old programs write it: layers under `<id>/layer.tar`, one of them a link to another.
fn docker_archive(compress: bool) -> (Vec<u8>, Vec<Digest>) {
    let layer = vec![9; 1_200_000];
    let stored = if compress { gzip(&layer) } else { layer.clone() };
    let diff_id = Digest::of(&layer);
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id.to_string(), diff_id.to_string()]},
    });
    let list = serde_json::json!([
        {"Config": "c.json", "RepoTags": ["old:1"], "Layers": ["a/layer.tar", "b/layer.tar"]}
    ]);
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes).unwrap();
    };
    add("a/layer.tar", &stored);
    add("c.json", config.to_string().as_bytes());
    add("manifest.json", list.to_string().as_bytes());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "b/layer.tar", "../a/layer.tar").unwrap();
    (tar.into_inner().unwrap(), vec![Digest::of(&stored), Digest::of(&stored)])
}

#[test]
fn docker_archives_get_the_same_manifest_from_files_and_pipes() {
    for compress in [false, true] {
        let (bytes, blobs) = docker_archive(compress);
        let check = |archive: Result<Archive, StoreError>| {
            let archive = archive.unwrap();
            let image = &archive.images()[0];
            assert_eq!(image.names[0].familiar(), "old:1");
            let mut manifest = String::new();
            archive.open(&image.manifest).unwrap().read_to_string(&mut manifest).unwrap();
            assert_eq!(manifest.matches(&blobs[0].to_string()).count(), 2);
            let layer = Descriptor { media_type: String::new(), digest: blobs[0].clone(), size: layer_size(&manifest) };
            archive.open(&layer).unwrap().finish().unwrap();
            image.manifest.clone()
        };
        let from_file = with_archive(|place| file(place, &bytes), check);
        let from_pipe = with_archive(|_| pipe(&bytes), check);
        assert_eq!(from_file, from_pipe);
    }
}

fn layer_size(manifest: &str) -> u64 {
    serde_json::from_str::<serde_json::Value>(manifest).unwrap()["layers"][0]["size"].as_u64().unwrap()
}

#[test]
fn broken_archives_are_refused_with_words_that_help() {
    let memory = Memory::default();
    let bytes = saved(&memory, &[image(&memory, &layers())]);
    let cases: [(&[u8], &str); 5] = [
        (b"", "is empty"),
        (&[0; 1024], "is empty"),
        (b"this is no tar at all, but it is long enough to look at\n", "not a tar archive"),
        (&bytes[..1_000_000], "truncated"),
        (b"\xfd7zXZ\0\0\0\0\0\0\0", "xz"),
    ];
    for (bytes, expected) in cases {
        for input in [|place: &Place, bytes: &[u8]| file(place, bytes), |_: &Place, bytes: &[u8]| pipe(bytes)] {
            let error = with_archive(|place| input(place, bytes), |archive| archive.err().unwrap().to_string());
            assert!(error.contains(expected), "{error:?} should say {expected:?}");
        }
    }
}

#[test]
fn a_root_filesystem_is_told_from_an_image() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    tar.append_data(&mut header, "etc/hostname", &b"host"[..]).unwrap();
    let bytes = tar.into_inner().unwrap();
    let hint = with_archive(
        |place| file(place, &bytes),
        |archive| dhow_spec::Classify::hint(&archive.err().unwrap()).unwrap(),
    );
    assert!(hint.contains("dhow import"), "{hint}");
}
