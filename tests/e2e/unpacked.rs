//! Unpacked layers, stacked as a container would see them, equal what tar makes of the same layers entry by entry.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Folder, Layer, Layout, Stacked, Store, Tree, made, path, reference, run};

/// Loads these layers and compares; gives the tree for more questions.
#[track_caller]
fn same_as_tar(layers: &[Vec<u8>]) -> Tree {
    let store = Store::new();
    store.load(&Layout::new("x:1", layers).tar()).ok();
    let files: Vec<PathBuf> =
        layers.iter().enumerate().map(|(n, layer)| store.folder().file(&format!("{n}.tar"), layer)).collect();
    let expected = reference(&files);
    let found = Tree::of(&Stacked::new(&store.layers("x:1")).path()).without_root();
    found.assert_same(&Tree::of(&expected.join("root")).without_root());
    store.assert_sound();
    found
}

/// The real images: what a package manager leaves in layers, with whiteouts, set-id programs and capabilities.
#[track_caller]
fn real(name: &str) {
    let store = Store::new();
    let archive = made(&format!("{name}.docker.tar"));
    store.dhow(&["load", "-i", path(&archive)]).ok();
    let image = format!("example.org/{name}:made");
    let (_unpacked, files) = plain_layers(&archive);
    let expected = reference(&files);
    let found = Tree::of(&Stacked::new(&store.layers(&image)).path()).without_root();
    assert!(found.has("srv/app/listen") && !found.has("etc/motd"));
    found.assert_same(&Tree::of(&expected.join("root")).without_root());
}

/// The plain layer tars of a docker archive, bottom first.
fn plain_layers(archive: &Path) -> (Folder, Vec<PathBuf>) {
    let unpacked = Folder::new("archive");
    run(Command::new("tar").arg("-C").arg(unpacked.path()).arg("-xf").arg(archive)).ok();
    let manifest = fs::read(unpacked.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest[0]["Layers"].as_array().unwrap().iter();
    let files: Vec<PathBuf> = layers.map(|layer| unpacked.join(layer.as_str().unwrap())).collect();
    assert!(files.len() > 2, "{manifest}");
    (unpacked, files)
}

#[test]
fn the_reference_itself_is_what_umoci_unpacks() {
    let (_unpacked, files) = plain_layers(&made("nginx.docker.tar"));
    let (expected, bundle) = (reference(&files), Folder::new("bundle"));
    let image = format!("{}:nginx", path(&made("oci")));
    run(Command::new("umoci").args(["unpack", "--image", &image, path(&bundle.join("made"))])).ok();
    Tree::of(&expected.join("root")).assert_same(&Tree::of(&bundle.join("made/rootfs")));
}

#[test]
fn python() {
    real("python");
}

#[test]
fn node() {
    real("node");
}

#[test]
fn nginx() {
    real("nginx");
}

#[test]
fn postgres() {
    real("postgres");
}

#[test]
fn whiteouts_hide_files_folders_and_links() {
    let base = Layer::new()
        .dir("./", 0o755)
        .dir("d/", 0o755)
        .file("d/one", "1")
        .file("d/two", "2")
        .dir("d/sub/", 0o700)
        .file("d/sub/deep", "3")
        .symlink("link", "d")
        .tar();
    let app =
        Layer::new().dir("d/", 0o711).whiteout("d/one").whiteout("d/sub").whiteout("link").file("d/three", "3").tar();
    let tree = same_as_tar(&[base, app]);
    assert!(tree.has("d/two") && tree.has("d/three") && !tree.has("d/one") && !tree.has("d/sub") && !tree.has("link"));
}

#[test]
fn an_opaque_folder_hides_what_is_below_and_not_what_is_beside() {
    let base = Layer::new().dir("d/", 0o755).file("d/old", "1").dir("d/sub/", 0o755).file("d/sub/old", "1").tar();
    // Wherever the mark stands in the archive, only lower layers are hidden.
    let first = Layer::new().dir("d/", 0o755).opaque("d").file("d/new", "2").tar();
    let last = Layer::new().dir("d/", 0o755).dir("d/sub/", 0o750).file("d/sub/new", "2").opaque("d").tar();
    for app in [first, last] {
        let tree = same_as_tar(&[base.clone(), app]);
        assert!(!tree.has("d/old") && !tree.has("d/sub/old"));
    }
}

#[test]
fn a_parent_that_a_layer_does_not_name_keeps_its_rights_from_below() {
    let base = Layer::new()
        .dir("secret/", 0o700)
        .entry("secret/mine/", b'5', "", b"", |header| {
            header.set_mode(0o2750);
            header.set_uid(1000);
            header.set_gid(1001);
        })
        .tar();
    same_as_tar(&[base.clone(), Layer::new().file("secret/mine/file", "x").tar()]);
    same_as_tar(&[base, Layer::new().whiteout("secret/mine/absent").tar()]);
}

#[test]
fn the_same_layer_over_different_ones_is_right_over_each() {
    let store = Store::new();
    let strict = Layer::new().dir("home/", 0o700).tar();
    let open = Layer::new().dir("home/", 0o777).tar();
    let app = Layer::new().file("home/file", "x").tar();
    store.load(&Layout::new("strict:1", &[strict, app.clone()]).tar()).ok();
    store.load(&Layout::new("open:1", &[open, app]).tar()).ok();
    for (image, mode) in [("strict:1", 0o700), ("open:1", 0o777)] {
        let stacked = Stacked::new(&store.layers(image));
        assert_eq!(fs::metadata(stacked.path().join("home")).unwrap().permissions().mode() & 0o7777, mode, "{image}");
    }
    store.assert_sound();
}

#[test]
fn hard_links_hold_within_a_layer_and_into_lower_ones() {
    let base = Layer::new().dir("d/", 0o755).file("d/lower", "lower").tar();
    let app = Layer::new()
        .dir("d/", 0o755)
        .file("d/own", "own")
        .hard_link("d/again", "d/own")
        .hard_link("d/high", "d/lower")
        .tar();
    let tree = same_as_tar(&[base, app]);
    assert!(tree.has("d/high"));
}

#[test]
fn types_replace_each_other() {
    let base = Layer::new().dir("a/", 0o755).file("a/in", "1").file("b", "1").symlink("c", "a").dir("e/", 0o755).tar();
    let app = Layer::new()
        .file("a", "now a file")
        .dir("b/", 0o755)
        .file("b/in", "2")
        .dir("c/", 0o711)
        .symlink("e", "b")
        .tar();
    let tree = same_as_tar(&[base, app]);
    assert!(tree.has("b/in") && !tree.has("a/in"));
}

#[test]
fn every_type_mode_owner_and_time() {
    let layer = Layer::new()
        .entry("fifo", b'6', "", b"", |_| {})
        .entry("char", b'3', "", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .entry("block", b'4', "", b"", |header| {
            header.set_device_major(7).unwrap();
            header.set_device_minor(300).unwrap();
        })
        .entry("setuid", b'0', "", b"program", |header| header.set_mode(0o6755))
        .entry("sticky/", b'5', "", b"", |header| header.set_mode(0o1777))
        .entry("owned", b'0', "", b"x", |header| {
            header.set_uid(123_456);
            header.set_gid(65534);
            header.set_mode(0);
        })
        .symlink("dangling", "/nowhere/at all")
        .entry("old", b'\0', "", b"pre-POSIX type", |header| header.set_mtime(1))
        .entry("contiguous", b'7', "", b"reserved type", |_| {})
        .pax(&[("mtime", b"1600000000.123456789"), ("uid", b"2097152000"), ("gid", b"2097152001")])
        .file("precise", "x")
        .pax(&[("mtime", b"-5.5")])
        .file("before-1970", "x")
        .tar();
    assert_eq!(same_as_tar(&[layer]).len(), 11);
}

#[test]
fn long_and_strange_names() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(255));
    let strange = "tab\there, newline\nthere, \u{7f}, \\ and \u{1F6A2}";
    let layer = Layer::new()
        .pax(&[("path", "d".repeat(200).as_bytes())])
        .dir("short/", 0o755)
        .pax(&[("path", long.as_bytes())])
        .file("short", "1")
        .pax(&[("path", strange.as_bytes())])
        .file("short", "2")
        .pax(&[("path", b"link"), ("linkpath", "t/".repeat(500).as_bytes())])
        .symlink("short", "short")
        .pax(&[("path", b"not\xffutf-8")])
        .file("short", "3")
        // GNU: a name in an entry of its own, with its zero byte.
        .entry("././@LongLink", b'L', "", format!("{}\0", "g".repeat(180)).as_bytes(), |_| {})
        .file("short", "4")
        .entry("././@LongLink", b'K', "", format!("{}\0", "k".repeat(180)).as_bytes(), |_| {})
        .symlink("gnu-link", "short")
        .tar();
    let tree = same_as_tar(&[layer]);
    assert!(tree.has(&long) && tree.has(strange) && tree.has(&"g".repeat(180)));
}

