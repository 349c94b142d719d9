//! Layers that are not whole by themselves.

use crate::archive::{Member, archive, dir, file, hard, symlink};
use crate::place::{Place, describe, listing, look, unpack_above, unpacked};
use dhow_rootfs::{Below, Outcome, RootfsError, Unpacked, settle};
use dhow_sys::tree::Tree;
use std::path::{Path, PathBuf};

/// Unpacks lower layers, bottom first, and then one above them: alone, settled where that is possible, and on top of
/// them. Either way must give the same.
fn stack(place: &Place, lowers: &[&[Member]], upper: &[Member]) -> Result<Unpacked, RootfsError> {
    let mut below: Vec<PathBuf> = Vec::new();
    for (n, members) in lowers.iter().enumerate() {
        let name = format!("lower{n}");
        let unpacked = unpacked(unpack_above(place, &name, &archive(members), Some(&below), n == 0).unwrap());
        assert!(unpacked.whole, "lower layers of these tests are");
        below.insert(0, place.join(name));
    }
    let alone = unpack_above(place, "alone", &archive(upper), None, false).unwrap();
    let settled = match alone {
        Outcome::Unpacked(_) => panic!("it is whole by itself"),
        Outcome::NeedsBelow { .. } => false,
        Outcome::Unsettled(unpacked, unsettled) => {
            assert!(!unpacked.whole);
            let tree = Tree::open(&place.join("alone")).unwrap();
            settle(&tree, &unsettled, &Below::open(&below).unwrap()).unwrap()
        }
    };
    let unpacked = unpack_above(place, "layer", &archive(upper), Some(&below), false).map(unpacked)?;
    if settled {
        assert_eq!(look(&place.join("alone")), look(&place.join("layer")));
    }
    Ok(unpacked)
}

#[test]
fn what_is_missing_is_named() {
    let place = Place::new();
    let members = [dir("a"), file("a/b/c/d", ""), file("z/x", "")];
    let outcome = unpack_above(&place, "layer", &archive(&members), None, false).unwrap();
    assert!(matches!(outcome, Outcome::Unsettled(..)), "{outcome:?}");
    let outcome = unpack_above(&place, "link", &archive(&[hard("x", "lower/file")]), None, false).unwrap();
    assert_eq!(outcome, Outcome::NeedsBelow { path: "lower/file".into() });
}

#[test]
fn a_bottom_layer_that_would_look_different_elsewhere_is_not_whole() {
    let place = Place::new();
    for (n, members) in [vec![file("a/b", "")], vec![dir("a"), file("a/.wh.b", "")]].iter().enumerate() {
        let unpacked = unpacked(unpack_above(&place, &n.to_string(), &archive(members), None, true).unwrap());
        assert!(!unpacked.whole, "{n}");
    }
}

#[test]
fn implied_parents_look_as_below() {
    let place = Place::new();
    let lower = [
        dir("srv").mode(0o2750).owner(10, 20).mtime(111).pax("SCHILY.xattr.user.keep", "me"),
        dir("srv/data").mode(0o1777).owner(11, 21).mtime(222),
        file("srv/data/old", ""),
    ];
    let unpacked = stack(&place, &[&lower], &[file("srv/data/new", "x"), file("none/here", "y").mtime(9)]).unwrap();
    assert!(!unpacked.whole);
    let layer = place.join("layer");
    assert_eq!(listing(&layer), ["d none", "f none/here", "d srv", "d srv/data", "f srv/data/new"]);
    let (srv, data) = (describe(&layer.join("srv")), describe(&layer.join("srv/data")));
    assert_eq!((srv.mode, srv.owner, srv.mtime), (0o2750, (10, 20), (111, 0)));
    assert_eq!(srv.xattrs["user.keep"], b"me");
    assert_eq!((data.mode, data.owner, data.mtime), (0o1777, (11, 21), (222, 0)));
    let none = describe(&layer.join("none"));
    assert_eq!((none.mode, none.owner, none.mtime), (0o755, (0, 0), (9, 0)));
}

#[test]
fn a_name_later_in_the_archive_wins_over_what_is_below() {
    let place = Place::new();
    let lower = [dir("d").mode(0o700).pax("SCHILY.xattr.user.lower", "1")];
    stack(&place, &[&lower], &[file("d/f", ""), dir("d").mode(0o711), file("e/f", "")]).unwrap();
    let seen = describe(&place.join("layer/d"));
    assert_eq!(seen.mode, 0o711);
    assert!(seen.xattrs.is_empty());
}

