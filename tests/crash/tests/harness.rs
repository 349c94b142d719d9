//! The harness must be able to fail: run against a small store (src/bin/stand_in) it finds nothing when that is right, and
//! finds each mistake that can be asked of it.
//!
//! These tests need root: layers hold files of other users, and a power cut needs mounts.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const HARNESS: &str = env!("CARGO_BIN_EXE_dhow-crash");
const STAND_IN: &str = env!("CARGO_BIN_EXE_dhow-crash-stand-in");

/// Loop devices belong to the machine: one power cut at a time, so that none is taken for another's.
static DEVICES: Mutex<()> = Mutex::new(());

struct Work(PathBuf);

impl Work {
    fn new(name: &str) -> Work {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dhow-crash-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Work(path)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn permitted() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// Runs the harness on the stand-in with one fault.
fn harness(fault: &str, work: &Path, line: &str) -> (Option<i32>, String) {
    let _alone = line.starts_with("power-cut").then(|| DEVICES.lock().unwrap_or_else(PoisonError::into_inner));
    let output: Output = Command::new(HARNESS)
        .args(line.split_whitespace())
        .args(["--dhow", STAND_IN, "--work"])
        .arg(work)
        .env("DHOW_STAND_IN_FAULT", fault)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

fn finds_nothing(line: &str) -> String {
    let work = Work::new("right");
    let (code, text) = harness("", &work.0, line);
    assert_eq!(code, Some(0), "{text}");
    text
}

fn finds(fault: &str, line: &str) {
    if !permitted() {
        return;
    }
    let work = Work::new(fault);
    let (code, text) = harness(fault, &work.0, line);
    assert_eq!(code, Some(1), "{fault} was not found: {text}");
    assert!(text.contains("VIOLATION"), "{text}");
    let kept = text.lines().find_map(|line| line.trim().strip_prefix("store kept in ")).unwrap();
    assert!(Path::new(kept).read_dir().unwrap().next().is_some(), "{kept} is empty");
}

#[test]
fn a_right_store_survives_random_kills_of_every_scenario() {
    if permitted() {
        let text = finds_nothing("kill --random 120 --seed 5");
        assert!(text.contains("0 violations"), "{text}");
    }
}

#[test]
fn an_exhaustive_run_kills_at_each_step() {
    if permitted() {
        let text = finds_nothing("kill --exhaustive --scenario tag-new --jobs 1");
        let row: Vec<&str> =
            text.lines().find(|line| line.starts_with("tag-new")).unwrap().split_whitespace().collect();
        // Steps, trials, kills at a call: each step once, and one run to its end.
        let number = |index: usize| row[index].parse::<u64>().unwrap();
        assert!(number(1) > 5, "{text}");
        assert_eq!((number(2), number(3)), (number(1) + 1, number(1)), "{text}");
    }
}

#[test]
fn an_image_entered_before_its_layers_is_found() {
    finds("ledger-first", "kill --random 60 --scenario load-fresh");
}

#[test]
fn a_layer_unpacked_in_place_is_found() {
    finds("unpack-in-place", "kill --random 60 --scenario load-fresh");
}

#[test]
fn work_left_behind_is_found() {
    finds("keep-work", "kill --random 30 --scenario load-shared");
}

#[test]
fn files_without_an_owner_are_found() {
    finds("keep-orphans", "kill --random 60 --scenario rmi-last-tag");
}

#[test]
fn a_ledger_overwritten_in_place_is_found() {
    finds("ledger-in-place", "kill --exhaustive --scenario tag-moving");
}

#[test]
fn an_archive_written_in_place_is_found() {
    finds("save-in-place", "kill --random 20 --scenario save");
}

#[test]
fn files_removed_before_their_row_are_found() {
    finds("files-first", "kill --random 60 --scenario rmi-last-tag");
}

#[test]
fn two_commands_without_a_lock_are_found() {
    finds("no-lock", "kill --random 300 --scenario load-beside-other --scenario rmi-beside-load");
}

#[test]
fn a_violation_is_found_again_by_its_replay() {
    if !permitted() {
        return;
    }
    let work = Work::new("replay");
    let (_, text) = harness("save-in-place", &work.0, "kill --random 20 --scenario save");
    let replay = text.lines().find_map(|line| line.trim().strip_prefix("again: dhow-crash ")).unwrap();
    let output = Command::new(HARNESS)
        .args(replay.split_whitespace())
        .env("DHOW_STAND_IN_FAULT", "save-in-place")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{replay}");
}

#[test]
fn a_store_that_flushes_survives_power_cuts() {
    if permitted() {
        finds_nothing("power-cut --cuts 30 --seed 5");
    }
}

#[test]
fn a_store_that_does_not_flush_loses_what_it_promised() {
    finds("no-sync", "power-cut --cuts 20");
}

#[test]
fn layers_that_are_not_flushed_are_found() {
    finds("no-sync-of-layers", "power-cut --cuts 30");
}

#[test]
fn after_an_interrupt_no_mount_and_no_loop_device_stays() {
    if !permitted() {
        return;
    }
    let _alone = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let work = Work::new("interrupt");
    let mut child = Command::new(HARNESS)
        .args(["power-cut", "--cuts", "100000", "--dhow", STAND_IN, "--work"])
        .arg(&work.0)
        .spawn()
        .unwrap();
    let place = work.0.display().to_string();
    // The child's own view: nobody else sees its mounts.
    let mounts = format!("/proc/{}/mounts", child.id());
    let device = || {
        let mounts = std::fs::read_to_string(&mounts).unwrap_or_default();
        let line = mounts.lines().find(|line| line.starts_with("/dev/loop") && line.contains(&place))?;
        line["/dev/".len()..].split(' ').next().map(str::to_owned)
    };
    let device = wait_for(device).expect("no loop device was ever seen");
    child.kill().unwrap();
    child.wait().unwrap();
    let bound = PathBuf::from(format!("/sys/block/{device}/loop"));
    assert!(wait_for(|| (!bound.exists()).then_some(())).is_some(), "{device} is left");
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().contains(&place));
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    (0..2000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        condition()
    })
}