#[test]
fn extended_attributes() {
    // VFS_CAP_REVISION_2, cap_net_bind_service effective and permitted.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = Layer::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"two\0parts\nhere=there"),
        ])
        .file("program", "x")
        .pax(&[("SCHILY.xattr.user.note", b"on a folder"), ("SCHILY.xattr.trusted.note", b"for root")])
        .dir("folder/", 0o755)
        .tar();
    same_as_tar(&[layer]);
}

#[test]
fn what_gnu_tar_writes_in_each_format() {
    let source = Folder::new("source");
    let file = source.file("file", "content");
    fs::hard_link(&file, source.join("same")).unwrap();
    let sparse = fs::File::create(source.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 5_000_000).unwrap();
    sparse.set_len(20_000_000).unwrap();
    fs::create_dir(source.join(&"n".repeat(150))).unwrap();
    fs::write(source.join(&"n".repeat(150)).join("m".repeat(150)), "deep").unwrap();
    for format in ["gnu", "posix", "oldgnu"] {
        for sparse in
            [&["--sparse"][..], &["--sparse", "--sparse-version=0.0"], &["--sparse", "--sparse-version=0.1"], &[]]
        {
            let out = Folder::new("made");
            let tar = out.join("layer.tar");
            run(Command::new("tar")
                .args(["--format", format, "--xattrs"])
                .args(sparse)
                .arg("-C")
                .arg(source.path())
                .arg("-cf")
                .arg(&tar)
                .arg("."))
            .ok();
            same_as_tar(&[fs::read(&tar).unwrap()]);
        }
    }
}

#[test]
fn a_name_that_comes_twice_is_what_came_last() {
    let layer = Layer::new()
        .file("twice", "first")
        .file("twice", "second, longer")
        .dir("d/", 0o755)
        .file("d/kept", "x")
        .dir("d/", 0o700)
        .tar();
    let tree = same_as_tar(&[layer]);
    assert!(tree.has("d/kept"));
}

#[test]
fn a_layer_of_nothing_and_many_layers() {
    same_as_tar(&[Layer::new().tar()]);
    let many: Vec<Vec<u8>> = (0..128)
        .map(|n| Layer::new().dir("d/", 0o755).file(&format!("d/{n}"), n.to_string()).file("last", n.to_string()).tar())
        .collect();
    let store = Store::new();
    store.load(&Layout::new("x:1", &many).tar()).ok();
    assert_eq!(store.layers("x:1").len(), 128);
    store.assert_sound();
}
