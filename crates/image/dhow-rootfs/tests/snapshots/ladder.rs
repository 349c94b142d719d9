//! Each way to mount, forced; what it does with many layers, odd paths, and a kernel that lacks it.

use crate::bench::{assert_same, path_of, read, scratch};
use crate::model::{Layer, Tree};
use dhow_rootfs::mount_plan::{Capabilities, MountMethod, MountPlan, MountPlanError, Writable, probe};
use dhow_rootfs::snapshots::choose;
use dhow_spec::error_kind::{Classify, Kind};
use std::fs;
use std::path::{Path, PathBuf};

fn only(method: MountMethod) -> Capabilities {
    Capabilities { methods: vec![method], user_attributes: false, missing: None }
}

/// So many layers on disk, top first, and what they show.
fn layers(dir: &Path, count: usize) -> (Vec<PathBuf>, Tree) {
    let layers: Vec<Layer> =
        (0..count).map(|n| Layer::new().file(&format!("f{n}"), "x").file("top", &n.to_string())).collect();
    let mut dirs: Vec<PathBuf> = (0..count).map(|n| dir.join(format!("layers/sha256-{n:064x}"))).collect();
    layers.iter().zip(&dirs).for_each(|(layer, dir)| layer.write(dir));
    dirs.reverse();
    (dirs, Tree::of(&layers))
}

fn writable(dir: &Path) -> Writable {
    let writable = Writable::in_directory(dir);
    fs::create_dir_all(&writable.upper).unwrap();
    fs::create_dir_all(&writable.work).unwrap();
    writable
}

/// Mounts read-only and writable by this method, if this kernel has it.
fn works(method: MountMethod, dir: &Path, count: usize) {
    if !probe().methods.contains(&method) {
        eprintln!("{}: this kernel has no such method", method.name());
        return;
    }
    let (dirs, mut expected) = layers(dir, count);
    let view = MountPlan::new(&dirs, None, &only(method)).unwrap().mount();
    let view = view.unwrap_or_else(|e| panic!("{} with {count} layers: {e}", method.name()));
    assert_same(&read(&view), &expected, method.name());
    assert!(fs::write(path_of(&view).join("x"), "").is_err());

    let writable = writable(&dir.join("w"));
    let upper = writable.upper.clone();
    let mount = MountPlan::new(&dirs, Some(writable), &only(method)).unwrap().mount().unwrap();
    fs::write(path_of(&mount).join("new"), "written").unwrap();
    fs::remove_file(path_of(&mount).join("f0")).unwrap();
    assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "written");
    expected.items.retain(|path, _| path != "f0" && !path.is_empty());
    let mut got = read(&mount);
    got.items.retain(|path, _| path != "new" && !path.is_empty());
    assert_same(&got, &expected, method.name());
    // Nothing of it can be seen in this process's own mounts.
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(dir.to_str().unwrap()));
    drop((view, mount));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn every_method_mounts() {
    for method in MountMethod::ALL {
        for count in [2, 63, 106, 128, 500] {
            if method.takes(count) {
                works(method, &scratch(&format!("ladder-{}-{count}", method.name())), count);
            }
        }
    }
}

#[test]
fn every_method_mounts_odd_paths() {
    for method in MountMethod::ALL {
        let dir = scratch(&format!("odd-{}", method.name()));
        for odd in [r"a:b,c\d e=f".to_owned(), "long/".repeat(60), "\u{00fc}\"'#%".to_owned()] {
            works(method, &dir.join(odd), 3);
        }
        let _ = fs::remove_dir_all(&dir);
    }
}

#[test]
fn what_the_kernel_lacks_is_stepped_over() {
    let dir = scratch("step-over");
    let (dirs, expected) = layers(&dir, 128);
    let all = Capabilities { methods: MountMethod::ALL.to_vec(), user_attributes: false, missing: None };
    let plan = MountPlan::new(&dirs, Some(writable(&dir.join("w"))), &all).unwrap();
    let mut got = read(&plan.mount().unwrap());
    let mut expected = expected;
    got.items.remove("");
    expected.items.remove("");
    assert_same(&got, &expected, "mount");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn the_probe_finds_a_method_and_says_so() {
    let found = probe();
    eprintln!("methods: {:?}", found.methods.iter().map(|method| method.name()).collect::<Vec<_>>());
    assert!(found.methods.contains(&MountMethod::OneString) && found.methods.contains(&MountMethod::Page));
    assert!(found.methods.is_sorted());
    assert_eq!(found.missing, None);
}

#[test]
fn refusals_say_what_was_tried() {
    let dir = scratch("refused");
    let (dirs, _) = layers(&dir, 2);
    // An upper directory within procfs: no file system for that.
    let writable = Writable { upper: "/proc/self".into(), work: "/proc/self/task".into() };
    let error = MountPlan::new(&dirs, Some(writable), &probe()).unwrap().mount().unwrap_err();
    eprintln!("{error}");
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    assert!(error.hint().is_some());
    assert!(error.to_string().contains(probe().methods[0].name()), "{error}");

    let missing = [dir.join("nowhere"), dirs[0].clone()];
    let error = MountPlan::new(&missing, None, &only(MountMethod::Fds)).unwrap().mount().unwrap_err();
    if probe().methods.contains(&MountMethod::Fds) {
        assert!(matches!(&error, MountPlanError::Directory { path, .. } if *path == missing[0]), "{error}");
        assert_eq!(error.kind(), Kind::NotFound);
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn overlay_is_chosen_where_it_works() {
    let dir = scratch("choose");
    fs::create_dir(dir.join("scratch")).unwrap();
    let choice = choose(&dir.join("base"), &dir.join("scratch"));
    assert_eq!((choice.snapshots.name(), choice.reason), ("overlay", None));
    assert_eq!(choice.method, Some(probe().methods[0]));
    assert_eq!(fs::read_dir(dir.join("scratch")).unwrap().count(), 0);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn copy_is_chosen_where_overlay_fails() {
    let dir = scratch("choose-copy");
    // On an overlay no upper directory can lie.
    let (dirs, _) = layers(&dir, 2);
    let mount = MountPlan::new(&dirs, Some(writable(&dir.join("w"))), &probe()).unwrap().mount().unwrap();
    let inside = path_of(&mount).join("scratch");
    fs::create_dir(&inside).unwrap();
    let choice = choose(&path_of(&mount).join("base"), &inside);
    let reason = choice.reason.unwrap();
    eprintln!("{reason}");
    assert_eq!((choice.snapshots.name(), choice.method), ("copy", None));
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
    drop(mount);
    fs::remove_dir_all(&dir).unwrap();
}
