//! Archives that are broken or lie: an error that names the thing and the next step, and nothing is left in the store.

use serde_json::json;

use crate::harness::{DockerArchive, Layer, Layout, Ran, Store, digest, gzip, tar_of, zstd};

fn layout() -> Layout {
    let base = Layer::new().file("etc/name", vec![b'n'; 20_000]).tar();
    let app = Layer::new().file("srv/app", vec![b'a'; 20_000]).tar();
    Layout::new("one:first", &[base, app])
}

/// Loading it fails with these words, into an empty store, which stays empty.
#[track_caller]
fn refused(archive: &[u8], words: &[&str]) -> Ran {
    let store = Store::new();
    let ran = store.load(archive).fails(words);
    store.assert_empty();
    ran
}

#[test]
fn what_is_no_archive_at_all() {
    refused(b"", &["archive.tar"]);
    refused(b"hello, this is no tar", &["archive.tar"]);
    refused(&vec![0x5a; 100_000], &["archive.tar"]);
    // An archive of something else says what was looked for.
    refused(&Layer::new().file("etc/passwd", "x").tar(), &["manifest.json"]);
    refused(&Layer::new().tar(), &["empty"]);
    let store = Store::new();
    store.dhow(&["load", "-i", "/nowhere/archive.tar"]).fails(&["/nowhere/archive.tar"]);
    store.dhow(&["load", "-i", "/etc"]).fails(&["/etc"]);
}

#[test]
fn archives_cut_short() {
    let plain = layout().tar();
    for archive in [plain.clone(), gzip(&plain), zstd(&plain)] {
        for part in [archive.len() / 3, archive.len() / 2, archive.len() - 1500.min(archive.len() / 4)] {
            refused(&archive[..part], &[]);
        }
    }
    let docker = DockerArchive::new().image(&["one:first"], &[Layer::new().file("f", vec![1; 9000]).tar()]).tar();
    refused(&docker[..docker.len() / 2], &[]);
}

#[test]
fn one_wrong_byte_in_a_layer_names_the_blob() {
    let mut layout = layout();
    let expected = layout.manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    let blob = layout.layer(1);
    let middle = blob.len() / 2;
    blob[middle] ^= 1;
    refused(&layout.tar(), &[&expected]);
}

#[test]
fn a_blob_that_is_another() {
    let mut layout = layout();
    let expected = layout.manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    *layout.layer(0) = gzip(&Layer::new().file("etc/name", "other").tar());
    refused(&layout.tar(), &[&expected]);
}

#[test]
fn a_blob_that_is_absent_and_one_of_another_size() {
    let mut missing = layout();
    let digest = missing.manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    missing.files.remove(1);
    refused(&missing.tar(), &[&digest]);

    let mut longer = layout();
    longer.manifest["layers"][0]["size"] = json!(5);
    refused(&longer.tar(), &["5 bytes"]);
}

#[test]
fn layers_that_are_not_what_the_configuration_says() {
    let mut wrong = layout();
    wrong.config["rootfs"]["diff_ids"][1] = json!(digest(b"something else"));
    refused(&wrong.tar(), &[&digest(b"something else")]);

    let mut fewer = layout();
    fewer.config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop();
    refused(&fewer.tar(), &["layers"]);
}

