//! What entries mean for the tree: names, order, metadata.

use crate::archive::{Member, archive, dir, file, hard, symlink};
use crate::place::{Place, describe, listing, look, unpack_above, unpack_bottom, unpacked, xattrs};
use dhow_rootfs::{Entry, Limits, Observer, RootfsError, UnpackJob, unpack};
use dhow_spec::digest::Digest;
use dhow_spec::error_kind::{Classify, Kind};

fn bottom(members: &[Member]) -> (Place, Vec<String>) {
    let place = Place::new();
    unpack_bottom(&place, &archive(members)).unwrap();
    let listing = listing(&place.join("layer"));
    (place, listing)
}

fn refused(members: &[Member]) -> RootfsError {
    unpack_bottom(&Place::new(), &archive(members)).unwrap_err()
}

#[test]
fn empty_archives_are_empty_layers() {
    for zeros in [0, 1024] {
        let place = Place::new();
        let unpacked = unpack_bottom(&place, &vec![0; zeros]).unwrap();
        assert_eq!((unpacked.size, unpacked.entries, unpacked.whole), (0, 0, true));
        let root = &look(&place.join("layer"))[std::path::Path::new("")];
        assert_eq!((root.mode, root.owner, root.mtime), (0o755, (0, 0), (0, 0)));
    }
}

#[test]
fn the_digest_is_over_every_byte() {
    let mut bytes = archive(&[file("a", &"content".repeat(100_000)), dir("b")]);
    bytes.extend(vec![0; 3_000_000]);
    bytes.extend(b"behind the end");
    let place = Place::new();
    struct Count(u64, Vec<Vec<u8>>);
    impl Observer for Count {
        fn entry(&mut self, entry: &Entry) {
            self.1.push(entry.path.clone());
        }
        fn bytes(&mut self, n: u64) {
            self.0 += n;
        }
    }
    let mut count = Count(0, vec![]);
    let job = UnpackJob { below: None, bottom: true, hash: true, observer: &mut count, limits: Limits::default() };
    let unpacked = unpacked(unpack(&mut &bytes[..], &place.tree("layer"), job).unwrap());
    assert_eq!(unpacked.diff_id, Some(Digest::of(&bytes)));
    assert_eq!((unpacked.size, unpacked.entries), (700_000, 2));
    assert_eq!((count.0, count.1), (bytes.len() as u64, vec![b"a".to_vec(), b"b".to_vec()]));
}

#[test]
fn paths_are_normalised() {
    let (_place, listing) = bottom(&[dir("./"), dir("/a/"), file("a//b", "x"), file("./a/./c", "y"), dir("///d///")]);
    assert_eq!(listing, ["d a", "f a/b", "f a/c", "d d"]);
}

#[test]
fn the_root_entry_describes_the_root() {
    let place = Place::new();
    let root = dir("./").mode(0o1750).owner(3, 4).mtime(99).pax("SCHILY.xattr.user.root", "yes");
    unpack_bottom(&place, &archive(&[root, file("a", "")])).unwrap();
    let seen = describe(&place.join("layer"));
    assert_eq!((seen.mode, seen.owner, seen.mtime), (0o1750, (3, 4), (99, 0)));
    assert_eq!(seen.xattrs["user.root"], b"yes");
    assert!(matches!(refused(&[symlink("./", "/etc")]), RootfsError::Entry { .. }));
}

#[test]
fn the_last_entry_of_a_name_wins() {
    let (place, listing) = bottom(&[
        file("file", "old content"),
        file("file", "new"),
        dir("dir-to-file"),
        file("dir-to-file/gone", "x"),
        file("dir-to-file", "now a file"),
        file("file-to-dir", "x"),
        dir("file-to-dir"),
        file("file-to-dir/in", "x"),
        symlink("link", "dir-to-file"),
        file("link", "not written through the link"),
        dir("dir").mode(0o700).pax("SCHILY.xattr.user.old", "1"),
        file("dir/stays", "x"),
        dir("dir").mode(0o750).owner(7, 8).mtime(42).pax("SCHILY.xattr.user.new", "2"),
        hard("again", "file"),
        hard("again", "dir/stays"),
    ]);
    assert_eq!(
        listing,
        ["f again", "d dir", "f dir/stays", "f dir-to-file", "f file", "d file-to-dir", "f file-to-dir/in", "f link"]
    );
    let layer = place.join("layer");
    assert_eq!(describe(&layer.join("file")).content, b"new");
    assert_eq!(describe(&layer.join("dir-to-file")).content, b"now a file");
    let dir = describe(&layer.join("dir"));
    assert_eq!((dir.mode, dir.owner, dir.mtime), (0o750, (7, 8), (42, 0)));
    assert_eq!(dir.xattrs.keys().collect::<Vec<_>>(), ["user.new"]);
    assert_eq!(look(&layer)[std::path::Path::new("again")].same_as.to_str(), Some("again"));
}

