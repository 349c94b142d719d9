//! The reader alone, in memory.

use crate::archive::{Member, archive, dir, file, hard, records, symlink};
use dhow_rootfs::tar::{Entry, EntryKind, Fault, Limits, Mtime, Reader, TarError};
use proptest::prelude::*;

/// All members, with their content as it reads.
fn read_with(bytes: &[u8], limits: Limits) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes, limits);
    let mut members = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        let mut end = 0;
        // A mutated archive may claim a sparse file of any length.
        let keep = entry.size < 1 << 24;
        while let Some(run) = reader.next_run()? {
            assert!(run.offset >= end, "runs come in order");
            end = run.offset + run.bytes.len() as u64;
            if keep {
                content.resize(run.offset as usize, 0);
                content.extend_from_slice(run.bytes);
            }
        }
        if keep {
            content.resize(entry.size as usize, 0);
        }
        members.push((entry, content));
    }
    reader.drain()?;
    assert_eq!(reader.offset(), bytes.len() as u64, "read to the very end");
    Ok(members)
}

fn read(members: &[Member]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    read_with(&archive(members), Limits::default())
}

fn only(member: Member) -> (Entry, Vec<u8>) {
    let mut members = read(&[member]).unwrap();
    assert_eq!(members.len(), 1);
    members.remove(0)
}

fn fault(members: &[Member]) -> String {
    read(members).unwrap_err().to_string()
}

#[test]
fn an_empty_archive_has_no_members() {
    for zeros in [0, 512, 1024, 10240] {
        assert_eq!(read_with(&vec![0; zeros], Limits::default()).unwrap(), vec![], "{zeros} zeros");
    }
    // Without the blocks at the end.
    assert_eq!(read_with(&file("a", "x").bytes(), Limits::default()).unwrap().len(), 1);
}

#[test]
fn all_kinds() {
    let members = read(&[
        file("f", "content").mode(0o4755).owner(12, 34).mtime(77),
        Member::new(0, "old").body(b"x"),
        Member::new(b'7', "contiguous").body(b"y"),
        Member::new(0, "old-dir/"),
        hard("h", "f"),
        symlink("s", "../../f"),
        Member::new(b'3', "c").device(1, 3),
        Member::new(b'4', "b").device(8, 1),
        dir("d/"),
        Member::new(b'6', "p"),
    ])
    .unwrap();
    let kinds: Vec<_> = members.iter().map(|(e, _)| e.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            EntryKind::File,
            EntryKind::File,
            EntryKind::File,
            EntryKind::Directory,
            EntryKind::HardLink { target: b"f".to_vec() },
            EntryKind::Symlink { target: b"../../f".to_vec() },
            EntryKind::CharDevice { major: 1, minor: 3 },
            EntryKind::BlockDevice { major: 8, minor: 1 },
            EntryKind::Directory,
            EntryKind::Fifo,
        ]
    );
    let (first, content) = &members[0];
    assert_eq!((first.mode, first.uid, first.gid, first.size), (0o4755, 12, 34, 7));
    assert_eq!(first.mtime, Mtime { seconds: 77, nanoseconds: 0 });
    assert_eq!(content, b"content");
}

#[test]
fn long_names_and_prefixes() {
    let long = format!("{}/end", "n".repeat(300));
    assert_eq!(only(file(&long, "x")).0.path, long.as_bytes());
    let (entry, _) = only(symlink("s", &long));
    assert_eq!(entry.kind, EntryKind::Symlink { target: long.clone().into_bytes() });
    assert_eq!(only(file("name", "").raw(345, b"some/prefix")).0.path, b"some/prefix/name");
    assert_eq!(only(file("name", "").pax("path", &long)).0.path, long.as_bytes());
    // GNU has times where ustar has the prefix.
    let gnu = file("name", "").raw(257, b"ustar  \0");
    assert_eq!(only(gnu.clone().raw(345, b"00000000017\0")).0.path, b"name");
    assert_eq!(only(gnu.raw(345, b"some/prefix")).0.path, b"some/prefix/name", "as Go before 1.8 wrote it");
    let v7 = file("name", "").raw(257, &[0; 8]).raw(345, b"junk");
    assert_eq!(only(v7).0.path, b"name");
    let star = file("name", "").raw(345, b"pre").raw(476, b"00000000001\0").raw(508, b"tar\0");
    assert_eq!(only(star).0.path, b"pre/name");
    // Both ways, agreed and not.
    assert_eq!(only(file("x", "").long_name("same").pax("path", "same")).0.path, b"same");
    assert!(fault(&[file("x", "").long_name("one").pax("path", "other")]).contains("contradict"));
}

