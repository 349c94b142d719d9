//! The commands that run on the recorded disk, what each of them promises, and pictures of the store behind each.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::recorder::{Event, Recorder};
use crate::failure::Failure;
use crate::picture::{Lens, Picture};
use crate::prepared::empty;
use crate::process::{Dhow, tool};

/// One command of the workload.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) line: &'static str,
    /// Whether its success is a promise over a power cut.
    pub(crate) durable: bool,
    /// Parts of it that may have happened alone.
    parts: &'static [&'static str],
}

const fn durable(line: &'static str) -> Act {
    Act { line, durable: true, parts: &[] }
}

const fn passing(line: &'static str) -> Act {
    Act { line, durable: false, parts: &[] }
}

/// The commands, in order. `import` comes behind those with parts, because it makes another image each time.
pub(crate) const ACTS: &[Act] = &[
    durable("load -q -i {in}/base.tar"),
    durable("tag base:1 again:1"),
    Act {
        line: "load -q -i {in}/several.tar",
        durable: true,
        parts: &["load -q -i {in}/app.tar", "load -q -i {in}/third.tar"],
    },
    passing("rmi third:1"),
    durable("load -q -i {in}/other.tar"),
    Act { line: "rmi app:1 other:1", durable: false, parts: &["rmi app:1", "rmi other:1"] },
    durable("load -q -i {in}/app.tar"),
    durable("tag app:1 again:1"),
    durable("import {in}/rootfs.tar imported:1"),
    passing("save -o {out}/out.tar app:1 base:1"),
    durable("tag app:1 imported:1"),
    passing("image prune -f"),
    durable("load -q -i {in}/third.tar"),
    passing("image prune -f -a"),
    durable("load -q -i {in}/other.tar"),
];

/// Where all of it happens.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) place: &'a Path,
    pub(crate) file_system: &'a str,
    pub(crate) dhow: &'a Dhow,
    pub(crate) lens: &'a Lens,
}

impl Stage<'_> {
    /// The disk as `mkfs` made it.
    pub(crate) fn base(&self) -> PathBuf {
        self.place.join("base.img")
    }

    /// Where the disk is mounted, now and after the cut: stores may know their own path.
    pub(crate) fn mount(&self) -> PathBuf {
        self.place.join("mnt")
    }
}

/// What one run of the workload left on record.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) events: Vec<Event>,
    /// The event with which the first command began.
    pub(crate) began: usize,
    /// The store before the first command, then behind each.
    pub(crate) states: Vec<Picture>,
    bystander: bool,
}

impl Recording {
    /// In one line.
    pub(crate) fn describe(&self) -> String {
        let flushes = self.events.iter().filter(|event| matches!(event, Event::Flush)).count();
        let sizes = self.events.iter().filter_map(|event| match event {
            Event::Write { data, .. } => Some(data.len()),
            _ => None,
        });
        let (writes, bytes) = sizes.fold((0, 0), |(writes, bytes), size| (writes + 1, bytes + size));
        format!(
            "recorded {} commands{}: {writes} writes, {} KiB, {flushes} flushes",
            ACTS.len(),
            if self.bystander { " beside a program that flushes" } else { "" },
            bytes >> 10,
        )
    }
}

/// Pictures of stores in which only a part of a command has happened: `(index of the command, picture)`.
pub(crate) fn between(stage: &Stage<'_>) -> Result<Vec<(usize, Picture)>, Failure> {
    let live = stage.place.join("scratch");
    let dhow = Dhow { run_root: live.join("run"), live: live.clone(), ..stage.dhow.clone() };
    let mut found = Vec::new();
    for (index, act) in ACTS.iter().enumerate() {
        for part in act.parts {
            empty(&live)?;
            fs::create_dir_all(dhow.out()).map_err(Failure::io("create", &live))?;
            for line in ACTS[..index].iter().map(|act| act.line).chain([*part]) {
                dhow.run(line)?.or_failed()?;
            }
            found.push((index, Picture::take(&dhow, stage.lens, "reference run")?));
        }
    }
    empty(&live)?;
    Ok(found)
}

