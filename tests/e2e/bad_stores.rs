//! Stores that are full, read-only, of a newer version or somebody else's; and interrupted commands.

use std::fs;
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};

use crate::harness::{Containers, Disk, Layer, Layout, Store, eventually, path, run};

/// Bytes that no compression makes smaller.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

fn big(mib: usize) -> Vec<u8> {
    let layers: Vec<Vec<u8>> =
        (0..4).map(|n| Layer::new().file(&format!("big-{n}"), noise(mib << 18, n)).tar()).collect();
    Layout::new("big:1", &layers).tar()
}

#[test]
fn a_full_disk_is_said_and_nothing_half_made_stays() {
    for disk in [Disk::tmpfs(48), Disk::ext4(64)] {
        let root = disk.path().join("root");
        let store = Store::with_root(&root);
        store.load(&Layout::new("small:1", &[Layer::new().file("f", "x").tar()]).tar()).ok();
        let archive = big(40);
        for _ in 0..2 {
            store.load(&archive).fails(&["no space left", path(&root)]);
            assert_eq!(store.tags(), ["small:1"]);
            store.assert_sound();
        }
        let left = fs::read_dir(root.join("layers")).unwrap().count();
        assert_eq!(left, 1, "only the layer of the image that is there");
        store.dhow(&["rmi", "small:1"]).ok();
        store.assert_empty();
    }
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_can_still_be_listed_and_freed() {
    let disk = Disk::tmpfs(24);
    let store = Store::with_root(&disk.path().join("root"));
    store.load(&Layout::new("one:1", &[Layer::new().file("f", noise(1 << 20, 1)).tar()]).tar()).ok();
    // Whatever is left goes to a file of somebody else's.
    let _ = fs::write(disk.path().join("filler"), vec![1u8; 64 << 20]);
    assert_eq!(store.tags(), ["one:1"]);
    store.dhow(&["tag", "one:1", "two:1"]);
    let ran = store.dhow(&["rmi", "-f", "one:1", "two:1"]);
    assert!(!ran.stderr.contains("panicked"), "{ran}");
    fs::remove_file(disk.path().join("filler")).unwrap();
    let _ = store.dhow(&["image", "prune", "--all", "--force"]);
    store.assert_empty();
}

#[test]
fn full_while_saving() {
    let store = Store::new();
    store.load(&big(40)).ok();
    let disk = Disk::tmpfs(10);
    let out = disk.path().join("out.tar");
    store.dhow(&["save", "-o", path(&out), "big:1"]).fails(&["no space left", path(&out)]);
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "a failed save leaves nothing");
    store.dhow(&["save", "-o", "/dev/full", "big:1"]).fails(&["/dev/full"]);
}

#[test]
fn a_read_only_store_is_read_and_not_written() {
    let disk = Disk::tmpfs(64);
    let store = Store::with_root(&disk.path().join("root"));
    let archive = Layout::new("one:1", &[Layer::new().file("f", "x").tar()]).tar();
    store.load(&archive).ok();
    disk.remount("ro");
    assert_eq!(store.tags(), ["one:1"]);
    store.inspect("one:1");
    store.dhow(&["history", "one:1"]).ok();
    store.dhow(&["save", "-o", "/dev/null", "one:1"]).ok();
    store.dhow(&["info"]).ok();
    store.load(&archive).fails(&["read-only", path(store.root())]);
    store.dhow(&["rmi", "one:1"]).fails(&["read-only"]);
    store.dhow(&["tag", "one:1", "two:1"]).fails(&["read-only"]);
    disk.remount("rw");
    store.assert_sound();
}

