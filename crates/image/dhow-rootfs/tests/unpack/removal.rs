//! Removing trees: `dhow_sys::tree::remove_all`, on what a hostile layer may leave.

use crate::place::Place;
use dhow_sys::tree::{self, Tree};
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};

fn remove(place: &Place, name: &str) {
    tree::remove_all(Tree::open(&place.path).unwrap().root(), OsStr::new(name)).unwrap();
    assert!(place.join(name).symlink_metadata().is_err());
}

#[test]
fn files_links_and_nothing() {
    let place = Place::new();
    std::fs::write(place.join("file"), "").unwrap();
    std::fs::create_dir(place.join("target")).unwrap();
    std::fs::write(place.join("target/stays"), "").unwrap();
    symlink("target", place.join("link")).unwrap();
    for name in ["file", "link", "missing"] {
        remove(&place, name);
    }
    assert!(place.join("target/stays").exists());
    let here = Tree::open(&place.path).unwrap();
    for bad in ["", ".", "..", "a/b", "/"] {
        assert!(tree::remove_all(here.root(), OsStr::new(bad)).is_err(), "{bad:?}");
    }
    assert!(here.remove_all("target/../..".as_ref()).is_err());
}

#[test]
fn links_inside_are_not_followed() {
    let place = Place::new();
    std::fs::create_dir_all(place.join("doomed/a/b")).unwrap();
    std::fs::create_dir(place.join("victim")).unwrap();
    std::fs::write(place.join("victim/stays"), "").unwrap();
    symlink("../../victim", place.join("doomed/a/link")).unwrap();
    symlink("/", place.join("doomed/root")).unwrap();
    std::fs::set_permissions(place.join("doomed/a/b"), std::fs::Permissions::from_mode(0o0)).unwrap();
    std::fs::set_permissions(place.join("doomed/a"), std::fs::Permissions::from_mode(0o0)).unwrap();
    remove(&place, "doomed");
    assert!(place.join("victim/stays").exists());
}

#[test]
fn thousands_of_levels_and_few_open_files() {
    let place = Place::new();
    let tree = place.tree("deep");
    let mut at = tree.root().try_clone_to_owned().unwrap();
    for level in 0..3000 {
        // Siblings before and after, so that coming up again has work left to do.
        if level % 100 == 0 {
            for name in ["0", "z"] {
                tree::make_directory(at.as_fd(), OsStr::new(name), 0o755).unwrap();
                let fd = tree::open_name(at.as_fd(), OsStr::new(name), OFlags::PATH).unwrap();
                tree::create_file(fd.as_fd(), OsStr::new("file"), 0o644).unwrap();
            }
        }
        tree::make_directory(at.as_fd(), OsStr::new("d"), 0o755).unwrap();
        at = tree::open_name(at.as_fd(), OsStr::new("d"), OFlags::PATH | OFlags::DIRECTORY).unwrap();
    }
    drop(at);
    remove(&place, "deep");
}

#[test]
fn wide_directories() {
    let place = Place::new();
    for n in 0..1500 {
        std::fs::create_dir_all(place.join(format!("wide/{n}"))).unwrap();
        std::fs::write(place.join(format!("wide/f{n}")), "").unwrap();
    }
    remove(&place, "wide");
}

#[test]
fn a_tree_resolves_inside_itself() {
    let place = Place::new();
    let tree = place.tree("root");
    std::fs::create_dir_all(place.join("root/a/b")).unwrap();
    symlink("/a", place.join("root/abs")).unwrap();
    symlink("../../../../a", place.join("root/up")).unwrap();
    symlink("/proc/self/root", place.join("root/magic")).unwrap();
    for path in ["a/b", "/a/b", "abs/b", "up/b", "../../a/b"] {
        assert!(tree.resolve(path.as_ref()).is_ok(), "{path}");
    }
    assert!(tree.resolve("magic".as_ref()).is_err());
    assert!(tree.open_directory("abs/b".as_ref()).is_err(), "no links at all here");
    assert!(tree.open_directory("a/../a".as_ref()).is_ok() || tree.open_directory("a/b".as_ref()).is_ok());
    assert!(tree.open_directory("..".as_ref()).is_err());
    let (dir, name) = tree.open_parent("abs/new".as_ref()).unwrap();
    tree::make_directory(dir.as_fd(), &name, 0o755).unwrap();
    assert!(place.join("root/a/new").is_dir());
    tree.remove_all("up/new".as_ref()).unwrap();
    assert!(!place.join("root/a/new").exists());
}