#[test]
fn merged_usr() {
    let place = Place::new();
    let lower = [dir("usr"), dir("usr/lib").mode(0o711), symlink("lib", "usr/lib"), symlink("lib64", "/lib")];
    let upper = [file("lib/modules/x", ""), file("lib64/y", ""), hard("lib/z", "lib64/y")];
    stack(&place, &[&lower], &upper).unwrap();
    let layer = place.join("layer");
    assert_eq!(
        listing(&layer),
        ["d usr", "d usr/lib", "d usr/lib/modules", "f usr/lib/modules/x", "f usr/lib/y", "f usr/lib/z"]
    );
    assert_eq!(describe(&layer.join("usr/lib")).mode, 0o711);
}

#[test]
fn a_link_of_the_layer_into_what_is_below() {
    let place = Place::new();
    let lower = [dir("target").mode(0o700), dir("target/sub").mode(0o701)];
    stack(&place, &[&lower], &[symlink("way", "target"), file("way/sub/x", "")]).unwrap();
    assert_eq!(listing(&place.join("layer")), ["d target", "d target/sub", "f target/sub/x", "l way"]);
    assert_eq!(describe(&place.join("layer/target/sub")).mode, 0o701);
}

#[test]
fn lookups_see_what_overlayfs_shows() {
    let place = Place::new();
    let bottom = [
        dir("deleted").mode(0o700),
        dir("opaque").mode(0o701),
        dir("opaque/gone").mode(0o702),
        dir("merged").mode(0o703),
        dir("merged/deep").mode(0o704),
        dir("replaced").mode(0o705),
    ];
    let middle = [
        file(".wh.deleted", ""),
        dir("opaque").mode(0o711),
        file("opaque/.wh..wh..opq", ""),
        dir("merged").mode(0o713),
        symlink("replaced", "merged"),
    ];
    let upper = [file("deleted/x", ""), file("opaque/gone/x", ""), file("merged/deep/x", ""), file("replaced/y", "")];
    stack(&place, &[&bottom, &middle], &upper).unwrap();
    let mode = |path: &str| describe(&place.join("layer").join(path)).mode;
    assert_eq!(mode("deleted"), 0o755, "hidden by a deletion");
    assert_eq!((mode("opaque"), mode("opaque/gone")), (0o711, 0o755), "hidden by an opaque directory");
    assert_eq!((mode("merged"), mode("merged/deep")), (0o713, 0o704), "merged");
    assert_eq!(mode("merged/y"), 0o644, "through a link that replaced a directory");
    assert!(!place.join("layer/replaced").exists());
}

#[test]
fn what_this_layer_hides_is_not_seen() {
    let place = Place::new();
    let lower = [dir("a").mode(0o700), dir("a/b").mode(0o701), file("a/f", "lower"), dir("z").mode(0o702)];
    let upper = [dir("a"), file("a/.wh..wh..opq", ""), file("a/b/x", ""), file("z/y", "")];
    stack(&place, &[&lower], &upper).unwrap();
    assert_eq!(describe(&place.join("layer/a/b")).mode, 0o755);
    let upper = [dir("a"), file("a/.wh..wh..opq", ""), hard("a/g", "a/f")];
    let error = unpack_above(&place, "hidden", &archive(&upper), Some(&[place.join("lower0")]), false).unwrap_err();
    assert!(matches!(error, RootfsError::MissingTarget { .. }));
}

#[test]
fn hard_links_into_below_copy_up() {
    let place = Place::new();
    let lower = [
        dir("etc").mode(0o711),
        file("etc/conf", "content").mode(0o4640).owner(5, 6).mtime(77).pax("SCHILY.xattr.user.a", "b"),
        symlink("etc/sym", "conf").owner(1, 1),
        Member::new(b'3', "etc/null").device(1, 3),
        Member::new(b'6', "etc/pipe").mode(0o622),
        file("etc/holes", "ab").pax("GNU.sparse.size", "3000000").pax("GNU.sparse.map", "1000000,1,2500000,1"),
    ];
    let upper = [
        dir("new"),
        hard("new/conf", "etc/conf"),
        hard("new/conf2", "etc/conf"),
        hard("new/sym", "etc/sym"),
        hard("new/null", "etc/null"),
        hard("new/pipe", "etc/pipe"),
        hard("new/holes", "etc/holes"),
    ];
    assert!(!stack(&place, &[&lower], &upper).unwrap().whole);
    let (below, layer) = (look(&place.join("lower0")), look(&place.join("layer")));
    for name in ["conf", "sym", "null", "pipe", "holes"] {
        let (etc, new) = (Path::new("etc").join(name), Path::new("new").join(name));
        assert_eq!(layer[&new].same_as, etc, "{name} is one file");
        let (mut copy, original) = (layer[&etc].clone(), below[&etc].clone());
        assert_eq!(copy.links, if name == "conf" { 3 } else { 2 });
        copy.links = 1;
        assert!(copy == original, "{name}");
    }
    assert!(layer[Path::new("etc/holes")].has_holes);
    assert_eq!(layer[Path::new("etc")].mode, 0o711);
    let error = unpack_above(&place, "no", &archive(&[hard("a", "etc/none")]), Some(&[place.join("lower0")]), false);
    assert!(matches!(error.unwrap_err(), RootfsError::MissingTarget { .. }));
    let error = unpack_above(&place, "dir", &archive(&[hard("a", "etc")]), Some(&[place.join("lower0")]), false);
    assert!(matches!(error.unwrap_err(), RootfsError::Entry { .. }));
}

