//! `dhow save`: what it writes is whole, the same each time, and read back.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::Value;

use crate::harness::{Layer, Layout, Store, digest, path};

fn saved(store: &Store, args: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let bytes = store.dhow(&[&["save"], args].concat()).ok().bytes;
    files(&bytes)
}

fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    files.collect()
}

fn store_with_two() -> (Store, [String; 2]) {
    let store = Store::new();
    let base = Layer::new().file("base", "base").tar();
    let app = Layer::new().file("app", "app").tar();
    let one = Layout::new("example.org/one:first", std::slice::from_ref(&base));
    let two = Layout::new("two:first", &[base, app]);
    let ids = [one.id(), two.id()];
    store.load(&one.tar()).ok();
    store.load(&two.tar()).ok();
    (store, ids)
}

#[test]
fn one_archive_is_both_a_layout_and_a_docker_archive() {
    let (store, [_, id]) = store_with_two();
    let files = saved(&store, &["two:first"]);
    assert!(files.contains_key("oci-layout"));
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let entry = &index["manifests"][0];
    let blob = |digest: &Value| &files[&format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))];
    let manifest: Value = serde_json::from_slice(blob(&entry["digest"])).unwrap();
    assert_eq!(manifest["config"]["digest"], Value::from(id.clone()));
    for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        assert_eq!(part["digest"], Value::from(digest(blob(&part["digest"]))));
    }
    let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"], serde_json::json!(["two:first"]));
    assert_eq!(digest(&files[docker[0]["Config"].as_str().unwrap()]), id);
    assert_eq!(docker[0]["Layers"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_saved_loads_to_the_same_images() {
    let (store, ids) = store_with_two();
    let out = store.folder().join("both.tar");
    store.dhow(&["save", "--output", path(&out), "example.org/one:first", "two:first"]).ok();
    let other = Store::new();
    other.dhow(&["load", "--input", path(&out)]).ok();
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(other.ids(), expected);
    assert_eq!(other.tags(), ["example.org/one:first", "two:first"]);
    other.assert_sound();
}

#[test]
fn shared_layers_are_written_once() {
    let (store, _) = store_with_two();
    let bytes = store.dhow(&["save", "example.org/one:first", "two:first"]).ok().bytes;
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut names: Vec<String> = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            names.push(entry.path().unwrap().to_str().unwrap().to_owned());
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "no file twice: {names:?}");
}

#[test]
fn saving_twice_gives_the_same_bytes() {
    let (store, _) = store_with_two();
    let once = store.dhow(&["save", "two:first"]).ok().bytes;
    let again = store.dhow(&["save", "two:first"]).ok().bytes;
    assert!(once == again, "{} and {} bytes", once.len(), again.len());
}

#[test]
fn an_image_may_be_saved_by_its_id_and_then_has_no_name() {
    let (store, [id, _]) = store_with_two();
    let files = saved(&store, &[&id]);
    let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert!(docker[0]["RepoTags"].as_array().is_none_or(Vec::is_empty), "{docker}");
}

#[test]
fn an_unknown_image_is_named_and_nothing_is_written() {
    let (store, _) = store_with_two();
    let out = store.folder().join("none.tar");
    store.dhow(&["save", "-o", path(&out), "two:first", "absent:first"]).fails(&["absent:first"]);
    assert!(!out.exists(), "a failed save leaves no file");
}

#[test]
fn an_existing_file_survives_a_failed_save() {
    let (store, _) = store_with_two();
    let out = store.folder().file("kept.tar", "kept");
    store.dhow(&["save", "-o", path(&out), "absent:first"]).fails(&["absent:first"]);
    assert_eq!(std::fs::read(&out).unwrap(), b"kept");
}

#[test]
fn an_unwritable_output_is_named() {
    let (store, _) = store_with_two();
    store.dhow(&["save", "-o", "/nowhere/out.tar", "two:first"]).fails(&["/nowhere"]);
}