#[test]
fn pax_records_govern() {
    let member = file("short", "12345")
        .size(0)
        .pax("size", "5")
        .pax("uid", "4000000000")
        .pax("gid", "7")
        .pax("mtime", "-1.25")
        .pax("SCHILY.xattr.user.key", b"va\0l\nue")
        .pax("SCHILY.xattr.user.empty", "")
        .pax("comment", "x");
    // A reader that believed the header's size of 0 would take the content for the next header (CVE-2025-62518).
    let members = read(&[member, file("next", "y")]).unwrap();
    let (entry, content) = &members[0];
    assert_eq!(content, b"12345");
    assert_eq!((entry.uid, entry.gid), (4_000_000_000, 7));
    assert_eq!(entry.mtime, Mtime { seconds: -2, nanoseconds: 750_000_000 });
    let xattrs = [(b"user.key".to_vec(), b"va\0l\nue".to_vec()), (b"user.empty".to_vec(), vec![])];
    assert_eq!(entry.xattrs, xattrs);
    assert_eq!(members[1].0.path, b"next");
}

#[test]
fn a_nested_archive_stays_content() {
    let inner = archive(&[file("inner", "z")]);
    let outer = Member::new(b'0', "outer.tar").pax("size", inner.len().to_string()).hidden_body(&inner).size(0);
    let members = read(&[outer, file("after", "")]).unwrap();
    let paths: Vec<_> = members.iter().map(|(e, _)| e.path.clone()).collect();
    assert_eq!(paths, [b"outer.tar".to_vec(), b"after".to_vec()]);
    // The size in an extended header is that of the file, not of another extended header in between.
    let mut bytes = Member::new(b'x', "PaxHeaders/x").body(&records(&[(b"size".to_vec(), b"3".to_vec())])).bytes();
    bytes.extend(file("f", "abc").long_name("long").bytes());
    let members = read_with(&bytes, Limits::default()).unwrap();
    assert_eq!((members[0].0.path.as_slice(), members[0].1.as_slice()), (&b"long"[..], &b"abc"[..]));
}

#[test]
fn global_headers_are_checked_and_ignored() {
    let global = |body: &[u8]| Member::new(b'g', "pax_global_header").body(body);
    let good = global(&records(&[(b"comment".to_vec(), b"abc".to_vec()), (b"path".to_vec(), b"evil".to_vec())]));
    assert_eq!(read(&[good, file("a", "")]).unwrap()[0].0.path, b"a");
    assert!(fault(&[global(b"garbage"), file("a", "")]).contains("extended header"));
}

#[test]
fn link_and_directory_entries_have_no_content_whatever_they_say() {
    for member in [dir("d").size(512), hard("d", "x").size(5), symlink("d", "x").size(5)] {
        assert_eq!(read(&[member, file("next", "")]).unwrap().len(), 2);
    }
    assert!(fault(&[file("d/", "content")]).contains("size of a directory"));
}

#[test]
fn base_256_numbers() {
    let big = only(file("f", "").raw(108, &[0x80, 0, 0, 0, 0x12, 0x34, 0x56, 0x78]).raw(136, &[0xff; 12])).0;
    assert_eq!(big.uid, 0x1234_5678);
    assert_eq!(big.mtime.seconds, -1);
    assert!(fault(&[file("f", "").raw(124, &[0xff; 12])]).contains("bad size"));
    let most = [0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255];
    assert!(fault(&[file("f", "").raw(124, &most)]).contains("cut short in the content of a file"));
    assert!(fault(&[file("f", "").raw(108, &[0x80, 0, 0, 0, 255, 255, 255, 255])]).contains("owner"));
}

