//! Operations: publish, roll back, recover, heal, reboot.

use crate::store::{Sample, Scratch, bring_blob, bring_layer, names};
use dhow_spec::Digest;
use dhow_state::{Durability, State, StateError};
use std::os::unix::fs::PermissionsExt as _;

fn is_empty(state: &State) -> bool {
    let root = state.root();
    state.read(|r| r.operations()).unwrap().is_empty()
        && state.read(|r| r.usage()).unwrap() == Default::default()
        && ["work", "layers", "blobs/sha256"].iter().all(|d| names(&root.join(d)).is_empty())
}

#[test]
fn dropped_it_leaves_nothing() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let operation = state.begin("load", 1).unwrap();
    assert!(operation.work().is_absolute() && operation.work().is_dir());
    std::fs::write(operation.work().join("half"), b"done").unwrap();
    Sample::new(1).bring(&state, &operation).unwrap();
    assert_eq!(state.read(|r| r.usage()).unwrap().layers.0, 2);
    drop(operation);
    assert!(is_empty(&state));
}

#[test]
fn a_failed_commit_leaves_nothing() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let operation = state.begin("load", 1).unwrap();
    Sample::new(1).bring(&state, &operation).unwrap();
    let missing = StateError::Missing { kind: "image", digest: Digest::of(b"") };
    assert!(operation.commit(Durability::Crash, |_| Err::<(), _>(missing)).is_err());
    assert!(is_empty(&state));
}

#[test]
fn what_another_leased_outlives_the_publisher() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let (first, second) = (state.begin("load", 1).unwrap(), state.begin("load", 1).unwrap());
    bring_blob(&first, b"shared").unwrap();
    bring_blob(&first, b"alone").unwrap();
    let (shared, alone) = (Digest::of(b"shared"), Digest::of(b"alone"));
    assert_eq!(second.lease_blob(&shared).unwrap().unwrap().size, 6);
    drop(first);
    assert!(state.blob_path(&shared).exists() && !state.blob_path(&alone).exists());
    drop(second);
    let operation = state.begin("prune", 1).unwrap();
    let id = operation.id();
    operation.commit(Durability::Crash, |w| w.collect_garbage(id)).unwrap();
    assert!(is_empty(&state));
}

#[test]
fn two_that_publish_the_same_have_one_of_it() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let (first, second) = (state.begin("load", 1).unwrap(), state.begin("load", 1).unwrap());
    let key = Digest::of(b"layer");
    let row = dhow_state::LayerRow { key: key.clone(), diff_id: key.clone(), whole: true, size: 0, entries: 0 };
    for (operation, name) in [(&first, "one"), (&second, "two")] {
        let directory = operation.work().join("layer");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join(name), b"").unwrap();
        operation.publish_layer(&directory, &row).unwrap();
    }
    assert_eq!(names(&state.layer_path(&key)), ["one"]);
    drop(first);
    assert!(state.layer_path(&key).exists(), "the second leased it");
    drop(second);
    assert_eq!(names(&state.root().join("work")), [""; 0]);
}

#[test]
fn blobs_are_read_only_files() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let operation = state.begin("load", 1).unwrap();
    bring_blob(&operation, b"x").unwrap();
    let mode = state.blob_path(&Digest::of(b"x")).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o444);
}

#[test]
fn an_orphan_in_the_way_is_moved_aside() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let key = Digest::of(b"layer");
    std::fs::create_dir_all(state.layer_path(&key).join("left/over")).unwrap();
    std::fs::write(state.blob_path(&Digest::of(b"blob")), b"left over, of another length").unwrap();
    let operation = state.begin("load", 1).unwrap();
    bring_layer(&operation, &key).unwrap();
    bring_blob(&operation, b"blob").unwrap();
    assert_eq!(names(&state.layer_path(&key)), ["etc"]);
    assert_eq!(std::fs::read(state.blob_path(&Digest::of(b"blob"))).unwrap(), b"blob");
    operation.commit(Durability::Crash, |_| Ok::<_, StateError>(())).unwrap();
    assert_eq!(names(&state.root().join("work")), [""; 0]);
}

#[test]
fn an_image_that_lost_its_bytes_is_healed_by_loading_it_again() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    std::fs::remove_dir_all(state.layer_path(&sample.layers[0])).unwrap();
    std::fs::remove_file(state.blob_path(&sample.id())).unwrap();
    std::fs::write(state.root().join("cut"), b"conf").unwrap();
    std::fs::rename(state.root().join("cut"), state.blob_path(&sample.blobs()[1])).unwrap();
    assert_eq!(state.check(&Default::default(), 0).unwrap().findings.len(), 4);
    sample.load(&state).unwrap();
    assert_eq!(state.check(&Default::default(), 0).unwrap().findings, []);
}

#[test]
fn what_was_never_flushed_goes_at_the_next_boot() {
    let scratch = Scratch::new();
    let (kept, lost) = (Sample::new(1), Sample::new(2));
    {
        let state = scratch.open();
        kept.load(&state).unwrap();
        let operation = state.begin("load", 1).unwrap();
        lost.bring(&state, &operation).unwrap();
        // As a power cut leaves it.
        std::mem::forget(operation);
    }
    scratch.tamper(
        "UPDATE store SET boot_id = 'earlier'; UPDATE operations SET boot_id = 'earlier';
         UPDATE blobs SET boot_id = 'earlier'; UPDATE layers SET boot_id = 'earlier';",
    );
    let state = scratch.open();
    assert_eq!(state.read(|r| r.operations()).unwrap(), []);
    assert!(kept.paths(&state).iter().all(|p| p.exists()));
    assert!(!state.blob_path(&lost.id()).exists() && !state.layer_path(&lost.layers[1]).exists());
    assert_eq!(names(&state.root().join("work")), [""; 0]);
    assert_eq!(state.check(&Default::default(), 0).unwrap().findings, []);
    // Nothing that an image refers to was ever unflushed.
    drop(state);
    let ledger = rusqlite::Connection::open(scratch.root().join("ledger.db")).unwrap();
    let unflushed = "SELECT count(*) FROM (SELECT digest FROM blobs WHERE synced = 0
                     UNION SELECT key FROM layers WHERE synced = 0)";
    assert_eq!(ledger.query_row(unflushed, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn small_files_are_replaced_as_a_whole() {
    let scratch = Scratch::new();
    let path = scratch.path().join("zone");
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    for (bytes, mode) in [(&b"one"[..], 0o644), (b"two", 0o400)] {
        dhow_state::durable::replace(&path, bytes, mode).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(path.symlink_metadata().unwrap().permissions().mode(), 0o100_000 | mode);
    }
    let nowhere = scratch.path().join("no/where");
    assert!(dhow_state::durable::replace(&nowhere, b"", 0o600).is_err());
    let directory = scratch.path().join("directory");
    std::fs::create_dir(&directory).unwrap();
    assert!(dhow_state::durable::replace(&directory, b"", 0o600).is_err());
    assert_eq!(names(scratch.path()), ["directory", "zone"]);
}