#[test]
fn directory_times_survive_their_content() {
    let (place, _) = bottom(&[
        dir("a").mtime(1),
        dir("a/b").mtime(2).mode(0o2555),
        file("a/b/c", "").mtime(3),
        dir("late").mtime(4).mode(0),
        file("a/d", ""),
        file("late/x", ""),
    ]);
    let layer = place.join("layer");
    for (path, mtime, mode) in [("a", 1, 0o755), ("a/b", 2, 0o2555), ("a/b/c", 3, 0o644), ("late", 4, 0)] {
        let seen = describe(&layer.join(path));
        assert_eq!((seen.mtime, seen.mode), ((mtime, 0), mode), "{path}");
    }
    // The set-group-id bit of a directory is not handed on to what the archive puts into it.
    assert_eq!(describe(&layer.join("a/b/c")).owner, (0, 0));
}

#[test]
fn a_directory_may_be_named_after_its_content() {
    let place = Place::new();
    let members = [file("a/b/c", "x"), dir("a/b").mode(0o700).mtime(5), dir("a").mode(0o711).owner(1, 2)];
    let outcome = unpack_above(&place, "layer", &archive(&members), None, false).unwrap();
    assert!(unpacked(outcome).whole);
    assert_eq!(describe(&place.join("layer/a")).owner, (1, 2));
    assert_eq!(describe(&place.join("layer/a/b")).mtime, (5, 0));
}

#[test]
fn links_of_the_layer_are_followed_inside_it() {
    let (_place, listing) = bottom(&[
        dir("usr"),
        dir("usr/lib"),
        symlink("lib", "usr/lib"),
        symlink("abs", "/usr/lib"),
        symlink("up", "../../../usr"),
        symlink("usr/chain", "../lib/../../lib"),
        file("lib/a", ""),
        file("abs/b", ""),
        file("up/lib/c", ""),
        dir("usr/chain/d"),
        file("lib/d/e", ""),
        hard("lib/f", "abs/a"),
        symlink("future", "opt/not/yet"),
        file("future/x", ""),
    ]);
    assert_eq!(
        listing,
        [
            "l abs",
            "l future",
            "l lib",
            "d opt",
            "d opt/not",
            "d opt/not/yet",
            "f opt/not/yet/x",
            "l up",
            "d usr",
            "l usr/chain",
            "d usr/lib",
            "f usr/lib/a",
            "f usr/lib/b",
            "f usr/lib/c",
            "d usr/lib/d",
            "f usr/lib/d/e",
            "f usr/lib/f",
        ]
    );
    let around = refused(&[symlink("a", "b"), symlink("b", "a"), file("a/x", "")]);
    assert!(around.to_string().contains("too many symbolic links"), "{around}");
    let through = refused(&[file("a", ""), file("a/b", "")]);
    assert_eq!(through.to_string(), "layer entry \"a/b\": its path goes through something that is no directory");
}

#[test]
fn hard_links_to_nothing_name_both() {
    let error = refused(&[hard("new", "old/name")]);
    assert_eq!(error.to_string(), "layer entry \"new\": hard link to \"old/name\", which does not exist");
    assert!(matches!(refused(&[dir("d"), hard("e", "d")]), RootfsError::Entry { .. }));
    let (_place, listing) = bottom(&[file("a", "x"), hard("a", "./a")]);
    assert_eq!(listing, ["f a"]);
    assert!(matches!(refused(&[hard("a", "a")]), RootfsError::MissingTarget { .. }));
    assert!(matches!(refused(&[dir("d"), file("d/f", ""), hard("d", "d/f")]), RootfsError::MissingTarget { .. }));
}

#[test]
fn attributes_that_steer_overlayfs_are_dropped() {
    let (place, _) = bottom(&[
        dir("d").pax("SCHILY.xattr.trusted.overlay.opaque", "y").pax("SCHILY.xattr.user.overlay.opaque", "y"),
        file("f", "").pax("SCHILY.xattr.trusted.overlay.redirect", "/etc").pax("SCHILY.xattr.trusted.own", "1"),
        symlink("l", "x").pax("SCHILY.xattr.user.impossible", "1").pax("SCHILY.xattr.unknown", "1"),
    ]);
    assert!(xattrs(&place.join("layer/d")).is_empty());
    assert_eq!(xattrs(&place.join("layer/f")).keys().collect::<Vec<_>>(), ["trusted.own"]);
    assert!(xattrs(&place.join("layer/l")).is_empty());
}

