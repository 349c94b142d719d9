//! Logs on real file systems: rotated, cut, full, followed.

use dhow_supervisor::log::{Entry, Query, Stream, Writer, read};
use dhow_supervisor::plan::LogPlan;
use dhow_sys::mount::{FsContext, MountAttrFlags};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A directory that goes away with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("dhow-supervisor-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn plan(&self) -> LogPlan {
        LogPlan { path: self.0.join("c-json.log"), max_size: None, max_files: 1 }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Owned = (i64, Stream, Vec<u8>);

fn owned(entry: Entry<'_>) -> Owned {
    (entry.time, entry.stream, entry.bytes.to_vec())
}

pub(crate) fn all(path: &Path, query: &Query) -> Vec<Owned> {
    let mut entries = Vec::new();
    read(path, query, &mut || true, &mut |entry| {
        entries.push(owned(entry));
        Ok(true)
    })
    .unwrap();
    entries
}

fn text(entries: &[Owned]) -> String {
    String::from_utf8(entries.iter().flat_map(|(_, _, bytes)| bytes.clone()).collect()).unwrap()
}

#[test]
fn bytes_on_the_disk_are_dockers() {
    let scratch = Scratch::new("bytes");
    let plan = scratch.plan();
    let mut writer = Writer::open(&plan).unwrap();
    let ten = 1_795_255_200_000_000_000;
    writer.write(Stream::Stdout, b"one\ntw", ten + 120_000_000).unwrap();
    writer.write(Stream::Stderr, b"<err>\n", ten + 1).unwrap();
    writer.write(Stream::Stdout, b"o\nthr", ten).unwrap();
    writer.finish(ten + 2).unwrap();
    let expected = concat!(
        r#"{"log":"one\n","stream":"stdout","time":"2026-11-21T10:00:00.12Z"}"#,
        "\n",
        r#"{"log":"\u003cerr\u003e\n","stream":"stderr","time":"2026-11-21T10:00:00.000000001Z"}"#,
        "\n",
        r#"{"log":"two\n","stream":"stdout","time":"2026-11-21T10:00:00Z"}"#,
        "\n",
        r#"{"log":"thr","stream":"stdout","time":"2026-11-21T10:00:00.000000002Z"}"#,
        "\n",
    );
    assert_eq!(fs::read_to_string(&plan.path).unwrap(), expected);
    let entries = all(&plan.path, &Query::default());
    assert_eq!(entries[1], (ten + 1, Stream::Stderr, b"<err>\n".to_vec()));
    let since = all(&plan.path, &Query { since: Some(ten + 1), until: Some(ten + 2), ..Query::default() });
    assert_eq!(text(&since), "<err>\nthr");
}

#[test]
fn long_lines_come_in_parts_of_16_kib() {
    let scratch = Scratch::new("parts");
    let mut writer = Writer::open(&scratch.plan()).unwrap();
    let mut bytes = vec![b'x'; 40_000];
    bytes.extend_from_slice(b"\n");
    for chunk in bytes.chunks(7001) {
        writer.write(Stream::Stdout, chunk, 0).unwrap();
    }
    writer.write(Stream::Stdout, &vec![b'y'; 16_384], 0).unwrap();
    writer.write(Stream::Stdout, b"\n", 0).unwrap();
    let lengths: Vec<_> = all(&scratch.plan().path, &Query::default()).iter().map(|(_, _, b)| b.len()).collect();
    assert_eq!(lengths, [16_384, 16_384, 40_001 - 2 * 16_384, 16_384, 1]);
}

#[test]
fn rotation_keeps_the_newest_files_and_every_line_in_them() {
    let scratch = Scratch::new("rotation");
    let plan = LogPlan { max_size: Some(10_000), max_files: 4, ..scratch.plan() };
    let mut writer = Writer::open(&plan).unwrap();
    for n in 0..2000 {
        writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), n).unwrap();
    }
    // As a supervisor of a later start does.
    drop(writer);
    let mut writer = Writer::open(&plan).unwrap();
    for n in 2000..2300 {
        writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), n).unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["c-json.log", "c-json.log.1", "c-json.log.2", "c-json.log.3"]);
    for n in 1..4 {
        let size = fs::metadata(scratch.0.join(format!("c-json.log.{n}"))).unwrap().size();
        assert!((10_000..10_100).contains(&size), "{size}");
    }
    let lines = all(&plan.path, &Query::default());
    let first = lines[0].0;
    assert!(first > 1500);
    let times: Vec<_> = lines.iter().map(|(time, ..)| *time).collect();
    assert_eq!(times, (first..2300).collect::<Vec<_>>());

    for tail in [0, 1, 3, 200, 400, 100_000] {
        let tailed = all(&plan.path, &Query { tail: Some(tail), ..Query::default() });
        let wanted = lines.len().min(usize::try_from(tail).unwrap());
        assert_eq!(tailed, lines[lines.len() - wanted..], "{tail}");
    }
}