#[test]
fn a_store_that_cannot_be_made_is_named() {
    let disk = Disk::tmpfs(8);
    disk.remount("ro");
    let store = Store::with_root(&disk.path().join("root"));
    store.load(b"").fails(&[path(disk.path())]);
    let store = Store::new();
    fs::write(store.root(), "a file").unwrap();
    store.dhow(&["images"]).fails(&[path(store.root())]);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let store = Store::new();
    store.load(&Layout::new("one:1", &[Layer::new().file("f", "x").tar()]).tar()).ok();
    let ledger = store.root().join("ledger.db");
    run(Command::new("sqlite3").arg(&ledger).arg("PRAGMA user_version = 4242")).ok();
    for args in [&["images"][..], &["rmi", "one:1"], &["system", "check", "--repair"]] {
        store.dhow(args).fails(&["4242", "newer"]);
    }
    run(Command::new("sqlite3").arg(&ledger).arg("PRAGMA user_version")).ok();
    assert_eq!(fs::read_dir(store.root().join("layers")).unwrap().count(), 1);
}

#[test]
fn a_spoiled_ledger_is_said() {
    let store = Store::new();
    store.load(&Layout::new("one:1", &[Layer::new().file("f", "x").tar()]).tar()).ok();
    for name in ["ledger.db-wal", "ledger.db-shm"] {
        let _ = fs::remove_file(store.root().join(name));
    }
    fs::write(store.root().join("ledger.db"), noise(50_000, 9)).unwrap();
    store.dhow(&["images"]).fails(&["ledger.db"]);
}

#[test]
fn somebody_else_s_store_is_refused() {
    let store = Store::new();
    store.load(&Layout::new("one:1", &[Layer::new().file("f", "x").tar()]).tar()).ok();
    chown(store.root(), Some(1000), Some(1000)).unwrap();
    for args in [&["images"][..], &["rmi", "one:1"], &["info"]] {
        store.dhow(args).fails(&[path(store.root()), "1000"]);
    }
    chown(store.root(), Some(0), Some(0)).unwrap();
    assert_eq!(store.tags(), ["one:1"]);
}

#[test]
fn an_interrupt_leaves_nothing() {
    let store = Store::new();
    let file = store.folder().file("archive.tar", big(60));
    for (delay, signal) in [(20, "INT"), (80, "TERM"), (200, "INT"), (40, "KILL"), (150, "KILL")] {
        let mut child =
            store.command(&["load", "-i", path(&file)]).stdout(std::process::Stdio::null()).spawn().unwrap();
        // Not a wait for luck: any moment is right, and several are tried.
        std::thread::sleep(std::time::Duration::from_millis(delay));
        let _ = run(Command::new("kill").args(["-s", signal, &child.id().to_string()]));
        child.wait().unwrap();
        let _ = store.dhow(&["rmi", "-f", "big:1"]);
        // The lock files of a killed process.
        store.dhow(&["system", "check", "--repair"]).ok();
        store.assert_empty();
    }
    store.dhow(&["load", "-i", path(&file)]).ok();
    store.assert_sound();
}

/// Fills a disk with a file of somebody else's, to the last block.
fn fill(disk: &Disk) {
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    for size in [1 << 20, 4096] {
        let block = vec![1u8; size];
        while std::io::Write::write_all(&mut filler, &block).is_ok() {}
    }
}

#[test]
fn on_a_full_disk_containers_end_and_everything_can_be_removed() {
    for disk in [Disk::tmpfs(48), Disk::ext4(64)] {
        let box_ = Containers::in_store(Store::with_root(&disk.path().join("root")));
        let client = box_
            .command(&["run", "-i", "--name", "ends", "box", "sh", "-c", "read x; exit 3"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        for name in ["talks", "idle"] {
            box_.detached(name, "while :; do echo a line of a log that has no room; sleep 0.01; done");
        }
        eventually("all three run", || box_.dhow(&["ps", "-q"]).lines().len() == 3);
        fill(&disk);
        let ended = client.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(box_.dhow(&["ps", "-a"]).lines().len(), 4, "it can be looked at");
        box_.dhow(&["stop", "-t", "0", "idle"]).ok();
        box_.dhow(&["rm", "-f", "talks"]).ok();
        box_.dhow(&["rm", "idle", "ends"]).ok();
        box_.dhow(&["image", "prune", "-f"]).ok();
        box_.dhow(&["rmi", "box"]).ok();
        box_.assert_empty();
        fs::remove_file(disk.path().join("filler")).unwrap();
        box_.assert_nothing_left();
    }
}
