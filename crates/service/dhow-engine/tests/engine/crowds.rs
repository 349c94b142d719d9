//! Many at once: on different containers, on the same, and on the same name.

use crate::Test;
use crate::place::{Place, request};
use dhow_engine::EngineError;
use dhow_engine::container::{self, Until};
use dhow_supervisor::client::Streams;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("crowds::run_and_vanish", run_and_vanish),
    ("crowds::want_the_same_name", want_the_same_name),
    ("crowds::start_against_rm", start_against_rm),
    ("crowds::start_the_same", start_the_same),
    ("crowds::wait_beside_restarts", wait_beside_restarts),
    ("crowds::end_beside_restarts", end_beside_restarts),
];

/// Runs `f` in so many threads at once.
fn at_once(threads: u32, f: impl Fn(u32) + Sync) {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|n| {
                scope.spawn({
                    let f = &f;
                    move || f(n)
                })
            })
            .collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

fn run_and_vanish() {
    let place = Place::new();
    at_once(40, |n| {
        let mut wanted = request("", &["sh", "-c", &format!("exit {n}")]);
        wanted.host.auto_remove = true;
        let id = container::create(&place.engine, &wanted).unwrap().id;
        let mut connection = container::start(&place.engine, &id, Streams::default(), (0, 0)).unwrap().unwrap();
        let dhow_supervisor::client::End::Exited(record) = connection.await_end().unwrap() else { panic!("lost") };
        assert_eq!(record.code, Some(n.cast_signed()));
        container::exited(&place.engine, &id).unwrap();
        connection.recorded();
    });
    assert!(container::list(&place.engine).unwrap().is_empty());
    let counted = |action: &str| place.actions().iter().filter(|a| *a == action).count();
    assert_eq!((counted("create"), counted("start"), counted("die"), counted("destroy")), (40, 40, 40, 40));
    place.is_sound();
    assert!(place.cgroups().is_empty());
}

fn want_the_same_name() {
    let place = Place::new();
    let made = AtomicU32::new(0);
    at_once(10, |_| {
        for _ in 0..5 {
            match container::create(&place.engine, &request("name", &["true"])) {
                Ok(created) => {
                    made.fetch_add(1, Ordering::Relaxed);
                    container::remove(&place.engine, &created.id, false).unwrap();
                }
                Err(e) => assert!(e.to_string().contains("is already in use by container"), "{e}"),
            }
        }
    });
    assert!(made.load(Ordering::Relaxed) >= 5);
    assert!(container::list(&place.engine).unwrap().is_empty());
    place.is_sound();
}

fn start_against_rm() {
    let place = Place::new();
    for n in 0..10 {
        let id = place.create(&format!("n{n}"), &["sleep", "1000"]);
        at_once(4, |n| match n % 2 {
            0 => match container::start(&place.engine, &id, Streams::default(), (0, 0)) {
                Ok(_)
                | Err(EngineError::NoSuchContainer(_) | EngineError::Conflict { .. } | EngineError::Start { .. }) => {}
                Err(e) => panic!("start: {e}"),
            },
            _ => match container::remove(&place.engine, &id, true) {
                Ok(_) | Err(EngineError::NoSuchContainer(_) | EngineError::Conflict { .. }) => {}
                Err(e) => panic!("rm: {e}"),
            },
        });
        match container::remove(&place.engine, &id, true) {
            Ok(_) | Err(EngineError::NoSuchContainer(_)) => {}
            Err(e) => panic!("{e}"),
        }
    }
    assert!(container::list(&place.engine).unwrap().is_empty());
    place.is_sound();
    assert!(place.cgroups().is_empty());
}

fn start_the_same() {
    let place = Place::new();
    let id = place.create("one", &["sleep", "1000"]);
    let started = AtomicU32::new(0);
    at_once(8, |_| {
        let connection = container::start(&place.engine, &id, Streams::default(), (0, 0)).unwrap();
        started.fetch_add(u32::from(connection.is_some()), Ordering::Relaxed);
    });
    assert_eq!(started.load(Ordering::Relaxed), 1, "one starts it, the others find it running");
    assert_eq!(place.actions(), ["create", "start"]);
    at_once(8, |_| container::stop(&place.engine, &id, Some(Duration::ZERO), None).unwrap());
    assert_eq!(place.inspect(&id).exit_code, Some(137));
    assert_eq!(place.actions().iter().filter(|action| *action == "die").count(), 1);
}

/// What these return, in whatever order; fails when one is not back in time.
fn all_come_back<T: Send + 'static>(
    what: &str,
    all: Vec<Box<dyn FnOnce() -> T + Send>>,
    beside: impl FnOnce(),
) -> Vec<T> {
    let (done, back) = channel();
    let count = all.len();
    for one in all {
        let done = done.clone();
        std::thread::spawn(move || done.send(one()));
    }
    beside();
    let back = (0..count).map(|n| {
        let one = back.recv_timeout(Duration::from_secs(60));
        one.unwrap_or_else(|_| panic!("{what}: only {n} of {count} came back"))
    });
    back.collect()
}

fn wait_beside_restarts() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    for round in 0..6 {
        let until = if round % 2 == 0 { Until::NotRunning } else { Until::NextExit };
        let waiters = (0..30).map(|n| -> Box<dyn FnOnce() -> Option<i32> + Send> {
            let (engine, id) = (if n % 3 == 0 { place.writer() } else { place.reader() }, id.clone());
            Box::new(move || container::wait(&engine, &id, until).unwrap())
        });
        let codes = all_come_back("wait", waiters.collect(), || {
            // All of them wait by then.
            std::thread::sleep(Duration::from_millis(300));
            for _ in 0..=round % 3 {
                container::restart(&place.engine, &id, Some(Duration::ZERO), None).unwrap();
            }
        });
        assert_eq!(codes, [Some(137); 30]);
        assert_eq!(place.inspect(&id).status, dhow_runtime::status::Status::Running);
    }
}

fn end_beside_restarts() {
    let place = Place::new();
    for round in 0..12 {
        let id = place.running("one", &["sleep", "1000"]);
        let clients = (0..9).map(|n| -> Box<dyn FnOnce() -> Result<(), EngineError> + Send> {
            let (engine, id) = (place.writer(), id.clone());
            Box::new(move || match (n % 3, round % 2) {
                (0, _) => container::kill(&engine, &id, 9),
                (1, _) => container::stop(&engine, &id, Some(Duration::ZERO), None),
                (_, 0) => container::restart(&engine, &id, Some(Duration::ZERO), None),
                _ => container::remove(&engine, &id, true).map(drop),
            })
        });
        let ends = all_come_back("kill, stop, rm", clients.collect(), || {
            for _ in 0..3 {
                tolerate(container::restart(&place.engine, &id, Some(Duration::ZERO), None));
            }
        });
        ends.into_iter().for_each(tolerate);
        tolerate(container::remove(&place.engine, &id, true).map(drop));
    }
    assert!(container::list(&place.engine).unwrap().is_empty());
    place.is_sound();
}

/// Somebody else was faster.
fn tolerate(end: Result<(), EngineError>) {
    match end {
        Ok(()) | Err(EngineError::NoSuchContainer(_) | EngineError::Conflict { .. } | EngineError::Start { .. }) => {}
        Err(e) => panic!("{e}"),
    }
}
