//! What stacks show.

use crate::bench::{Bench, path_of};
use crate::model::{Kind, Layer};
use dhow_rootfs::snapshots::Stack;
use std::fs;
use std::os::unix::fs::MetadataExt;

pub(crate) fn no_layer(bench: &Bench) {
    let stack = Stack::default();
    let view = bench.snapshots.view("v", &stack).unwrap();
    let mount = view.mount().unwrap();
    assert_eq!(fs::read_dir(path_of(&mount)).unwrap().count(), 0);
    assert!(fs::write(path_of(&mount).join("x"), "").is_err());
    let active = bench.snapshots.prepare("a", &stack).unwrap();
    let mount = active.mount().unwrap();
    fs::write(path_of(&mount).join("x"), "1").unwrap();
    assert_eq!(fs::metadata(path_of(&mount)).unwrap().mode() & 0o7777, 0o755);
    bench.snapshots.discard(active).unwrap();
}

pub(crate) fn one_layer(bench: &Bench) {
    bench.shows_what_the_model_says(&[Layer::new()
        .directory("etc", 0o755)
        .file("etc/passwd", "root")
        .file("etc/shadow", "secret")
        .owned_by(0, 42)
        .put("tmp", Kind::Directory, 0o1777)
        .put("su", Kind::File("elf".into()), 0o4755)
        .owned_by(1000, 1001)]);
}

pub(crate) fn two_layers(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new().directory("a", 0o755).file("a/both", "lower").file("a/lower", "1").file("top", "lower"),
        Layer::new().directory("a", 0o755).file("a/both", "upper").file("a/upper", "2").file("empty", ""),
    ]);
}

pub(crate) fn a_hundred_and_twenty_eight_layers(bench: &Bench) {
    let layers: Vec<Layer> = (0..128)
        .map(|n| {
            let layer = Layer::new().directory("d", 0o755).file(&format!("d/{n}"), "x").file("last", &n.to_string());
            if n % 10 == 9 { layer.whiteout(&format!("d/{}", n - 5)) } else { layer }
        })
        .collect();
    bench.shows_what_the_model_says(&layers);
}

pub(crate) fn whiteouts_delete(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new()
            .directory("d", 0o755)
            .file("d/gone", "1")
            .file("d/stays", "2")
            .directory("tree", 0o755)
            .file("tree/x", ""),
        Layer::new().directory("d", 0o755).whiteout("d/gone").whiteout("tree"),
        Layer::new().file("other", "3"),
    ]);
}

pub(crate) fn whiteouts_in_the_only_layer_are_not_shown(bench: &Bench) {
    bench.shows_what_the_model_says(&[Layer::new().file("a", "1").whiteout("b")]);
}

pub(crate) fn opaque_directories_hide_what_is_below(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new().directory("d", 0o755).directory("d/sub", 0o755).file("d/sub/deep", "0").file("d/old", "1"),
        Layer::new().directory("d", 0o700).directory("d/sub", 0o755).file("d/middle", "2"),
        Layer::new().directory("d", 0o750).opaque("d").directory("d/sub", 0o711).file("d/new", "3"),
        Layer::new().directory("d", 0o751).file("d/newest", "4"),
    ]);
}

pub(crate) fn an_opaque_root_hides_all_lower_layers(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new().file("old", "1"),
        Layer::new().opaque("").file("new", "2"),
        Layer::new().file("newer", "3"),
    ]);
}

pub(crate) fn a_directory_is_replaced_by_a_file_and_back(bench: &Bench) {
    let directory = || Layer::new().directory("x", 0o755).file("x/child", "1");
    let file = || Layer::new().file("x", "I am a file");
    bench.shows_what_the_model_says(&[directory(), file()]);
    let stack =
        [directory(), file(), Layer::new().directory("x", 0o711).file("x/new", "2"), Layer::new().symlink("l", "x")];
    fs::remove_dir_all(bench.dir.join("layers")).unwrap();
    bench.shows_what_the_model_says(&stack);
}

pub(crate) fn deleted_and_made_again_starts_empty(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new().directory("d", 0o755).file("d/old", "1"),
        Layer::new().whiteout("d"),
        Layer::new().directory("d", 0o755).file("d/new", "2"),
    ]);
}

pub(crate) fn hard_links_hold_within_a_layer(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new()
            .directory("d", 0o755)
            .file("a", "same")
            .link("b", "a")
            .link("d/c", "a")
            .file("e", "same")
            .link("f", "e"),
        Layer::new().directory("d", 0o755).file("e", "other").put("p", Kind::Fifo, 0o600).link("q", "p").whiteout("b"),
    ]);
}

