//! `info`, `version`, `system check`, and how the command line answers mistakes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::harness::{Layer, Layout, Store};

fn store() -> Store {
    let store = Store::new();
    store.load(&Layout::new("one:first", &[Layer::new().file("file", "file").tar()]).tar()).ok();
    store
}

#[test]
fn info_says_where_things_are_and_what_mounts() {
    let store = store();
    let text = store.dhow(&["info"]).text();
    assert!(text.contains(store.root().to_str().unwrap()), "{text}");
    assert!(text.to_lowercase().contains("overlay"), "{text}");
    let info = store.dhow(&["info", "--format", "json"]).json();
    assert_eq!(info["Images"], 1, "{info}");
    assert_eq!(store.dhow(&["info", "--format", "{{.Images}}"]).text(), "1");
}

#[test]
fn version_is_the_same_everywhere() {
    let store = Store::new();
    let line = store.dhow(&["--version"]).text();
    let version = store.dhow(&["version", "--format", "{{.Client.Version}}"]).text();
    assert!(line.to_lowercase().starts_with("dhow version") && line.contains(&version), "{line} / {version}");
    assert!(store.dhow(&["version"]).text().contains(&version));
    assert!(store.dhow(&["version", "--format", "json"]).json()["Client"]["Version"].is_string());
    assert!(!store.root().exists(), "asking for the version makes no store");
}

#[test]
fn a_store_is_private() {
    let store = store();
    assert_eq!(fs::metadata(store.root()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_roots_may_come_from_the_environment() {
    let store = store();
    let given = store.command(&["images"]);
    let mut command = Command::new(given.get_program());
    command.arg("images").env("DHOW_ROOT", store.root()).env("DHOW_RUNROOT", store.folder().join("run"));
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("first"), "{output:?}");
}

#[test]
fn what_nobody_owns_is_found_said_and_removed() {
    let store = store();
    let stray = [
        store.root().join("blobs/sha256").join("0".repeat(64)),
        store.root().join("layers").join(format!("sha256-{}", "1".repeat(64))),
        store.root().join("work/left"),
    ];
    fs::write(&stray[0], "stray").unwrap();
    for folder in &stray[1..] {
        fs::create_dir_all(folder.join("deep/er")).unwrap();
    }
    let found = store.dhow(&["system", "check"]);
    let all = format!("{}{}", found.stdout, found.stderr);
    assert_ne!(found.code, Some(0), "findings are told by the exit code too: {found}");
    for path in &stray {
        assert!(all.contains(path.file_name().unwrap().to_str().unwrap()), "{path:?} must be named: {all}");
        assert!(path.exists(), "check without --repair removes nothing");
    }
    let repaired = store.dhow(&["system", "check", "--repair"]).ok();
    for path in &stray {
        assert!(repaired.stdout.contains(path.file_name().unwrap().to_str().unwrap()), "{repaired}");
        assert!(!path.exists(), "{path:?} must be gone");
    }
    assert_eq!(store.tags(), ["one:first"]);
    store.assert_sound();
}

#[test]
fn a_missing_and_a_spoiled_blob_are_found() {
    let store = store();
    let blobs: Vec<_> = fs::read_dir(store.root().join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect();
    fs::remove_file(&blobs[0]).unwrap();
    let found = store.dhow(&["system", "check"]);
    let name = blobs[0].file_name().unwrap().to_str().unwrap();
    assert!(found.code != Some(0) && format!("{}{}", found.stdout, found.stderr).contains(name), "{found}");
}

#[test]
fn mistakes_on_the_command_line_are_docker_s() {
    let store = Store::new();
    store.dhow(&["load", "--bogus"]).fails_with(125, &["--bogus"]);
    store.dhow(&["images", "--format"]).fails_with(125, &["format"]);
    store.dhow(&["tag", "only-one"]).fails(&["tag"]);
    store.dhow(&["rmi"]).fails(&["rmi"]);
    store.dhow(&["save"]).fails(&["save"]);
    store.dhow(&["nonsense"]).fails(&["nonsense"]);
    store.dhow(&["image", "nonsense"]).fails(&["nonsense"]);
    assert!(store.dhow(&["--help"]).text().contains("load"));
    assert!(store.dhow(&["load", "--help"]).text().contains("--input"));
    assert!(!store.root().exists(), "a mistake makes no store");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let store = store();
    let mut child = store
        .command(&["save", "one:first"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    store.assert_sound();
}