#[test]
fn sparse_files_of_every_way() {
    let expect = [&b"ab"[..], &[0; 998], b"cde", &[0; 97]].concat();
    let check = |member: Member| {
        let members = read(&[member, file("next", "n")]).unwrap();
        assert_eq!(members[0].1, expect);
        assert_eq!(members[0].0.size, 1100);
        assert_eq!(members[0].0.path, b"sparse");
        assert_eq!(members[1].1, b"n");
    };
    let name = |m: Member| m.pax("GNU.sparse.name", "sparse");
    let v00 = file("sparse", "abcde").pax("GNU.sparse.size", "1100").pax("GNU.sparse.numblocks", "2");
    let v00 = v00.pax("GNU.sparse.offset", "0").pax("GNU.sparse.numbytes", "2");
    check(v00.pax("GNU.sparse.offset", "1000").pax("GNU.sparse.numbytes", "3"));
    check(name(file("GNUSparseFile.0/x", "abcde").pax("GNU.sparse.size", "1100").pax("GNU.sparse.map", "0,2,1000,3")));
    let mut body = b"3\n0\n2\n1000\n3\n1100\n0\n".to_vec();
    body.resize(512, 0);
    body.extend(b"abcde");
    let v10 =
        Member::new(b'0', "GNUSparseFile.0/x").body(&body).pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
    check(name(v10.pax("GNU.sparse.realsize", "1100")));
    let octal = |n: u32| format!("{n:011o}\0").into_bytes();
    let run = |at: u32, n: u32| [octal(at), octal(n)].concat();
    let old = Member::new(b'S', "sparse").body(b"abcde").raw(257, b"ustar  \0").raw(483, &octal(1100));
    check(old.clone().raw(386, &run(0, 2)).raw(410, &run(1000, 3)));
    let mut extension = [0u8; 512];
    extension[..24].copy_from_slice(&run(1000, 3));
    check(old.raw(386, &run(0, 2)).raw(482, &[1]).extra_block(extension));
}

#[test]
fn sparse_maps_that_lie() {
    let map = |map: &str| file("s", "abcde").pax("GNU.sparse.size", "1100").pax("GNU.sparse.map", map);
    for (bad, why) in [
        ("0,2,1,3", "overlap"),
        ("1000,3,0,2", "out of order"),
        ("0,2,1099,3", "behind the end"),
        ("0,2,1000,2", "match"),
        ("0,5,1", "without a length"),
        ("0,x", "no numbers"),
        ("18446744073709551615,5", "behind the end"),
    ] {
        assert!(fault(&[map(bad)]).contains(why), "{bad}: {}", fault(&[map(bad)]));
    }
    assert!(
        fault(&[file("s", "").pax("GNU.sparse.size", u64::MAX.to_string()).pax("GNU.sparse.map", "")])
            .contains("longer")
    );
    assert!(fault(&[file("s", "").pax("size", u64::MAX.to_string())]).contains("bad size"));
    assert!(fault(&[file("s", "").pax("GNU.sparse.major", "2").pax("GNU.sparse.minor", "0")]).contains("version"));
    let endless = Member::new(b'0', "s").body(&[b'1'; 512]).pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
    assert!(fault(&[endless.pax("GNU.sparse.realsize", "9")]).contains("no numbers"));
}

#[test]
fn damage_names_its_place() {
    let whole = archive(&[file("first", &"x".repeat(600)), file("second", "y")]);
    for cut in 0..whole.len() - 1024 {
        let result = read_with(&whole[..cut], Limits::default());
        // Cut between members it cannot be told from a whole one; the digest tells.
        assert_eq!(result.is_ok(), [0, 1536].contains(&cut), "cut at {cut}");
    }
    let error = read_with(&whole[..1600], Limits::default()).unwrap_err();
    assert!(matches!(error.fault, Fault::Truncated(_)));
    assert_eq!((error.offset, error.after.as_deref()), (1536, Some(&b"first"[..])));
    let mut broken = whole.clone();
    broken[1536] ^= 1;
    let error = read_with(&broken, Limits::default()).unwrap_err();
    assert!(matches!(error.fault, Fault::Checksum), "{error}");
    assert_eq!(error.to_string(), "not a tar header: wrong checksum (at byte 1536, after entry \"first\")");
    let mut lone = file("a", "").bytes();
    lone.extend([0; 512]);
    lone.extend(file("b", "").bytes());
    assert!(matches!(read_with(&lone, Limits::default()).unwrap_err().fault, Fault::LoneZeroBlock));
    let dangling = Member::new(b'x', "x").body(&records(&[(b"path".to_vec(), b"p".to_vec())]));
    assert!(fault(&[dangling]).contains("without its entry"));
    assert!(fault(&[Member::new(b'V', "label")]).contains("unknown kind of entry 'V'"));
}

