//! Full disks, and file systems that lack something.

use crate::archive::{archive, dir, file};
use crate::place::{Place, unpack_bottom};
use dhow_rootfs::{Limits, NoObserver, RootfsError, UnpackJob, unpack};
use dhow_spec::error_kind::{Classify, Kind};
use std::process::Command;

/// Runs one of the ignored tests below, with the temporary directory on a small file system of its own.
fn inside(test: &str, options: &str) {
    let script = "mount -t tmpfs -o \"$1\" none /mnt && TMPDIR=/mnt exec \"$2\" --exact \"$3\" --ignored --nocapture";
    let me = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-ec", script, "sh", options]).arg(me).arg(test);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_full_disk_names_the_entry() {
    inside("space::on_a_small_file_system", "size=4m");
}

#[test]
#[ignore = "run by the test above, on a file system of four megabytes"]
fn on_a_small_file_system() {
    let place = Place::new();
    let big = "x".repeat(6 << 20);
    let error = unpack_bottom(&place, &archive(&[dir("a"), file("a/big", &big)])).unwrap_err();
    assert_eq!(error.to_string(), "no space left on the device while unpacking \"a/big\"");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.hint().is_some());
}

#[test]
fn no_inodes_left() {
    inside("space::with_few_inodes", "size=4m,nr_inodes=20");
}

#[test]
#[ignore = "run by the test above, on a file system of twenty inodes"]
fn with_few_inodes() {
    let members: Vec<_> = (0..30).map(|n| dir(&format!("d{n}"))).collect();
    let error = unpack_bottom(&Place::new(), &archive(&members)).unwrap_err();
    assert!(matches!(error, RootfsError::NoSpace { .. }), "{error}");
}

#[test]
fn a_reserve_is_kept() {
    let bytes = archive(&[file("f", "x")]);
    let place = Place::new();
    let limits = Limits { keep_free: u64::MAX / 2, ..Limits::default() };
    let job = UnpackJob { below: None, bottom: true, hash: false, observer: &mut NoObserver, limits };
    let error = unpack(&mut &bytes[..], &place.tree("layer"), job).unwrap_err();
    assert!(matches!(error, RootfsError::NoSpace { source: None, .. }), "{error}");
    // A large file is refused by what its header claims, before its content is there.
    let claim = file("f", "").size(0o77_777_777_777);
    let limits = Limits { keep_free: 1 << 50, ..Limits::default() };
    let job = UnpackJob { below: None, bottom: true, hash: false, observer: &mut NoObserver, limits };
    let error = unpack(&mut &claim.bytes()[..], &place.tree("claim"), job).unwrap_err();
    assert!(matches!(error, RootfsError::NoSpace { source: None, .. }), "{error}");
}