#[test]
fn privileges_that_cannot_be_set_are_an_error() {
    // The kernel refuses a capability of a made-up revision.
    let error = refused(&[file("bin/ping", "x").pax("SCHILY.xattr.security.capability", "garbage")]);
    let text = error.to_string();
    assert!(text.contains("security.capability") && text.contains("bin/ping"), "{text}");
}

#[test]
fn default_access_lists_are_not_handed_on_while_unpacking() {
    // user::rwx group::--- other::--- as a default: a file made inside would lose its bits.
    let acl = [2u32.to_le_bytes().to_vec(), entry(1, 7), entry(4, 0), entry(0x20, 0)].concat();
    fn entry(tag: u16, bits: u16) -> Vec<u8> {
        [tag.to_le_bytes().to_vec(), bits.to_le_bytes().to_vec(), u32::MAX.to_le_bytes().to_vec()].concat()
    }
    let (place, _) = bottom(&[
        dir("d").pax("SCHILY.xattr.system.posix_acl_default", &acl),
        file("d/f", "").mode(0o666),
        dir("d/e").mode(0o777),
    ]);
    assert_eq!(describe(&place.join("layer/d/f")).mode, 0o666);
    assert_eq!(describe(&place.join("layer/d/e")).mode, 0o777);
    assert!(xattrs(&place.join("layer/d/e")).is_empty());
    assert_eq!(xattrs(&place.join("layer/d"))["system.posix_acl_default"], acl);
}

#[test]
fn deep_paths() {
    let deep: Vec<String> = (1..=3000).map(|n| "d/".repeat(n)).collect();
    let mut members: Vec<Member> = deep.iter().map(|path| dir(path)).collect();
    members.push(file(&format!("{}file", deep[2999]), "at the bottom"));
    members.push(file("again", "x"));
    members.push(hard(&format!("{}link", deep[2998]), &format!("{}file", deep[2999])));
    let place = Place::new();
    let unpacked = unpack_bottom(&place, &archive(&members)).unwrap();
    assert_eq!(unpacked.entries, 3003);
    // Without any of the parents named.
    unpack_above(&place, "implied", &archive(&[file(&format!("{}file", deep[2999]), "x")]), None, true).unwrap();
    let error = refused(&[dir(&"d/".repeat(5000))]);
    assert!(error.to_string().contains("4096 components of a path"), "{error}");
    assert_eq!(error.kind(), Kind::Invalid);
}

#[test]
fn directories_are_counted_however_they_come_about() {
    let place = Place::new();
    let limits = Limits { directories: 100, ..Limits::default() };
    let job = UnpackJob { below: None, bottom: true, hash: false, observer: &mut dhow_rootfs::NoObserver, limits };
    let bytes = archive(&[file(&("d/".repeat(200) + "f"), "")]);
    let error = unpack(&mut &bytes[..], &place.tree("layer"), job).unwrap_err();
    assert!(error.to_string().contains("too many directories"), "{error}");
}

#[test]
fn errors_of_the_stream_and_of_the_archive_are_apart() {
    struct Broken(bool);
    impl std::io::Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "the peer is gone"));
            }
            buf[..512].copy_from_slice(&file("a", "").bytes());
            Ok(512)
        }
    }
    let place = Place::new();
    let job = || UnpackJob {
        below: None,
        bottom: true,
        hash: true,
        observer: Box::leak(Box::new(dhow_rootfs::NoObserver)),
        limits: Limits::default(),
    };
    let error = unpack(&mut Broken(false), &place.tree("a"), job()).unwrap_err();
    assert!(matches!(error, RootfsError::Read { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    let bytes = archive(&[file("a", "content")]);
    let error = unpack(&mut &bytes[..515], &place.tree("b"), job()).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("\"a\""), "{error}");
    // The directory must be empty.
    let tree = place.tree("c");
    std::fs::write(place.join("c/x"), "").unwrap();
    assert!(matches!(unpack(&mut &bytes[..], &tree, job()), Err(RootfsError::Tree { .. })));
}

#[test]
fn a_large_layer_in_small_reads() {
    struct Dribble<'a>(&'a [u8]);
    impl std::io::Read for Dribble<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(buf.len()).min(7777);
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let body: String = (0..2_000_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let members: Vec<Member> = (0..12).map(|n| file(&format!("f{n}"), &body)).collect();
    let bytes = archive(&members);
    let place = Place::new();
    let observer = &mut dhow_rootfs::NoObserver;
    let job = UnpackJob { below: None, bottom: true, hash: true, observer, limits: Limits::default() };
    let unpacked = unpacked(unpack(&mut Dribble(&bytes), &place.tree("layer"), job).unwrap());
    assert_eq!(unpacked.diff_id, Some(Digest::of(&bytes)));
    for n in 0..12 {
        assert!(std::fs::read(place.join(format!("layer/f{n}"))).unwrap() == body.as_bytes());
    }
}