#[test]
fn signed_checksums_are_good_too() {
    let mut block: [u8; 512] = file("caf\u{e9}", "").bytes().try_into().unwrap();
    block[148..156].fill(b' ');
    let sum: i32 = block.iter().map(|&b| i32::from(b as i8)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(read_with(&block, Limits::default()).unwrap().len(), 1);
}

#[test]
fn limits_are_named() {
    let check = |limits: Limits, members: &[Member], what: &str| {
        assert!(read(members).is_ok(), "{what}: good without the limit");
        let error = read_with(&archive(members), limits).unwrap_err();
        assert!(matches!(error.fault, Fault::Limit { .. }) && error.to_string().contains(what), "{error}");
    };
    let d = Limits::default;
    check(Limits { entries: 2, ..d() }, &[dir("a"), dir("b"), dir("c")], "2 entries");
    check(Limits { path: 10, ..d() }, &[dir("a/b/c/d/e/f")], "10 bytes of a path");
    check(Limits { path: 10, ..d() }, &[symlink("a", "0123456789a")], "10 bytes of a path");
    check(Limits { depth: 3, ..d() }, &[hard("x", "a/b/c/d")], "3 components");
    check(Limits { extended_header: 100, ..d() }, &[dir("a").pax("comment", "x".repeat(100))], "extended header");
    check(Limits { extended_header: 100, ..d() }, &[dir(&"x".repeat(200))], "extended header");
    check(Limits { xattr: 4, ..d() }, &[dir("a").pax("SCHILY.xattr.user.a", "12345")], "4 bytes of an extended");
    let sparse = file("s", "ab").pax("GNU.sparse.size", "99").pax("GNU.sparse.map", "0,1,5,1");
    check(Limits { sparse_runs: 1, ..d() }, &[sparse], "runs of data");
    // A claim of a huge header is refused before it is read.
    let claim = Member::new(b'x', "x").size(0o77_777_777_777);
    assert!(matches!(read(&[claim]).unwrap_err().fault, Fault::Limit { .. }));
    // An empty record value gives back what the header says.
    assert_eq!(only(file("name", "x").pax("path", "").pax("size", "")).0.path, b"name");
    assert!(fault(&[file("", "")]).contains("empty"));
}

#[test]
fn reads_what_the_tar_crate_writes() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o600);
    header.set_mtime(5);
    header.set_cksum();
    let long = "d/".repeat(120) + "f";
    builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_cksum();
    builder.append_link(&mut header, "link", "target").unwrap();
    let members = read_with(&builder.into_inner().unwrap(), Limits::default()).unwrap();
    assert_eq!((members[0].0.path.as_slice(), members[0].1.as_slice()), (long.as_bytes(), &b"abc"[..]));
    assert_eq!(members[1].0.kind, EntryKind::Symlink { target: b"target".to_vec() });
}

/// Recomputes the checksums of what looks like headers, so that mutations get past them.
fn reseal(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

fn sample() -> Vec<u8> {
    let mut body = b"2\n0\n2\n1000\n3\n".to_vec();
    body.resize(512, 0);
    body.extend(b"abcde");
    let v10 = Member::new(b'0', "x").body(&body).pax("GNU.sparse.major", "1").pax("GNU.sparse.minor", "0");
    archive(&[
        dir("a"),
        file("a/b", "content").pax("mtime", "1.5").pax("SCHILY.xattr.user.a", "b").pax("size", "7"),
        v10.pax("GNU.sparse.realsize", "1100").pax("GNU.sparse.name", "s"),
        file("s", "abcde").pax("GNU.sparse.size", "1100").pax("GNU.sparse.map", "0,2,1000,3"),
        Member::new(b'S', "o")
            .body(b"abcde")
            .raw(257, b"ustar  \0")
            .raw(386, b"00000000000\0")
            .raw(398, b"00000000005\0")
            .raw(483, b"00000000010\0"),
        file(&"n".repeat(200), "x"),
        hard("h", "a/b"),
        symlink("s", "t"),
        Member::new(b'3', "c").device(1, 3),
    ])
}

#[test]
fn the_sample_is_good() {
    assert_eq!(read_with(&sample(), Limits::default()).unwrap().len(), 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = read_with(&bytes, Limits::default());
    }

    #[test]
    fn mutations_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        seal in any::<bool>(),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if seal { reseal(&mut bytes) } else { bytes.truncate(cut.index(bytes.len())) }
        let _ = read_with(&bytes, Limits { path: 1000, ..Limits::default() });
    }
}
