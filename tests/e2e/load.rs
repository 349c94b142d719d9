//! `dhow load`: the forms that an archive may have, and what is said of it.

use serde_json::{Value, json};

use crate::harness::{DockerArchive, Layer, Layout, Store, digest, gzip, path, tar_of, zstd};

fn layers() -> Vec<Vec<u8>> {
    let base = Layer::new().dir("etc/", 0o755).file("etc/name", "base").tar();
    let app = Layer::new().dir("srv/", 0o750).file("srv/app", "app").tar();
    vec![base, app]
}

#[test]
fn an_oci_layout_is_loaded_and_named() {
    let store = Store::new();
    let layout = Layout::new("example.org/one:first", &layers());
    let id = layout.id();
    let said = store.load(&layout.tar()).text();
    assert!(said.contains("Loaded image: example.org/one:first"), "{said}");
    assert_eq!(store.ids(), [id]);
    assert_eq!(store.tags(), ["example.org/one:first"]);
    store.assert_sound();
}

#[test]
fn a_docker_archive_is_loaded_and_named() {
    let store = Store::new();
    let archive = DockerArchive::new().image(&["one:first", "example.org/two/three:second"], &layers()).tar();
    let said = store.load(&archive).text();
    assert!(said.contains("Loaded image: one:first"), "{said}");
    assert!(said.contains("Loaded image: example.org/two/three:second"), "{said}");
    assert_eq!(store.ids().len(), 1);
    assert_eq!(store.tags(), ["example.org/two/three:second", "one:first"]);
    store.assert_sound();
}

#[test]
fn an_image_without_a_name_is_loaded_by_its_id() {
    let store = Store::new();
    let mut layout = Layout::new("", &layers());
    layout.name = None;
    let id = layout.id();
    let said = store.load(&layout.tar()).text();
    assert!(said.contains(&format!("Loaded image ID: {id}")), "{said}");
    assert_eq!(store.tags(), ["<none>:<none>"]);
}

#[test]
fn the_whole_archive_may_be_compressed_and_come_from_stdin() {
    let plain = DockerArchive::new().image(&["one:first"], &layers()).tar();
    for archive in [plain.clone(), gzip(&plain), zstd(&plain)] {
        let store = Store::new();
        store.load(&archive).ok();
        store.dhow(&["rmi", "one:first"]).ok();
        store.assert_empty();
        store.dhow_with_input(&["load"], &archive).ok();
        assert_eq!(store.tags(), ["one:first"]);
        store.assert_sound();
    }
}

#[test]
fn layers_may_be_plain_gzip_or_zstd_and_unpack_to_the_same() {
    let mut ids = Vec::new();
    for layout in [
        Layout::with("one:first", &layers(), "tar", <[u8]>::to_vec),
        Layout::with("one:first", &layers(), "tar+gzip", gzip),
        Layout::with("one:first", &layers(), "tar+zstd", zstd),
    ] {
        let store = Store::new();
        store.load(&layout.tar()).ok();
        ids.push(store.ids());
        let unpacked = store.layers("one:first");
        assert_eq!(std::fs::read_to_string(unpacked[1].join("srv/app")).unwrap(), "app");
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "the id of an image does not depend on the compression of its layers");
}

#[test]
fn several_gzip_members_and_zstd_frames_are_one_stream() {
    let halves = |compress: fn(&[u8]) -> Vec<u8>| {
        move |bytes: &[u8]| [compress(&bytes[..700]), compress(&bytes[700..])].concat()
    };
    for (kind, layout) in [
        ("gzip", Layout::with("one:first", &layers(), "tar+gzip", halves(gzip))),
        ("zstd", Layout::with("one:first", &layers(), "tar+zstd", halves(zstd))),
    ] {
        let store = Store::new();
        store.load(&layout.tar()).ok();
        assert!(store.layers("one:first")[0].join("etc/name").exists(), "{kind}");
    }
}

#[test]
fn several_images_in_one_archive_share_their_layers() {
    let store = Store::new();
    let [base, app] = <[_; 2]>::try_from(layers()).unwrap();
    let archive =
        DockerArchive::new().image(&["one:1"], std::slice::from_ref(&base)).image(&["two:1"], &[base, app]).tar();
    let said = store.load(&archive).text();
    assert!(said.contains("Loaded image: one:1") && said.contains("Loaded image: two:1"), "{said}");
    assert_eq!(store.layers("one:1")[0], store.layers("two:1")[0]);
    assert_eq!(std::fs::read_dir(store.root().join("layers")).unwrap().count(), 2);
    store.dhow(&["rmi", "one:1"]).ok();
    assert!(store.layers("two:1")[0].join("etc/name").exists(), "a shared layer stays");
    store.dhow(&["rmi", "two:1"]).ok();
    store.assert_empty();
}

