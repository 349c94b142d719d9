//! Deletion marks and opaque directories.

use crate::archive::{Member, archive, dir, file, hard, symlink};
use crate::place::{Place, listing, unpack_above, unpack_alone, unpacked};
use dhow_rootfs::RootfsError;

fn upper(members: &[Member]) -> Vec<String> {
    let place = Place::new();
    unpacked(unpack_alone(&place, &archive(members)).unwrap());
    listing(&place.join("layer"))
}

fn refused(members: &[Member]) -> RootfsError {
    unpack_alone(&Place::new(), &archive(members)).unwrap_err()
}

#[test]
fn a_deletion_is_a_device() {
    assert_eq!(upper(&[dir("a"), file("a/.wh.b", ""), file(".wh.c", "")]), ["d a", "w a/b", "w c"]);
    // The name counts, not the kind: aufs made them as hard links.
    assert_eq!(upper(&[hard(".wh.x", ".wh..wh.aufs"), dir(".wh.y")]), ["w x", "w y"]);
}

#[test]
fn order_of_a_deletion_and_its_name() {
    assert_eq!(upper(&[file("a", ""), file(".wh.a", "")]), ["w a"]);
    assert_eq!(upper(&[dir("a"), file("a/b", ""), file(".wh.a", "")]), ["w a"]);
    assert_eq!(upper(&[file(".wh.a", ""), file("a", "")]), ["f a"]);
    assert_eq!(upper(&[file(".wh.a", ""), symlink("a", "x")]), ["l a"]);
    assert_eq!(upper(&[file(".wh.a", ""), dir("a"), file("a/b", "")]), ["d! a", "f a/b"]);
    assert_eq!(upper(&[file(".wh.a", ""), file("a/b", ""), dir("a")]), ["d! a", "f a/b"], "implied, then named");
    assert_eq!(upper(&[file("a", ""), dir("a")]), ["d! a"]);
    assert_eq!(upper(&[dir("a"), file("a", ""), dir("a")]), ["d! a"]);
    assert_eq!(upper(&[dir("a"), dir("a")]), ["d a"]);
    assert_eq!(upper(&[file(".wh.a", ""), file(".wh.a", "")]), ["w a"]);
}

#[test]
fn a_deleted_parent_is_made_anew() {
    // Nothing shows through an opaque directory, so this is whole without being named.
    assert_eq!(upper(&[file(".wh.a", ""), file("a/b/c", "")]), ["d! a", "d a/b", "f a/b/c"]);
}

#[test]
fn opaque_marks_in_any_order() {
    let expect = ["d! a", "f a/b", "d a/c", "f a/c/d"];
    let mark = || file("a/.wh..wh..opq", "");
    assert_eq!(upper(&[dir("a"), mark(), file("a/b", ""), dir("a/c"), file("a/c/d", "")]), expect);
    assert_eq!(upper(&[dir("a"), file("a/b", ""), dir("a/c"), file("a/c/d", ""), mark()]), expect);
    assert_eq!(upper(&[mark(), dir("a"), file("a/b", ""), dir("a/c"), file("a/c/d", "")]), expect);
    assert_eq!(upper(&[mark(), mark(), dir("a")]), ["d! a"]);
}

#[test]
fn the_root_may_be_opaque() {
    let place = Place::new();
    unpacked(unpack_alone(&place, &archive(&[file(".wh..wh..opq", ""), file("a", "")])).unwrap());
    assert_eq!(crate::place::xattrs(&place.join("layer"))["trusted.overlay.opaque"], b"y");
}

#[test]
fn no_marks_where_nothing_shows_through() {
    let members = [file(".wh.a", ""), dir("b"), file("b/.wh..wh..opq", ""), file("c", ""), dir("c")];
    let place = Place::new();
    unpack_above(&place, "layer", &archive(&members), None, true).unwrap();
    assert_eq!(listing(&place.join("layer")), ["d b", "d c"], "the bottom layer");
    // Beneath an opaque directory, whichever comes first: overlayfs would list the marks.
    let mark = || file("a/.wh..wh..opq", "");
    assert_eq!(upper(&[dir("a"), mark(), dir("a/b"), file("a/b/.wh.c", ""), file("a/.wh.d", "")]), ["d! a", "d a/b"]);
    assert_eq!(upper(&[dir("a"), dir("a/b"), file("a/b/.wh.c", ""), file("a/.wh.d", ""), mark()]), ["d! a", "d a/b"]);
}

#[test]
fn reserved_names() {
    let leftovers = [dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), file(".wh..wh.aufs", ""), file("a", "")];
    assert_eq!(upper(&leftovers), ["f a"]);
    for bad in [".wh.", ".wh..", ".wh...", ".wh.a/b", "d/.wh.a/b/c"] {
        assert!(matches!(refused(&[file(bad, "")]), RootfsError::Entry { .. }), "{bad}");
    }
}

#[test]
fn deletions_are_not_forged() {
    let error = refused(&[Member::new(b'3', "dev/x").device(0, 0)]);
    assert!(error.to_string().contains("dev/x") && error.to_string().contains("0:0"), "{error}");
    assert!(matches!(refused(&[file(".wh.a", ""), hard("b", "a")]), RootfsError::MissingTarget { .. }));
}
