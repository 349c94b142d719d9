//! Containers in the ledger: names, generations, images, removal, and what the check says of them.

use crate::roles::play;
use crate::store::{Sample, Scratch, names};
use dhow_spec::{Classify as _, Digest, Kind};
use dhow_state::{
    Access, CheckOptions, ContainerRow, ContainerState, Done, Durability, FindingKind, State, StateError,
};
use dhow_sys::process::ProcessIdentity;

const REPAIR: CheckOptions = CheckOptions { repair: true, verify_blobs: false };

pub(crate) fn id(n: u32) -> String {
    format!("{n:064x}")
}

fn row(n: u32, image: Option<Digest>) -> ContainerRow {
    ContainerRow {
        id: id(n),
        name: format!("container-{n}"),
        image,
        created: i64::from(n),
        cgroup: format!("dhow/x/{}", id(n)),
        config: "{}".to_owned(),
        generation: 0,
        removal: None,
        state: ContainerState { status: "created".to_owned(), ..ContainerState::default() },
    }
}

/// The whole making, as an engine does it.
pub(crate) fn make(state: &State, n: u32, image: Option<Digest>) -> Result<(), StateError> {
    let (operation, ()) = state.begin_with("create", 1, |w, operation| w.plan_container(operation, &id(n)))?;
    let directory = operation.work().join("container");
    std::fs::create_dir_all(directory.join("rootfs")).unwrap();
    std::fs::write(directory.join("rootfs/file"), b"content").unwrap();
    operation.place_container(&directory, &id(n))?;
    operation.commit(Durability::Crash, |w| w.insert_container(&row(n, image)))
}

/// The whole removal.
pub(crate) fn remove(state: &State, n: u32) -> Result<bool, StateError> {
    state.make_container_run_dir(&id(n))?;
    let (operation, begun) = state.begin_with("rm", 1, |w, operation| {
        let Some(row) = w.container(&id(n))? else { return Ok(false) };
        let removing = ContainerState { status: "removing".to_owned(), ..row.state };
        w.begin_removal(operation, &row.id, row.generation, &removing)
    })?;
    if begun {
        operation.discard_container(&id(n))?;
    }
    let operation_id = operation.id();
    operation.commit(Durability::Crash, |w| w.end_removal(operation_id, &id(n)))
}

#[test]
fn a_container_is_found_by_id_name_and_prefix() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    make(&state, 2, None).unwrap();
    let found = state.read(|r| r.container(&id(1))).unwrap().unwrap();
    assert_eq!(found, ContainerRow { generation: 1, ..row(1, None) });
    assert_eq!(state.read(|r| r.container_by_name("container-2")).unwrap().unwrap().id, id(2));
    let by = |prefix: &str| state.read(|r| r.containers_by_prefix(prefix)).unwrap().len();
    assert_eq!((by(&id(1)), by(&id(1)[..63]), by("1"), by(""), by("%"), by("0")), (1, 2, 0, 0, 0, 2));
    let all: Vec<_> = state.read(|r| r.containers()).unwrap().into_iter().map(|c| c.id).collect();
    assert_eq!(all, [id(2), id(1)], "the newest first");
    assert_eq!(state.read(|r| r.usage()).unwrap().containers, 2);
    assert!(state.container_dir(&id(1)).join("rootfs/file").exists());
}

#[test]
fn a_name_belongs_to_one_container_and_is_free_with_its_row() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    let second = |n| {
        let (operation, ()) = state.begin_with("create", 1, |w, o| w.plan_container(o, &id(n))).unwrap();
        let directory = operation.work().join("container");
        std::fs::create_dir(&directory).unwrap();
        operation.place_container(&directory, &id(n)).unwrap();
        let named = ContainerRow { name: "container-1".to_owned(), ..row(n, None) };
        operation.commit(Durability::Crash, |w| w.insert_container(&named))
    };
    let taken = second(2).unwrap_err();
    assert!(matches!(&taken, StateError::NameTaken { by, .. } if *by == id(1)), "{taken}");
    assert_eq!(taken.kind(), Kind::Conflict);
    assert!(!state.container_dir(&id(2)).exists(), "rolled back");
    assert!(remove(&state, 1).unwrap());
    second(2).unwrap();
    let renamed = |generation, name: &str| {
        state.write(Durability::Crash, |w| w.rename_container(&id(2), generation, name)).unwrap()
    };
    assert!(!renamed(7, "other") && renamed(1, "other"));
    assert_eq!(state.check(&REPAIR, 1).unwrap().findings, []);
}

