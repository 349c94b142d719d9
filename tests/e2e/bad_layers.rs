//! Layers that want out of their directory, or more than there is: refused, or kept within it; the host is not touched.

use std::fs;

use crate::harness::{Folder, Layer, Layout, Stacked, Store};

/// Loads one layer over a base; whatever comes of it, nothing lies outside the store and the store is sound.
#[track_caller]
fn contained(layer: Layer, outside: &Folder) -> bool {
    let before = listing(outside);
    let store = Store::new();
    let base = Layer::new()
        .dir("etc/", 0o755)
        .file("etc/passwd", "in the image")
        .symlink("out", outside.path().to_str().unwrap())
        .tar();
    let ran = store.load(&Layout::new("one:first", &[base, layer.tar()]).tar());
    assert!(matches!(ran.code, Some(0 | 1)) && !ran.stderr.contains("panicked"), "{ran}");
    assert_eq!(listing(outside), before, "the host was touched: {ran}");
    if ran.code == Some(0) {
        store.assert_sound()
    } else {
        store.assert_empty()
    }
    ran.code == Some(0)
}

fn listing(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

fn outside() -> Folder {
    let folder = Folder::new("outside");
    folder.file("victim", "untouched");
    folder
}

#[test]
fn paths_that_climb() {
    let outside = outside();
    let target = outside.path().to_str().unwrap();
    let climbing = format!("../../../../../../../../../../..{target}/victim");
    for path in ["../escaped", "a/../../../escaped", "/../escaped", "..", "./../.."] {
        contained(Layer::new().file(path, "escaped"), &outside);
    }
    contained(Layer::new().file(&climbing, "escaped"), &outside);
    contained(Layer::new().dir(&format!("..{target}/new/"), 0o777), &outside);
    contained(Layer::new().file(&format!("{target}/new"), "absolute"), &outside);
    contained(Layer::new().whiteout(&format!("../../../../../../../..{target}/victim")), &outside);
}

#[test]
fn absolute_paths_are_within_the_image() {
    let store = Store::new();
    store.load(&Layout::new("one:first", &[Layer::new().file("/etc/absolute", "x").tar()]).tar()).ok();
    assert!(store.layers("one:first")[0].join("etc/absolute").exists());
}

#[test]
fn through_symbolic_links() {
    let outside = outside();
    let target = outside.path().to_str().unwrap();
    // A link of the layer's own, absolute and relative; of a lower layer; to a file; in the middle of a path.
    contained(Layer::new().symlink("here", target).file("here/new", "escaped"), &outside);
    contained(Layer::new().symlink("up", "../../../../../../..").file(&format!("up{target}/new"), "escaped"), &outside);
    contained(Layer::new().file("out/new", "escaped"), &outside);
    contained(Layer::new().symlink("file", &format!("{target}/victim")).file("file", "escaped"), &outside);
    contained(Layer::new().symlink("here", target).dir("here/", 0o777).file("here/new", "escaped"), &outside);
    contained(Layer::new().symlink("here", target).whiteout("here/victim"), &outside);
    contained(Layer::new().symlink("here", target).opaque("here"), &outside);
    contained(Layer::new().symlink("a", "b").symlink("b", "a").file("a/x", "loop"), &outside);
}

#[test]
fn hard_links_to_the_host() {
    let outside = outside();
    let victim = format!("{}/victim", outside.path().to_str().unwrap());
    contained(Layer::new().hard_link("mine", &victim).file("mine", "escaped"), &outside);
    contained(
        Layer::new().hard_link("mine", &format!("../../../../../../../..{victim}")).file("mine", "escaped"),
        &outside,
    );
    contained(
        Layer::new().symlink("here", outside.path().to_str().unwrap()).hard_link("mine", "here/victim"),
        &outside,
    );
    let store = Store::new();
    let layer = Layer::new().hard_link("mine", "/etc/passwd").tar();
    let base = Layer::new().dir("etc/", 0o755).file("etc/passwd", "in the image").tar();
    if store.load(&Layout::new("one:first", &[base, layer]).tar()).code == Some(0) {
        let stacked = Stacked::new(&store.layers("one:first"));
        assert_eq!(fs::read_to_string(stacked.path().join("mine")).unwrap(), "in the image");
    }
}

#[test]
fn a_hard_link_to_nothing_is_named() {
    let store = Store::new();
    store
        .load(&Layout::new("one:first", &[Layer::new().hard_link("mine", "no/such/file").tar()]).tar())
        .fails(&["no/such/file"]);
    store.assert_empty();
}

#[test]
fn names_of_the_store_s_own_making() {
    let outside = outside();
    // overlay's own marks must not be forged: a device 0:0, its attributes, whiteouts of the layer's root.
    contained(Layer::new().whiteout("."), &outside);
    contained(Layer::new().file(".wh.", "x"), &outside);
    contained(Layer::new().file(".wh...", "x"), &outside);
    contained(Layer::new().file(".wh..", "x"), &outside);
    contained(Layer::new().file("d/.wh..wh.plnk/1.2", "x"), &outside);
    contained(Layer::new().pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc")]).dir("moved/", 0o755), &outside);
    contained(Layer::new().pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")]).dir("etc/", 0o755), &outside);
    contained(Layer::new().entry("zero", b'3', "", b"", |_| {}), &outside);
}

#[test]
fn forged_overlay_marks_hide_nothing() {
    let store = Store::new();
    let base = Layer::new().dir("etc/", 0o755).file("etc/passwd", "in the image").tar();
    let forged = Layer::new().pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")]).dir("etc/", 0o755).tar();
    if store.load(&Layout::new("one:first", &[base, forged]).tar()).code == Some(0) {
        let stacked = Stacked::new(&store.layers("one:first"));
        assert!(stacked.path().join("etc/passwd").exists());
    }
}

#[test]
fn very_deep_paths() {
    let outside = outside();
    let deep = "d/".repeat(3000);
    contained(Layer::new().pax(&[("path", format!("{deep}file").as_bytes())]).file("short", "x"), &outside);
    let mut layer = Layer::new();
    for depth in 1..=400 {
        let path = "deep-folder/".repeat(depth);
        layer = layer.pax(&[("path", path.as_bytes())]).dir("short/", 0o755);
    }
    contained(layer, &outside);
    let long = "n".repeat(5000);
    assert!(
        !contained(Layer::new().pax(&[("path", long.as_bytes())]).file("short", "x"), &outside),
        "no name is that long"
    );
}

#[test]
fn pax_headers_without_measure() {
    let outside = outside();
    // Declared: a gigabyte of records; there: a few bytes.
    let declared = Layer::new().entry("PaxHeaders/x", b'x', "", b"", |header| header.set_size(1 << 30));
    assert!(!contained(declared.file("f", "x"), &outside));
    // There: 64 MiB in one record.
    let huge = vec![b'x'; 64 << 20];
    assert!(!contained(Layer::new().pax(&[("comment", &huge)]).file("f", "x"), &outside));
    // GNU long names the same.
    assert!(!contained(Layer::new().entry("././@LongLink", b'L', "", &huge, |_| {}).file("f", "x"), &outside));
    for broken in ["5 a=b", "99 a=b\n", "x a=b\n", "-1 a=b\n", "6a=bcd\n", "0 \n", "7 abcd\n"] {
        assert!(
            !contained(
                Layer::new().entry("PaxHeaders/x", b'x', "", broken.as_bytes(), |_| {}).file("f", "x"),
                &outside
            ),
            "{broken:?}"
        );
    }
    for (key, value) in
        [("size", "-1"), ("size", "99999999999999999999"), ("uid", "x"), ("mtime", "soon"), ("size", "")]
    {
        let layer = Layer::new().pax(&[(key, value.as_bytes())]).file("f", "x");
        contained(layer, &outside);
    }
    contained(Layer::new().pax(&[("path", b"")]).file("f", "x"), &outside);
    contained(Layer::new().pax(&[("path", b"a\0b")]).file("f", "x"), &outside);
}

#[test]
fn headers_that_lie() {
    let outside = outside();
    let mut spoiled = Layer::new().file("f", "x").cut();
    spoiled[0] ^= 1;
    assert!(!contained(Layer::new().content(&spoiled).file("g", "x"), &outside), "a wrong checksum");
    // More content declared than there is.
    assert!(!contained(Layer::new().entry("f", b'0', "", b"", |header| header.set_size(1 << 40)), &outside));
    // A directory, a link and a device that declare content.
    for kind in [b'5', b'2', b'3', b'6'] {
        contained(Layer::new().entry("f", kind, "etc", b"content", |_| {}).file("g", "x"), &outside);
    }
    contained(Layer::new().entry("f", b'Z', "", b"", |_| {}), &outside);
    contained(Layer::new().entry("f", b'S', "", b"", |header| header.set_size(512)), &outside);
}
