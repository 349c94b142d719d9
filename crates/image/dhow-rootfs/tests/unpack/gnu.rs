//! The same archive unpacked here and by GNU tar gives the same tree, entry by entry.

use crate::place::{Place, look, set_xattr, unpack_bottom};
use dhow_sys::tree::{self, FileTime, Target, Tree};
use rustix::fs::{FileType, makedev};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

/// A tree with everything that a file system can hold.
fn furnish(root: &Path) {
    let tree = Tree::create(root).unwrap();
    let at = |path: &str| root.join(path);
    let mode = |path: &str, mode: u32| {
        std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir_all(at("dir/sub")).unwrap();
    let deep = format!("deep/{}", "a-long-directory-name/".repeat(12));
    std::fs::create_dir_all(at(&deep)).unwrap();
    std::fs::write(at(&deep).join("file"), "deep").unwrap();
    for (path, size) in [("empty", 0), ("one", 1), ("block", 512), ("dir/more", 513), ("large", 3_000_000)] {
        std::fs::write(at(path), vec![b'x'; size]).unwrap();
    }
    std::fs::write(root.join(OsStr::from_bytes(b"not-utf8-\xff\xfe")), "x").unwrap();
    std::fs::write(at("new\nline"), "x").unwrap();
    for (n, path) in ["dir/setuid", "dir/setgid", "dir/none", "dir/all"].into_iter().enumerate() {
        std::fs::write(at(path), path).unwrap();
        chown(at(path), Some(1000 + n as u32), Some(2000)).unwrap();
    }
    mode("dir/setuid", 0o4755);
    mode("dir/setgid", 0o2711);
    mode("dir/none", 0);
    mode("dir/all", 0o7777);
    std::fs::hard_link(at("dir/setuid"), at("dir/sub/again")).unwrap();
    std::fs::hard_link(at("dir/setuid"), at("once-more")).unwrap();
    symlink("dir/more", at("link")).unwrap();
    symlink("/nowhere/../at/all", at("dangling")).unwrap();
    symlink("t".repeat(300), at("long-link")).unwrap();
    lchown(at("dangling"), Some(5), Some(6)).unwrap();
    std::fs::hard_link(at("link"), at("link-again")).unwrap();
    tree::make_node(tree.root(), OsStr::new("null"), FileType::CharacterDevice, 0o666, makedev(1, 3)).unwrap();
    tree::make_node(tree.root(), OsStr::new("disk"), FileType::BlockDevice, 0o640, makedev(259, 70000)).unwrap();
    tree::make_fifo(tree.root(), OsStr::new("pipe"), 0o622).unwrap();
    mode("null", 0o666);
    mode("pipe", 0o622);
    // Holes at the start, in the middle and at the end; and nothing but a hole.
    let sparse = File::create(at("sparse")).unwrap();
    for offset in [100_000, 5_000_000, 9_000_000] {
        sparse.write_all_at(&[b'd'; 5000], offset).unwrap();
    }
    sparse.set_len(20_000_000).unwrap();
    File::create(at("hole")).unwrap().set_len(1 << 20).unwrap();
    // More runs than one old GNU header and one extension hold.
    let torn = File::create(at("torn")).unwrap();
    (0..40).for_each(|n| torn.write_all_at(b"data", n * 100_000).unwrap());
    for dir in ["sticky", "shared", "closed"] {
        std::fs::create_dir(at(dir)).unwrap();
        std::fs::write(at(dir).join("inside"), "x").unwrap();
        chown(at(dir), Some(0), Some(50)).unwrap();
    }
    mode("sticky", 0o1777);
    mode("shared", 0o2775);
    mode("closed", 0);
    set_times(&tree);
}

fn set_times(tree: &Tree) {
    for (name, seconds, nanoseconds) in [
        ("one", 1_234_567_890, 123_456_789),
        ("block", 0, 0),
        ("link", 4_000_000_000, 1),
        ("dir", 17, 0),
        ("pipe", 5, 999_999_999),
    ] {
        let target = Target::Name(tree.as_fd(), OsStr::new(name));
        tree::set_times(target, FileTime { seconds, nanoseconds }).unwrap();
    }
}

fn add_xattrs(root: &Path) {
    set_xattr(&root.join("one"), "user.note", b"text = with \0 and \n");
    set_xattr(&root.join("one"), "user.empty", b"");
    set_xattr(&root.join("one"), "trusted.other", b"t");
    set_xattr(&root.join("dir"), "user.dir", b"on a directory");
    set_xattr(&root.join("link"), "trusted.link", b"on a link");
    set_xattr(&root.join("null"), "trusted.null", b"on a device");
    // cap_net_raw+ep, as setcap writes it (VFS_CAP_REVISION_2), on a file with set-id bit and an owner.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&root.join("dir/setuid"), "security.capability", &capability);
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn same(create: &[&str], with_xattrs: bool) {
    let place = Place::new();
    furnish(&place.join("source"));
    if with_xattrs {
        add_xattrs(&place.join("source"));
        // After the attributes: a change of those is none of the content, but order should not matter.
        set_times(&Tree::open(&place.join("source")).unwrap());
    }
    // Parents change with their children: a day of their own.
    let archive = place.join("archive.tar");
    let include = ["--xattrs", "--xattrs-include=*"];
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(place.join("source")).arg("-cf").arg(&archive).args(create).arg("--numeric-owner");
    if with_xattrs {
        tar.args(include);
    }
    run(tar.arg("."));
    std::fs::create_dir(place.join("gnu")).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(place.join("gnu")).args(["-xp", "--numeric-owner", "-f"]).arg(&archive);
    if with_xattrs {
        tar.args(include);
    }
    run(&mut tar);
    let unpacked = unpack_bottom(&place, &std::fs::read(&archive).unwrap()).unwrap();
    assert!(unpacked.whole);
    let (theirs, ours) = (look(&place.join("gnu")), look(&place.join("layer")));
    for (path, seen) in &theirs {
        let mine = ours.get(path).unwrap_or_else(|| panic!("{create:?}: {} is missing", path.display()));
        assert!(mine == seen, "{create:?} {}:\n{:?}\n{:?}", path.display(), brief(mine), brief(seen));
    }
    assert_eq!(theirs.len(), ours.len());
    assert_eq!(unpacked.entries as usize, ours.len());
}

fn brief(seen: &crate::place::Seen) -> crate::place::Seen {
    let mut seen = seen.clone();
    seen.content.truncate(40);
    seen
}

#[test]
fn posix() {
    same(&["--format=posix"], true);
}

#[test]
fn posix_with_sparse_files() {
    for version in ["0.0", "0.1", "1.0"] {
        same(&["--format=posix", "-S", &format!("--sparse-version={version}")], true);
    }
}

#[test]
fn gnu() {
    same(&["--format=gnu"], false);
}

#[test]
fn gnu_with_sparse_files() {
    same(&["--format=gnu", "-S"], false);
    same(&["--format=oldgnu", "-S"], false);
}

#[test]
fn ustar() {
    // What ustar cannot hold is left out.
    same(&["--format=ustar", "--exclude=./long-link", "--exclude=./deep", "--exclude=./link*"], false);
}

#[test]
fn v7() {
    let too_much = ["null", "disk", "pipe", "long-link", "deep", "link*"].map(|name| format!("--exclude=./{name}"));
    let mut create = vec!["--format=v7"];
    create.extend(too_much.iter().map(String::as_str));
    same(&create, false);
}