#[test]
fn a_change_needs_the_generation_that_it_saw() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    let process = ProcessIdentity { boot_id: "b".to_owned(), pid_namespace: u64::MAX, pid: 7, start_time: 1 << 63 };
    let running = ContainerState {
        status: "running".to_owned(),
        process: Some(process),
        started: Some(5),
        finished: Some(4),
        exit_code: Some(-1),
        oom_killed: true,
        error: "x".to_owned(),
        restart_count: 3,
        backoff: u64::MAX,
        stopped: true,
        kept: true,
    };
    let change = |generation| state.write(Durability::Crash, |w| w.change_container(&id(1), generation, &running));
    assert!(change(1).unwrap() && !change(1).unwrap(), "the first of two wins");
    let found = state.read(|r| r.container(&id(1))).unwrap().unwrap();
    assert_eq!((found.generation, &found.state), (2, &running));
    assert!(change(2).unwrap());
}

#[test]
fn an_image_stays_as_long_as_a_container_needs_it() {
    let scratch = Scratch::new();
    let (state, sample) = (scratch.open(), Sample::new(1));
    assert!(matches!(make(&state, 1, Some(sample.id())), Err(StateError::Missing { .. })));
    sample.load(&state).unwrap();
    make(&state, 1, Some(sample.id())).unwrap();
    let used = state.read(|r| r.containers_of_image(&sample.id())).unwrap();
    assert_eq!(used.len(), 1);
    assert!(matches!(sample.remove(&state), Err(StateError::ImageInUse { .. })));
    assert!(sample.paths(&state).iter().all(|p| p.exists()));
    drop(state);
    // The ledger itself would not have it.
    let connection = rusqlite::Connection::open(scratch.root().join("ledger.db")).unwrap();
    connection.execute_batch("PRAGMA foreign_keys=ON").unwrap();
    connection.execute_batch("DELETE FROM images").unwrap_err();
    drop(connection);
    let state = scratch.open();
    remove(&state, 1).unwrap();
    assert!(sample.remove(&state).unwrap());
    assert!(!sample.paths(&state).iter().any(|p| p.exists()));
}

#[test]
fn a_removal_that_is_broken_off_leaves_the_container() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    let (operation, _) = state
        .begin_with("rm", 1, |w, operation| w.begin_removal(operation, &id(1), 1, &ContainerState::default()))
        .unwrap();
    let found = state.read(|r| r.container(&id(1))).unwrap().unwrap();
    assert_eq!(found.removal, Some(operation.id()));
    let (operation_id, dead) = (operation.id(), ContainerState { status: "dead".to_owned(), ..Default::default() });
    assert!(operation.commit(Durability::Crash, |w| w.break_removal_off(operation_id, &id(1), &dead)).unwrap());
    let found = state.read(|r| r.container(&id(1))).unwrap().unwrap();
    assert_eq!((found.removal, found.state.status.as_str()), (None, "dead"));
    assert!(state.container_dir(&id(1)).join("rootfs/file").exists());
    assert!(remove(&state, 1).unwrap());
}

#[test]
fn a_dropped_removal_is_carried_out() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    state.make_container_run_dir(&id(1)).unwrap();
    let begun =
        state.begin_with("rm", 1, |w, operation| w.begin_removal(operation, &id(1), 1, &ContainerState::default()));
    drop(begun.unwrap());
    assert_eq!(state.read(|r| r.container(&id(1))).unwrap(), None);
    assert!(!state.container_dir(&id(1)).exists() && !state.container_run_dir(&id(1)).exists());
    assert_eq!(state.check(&REPAIR, 1).unwrap().findings, []);
}