#[test]
fn documents_that_are_none() {
    let spoiled = |path: &str, bytes: &[u8]| {
        let mut files = layout().finish();
        files.iter_mut().find(|(name, _)| name == path).unwrap().1 = bytes.to_vec();
        tar_of(&files)
    };
    refused(&spoiled("index.json", b"{"), &["index.json"]);
    refused(&spoiled("index.json", b"[]"), &["index.json"]);
    refused(&spoiled("index.json", br#"{"schemaVersion":2,"manifests":[]}"#), &["index.json"]);
    refused(&spoiled("oci-layout", br#"{"imageLayoutVersion":"9.0.0"}"#), &["9.0.0"]);
    let archive = |manifest: &str| Layer::new().file("manifest.json", manifest).tar();
    refused(&archive("{"), &["manifest.json"]);
    refused(&archive("null"), &["manifest.json"]);
    refused(&archive(r#"[{"Config":"absent.json","RepoTags":["a:b"],"Layers":[]}]"#), &["absent.json"]);
    let mut no_config = layout();
    let media_type = "application/vnd.oci.image.config.v1+json";
    no_config.manifest["config"] = json!({ "mediaType": media_type, "digest": digest(b"none"), "size": 4 });
    refused(&no_config.tar(), &[&digest(b"none")]);
}

#[test]
fn digests_that_try_to_be_paths() {
    for bad in ["sha256:../../../../etc/passwd", "sha256:short", "md5:d41d8cd98f00b204e9800998ecf8427e", "../x", ""] {
        let mut layout = layout();
        layout.manifest["layers"][0]["digest"] = json!(bad);
        refused(&layout.tar(), &[]);
    }
}

#[test]
fn names_that_are_none() {
    for bad in ["UPPER:1", "a b:1", "../x:1", "a:/b"] {
        let archive = DockerArchive::new().image(&[bad], &[Layer::new().file("f", "x").tar()]).tar();
        // Which name, and in which archive: the person may have written neither.
        refused(&archive, &["invalid reference format", bad, "archive.tar"]);
    }
}

#[test]
fn compression_that_is_not_read_is_named_with_the_way_out() {
    let tar = layout().tar();
    for (name, program) in [("bzip2", "bzip2"), ("xz", "xz")] {
        let mut compress = std::process::Command::new(program);
        let packed = crate::harness::run_with_input(compress.arg("-c"), &tar).ok().bytes;
        let ran = refused(&packed, &[name]);
        assert!(ran.stderr.contains(program), "the program that unpacks it: {ran}");
        let with_layer =
            Layout::with("one:first", &[Layer::new().file("f", "x").tar()], &format!("tar+{name}"), |bytes| {
                crate::harness::run_with_input(std::process::Command::new(program).arg("-c"), bytes).ok().bytes
            });
        refused(&with_layer.tar(), &[name]);
    }
}

#[test]
fn bombs_against_declared_sizes() {
    let zeros = vec![0u8; 256 << 20];
    // A document that unpacks to far more than any document has.
    let huge = Layer::new().file("manifest.json", &zeros).tar();
    for archive in [gzip(&huge), zstd(&huge)] {
        let ran = refused(&archive, &["manifest.json"]);
        assert!(ran.took.as_secs() < 20, "{ran}");
    }
    // A layer whose tar ends and whose stream goes on and on: its digest is right, what follows the end is no layer.
    let mut bomb = Layer::new().file("f", "x").tar();
    bomb.extend_from_slice(&zeros);
    let store = Store::new();
    store.load(&Layout::new("one:first", &[bomb]).tar());
    store.assert_sound();
    // A stream longer than the descriptor's size.
    let mut declared = Layout::new("one:first", &[Layer::new().file("f", &zeros).tar()]);
    declared.manifest["layers"][0]["size"] = json!(100);
    refused(&declared.tar(), &["100 bytes"]);
}

#[test]
fn foreign_media_types_are_named() {
    let mut wrong = layout();
    wrong.manifest["layers"][0]["mediaType"] = json!("application/x-encrypted-layer");
    refused(&wrong.tar(), &["application/x-encrypted-layer"]);
}

#[test]
fn one_bad_image_of_two_leaves_no_half() {
    let good = DockerArchive::new().image(&["good:1"], &[Layer::new().file("f", "x").tar()]);
    let bad = Layer::new().file("f", "y").cut();
    let store = Store::new();
    let ran = store.load(&good.image(&["bad:1"], &[[bad, vec![b'z'; 700]].concat()]).tar());
    assert_ne!(ran.code, Some(0), "{ran}");
    assert!(!store.tags().contains(&"bad:1".to_owned()));
    store.assert_sound();
}