#[test]
fn a_file_below_is_no_parent() {
    let place = Place::new();
    let error = stack(&place, &[&[file("a", "")]], &[file("a/b", "")]).unwrap_err();
    assert!(error.to_string().contains("no directory"), "{error}");
}

#[test]
fn what_the_bottom_leaves_out_belongs_to_the_bottom() {
    // The same archive on top of another layer has marks, or a parent with another look: it may not be shared.
    let place = Place::new();
    for (n, members) in
        [vec![file(".wh.a", "")], vec![file("a/b", "")], vec![file("a", ""), dir("a")]].iter().enumerate()
    {
        let outcome = unpack_above(&place, &n.to_string(), &archive(members), None, true).unwrap();
        assert!(!unpacked(outcome).whole);
    }
}

#[test]
fn below_unused_leaves_a_layer_whole() {
    let place = Place::new();
    unpack_above(&place, "lower", &archive(&[dir("a")]), None, true).unwrap();
    let upper = archive(&[dir("a"), file("a/b", ""), file("top", "")]);
    assert!(unpacked(unpack_above(&place, "layer", &upper, Some(&[place.join("lower")]), false).unwrap()).whole);
}

#[test]
fn a_deep_path_that_lies_below_already() {
    let place = Place::new();
    let deep: Vec<_> = (1..=1500).map(|n| dir(&"d/".repeat(n)).mode(0o700 + n as u32 % 8)).collect();
    let upper = [file(&("d/".repeat(1500) + "f"), "")];
    stack(&place, &[&deep, &deep], &upper).unwrap();
    assert_eq!(describe(&place.join("layer").join("d/".repeat(1499))).mode, 0o700 + 1499 % 8);
    // Too many bytes of paths to keep them for later.
    let wide: Vec<_> = (0..10).map(|n| file(&format!("{}{n}/f", "a-name/".repeat(1500 + n)), "")).collect();
    let outcome = unpack_above(&place, "wide", &archive(&wide), None, false).unwrap();
    assert!(matches!(outcome, Outcome::Unsettled(..)));
    let wide: Vec<_> = (0..4).map(|n| file(&format!("{n}/{}f", "a-name/".repeat(1500)), "")).collect();
    let outcome = unpack_above(&place, "wider", &archive(&wide), None, false).unwrap();
    assert!(matches!(outcome, Outcome::NeedsBelow { .. }));
}

#[test]
fn links_below_do_not_lead_out() {
    let place = Place::new();
    std::fs::create_dir(place.join("outside")).unwrap();
    std::fs::write(place.join("outside/secret"), "secret").unwrap();
    let outside = place.join("outside").to_str().unwrap().to_owned();
    let lower = [symlink("abs", &outside), symlink("up", "../outside"), symlink("a", "b"), symlink("b", "a")];
    stack(&place, &[&lower], &[file("abs/x", ""), file("up/y", "")]).unwrap();
    let inside = format!("layer{outside}/x");
    assert!(place.join(&inside).exists() && place.join("layer/outside/y").exists());
    assert_eq!(std::fs::read_dir(place.join("outside")).unwrap().count(), 1);
    let try_it = |name: &str, member: Member| {
        unpack_above(&place, name, &archive(&[member]), Some(&[place.join("lower0")]), false)
    };
    assert!(matches!(try_it("1", hard("x", "up/secret")), Err(RootfsError::MissingTarget { .. })));
    assert!(try_it("2", file("a/x", "")).unwrap_err().to_string().contains("too many"));
}