/// Runs all commands on a fresh copy of the disk, and writes down what the disk sees.
pub(crate) fn record(stage: &Stage<'_>, bystander: bool) -> Result<Recording, Failure> {
    let disk = stage.place.join("disk.img");
    tool(Command::new("cp").arg("--sparse=always").arg(stage.base()).arg(&disk))?;
    let (recorded, mount) = (stage.place.join("recorded"), stage.mount());
    empty(&recorded)?;
    let recorder = Recorder::start(&disk, &recorded)?;
    mount_image(stage.file_system, &recorded.join("disk.img"), &mount)?;
    let ran = acts(stage, &recorder, bystander);
    unmount(&mount)?;
    let events = recorder.finish()?;
    let states = ran?;
    let began = events.iter().position(|event| matches!(event, Event::Begin)).unwrap_or(0);
    fs::remove_file(&disk).map_err(Failure::io("remove", &disk))?;
    Ok(Recording { events, began, states, bystander })
}

fn acts(stage: &Stage<'_>, recorder: &Recorder, bystander: bool) -> Result<Vec<Picture>, Failure> {
    let dhow = stage.dhow;
    empty(&dhow.run_root)?;
    fs::create_dir_all(dhow.out()).map_err(Failure::io("create", &dhow.live))?;
    let directory = File::open(stage.mount()).map_err(Failure::io("open", &stage.mount()))?;
    rustix::fs::syncfs(&directory).map_err(|error| Failure::io("sync", &stage.mount())(error.into()))?;
    drop(directory);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        if bystander {
            scope.spawn(|| flush_all_the_time(&stage.mount().join("bystander"), &over));
        }
        let ran = (|| {
            recorder.note(&Event::Begin)?;
            let mut states = vec![Picture::default()];
            for act in ACTS {
                dhow.run(act.line)?.or_failed()?;
                recorder.note(&Event::Done)?;
                states.push(Picture::take(dhow, stage.lens, "reference run")?);
            }
            Ok(states)
        })();
        over.store(true, Ordering::Relaxed);
        ran
    })
}

/// Another program on the same file system that wants its data safe: each fsync commits the journal for all.
fn flush_all_the_time(path: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        // Nothing depends on its success.
        let _ = File::create(path).and_then(|mut file| {
            file.write_all(b"mine")?;
            file.sync_all()
        });
        thread::sleep(Duration::from_millis(3));
    }
}

/// Makes the empty file system that every record begins with.
pub(crate) fn make_base(stage: &Stage<'_>) -> Result<(), Failure> {
    let base = stage.base();
    let (size, arguments): (u64, &[&str]) = match stage.file_system {
        // No lazy initialisation: a kernel thread would write to the disk while commands run.
        "ext4" => (128 << 20, &["-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"]),
        "xfs" => (320 << 20, &["-q", "-f", "-K"]),
        "btrfs" => (320 << 20, &["-q", "-f", "-K"]),
        other => return Err(Failure::Usage(format!("{other}: one of ext4, xfs, btrfs"))),
    };
    let file = File::create(&base).map_err(Failure::io("create", &base))?;
    file.set_len(size).map_err(Failure::io("extend", &base))?;
    drop(file);
    tool(Command::new(format!("mkfs.{}", stage.file_system)).args(arguments).arg(&base))
}

/// Mounts a disk image through a loop device that ends with the mount.
pub(crate) fn mount_image(file_system: &str, image: &Path, mount: &Path) -> Result<(), Failure> {
    fs::create_dir_all(mount).map_err(Failure::io("create", mount))?;
    tool(Command::new("mount").args(["-t", file_system, "-o", "loop,noatime"]).arg(image).arg(mount))
}

/// Takes it away again. A process that has just been killed may hold it for another moment.
pub(crate) fn unmount(mount: &Path) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        match tool(Command::new("umount").arg(mount)) {
            Err(_) if tries < 50 => thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
        tries += 1;
    }
}