#[test]
fn one_file_only_begins_anew() {
    let scratch = Scratch::new("one");
    let plan = LogPlan { max_size: Some(500), ..scratch.plan() };
    let mut writer = Writer::open(&plan).unwrap();
    for n in 0..100 {
        writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), n).unwrap();
    }
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    let lines = all(&plan.path, &Query::default());
    assert!(lines.len() < 10);
    assert!(lines.is_empty() || lines.last().unwrap().0 == 99);
}

/// One process's thread writes and rotates as fast as it can, two others follow, one of them from the middle on.
#[test]
fn followers_miss_nothing_across_rotations() {
    let scratch = Scratch::new("follow");
    let plan = LogPlan { max_size: Some(50_000), max_files: 1000, ..scratch.plan() };
    let mut writer = Writer::open(&plan).unwrap();
    let ended = AtomicBool::new(false);
    const LINES: i64 = 60_000;
    let follow = |tail| {
        let mut times = Vec::new();
        let query = Query { tail, follow: true, ..Query::default() };
        read(&plan.path, &query, &mut || ended.load(Ordering::SeqCst), &mut |entry| {
            times.push(entry.time);
            Ok(true)
        })
        .unwrap();
        times
    };
    std::thread::scope(|scope| {
        let from_start = scope.spawn(|| follow(None));
        std::thread::sleep(Duration::from_millis(20));
        for n in 0..LINES / 2 {
            writer.write(Stream::Stdout, b"a line that is followed\n", n).unwrap();
        }
        let from_middle = scope.spawn(|| follow(Some(100)));
        for n in LINES / 2..LINES {
            writer.write(Stream::Stdout, b"a line that is followed\n", n).unwrap();
        }
        writer.finish(0).unwrap();
        ended.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        writer.nudge();
        assert_eq!(from_start.join().unwrap(), (0..LINES).collect::<Vec<_>>());
        let times = from_middle.join().unwrap();
        assert_eq!(times, (times[0]..LINES).collect::<Vec<_>>());
        println!("followers saw the end after {:?}", begun.elapsed());
    });
}

#[test]
fn a_follower_is_woken_by_the_end_and_by_until() {
    let scratch = Scratch::new("wake");
    let plan = scratch.plan();
    let mut writer = Writer::open(&plan).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let query = Query { follow: true, ..Query::default() };
            read(&plan.path, &query, &mut || ended.load(Ordering::SeqCst), &mut |_| Ok(true)).unwrap();
        });
        let until = scope.spawn(|| {
            let query = Query { follow: true, until: Some(10), ..Query::default() };
            let mut seen = 0;
            read(&plan.path, &query, &mut || false, &mut |_| {
                seen += 1;
                Ok(true)
            })
            .unwrap();
            seen
        });
        std::thread::sleep(Duration::from_millis(50));
        writer.write(Stream::Stdout, b"in time\n", 10).unwrap();
        writer.write(Stream::Stdout, b"too late\n", 11).unwrap();
        assert_eq!(until.join().unwrap(), 1);
        ended.store(true, Ordering::SeqCst);
        writer.nudge();
        follower.join().unwrap();
    });
}

