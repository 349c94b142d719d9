//! Opening: what becomes a store, what is refused, and read-only and full file systems.

use crate::roles::{play, play_after};
use crate::store::{Sample, Scratch, names};
use dhow_spec::{Classify as _, Kind};
use dhow_state::{Access, CheckOptions, Durability, ObjectKind, Places, State, StateError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn refused(places: &Places) -> StateError {
    State::open(places, Access::ReadWrite).err().expect("it must be refused")
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_store_is_private_and_keeps_its_id() {
    let scratch = Scratch::new();
    let id = scratch.open().store_id().to_owned();
    assert!(id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let state = scratch.open();
    assert_eq!(state.store_id(), id);
    let run = scratch.path().join("run");
    for directory in [state.root().to_path_buf(), state.root().join("work"), run.clone(), run.join(&id)] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    assert_eq!(mode(&state.root().join("ledger.db")), 0o600);
    drop(state);
    assert!(scratch.root().join("ledger.db-wal").exists(), "the log is kept");
}

#[test]
fn parents_are_made_and_empty_directories_adopted() {
    let scratch = Scratch::new();
    let deep = Places { root: scratch.path().join("a/b/root"), run_root: scratch.path().join("c/d/run") };
    State::open(&deep, Access::ReadWrite).unwrap();
    assert_eq!((mode(&scratch.path().join("a/b")), mode(&deep.root)), (0o755, 0o700));
    // As a new file system is.
    std::fs::create_dir_all(scratch.root().join("lost+found")).unwrap();
    scratch.open();
}

#[test]
fn reading_makes_nothing_and_a_missing_store_is_empty() {
    let scratch = Scratch::new();
    let state = scratch.open_to_read();
    assert_eq!(state.read(|r| r.image_count()).unwrap(), 0);
    assert_eq!(state.read(|r| r.list_images()).unwrap(), []);
    assert!(state.is_read_only() && state.store_id().is_empty());
    assert_eq!(state.check(&CheckOptions::default(), 0).unwrap().findings, []);
    assert!(matches!(state.begin("load", 1), Err(StateError::OpenedReadOnly { .. })));
    assert!(matches!(state.lock(ObjectKind::Blob, "x"), Err(StateError::OpenedReadOnly { .. })));
    let none = state.watch_events(dhow_state::EventSeq::START).err().unwrap();
    assert_eq!(none.kind(), Kind::NotFound);
    std::fs::create_dir(scratch.root()).unwrap();
    scratch.open_to_read();
    assert_eq!(names(scratch.path()), ["root"]);
    assert_eq!(names(&scratch.root()), [""; 0]);
}

#[test]
fn reading_a_store_leaves_the_run_root_alone() {
    let scratch = Scratch::new();
    Sample::new(1).load(&scratch.open()).unwrap();
    std::fs::remove_dir_all(scratch.path().join("run")).unwrap();
    assert_eq!(scratch.open_to_read().read(|r| r.image_count()).unwrap(), 1);
    assert!(!scratch.path().join("run").exists());
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.root().join("bob")).unwrap();
    std::fs::set_permissions(scratch.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = refused(&scratch.places());
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!((names(&scratch.root()), mode(&scratch.root())), (vec!["bob".to_owned()], 0o755));
    assert_eq!(names(scratch.path()), ["root"]);
}

#[test]
fn another_users_directory_is_refused_by_name() {
    let scratch = Scratch::new();
    scratch.open();
    std::os::unix::fs::chown(scratch.root(), Some(12345), None).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let error = State::open(&scratch.places(), access).err().unwrap();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(error.to_string().contains("12345") && error.hint().unwrap().contains("12345"), "{error}");
    }
}

#[test]
fn another_users_directory_in_the_run_root_is_refused() {
    let scratch = Scratch::new();
    let id = scratch.open().store_id().to_owned();
    std::os::unix::fs::chown(scratch.path().join("run").join(id), Some(12345), None).unwrap();
    assert_eq!(refused(&scratch.places()).kind(), Kind::Denied);
}

#[test]
fn a_newer_store_is_refused_with_both_versions() {
    let scratch = Scratch::new();
    scratch.open();
    scratch.tamper("PRAGMA user_version = 99");
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let error = State::open(&scratch.places(), access).err().unwrap();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("99") && error.to_string().contains("up to 3"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("use the newer dhow"));
    }
}

#[test]
fn another_database_and_no_database_are_refused() {
    let scratch = Scratch::new();
    scratch.open();
    scratch.tamper("PRAGMA application_id = 7");
    assert_eq!(refused(&scratch.places()).kind(), Kind::Invalid);

    let scratch = Scratch::new();
    std::fs::create_dir(scratch.root()).unwrap();
    std::fs::write(scratch.root().join("ledger.db"), "not a database at all\n".repeat(100)).unwrap();
    assert_eq!(refused(&scratch.places()).kind(), Kind::Corrupt);
}

#[test]
fn a_second_run_root_is_refused_until_the_first_is_gone() {
    let scratch = Scratch::new();
    scratch.open();
    let other = Places { run_root: scratch.path().join("other"), ..scratch.places() };
    let error = refused(&other);
    assert_eq!(error.kind(), Kind::Conflict);
    let first = scratch.path().canonicalize().unwrap().join("run");
    assert_eq!(error.hint().unwrap(), format!("pass --runroot {}", first.display()));
    // To read, no locks are needed.
    State::open(&other, Access::ReadOnly).unwrap();
    std::fs::remove_dir_all(first).unwrap();
    State::open(&other, Access::ReadWrite).unwrap();
    std::fs::create_dir_all(scratch.path().join("run")).unwrap();
    assert_eq!(refused(&scratch.places()).kind(), Kind::Conflict);
}

#[test]
fn after_a_reboot_any_run_root_will_do() {
    let scratch = Scratch::new();
    scratch.open();
    scratch.tamper("UPDATE store SET boot_id = 'earlier'");
    let other = Places { run_root: scratch.path().join("other"), ..scratch.places() };
    State::open(&other, Access::ReadWrite).unwrap();
}

const READ_ONLY: &str = r#"mount --make-rprivate /
mount --bind "$DHOW_STATE_TEST_DIRECTORY" "$DHOW_STATE_TEST_DIRECTORY"
mount -o remount,bind,ro "$DHOW_STATE_TEST_DIRECTORY""#;

#[test]
fn a_store_on_a_read_only_file_system_can_be_read() {
    let scratch = Scratch::new();
    Sample::new(1).load(&scratch.open()).unwrap();
    assert_eq!(play_after(READ_ONLY, "list", scratch.path()).hear(), "1");
    // While somebody has it open elsewhere, too.
    let state = scratch.open();
    Sample::new(2).load(&state).unwrap();
    assert_eq!(play_after(READ_ONLY, "list", scratch.path()).hear(), "2");
    drop(state);
    scratch.tamper("PRAGMA wal_checkpoint(TRUNCATE)");
    let _ = std::fs::remove_file(scratch.root().join("ledger.db-wal"));
    let _ = std::fs::remove_file(scratch.root().join("ledger.db-shm"));
    assert_eq!(play_after(READ_ONLY, "list", scratch.path()).hear(), "2", "without its log");
}

#[test]
fn a_store_on_a_read_only_file_system_cannot_be_changed() {
    let scratch = Scratch::new();
    let missing = play_after(READ_ONLY, "open", scratch.path()).hear();
    scratch.open();
    let there = play_after(READ_ONLY, "open", scratch.path()).hear();
    for said in [missing, there] {
        assert!(said.starts_with("Unavailable: cannot write to ") && said.contains("read-only"), "{said}");
        assert!(said.contains("--root"), "{said}");
    }
}

#[test]
fn a_full_disk_is_named_and_survived() {
    let scratch = Scratch::new();
    let small = r#"mount --make-rprivate /
mount -t tmpfs -o size=8m,mode=700 small "$DHOW_STATE_TEST_DIRECTORY""#;
    assert_eq!(play_after(small, "fill", scratch.path()).hear(), "survived");
}

#[test]
fn many_processes_may_make_the_store() {
    let scratch = Scratch::new();
    let mut players: Vec<_> = (0..6).map(|_| play("open", scratch.path())).collect();
    for player in &mut players {
        assert_eq!(player.hear(), "opened");
    }
}

#[test]
fn a_transaction_that_fails_or_panics_did_not_happen() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let sample = Sample::new(1);
    let failed = state.write(Durability::Crash, |w| {
        crate_event(w)?;
        sample.record(w)
    });
    assert!(matches!(failed, Err(StateError::Missing { .. })));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        state.write(Durability::Crash, |w| -> Result<(), StateError> {
            crate_event(w)?;
            panic!("inside")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(state.read(|r| r.newest_event()).unwrap(), dhow_state::EventSeq::START);
    sample.load(&state).unwrap();
}

fn crate_event(w: &dhow_state::Write<'_>) -> Result<(), StateError> {
    let (actor, attributes) = ("x".to_owned(), Default::default());
    w.record_event(&dhow_state::NewEvent { time: 1, kind: "image", action: "tag".into(), actor, attributes }).map(drop)
}

#[test]
#[should_panic(expected = "a transaction inside a transaction")]
fn a_transaction_inside_a_transaction_is_a_panic_and_no_deadlock() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let _ = state.read(|_| state.read(|r| r.image_count()));
}