#[test]
fn a_layout_may_begin_with_its_index_or_end_with_it() {
    let files = Layout::new("one:first", &layers()).finish();
    for files in [files.clone(), files.into_iter().rev().collect()] {
        let store = Store::new();
        store.load(&tar_of(&files)).ok();
        assert_eq!(store.tags(), ["one:first"]);
    }
}

#[test]
fn a_layout_may_name_its_files_with_a_leading_dot() {
    let files = Layout::new("one:first", &layers()).finish();
    let dotted: Vec<_> = files.into_iter().map(|(name, bytes)| (format!("./{name}"), bytes)).collect();
    let store = Store::new();
    store.load(&tar_of(&dotted)).ok();
    assert_eq!(store.tags(), ["one:first"]);
}

#[test]
fn loading_again_changes_nothing() {
    let store = Store::new();
    let archive = Layout::new("one:first", &layers()).tar();
    store.load(&archive).ok();
    let before = (store.ids(), store.tags(), store.layers("one:first"));
    store.load(&archive).ok();
    assert_eq!((store.ids(), store.tags(), store.layers("one:first")), before);
    store.assert_sound();
}

#[test]
fn a_name_moves_to_the_image_loaded_last() {
    let store = Store::new();
    let old = Layout::new("one:first", &layers()[..1]);
    let new = Layout::new("one:first", &layers());
    let (old_id, new_id) = (old.id(), new.id());
    store.load(&old.tar()).ok();
    store.load(&new.tar()).ok();
    assert_eq!(store.id("one:first"), new_id);
    let mut both = vec![old_id, new_id];
    both.sort();
    assert_eq!(store.ids(), both, "the image that lost its name stays until it is pruned");
    store.dhow(&["image", "prune", "--force"]).ok();
    assert_eq!(store.ids().len(), 1);
    store.assert_sound();
}

#[test]
fn quiet_says_the_name_alone() {
    let store = Store::new();
    let file = store.folder().file("one.tar", Layout::new("one:first", &layers()).tar());
    let ran = store.dhow(&["load", "--quiet", "-i", path(&file)]).ok();
    assert_eq!(ran.stdout, "Loaded image: one:first\n");
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_blob_is_stored_once_under_its_digest() {
    let store = Store::new();
    let mut layout = Layout::new("one:first", &layers());
    let blob = layout.layer(0).clone();
    store.load(&layout.tar()).ok();
    let stored = store.root().join("blobs").join(digest(&blob).replace(':', "/"));
    assert_eq!(std::fs::read(stored).unwrap(), blob);
}

#[test]
fn a_chosen_platform_is_loaded_from_an_image_of_several() {
    let [base, app] = <[_; 2]>::try_from(layers()).unwrap();
    let mut files = Vec::new();
    let mut manifests = Vec::new();
    for (architecture, layer) in [("amd64", base), ("arm64", app)] {
        let mut layout = Layout::new("x", &[layer]);
        layout.config["architecture"] = architecture.into();
        let mut made = layout.finish();
        let index: Value = serde_json::from_slice(&made.pop().unwrap().1).unwrap();
        let mut entry = index["manifests"][0].clone();
        entry["annotations"] = Value::Null;
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        manifests.push(entry);
        files.extend(made);
    }
    // As buildx and `skopeo copy --all` write it: index.json names one index, which has one manifest for each platform.
    let media_type = "application/vnd.oci.image.index.v1+json";
    let inner = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests }).to_string().into_bytes();
    let entry = json!({
        "mediaType": media_type, "digest": digest(&inner), "size": inner.len(),
        "annotations": { "org.opencontainers.image.ref.name": "one:first" },
    });
    files.push((format!("blobs/{}", digest(&inner).replace(':', "/")), inner));
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    files.push(("index.json".into(), index.to_string().into_bytes()));
    for architecture in ["amd64", "arm64"] {
        let store = Store::new();
        let file = store.folder().file("both.tar", tar_of(&files));
        store.dhow(&["load", "--platform", &format!("linux/{architecture}"), "-i", path(&file)]).ok();
        assert_eq!(store.inspect("one:first")["Architecture"], architecture);
        assert_eq!(store.ids().len(), 1);
        store.assert_sound();
    }
    let store = Store::new();
    let file = store.folder().file("both.tar", tar_of(&files));
    store.dhow(&["load", "--platform", "linux/s390x", "-i", path(&file)]).fails(&["linux/s390x"]);
    store.assert_empty();
}
