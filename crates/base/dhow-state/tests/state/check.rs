//! Every finding, and what a repair does about it.

use crate::roles::play;
use crate::store::{Sample, Scratch, names};
use dhow_spec::{Digest, Kind};
use dhow_state::{CheckOptions, CheckReport, Done, FindingKind, State, StateError};

const LOOK: CheckOptions = CheckOptions { repair: false, verify_blobs: false };
const REPAIR: CheckOptions = CheckOptions { repair: true, verify_blobs: true };

fn kinds(report: &CheckReport) -> Vec<FindingKind> {
    let mut kinds: Vec<_> = report.findings.iter().map(|f| f.kind).collect();
    kinds.sort();
    kinds
}

fn check(state: &State, options: CheckOptions) -> CheckReport {
    state.check(&options, 5).unwrap()
}

#[test]
fn orphans_are_found_with_their_size_and_removed() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    let root = state.root();
    std::fs::write(state.blob_path(&Digest::of(b"nobody's")), [0; 100]).unwrap();
    std::fs::write(root.join("blobs/sha256/.tmp"), [0; 5]).unwrap();
    std::fs::create_dir_all(root.join("layers/sha256-x/deep/er")).unwrap();
    std::fs::write(root.join("layers/sha256-x/deep/er/file"), [0; 30]).unwrap();
    std::os::unix::fs::symlink("/etc", root.join("layers/sha256-x/etc")).unwrap();
    std::fs::create_dir_all(root.join("work/0123456789abcdef/half")).unwrap();
    let report = check(&state, LOOK);
    use FindingKind::{OrphanBlob, OrphanLayer, OrphanWork};
    assert_eq!(kinds(&report), [OrphanBlob, OrphanBlob, OrphanLayer, OrphanWork]);
    assert_eq!(report.bytes(), 100 + 5 + 30 + 4);
    assert!(!report.is_sound() && report.findings.iter().all(|f| f.done == Done::Reported));

    // The same by somebody who may only read.
    assert_eq!(kinds(&check(&scratch.open_to_read(), LOOK)), kinds(&report));
    assert!(matches!(scratch.open_to_read().check(&REPAIR, 5), Err(StateError::OpenedReadOnly { .. })));

    let report = check(&state, REPAIR);
    assert!(report.is_sound() && report.findings.len() == 4, "{report:?}");
    assert_eq!(check(&state, REPAIR).findings, []);
    assert_eq!(names(&root.join("work")), [""; 0]);
    assert!(sample.paths(&state).iter().all(|p| p.exists()));
    assert!(std::path::Path::new("/etc/passwd").exists());
}

#[test]
fn what_is_under_way_is_no_finding() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let operation = state.begin("load", 1).unwrap();
    std::fs::write(operation.work().join("half"), b"done").unwrap();
    Sample::new(1).bring(&state, &operation).unwrap();
    assert_eq!(check(&state, REPAIR).findings, []);
    assert!(operation.work().join("half").exists());
}

#[test]
fn a_broken_image_is_named_and_kept_until_it_is_loaded_again() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    std::fs::remove_dir_all(state.layer_path(&sample.layers[1])).unwrap();
    let config = state.blob_path(&sample.id());
    std::fs::remove_file(&config).unwrap();
    std::fs::write(&config, b"CONFIG 1").unwrap();
    use FindingKind::{BrokenImage, MissingBlob, MissingLayer, WrongDigest};
    assert_eq!(kinds(&check(&state, LOOK)), [MissingLayer, BrokenImage], "the length is right");

    let report = check(&state, REPAIR);
    assert_eq!(kinds(&report), [MissingLayer, WrongDigest, BrokenImage]);
    let image = report.findings.iter().find(|f| f.kind == BrokenImage).unwrap();
    assert_eq!((image.subject.clone(), image.done), (sample.id().to_string(), Done::Reported));
    assert!(image.detail.contains(&sample.name) && image.detail.contains(sample.layers[1].hex()), "{image:?}");
    assert!(!config.exists() && state.read(|r| r.image(&sample.id())).unwrap().is_some());
    assert_eq!(kinds(&check(&state, REPAIR)), [MissingBlob, MissingLayer, BrokenImage]);

    sample.load(&state).unwrap();
    assert_eq!(check(&state, REPAIR).findings, []);
}

#[test]
fn a_damaged_blob_that_nothing_needs_loses_its_row() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    sample.load(&state).unwrap();
    state.write(dhow_state::Durability::Crash, |w| w.delete_image(&sample.id())).unwrap();
    let digest = sample.id();
    std::fs::remove_file(state.blob_path(&digest)).unwrap();
    std::fs::write(state.blob_path(&digest), b"cut").unwrap();
    assert_eq!(kinds(&check(&state, REPAIR)), [FindingKind::WrongSize]);
    assert_eq!(state.read(|r| r.blob(&digest)).unwrap(), None);
    assert_eq!(check(&state, REPAIR).findings, []);
}

#[test]
fn the_dead_and_their_locks_are_found_and_removed() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let mut holder = play("hold", scratch.path());
    assert_eq!(holder.hear(), "holding");
    let mut locker = play("lock", scratch.path());
    assert_eq!(locker.hear(), "locked");
    assert_eq!(check(&state, LOOK).findings, [], "they live");
    holder.kill();
    locker.kill();
    use FindingKind::{DeadOperation, StaleLock};
    assert_eq!(kinds(&check(&state, LOOK)), [DeadOperation, StaleLock]);
    assert!(check(&state, REPAIR).is_sound());
    assert_eq!(check(&state, REPAIR).findings, []);
    assert_eq!(state.read(|r| r.usage()).unwrap(), Default::default());
}

#[test]
fn what_dhow_did_not_make_is_reported_and_never_removed() {
    let scratch = Scratch::new();
    let state = scratch.open();
    std::fs::write(state.root().join("notes"), b"mine").unwrap();
    std::fs::create_dir(state.root().join("blobs/md5")).unwrap();
    use FindingKind::UnknownEntry;
    assert_eq!(kinds(&check(&state, REPAIR)), [UnknownEntry, UnknownEntry]);
    assert!(state.root().join("notes").exists() && state.root().join("blobs/md5").exists());
}

#[test]
fn a_damaged_ledger_is_told_apart_from_a_missing_one() {
    use dhow_spec::Classify as _;
    let scratch = Scratch::new();
    {
        let state = scratch.open();
        (0..50).for_each(|n| Sample::new(n).load(&state).unwrap());
    }
    scratch.tamper("PRAGMA wal_checkpoint(TRUNCATE)");
    let file = std::fs::OpenOptions::new().write(true).open(scratch.root().join("ledger.db")).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in pages / 2..pages {
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5; 4096], page * 4096).unwrap();
    }
    drop(file);
    let state = scratch.open_to_read();
    match state.check(&LOOK, 0) {
        Ok(report) => assert!(kinds(&report).contains(&FindingKind::DamagedLedger)),
        Err(e) => assert_eq!(e.kind(), Kind::Corrupt, "{e}"),
    }
}