#[test]
fn a_line_cut_by_a_crash_is_completed_and_read_once() {
    let scratch = Scratch::new("cut");
    let plan = scratch.plan();
    let whole = r#"{"log":"whole\n","stream":"stderr","time":"2026-11-21T10:00:00Z"}"#;
    let cut = r#"{"log":"cut € \u003c and more","stream":"stderr","time":"2026-11-21T10:00:00Z"}"#;
    for length in 0..cut.len() {
        let mut bytes = format!("{whole}\n").into_bytes();
        bytes.extend_from_slice(&cut.as_bytes()[..length]);
        fs::write(&plan.path, &bytes).unwrap();
        // What is half there is no line yet.
        assert_eq!(text(&all(&plan.path, &Query::default())), "whole\n");
        assert_eq!(text(&all(&plan.path, &Query { tail: Some(1), ..Query::default() })), "whole\n");
        let mut writer = Writer::open(&plan).unwrap();
        writer.write(Stream::Stdout, b"next\n", 0).unwrap();
        let entries = all(&plan.path, &Query::default());
        let saved = text(&entries[1..entries.len() - 1]);
        assert!("cut € < and more".starts_with(&saved), "{saved}");
        assert!(saved.len() + 12 >= length.min(34).saturating_sub(8), "{length}: {saved}");
        assert_eq!(text(&entries[entries.len() - 1..]), "next\n");
    }
    fs::write(&plan.path, format!("{whole}\n\0\0\0\0{whole}\n\0\0\n")).unwrap();
    assert_eq!(text(&all(&plan.path, &Query::default())), "whole\nwhole\n");
    fs::write(&plan.path, format!("{whole}\nno entry\n")).unwrap();
    let error = read(&plan.path, &Query::default(), &mut || true, &mut |_| Ok(true)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains(&format!("byte {}", whole.len() + 1)), "{error}");
}

/// A file system of that many bytes that no path leads to.
pub(crate) fn small_disk(bytes: u32) -> (OwnedFd, PathBuf) {
    let context = FsContext::open("tmpfs").unwrap();
    context.set_string("size", OsStr::new(&bytes.to_string())).unwrap();
    let mount = context.mount(MountAttrFlags::empty()).unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_raw_fd()));
    (mount, path)
}

#[test]
fn a_full_disk_loses_the_oldest_and_says_how_many() {
    let (_mount, directory) = small_disk(4 * 1024 * 1024);
    let plan = LogPlan { path: directory.join("full-json.log"), max_size: None, max_files: 1 };
    let ballast = directory.join("ballast");
    fs::write(&ballast, vec![0; 3 * 1024 * 1024 + 512 * 1024]).unwrap();
    let mut writer = Writer::open(&plan).unwrap();
    let line = |n: i64| format!("{n} {}\n", "x".repeat(90));
    let mut failures = 0;
    for n in 0..20_000 {
        failures += i32::from(writer.write(Stream::Stdout, line(n).as_bytes(), n).is_err());
    }
    assert!(failures > 10_000);
    assert!(writer.held_back() <= 1024 * 1024 + 64 * 1024, "{}", writer.held_back());
    fs::remove_file(&ballast).unwrap();
    writer.retry(20_000).unwrap();
    writer.write(Stream::Stdout, line(20_000).as_bytes(), 20_000).unwrap();
    assert_eq!(writer.held_back(), 0);
    let entries = all(&plan.path, &Query::default());
    let note = entries.iter().position(|(_, stream, _)| *stream == Stream::Stderr).unwrap();
    let said = text(&entries[note..=note]);
    let lost: i64 = said.split_whitespace().nth(1).unwrap().parse().unwrap();
    let before: Vec<_> = entries[..note].iter().map(|(time, ..)| *time).collect();
    assert_eq!(before, (0..note as i64).collect::<Vec<_>>(), "nothing is missing before the note");
    let after: Vec<_> = entries[note + 1..].iter().map(|(time, ..)| *time).collect();
    assert_eq!(after, (note as i64 + lost..=20_000).collect::<Vec<_>>(), "{said}");
    for (time, _, bytes) in entries[..note].iter().chain(&entries[note + 1..]) {
        assert_eq!(bytes, line(*time).as_bytes());
    }
}

#[test]
fn a_million_lines_are_written_and_read() {
    let scratch = Scratch::new("million");
    let plan = scratch.plan();
    let mut writer = Writer::open(&plan).unwrap();
    let line = [vec![b'x'; 99], vec![b'\n']].concat();
    let chunk = line.repeat(655);
    let begun = Instant::now();
    let mut written = 0;
    while written < 1_000_000 {
        let lines = 655.min(1_000_000 - written);
        writer.write(Stream::Stdout, &chunk[..lines * 100], 1).unwrap();
        written += lines;
    }
    println!("written in {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut lines = 0;
    read(&plan.path, &Query::default(), &mut || true, &mut |entry| {
        lines += usize::from(entry.bytes == line);
        Ok(true)
    })
    .unwrap();
    println!("read in {:?}", begun.elapsed());
    assert_eq!(lines, 1_000_000);
    let begun = Instant::now();
    let tail = all(&plan.path, &Query { tail: Some(10), ..Query::default() });
    assert_eq!(tail.len(), 10);
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    io::stdout().flush().unwrap();
}
