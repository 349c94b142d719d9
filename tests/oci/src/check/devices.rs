//! Device nodes and the links beside them.

use crate::report::{Report, members};
use rustix::fs::{FileType, major, minor};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;

/// `{"/dev/null": "c 1:3 666 0:0"}`: kind, numbers, mode, owner.
pub(crate) fn devices(expected: &Value, report: &mut Report) {
    for (path, wanted) in members(expected) {
        let Some(about) = report.had(path, fs::symlink_metadata(path)) else { continue };
        let kind = match FileType::from_raw_mode(about.mode()) {
            FileType::CharacterDevice => "c",
            FileType::BlockDevice => "b",
            FileType::Fifo => "p",
            other => {
                report.failed(path, &format!("it is no device but {other:?}"));
                continue;
            }
        };
        let number = about.rdev();
        let found = format!(
            "{kind} {}:{} {:o} {}:{}",
            major(number),
            minor(number),
            about.mode() & 0o7777,
            about.uid(),
            about.gid()
        );
        report.expect_text(path, wanted, &found);
        works(path, report);
    }
}

/// The standard ones do what they are there for.
fn works(path: &str, report: &mut Report) {
    let read = || {
        let mut bytes = [1; 16];
        fs::File::open(path).and_then(|mut file| file.read(&mut bytes)).map(|length| (length, bytes))
    };
    let write = || fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write(b"x"));
    let works = match path {
        "/dev/null" => matches!(read(), Ok((0, _))) && matches!(write(), Ok(1)),
        "/dev/zero" => matches!(read(), Ok((16, bytes)) if bytes == [0; 16]),
        "/dev/full" => write().is_err_and(|e| e.kind() == std::io::ErrorKind::StorageFull),
        "/dev/random" | "/dev/urandom" => matches!(read(), Ok((16, bytes)) if bytes != [1; 16]),
        _ => return,
    };
    report.holds(path, works, || "it does not work".to_owned());
}

/// `{"/dev/fd": "/proc/self/fd"}`.
pub(crate) fn links(expected: &Value, report: &mut Report) {
    for (path, wanted) in members(expected) {
        if let Some(target) = report.had(path, fs::read_link(path)) {
            report.expect_text(path, wanted, &target.to_string_lossy());
        }
    }
}

/// `{"/dev/x": "PERM"}`: how opening fails.
pub(crate) fn unreadable(expected: &Value, report: &mut Report) {
    for (path, wanted) in members(expected) {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let found = match rustix::fs::open(path, flags, 0.into()) {
            Ok(_) => "ok".to_owned(),
            Err(errno) => crate::calls::in_words(errno),
        };
        report.expect_text(path, wanted, &found);
    }
}
