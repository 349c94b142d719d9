//! Archives that try to reach outside. The tree lies beside a file that none of them may change or read.

use crate::archive::{Member, archive, dir, file, hard, symlink};
use crate::place::{Place, describe, listing, unpack_above, unpack_bottom};
use dhow_rootfs::{Outcome, RootfsError};
use std::path::Path;

/// Unpacks beside a victim, checks that it is as it was, and says what came of it.
fn attack(members: &[Member]) -> (Place, Result<Outcome, RootfsError>) {
    let place = Place::new();
    let victim = place.join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), "untouched").unwrap();
    let before = (describe(&victim), describe(&victim.join("file")));
    let outcome = unpack_above(&place, "layer", &archive(members), None, true);
    assert_eq!(before, (describe(&victim), describe(&victim.join("file"))));
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 1);
    let beside = std::fs::read_dir(&place.path).unwrap().count();
    assert_eq!(beside, 2, "nothing new beside the layer");
    (place, outcome)
}

fn refused(members: &[Member]) {
    let (_place, outcome) = attack(members);
    assert!(matches!(outcome, Err(RootfsError::Entry { .. })), "{outcome:?}");
}

#[test]
fn dots_in_paths_are_refused() {
    for path in ["../victim/file", "a/../../victim/file", "/../victim/file", "a/..", "..", "./../x"] {
        refused(&[file(path, "evil")]);
        refused(&[symlink(path, "evil")]);
        refused(&[dir(path)]);
        refused(&[file("f", ""), hard("x", path)]);
    }
    refused(&[file("x", "").long_name("../victim/file")]);
    refused(&[file("x", "").pax("path", "../victim/file")]);
    refused(&[file("x", "").pax("GNU.sparse.name", "../victim/file")]);
    refused(&[file("f", ""), hard("x", "y").pax("linkpath", "../victim/file")]);
}

#[test]
fn absolute_paths_stay_inside() {
    let (place, outcome) = attack(&[file("/victim/file", "inside")]);
    outcome.unwrap();
    assert_eq!(listing(&place.join("layer")), ["d victim", "f victim/file"]);
}

#[test]
fn through_links_out_of_the_tree() {
    for target in ["../victim", "/../../victim", "../../../../../../victim", "x/../../victim"] {
        let (place, outcome) = attack(&[symlink("link", target), file("link/file", "evil")]);
        outcome.unwrap();
        assert_eq!(std::fs::read(place.join("layer/victim/file")).unwrap(), b"evil", "{target}");
    }
    let (place, outcome) = attack(&[symlink("link", "/"), file("link/etc/passwd", "evil")]);
    outcome.unwrap();
    assert_eq!(listing(&place.join("layer")), ["d etc", "f etc/passwd", "l link"]);
    // A chain, and a link that is reached through another.
    let (_place, outcome) = attack(&[
        symlink("a", "."),
        symlink("b", "a/.."),
        symlink("c", "b/../victim"),
        file("c/file", "evil"),
        file("a/b/../c/file", "evil"),
    ]);
    assert!(outcome.is_err());
}

#[test]
fn the_last_component_is_never_followed() {
    let (place, outcome) = attack(&[
        symlink("file", "../victim/file"),
        file("file", "mine"),
        symlink("dir", "../victim"),
        dir("dir").mode(0o777),
        symlink("meta", "../victim/file"),
        symlink("meta2", "../victim"),
        hard("hard", "meta"),
    ]);
    outcome.unwrap();
    assert_eq!(listing(&place.join("layer")), ["d dir", "f file", "l hard", "l meta", "l meta2"]);
}

#[test]
fn a_directory_swapped_for_a_link_in_between() {
    let (place, outcome) =
        attack(&[dir("d"), file("d/one", ""), symlink("d", "../victim"), file("d/file", "evil"), file("d/two", "")]);
    outcome.unwrap();
    assert_eq!(listing(&place.join("layer")), ["l d", "d victim", "f victim/file", "f victim/two"]);
    // And back again: what was open of the old directory is not used for the new one.
    let (place, outcome) = attack(&[
        symlink("d", "../victim"),
        file("d/one", ""),
        dir("d"),
        file("d/two", ""),
        file("d", ""),
        dir("d"),
        dir("d/sub"),
        file("d/sub/three", ""),
    ]);
    outcome.unwrap();
    assert_eq!(listing(&place.join("layer")), ["d d", "d d/sub", "f d/sub/three", "d victim", "f victim/one"]);
}

#[test]
fn hard_links_stay_inside() {
    for target in ["/etc/passwd", "victim/file", "/victim/file"] {
        let (_place, outcome) = attack(&[hard("x", target)]);
        assert!(matches!(outcome, Err(RootfsError::MissingTarget { .. })), "{outcome:?}");
    }
    for link in ["/", "..", "../victim", "/proc/self/root", "/proc/self/cwd"] {
        let (_place, outcome) = attack(&[symlink("link", link), hard("x", "link/etc/passwd")]);
        assert!(matches!(outcome, Err(RootfsError::MissingTarget { .. })), "{outcome:?}");
    }
    // Writing to a name that is linked to something else writes to a new file.
    let (place, outcome) = attack(&[file("a", "first"), hard("b", "a"), file("b", "second")]);
    outcome.unwrap();
    assert_eq!(std::fs::read(place.join("layer/a")).unwrap(), b"first");
}

#[test]
fn names_that_are_links_are_deleted_not_followed() {
    let (place, outcome) =
        attack(&[symlink("l", "../victim"), file(".wh.l", ""), symlink("m", "../victim"), file("m/.wh.file", "")]);
    outcome.unwrap();
    assert_eq!(listing(&place.join("layer")), ["l m", "d victim"]);
    let (_place, outcome) = attack(&[symlink("d", "../victim"), file("d/.wh..wh..opq", "")]);
    outcome.unwrap();
}

#[test]
fn removing_a_tree_does_not_follow_its_links() {
    let (_place, outcome) = attack(&[dir("d"), symlink("d/l", "../../victim"), symlink("d/m", "/"), file("d", "")]);
    outcome.unwrap();
}

#[test]
fn content_does_not_become_entries() {
    // CVE-2025-62518: the size in the PAX header governs, whatever the plain header says.
    let evil = archive(&[file("evil", "x")]);
    for (plain, told) in [(0, evil.len()), (evil.len() as u64, evil.len())] {
        let outer = Member::new(b'0', "data").pax("size", told.to_string()).hidden_body(&evil).size(plain);
        let (place, outcome) = attack(&[outer, file("after", "")]);
        outcome.unwrap();
        assert_eq!(listing(&place.join("layer")), ["f after", "f data"]);
    }
}

#[test]
fn odd_names_are_only_names() {
    let place = Place::new();
    let members = [file("...", ""), file("a\\..\\b", ""), file("-rf", ""), file(" ", ""), file("~root", ""), dir("*")];
    unpack_bottom(&place, &archive(&members)).unwrap();
    assert_eq!(std::fs::read_dir(place.join("layer")).unwrap().count(), 6);
    let error = unpack_bottom(&Place::new(), &archive(&[file(&"n".repeat(300), "")])).unwrap_err();
    assert!(matches!(error, RootfsError::Apply { .. }), "{error}");
    assert!(!Path::new("/n").exists());
}
