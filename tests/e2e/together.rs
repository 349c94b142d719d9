//! Two dhow processes at once, doing the same and the opposite: each call succeeds or says why, and the store is sound.

use std::thread;

use crate::harness::{DockerArchive, Layer, Layout, Ran, Store, path};

const ROUNDS: usize = 12;

/// An image of several layers that take a moment to unpack.
fn archive(name: &str, salt: usize) -> Vec<u8> {
    let layers: Vec<Vec<u8>> = (0..4)
        .map(|n| {
            let mut layer = Layer::new().dir("d/", 0o755);
            for file in 0..200 {
                layer = layer.file(&format!("d/{n}-{file}"), vec![b'x'; 500 + file + salt]);
            }
            layer.tar()
        })
        .collect();
    Layout::new(name, &layers).tar()
}

/// Runs both in a thread of its own, started together.
fn both<A: Send, B: Send>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B + Send) -> (A, B) {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap(), other)
    })
}

/// It went well, or failed because the image was not there (any more).
#[track_caller]
fn ok_or_absent(ran: Ran) -> bool {
    if ran.code == Some(0) {
        return true;
    }
    ran.fails(&["no such image"]);
    false
}

/// Makers of a new store, and others who look at it while it is half made.
#[test]
fn a_new_store_is_opened_first_by_many_at_once() {
    let small = DockerArchive::new().image(&["one:first"], &[Layer::new().file("a", *b"a").tar()]).tar();
    let commands: [&[&str]; 6] = [
        &["load", "-q", "-i", "ARCHIVE"],
        &["images"],
        &["system", "check"],
        &["image", "prune", "-f"],
        &["info"],
        &["system", "check", "--repair"],
    ];
    for _ in 0..40 {
        let store = Store::new();
        let file = store.folder().file("archive.tar", &small);
        thread::scope(|scope| {
            for _ in 0..3 {
                for command in commands {
                    let args: Vec<&str> =
                        command.iter().map(|a| if *a == "ARCHIVE" { path(&file) } else { a }).collect();
                    let store = &store;
                    scope.spawn(move || store.dhow(&args).ok());
                }
            }
        });
        assert_eq!(store.tags(), ["one:first"]);
        store.assert_sound();
    }
}

#[test]
fn the_same_image_is_loaded_by_many_at_once() {
    for salt in 0..4 {
        let store = Store::new();
        let file = store.folder().file("archive.tar", archive("one:first", salt));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| store.dhow(&["load", "-i", path(&file)]).ok());
            }
        });
        assert_eq!(store.tags(), ["one:first"]);
        assert_eq!(store.layers("one:first").len(), 4);
        store.assert_sound();
    }
}

#[test]
fn different_images_with_shared_layers_are_loaded_at_once() {
    let store = Store::new();
    let layers: Vec<Vec<u8>> =
        (0..8).map(|n| Layer::new().file(&format!("file-{n}"), vec![b'x'; 100_000 + n]).tar()).collect();
    thread::scope(|scope| {
        for n in 1..=8 {
            let (store, layers) = (&store, &layers);
            scope.spawn(move || {
                let name = format!("stack:{n}");
                let file =
                    store.folder().file(&format!("{n}.tar"), DockerArchive::new().image(&[&name], &layers[..n]).tar());
                store.dhow(&["load", "-i", path(&file)]).ok();
            });
        }
    });
    assert_eq!(store.ids().len(), 8);
    assert_eq!(std::fs::read_dir(store.root().join("layers")).unwrap().count(), 8);
    store.assert_sound();
}

#[test]
fn load_against_rmi() {
    let store = Store::new();
    let file = store.folder().file("archive.tar", archive("one:first", 0));
    for _ in 0..ROUNDS {
        both(
            || store.dhow(&["load", "-i", path(&file)]).ok(),
            || {
                for _ in 0..4 {
                    ok_or_absent(store.dhow(&["rmi", "-f", "one:first"]));
                }
            },
        );
        // Whoever was last: an image that is listed is whole.
        for id in store.ids() {
            store.dhow(&["save", "-o", "/dev/null", &id]).ok();
            store.layers(&id);
        }
    }
    let _ = store.dhow(&["rmi", "-f", "one:first"]);
    store.assert_empty();
}

#[test]
fn rmi_against_rmi_removes_once() {
    let store = Store::new();
    let file = store.folder().file("archive.tar", archive("one:first", 0));
    for _ in 0..ROUNDS {
        store.dhow(&["load", "-i", path(&file)]).ok();
        let (one, other) = both(|| store.dhow(&["rmi", "one:first"]), || store.dhow(&["rmi", "one:first"]));
        let (one, other) = (ok_or_absent(one), ok_or_absent(other));
        assert!(one != other, "exactly one of them removes it");
    }
    store.assert_empty();
}

#[test]
fn prune_against_tag() {
    let store = Store::new();
    let mut layout = Layout::new("", &[Layer::new().file("file", "x").tar()]);
    layout.name = None;
    let (id, file) = (layout.id(), store.folder().file("archive.tar", layout.tar()));
    for round in 0..ROUNDS {
        store.dhow(&["load", "-i", path(&file)]).ok();
        let (tag, prune) = both(|| store.dhow(&["tag", &id, "kept:1"]), || store.dhow(&["image", "prune", "-f"]));
        prune.ok();
        // Once tagged, an image is not dangling: a tag that succeeded holds.
        assert_eq!(ok_or_absent(tag), !store.tags().is_empty(), "round {round}");
        if !store.tags().is_empty() {
            store.dhow(&["rmi", "kept:1"]).ok();
        }
        store.assert_empty();
    }
}

#[test]
fn prune_against_load() {
    let store = Store::new();
    let file = store.folder().file("archive.tar", archive("one:first", 0));
    for _ in 0..ROUNDS {
        both(
            || store.dhow(&["load", "-i", path(&file)]).ok(),
            || (0..4).for_each(|_| drop(store.dhow(&["image", "prune", "-f"]).ok())),
        );
        assert_eq!(store.tags(), ["one:first"], "a named image is not dangling at any time");
        store.dhow(&["save", "-o", "/dev/null", "one:first"]).ok();
        store.dhow(&["rmi", "one:first"]).ok();
    }
    store.assert_empty();
}

#[test]
fn check_and_repair_leave_running_work_alone() {
    let store = Store::new();
    let file = store.folder().file("archive.tar", archive("one:first", 0));
    for _ in 0..ROUNDS {
        both(
            || store.dhow(&["load", "-i", path(&file)]).ok(),
            || (0..3).for_each(|_| drop(store.dhow(&["system", "check", "--repair"]).ok())),
        );
        store.dhow(&["save", "-o", "/dev/null", "one:first"]).ok();
        store.layers("one:first");
        store.dhow(&["rmi", "one:first"]).ok();
    }
    store.assert_empty();
}

#[test]
fn a_name_that_two_move_ends_at_one_of_them() {
    let store = Store::new();
    let files: Vec<_> = (0..2).map(|n| store.folder().file(&format!("{n}.tar"), archive("one:first", n))).collect();
    for _ in 0..ROUNDS / 2 {
        both(
            || store.dhow(&["load", "-i", path(&files[0])]).ok(),
            || store.dhow(&["load", "-i", path(&files[1])]).ok(),
        );
        assert_eq!(store.ids().len(), 2);
        assert!(store.tags().contains(&"one:first".to_owned()));
        store.dhow(&["image", "prune", "-f"]).ok();
        assert_eq!(store.ids().len(), 1);
    }
    store.assert_sound();
}
