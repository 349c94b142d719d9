//! Several processes at one store.

use crate::roles::play;
use crate::store::{Sample, Scratch, names};
use dhow_state::{CheckOptions, Durability, Event, EventSeq, NewEvent, ObjectKind, State, StateError};
use std::collections::BTreeMap;

#[test]
fn a_crowd_that_loads_and_removes_leaves_a_sound_store() {
    let scratch = Scratch::new();
    let mut players: Vec<_> = (0..4).map(|_| play("crowd", scratch.path())).collect();
    (0..).zip(&mut players).for_each(|(seed, player): (u32, _)| player.tell(&seed.to_string()));
    for mut player in players {
        assert_eq!(player.hear(), "done");
        player.finish();
    }
    let state = scratch.open();
    for seed in 0..4 {
        assert!(Sample::new(100 + seed).paths(&state).iter().all(|p| p.exists()));
    }
    let report = state.check(&CheckOptions { repair: false, verify_blobs: true }, 0).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(names(&state.root().join("work")), [""; 0]);
}

#[test]
fn threads_share_a_state() {
    let scratch = Scratch::new();
    let state = scratch.open();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let state = &state;
            scope.spawn(move || (0..10).for_each(|m| Sample::new(n * 10 + m).load(state).unwrap()));
        }
    });
    assert_eq!(state.read(|r| r.image_count()).unwrap(), 40);
}

#[test]
fn what_the_living_do_is_left_alone_and_what_the_dead_did_is_undone() {
    let scratch = Scratch::new();
    let sample = Sample::new(1);
    let mut player = play("hold", scratch.path());
    assert_eq!(player.hear(), "holding");
    let state = scratch.open();
    assert_eq!(state.read(|r| r.operations()).unwrap().len(), 1);
    assert!(sample.paths(&state).iter().all(|p| p.exists()), "the owner lives");
    player.tell("go on");
    assert_eq!(player.hear(), "done");
    player.finish();
    assert!(state.read(|r| r.image(&sample.id())).unwrap().is_some());
    sample.remove(&state).unwrap();
    drop(state);

    let mut player = play("hold", scratch.path());
    assert_eq!(player.hear(), "holding");
    player.kill();
    let state = scratch.open();
    assert_eq!(state.read(|r| r.operations()).unwrap(), []);
    assert!(!sample.paths(&state).iter().any(|p| p.exists()));
}

#[test]
fn a_lock_is_one_processs_at_a_time_and_free_when_it_dies() {
    let scratch = Scratch::new();
    let state = scratch.open();
    let locks = state.run_root().join(state.store_id()).join("locks");
    let mut player = play("lock", scratch.path());
    assert_eq!(player.hear(), "locked");
    assert!(state.try_lock(ObjectKind::Image, "busy").unwrap().is_none());
    assert!(state.try_lock(ObjectKind::Image, "other").unwrap().is_some());
    player.tell("let go");
    assert_eq!(player.hear(), "free");
    drop(state.try_lock(ObjectKind::Image, "busy").unwrap().unwrap());
    assert_eq!(names(&locks), [""; 0], "no file is left");
    player.finish();

    let mut player = play("lock", scratch.path());
    assert_eq!(player.hear(), "locked");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| drop(state.lock(ObjectKind::Image, "busy").unwrap()));
        player.kill();
        waiter.join().unwrap();
    });
    // The run root may be cleaned away under us.
    std::fs::remove_dir_all(&locks).unwrap();
    drop(state.lock(ObjectKind::Image, "busy").unwrap());
}

/// Somebody who shares the byte spares others reading the log back in, and nothing else is changed by him.
#[test]
fn an_index_that_somebody_shares_is_not_made_anew() {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileExt as _;
    // In the part of the index for pages of the log that there are none of yet.
    const UNUSED: u64 = 136 + 4 * 4000;
    let scratch = Scratch::new();
    let events = |state: &State| {
        let events = state.read(|r| r.events(EventSeq(0), 100));
        events.map(|events: Vec<Event>| events.len()).unwrap_or_else(|e: StateError| panic!("{e}"))
    };
    let record = |state: &State| {
        let (action, actor) = ("load".into(), "x".to_owned());
        let event = NewEvent { time: 1, kind: "image", action, actor, attributes: BTreeMap::new() };
        state.write(Durability::Crash, |w| w.record_event(&event)).unwrap();
    };
    let state = scratch.open();
    let (path, byte) = state.index_byte();
    record(&state);
    drop(state);
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let marked = || {
        let mut found = [0];
        file.read_exact_at(&mut found, UNUSED).unwrap();
        found == [7]
    };
    file.write_all_at(&[7], UNUSED).unwrap();
    assert!(dhow_sys::lock::share_byte(file.as_fd(), byte).unwrap());
    for n in 1..4 {
        let state = scratch.open();
        assert_eq!(events(&state), n);
        record(&state);
        assert!(marked(), "as it was");
        drop(state);
        assert_eq!(events(&scratch.open_to_read()), n + 1);
    }
    drop(file);
    assert_eq!(events(&scratch.open()), 4);
    let file = std::fs::File::open(scratch.root().join("ledger.db-shm")).unwrap();
    let mut found = [1];
    file.read_exact_at(&mut found, UNUSED).unwrap();
    assert_eq!(found, [0], "made anew");
}