pub(crate) fn symbolic_links_stay_as_they_are(bench: &Bench) {
    let long = "long/".repeat(300);
    bench.shows_what_the_model_says(&[
        Layer::new().directory("d", 0o755).file("d/x", "1").symlink("to-dir", "d").symlink("out", "/etc/passwd"),
        Layer::new().symlink("d", "../../..").symlink("dangling", &long).owned_by(5, 6).symlink("loop", "loop"),
    ]);
}

pub(crate) fn devices_pipes_and_sockets(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new()
            .put("null", Kind::Character(rustix::fs::makedev(1, 3)), 0o666)
            .put("disk", Kind::Block(rustix::fs::makedev(8, 0)), 0o660)
            .owned_by(0, 6)
            .put("pipe", Kind::Fifo, 0o620)
            .put("socket", Kind::Socket, 0o755),
        Layer::new().file("other", ""),
    ]);
}

pub(crate) fn extended_attributes(bench: &Bench) {
    // cap_net_bind_service+ep, in the second version of the format.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bench.shows_what_the_model_says(&[
        Layer::new()
            .put("ping", Kind::File("elf".into()), 0o755)
            .owned_by(7, 8)
            .attribute("security.capability", &capability)
            .attribute("user.text", b"value\0with\xffbytes")
            .directory("d", 0o755)
            .attribute("user.empty", b"")
            .attribute("trusted.own", b"1")
            .symlink("l", "d")
            .attribute("trusted.link", b"2"),
        Layer::new().file("other", ""),
    ]);
}

pub(crate) fn access_lists_are_not_handed_on(bench: &Bench) {
    // Version 2: user::rwx, user:1000:rwx, group::r-x, mask::rwx, other::---.
    let entry =
        |tag: u16, perm: u16, id: u32| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    let list = [
        2u32.to_le_bytes().to_vec(),
        entry(1, 7, none),
        entry(2, 7, 1000),
        entry(4, 5, none),
        entry(0x10, 7, none),
        entry(0x20, 0, none),
    ]
    .concat();
    bench.shows_what_the_model_says(&[
        Layer::new()
            .directory("d", 0o770)
            .attribute("system.posix_acl_default", &list)
            .attribute("system.posix_acl_access", &list)
            .directory("d/sub", 0o755)
            .file("d/file", "1"),
        Layer::new().file("other", ""),
    ]);
}

pub(crate) fn merged_directories_look_like_the_topmost(bench: &Bench) {
    bench.shows_what_the_model_says(&[
        Layer::new().directory("d", 0o700).owned_by(1, 1).attribute("user.lower", b"1").file("d/a", "1"),
        Layer::new().directory("d", 0o3775).owned_by(2, 3).attribute("user.upper", b"2").file("d/b", "2"),
    ]);
}

pub(crate) fn the_root_looks_like_the_topmost(bench: &Bench) {
    let root = |mode, uid| Layer::default().directory("", mode).owned_by(uid, uid).attribute("user.root", &[1, 2]);
    bench.shows_what_the_model_says(&[root(0o700, 1).file("a", "1"), root(0o1751, 2).file("b", "2")]);
}

pub(crate) fn deep_trees(bench: &Bench) {
    let mut layer = Layer::new();
    let mut path = String::new();
    for n in 0..60 {
        path.push_str(if n == 0 { "d" } else { "/a-directory-with-a-rather-long-name" });
        layer = layer.directory(&path, 0o755).file(&format!("{path}/f"), "x");
    }
    bench.shows_what_the_model_says(&[layer, Layer::new().directory("d", 0o700)]);
}

pub(crate) fn sparse_files_stay_sparse(bench: &Bench) {
    let stack = bench.stack(&[Layer::new().file("big", "start"), Layer::new()]);
    let layer = stack.top_first().last().unwrap().join("big");
    fs::OpenOptions::new().write(true).open(layer).unwrap().set_len(1 << 30).unwrap();
    let active = bench.snapshots.prepare("a", &stack).unwrap();
    let mount = active.mount().unwrap();
    let big = fs::metadata(path_of(&mount).join("big")).unwrap();
    assert_eq!(big.len(), 1 << 30);
    assert!(big.blocks() * 512 < 1 << 20, "{} blocks", big.blocks());
}