#[test]
fn the_check_finds_directories_without_containers_and_the_reverse() {
    let scratch = Scratch::new();
    let state = scratch.open();
    make(&state, 1, None).unwrap();
    make(&state, 2, None).unwrap();
    state.make_container_run_dir(&id(1)).unwrap();
    std::fs::remove_dir_all(state.container_dir(&id(2))).unwrap();
    std::fs::create_dir_all(state.container_dir(&id(3)).join("rootfs")).unwrap();
    std::fs::write(state.container_dir(&id(3)).join("rootfs/file"), [0; 10]).unwrap();
    let run = state.make_container_run_dir(&id(3)).unwrap();
    std::fs::write(run.join("exit"), b"{}").unwrap();
    let look = state.check(&CheckOptions::default(), 1).unwrap();
    let mut found: Vec<_> = look.findings.iter().map(|f| (f.kind, f.bytes)).collect();
    found.sort();
    use FindingKind::{MissingContainer, OrphanContainer, OrphanRun};
    assert_eq!(found, [(OrphanContainer, 10), (OrphanRun, 0), (MissingContainer, 0)]);
    let repaired = state.check(&REPAIR, 1).unwrap();
    let left: Vec<_> = repaired.findings.iter().filter(|f| f.done == Done::Reported).map(|f| f.kind).collect();
    assert_eq!(left, [MissingContainer]);
    assert_eq!(names(&state.root().join("containers")), [id(1)]);
    assert!(state.container_run_dir(&id(1)).exists() && !state.container_run_dir(&id(3)).exists());
    assert!(remove(&state, 2).unwrap(), "though its directory is gone");
    assert_eq!(state.check(&REPAIR, 1).unwrap().findings, []);
}

#[test]
fn a_run_directory_is_empty_when_it_is_made() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let path = state.make_container_run_dir(&id(1)).unwrap();
    std::fs::write(path.join("exit"), b"old").unwrap();
    assert_eq!(names(&state.make_container_run_dir(&id(1)).unwrap()), [""; 0]);
    assert!(matches!(state.make_container_run_dir("../x"), Err(StateError::BadContainerId { .. })));
    let bad = state.begin_with("create", 1, |w, operation| w.plan_container(operation, "../../etc"));
    assert!(matches!(bad.err(), Some(StateError::BadContainerId { .. })));
}

#[test]
fn a_store_of_before_containers_gets_them() {
    let scratch = Scratch::new();
    drop(scratch.open());
    scratch.tamper(
        "DROP TABLE endpoints; DROP TABLE addresses; DROP TABLE ports; DROP TABLE networks; DROP TABLE containers;
         PRAGMA user_version = 1",
    );
    std::fs::remove_dir(scratch.root().join("containers")).unwrap();
    let state = State::open(&scratch.places(), Access::ReadWrite).unwrap();
    assert_eq!(state.check(&REPAIR, 1).unwrap().findings, []);
    make(&state, 1, None).unwrap();
    assert_eq!(state.check(&REPAIR, 1).unwrap().findings, []);
}

#[test]
fn the_maker_that_lives_is_left_alone() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let (operation, ()) = state.begin_with("create", 1, |w, o| w.plan_container(o, &id(1))).unwrap();
    let directory = operation.work().join("container");
    std::fs::create_dir_all(&directory).unwrap();
    operation.place_container(&directory, &id(1)).unwrap();
    assert_eq!(state.check(&REPAIR, 1).unwrap().findings, []);
    assert_eq!(play("open", scratch.path()).hear(), "opened");
    assert!(state.container_dir(&id(1)).exists());
    operation.commit(Durability::Crash, |w| w.insert_container(&row(1, None))).unwrap();
    assert!(state.read(|r| r.container(&id(1))).unwrap().is_some());
}
