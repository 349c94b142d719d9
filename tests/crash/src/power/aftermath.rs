//! The power is back: mount the disk, let dhow recover in a boot of another identity, and look at everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::disk::Cut;
use super::workload::{ACTS, Recording, Stage, mount_image, unmount};
use crate::archive;
use crate::failure::{Failure, violated};
use crate::kill_trial::throw_away;
use crate::mounts;
use crate::picture::{self, Picture};
use crate::prepared::{compare, empty, show};
use crate::random::Random;

/// What is the same for all cuts.
#[derive(Debug)]
pub(crate) struct Aftermath<'a> {
    stage: &'a Stage<'a>,
    /// Stores with a part of a command.
    between: Vec<(usize, Picture)>,
    boot: PathBuf,
    /// How often the store was found so many commands behind the last one that had ended (negative: ahead).
    behind: BTreeMap<i64, u64>,
    kept: u64,
    continued: u64,
    emptied: u64,
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl<'a> Aftermath<'a> {
    /// From here on every process sees another boot id, a new one for each cut.
    pub(crate) fn new(stage: &'a Stage<'a>, between: Vec<(usize, Picture)>) -> Result<Aftermath<'a>, Failure> {
        let boot = stage.place.join("boot_id");
        fs::write(&boot, "").map_err(Failure::io("write", &boot))?;
        mounts::bind(&boot, Path::new(BOOT_ID))?;
        Ok(Aftermath { stage, between, boot, behind: BTreeMap::new(), kept: 0, continued: 0, emptied: 0 })
    }

    /// In one line.
    pub(crate) fn describe(&self) -> String {
        let behind: Vec<String> = self
            .behind
            .iter()
            .map(|(behind, count)| match behind {
                0 => format!("{count} as the last command left it"),
                behind if *behind < 0 => format!("{count} with the running command done"),
                behind => format!("{count} with {behind} unpromised commands lost"),
            })
            .collect();
        format!(
            "found: {}; {} with files kept, {} worked on to the end, {} emptied",
            behind.join(", "),
            self.kept,
            self.continued,
            self.emptied
        )
    }

    /// One cut, from mount to unmount.
    pub(crate) fn look(
        &mut self,
        recording: &Recording,
        cut: &Cut,
        image: &Path,
        random: &mut Random,
    ) -> Result<(), Failure> {
        // In place: the mount shows this very file.
        let id = format!("{:08x}-0000-4000-8000-{:012x}\n", random.next() as u32, random.next() & 0xffff_ffff_ffff);
        fs::write(&self.boot, id).map_err(Failure::io("write", &self.boot))?;
        empty(&self.stage.dhow.run_root)?;
        let mount = self.stage.mount();
        mount_image(self.stage.file_system, image, &mount)?;
        let looked = self.inside(recording, cut, random);
        unmount(&mount)?;
        looked
    }

    fn inside(&mut self, recording: &Recording, cut: &Cut, random: &mut Random) -> Result<(), Failure> {
        let (dhow, lens) = (self.stage.dhow, self.stage.lens);
        let done = cut.done(&recording.events);
        let promised = (0..done).rev().find(|index| ACTS[*index].durable).map_or(0, |index| index + 1);
        let last = (done + 1).min(ACTS.len());
        let allowed = Allowed { promised, last, recording, between: &self.between };
        let when = format!("with {done} commands done and {promised} promised");
        let reading = format!("{when}, reading before any recovery");
        let (listed, _) = picture::images(dhow, lens, &reading)?;
        if !allowed.pictures().any(|(_, picture)| picture.images == listed) {
            return violated(format!("{reading}: images are {}; allowed: {}", show(&listed), allowed.show()));
        }
        dhow.run("system check --repair")?.or_violated(&when)?;
        dhow.run("system check")?.or_violated(&when)?;
        let found = Picture::take(dhow, lens, &when)?;
        let (index, kept) = allowed.judge(&found, &when)?;
        self.kept += u64::from(kept > 0);
        *self.behind.entry(done as i64 - index as i64).or_default() += 1;
        self.saved(&when)?;
        if random.chance(35) {
            self.go_on(index, recording, &when)?;
        }
        if random.chance(35) {
            throw_away(dhow, lens, &format!("{when}, after all images were removed"))?;
            self.emptied += 1;
        }
        Ok(())
    }

    /// What `save` wrote is whole, or it is not there under its name.
    fn saved(&self, when: &str) -> Result<(), Failure> {
        let path = self.stage.dhow.out().join("out.tar");
        if path.exists() && archive::verify(&path)?.len() != 2 {
            return violated(format!("{when}: {} does not hold 2 images", path.display()));
        }
        Ok(())
    }

    /// The commands that were lost or not yet run do all of their work.
    fn go_on(&mut self, from: usize, recording: &Recording, when: &str) -> Result<(), Failure> {
        let (dhow, lens) = (self.stage.dhow, self.stage.lens);
        let when = format!("{when}, after the other commands");
        fs::create_dir_all(dhow.out()).map_err(Failure::io("create", &dhow.out()))?;
        for act in &ACTS[from..] {
            match act.line.strip_prefix("rmi ") {
                None => drop(dhow.run(act.line)?.or_violated(&when)?),
                // A part of it may have happened: what that part removed is not there a second time.
                Some(names) => {
                    for name in names.split(' ') {
                        dhow.run(&format!("rmi {name}"))?;
                    }
                }
            }
        }
        let found = Picture::take(dhow, lens, &when)?;
        let wanted = &recording.states[ACTS.len()];
        if found.images != wanted.images {
            return violated(format!("{when}: images are {}, not {}", show(&found.images), show(&wanted.images)));
        }
        let known: Vec<&Picture> = recording.states.iter().collect();
        compare(wanted, &found, &known, true, &when)?;
        self.continued += 1;
        Ok(())
    }
}

/// The stores that a cut may leave.
struct Allowed<'a> {
    /// So many commands have to have happened.
    promised: usize,
    /// So many may have.
    last: usize,
    recording: &'a Recording,
    between: &'a [(usize, Picture)],
}

impl Allowed<'_> {
    /// With the number of commands that have happened wholly.
    fn pictures(&self) -> impl Iterator<Item = (usize, &Picture)> {
        // The latest first: among equal stores it is the likeliest.
        let whole = (self.promised..=self.last).rev().map(|index| (index, &self.recording.states[index]));
        let parts = self.between.iter().filter(|(index, _)| (self.promised..self.last).contains(index));
        whole.chain(parts.map(|(index, picture)| (*index, picture)))
    }

    fn show(&self) -> String {
        self.pictures().map(|(_, picture)| show(&picture.images)).collect::<Vec<_>>().join(" or ")
    }

    fn judge(&self, found: &Picture, when: &str) -> Result<(usize, usize), Failure> {
        if let Some(path) = found.work.iter().next() {
            return violated(format!("{when}: {} is left", path.display()));
        }
        let known: Vec<&Picture> =
            self.recording.states.iter().chain(self.between.iter().map(|(_, picture)| picture)).collect();
        let mut first = None;
        for (index, picture) in self.pictures().filter(|(_, picture)| picture.images == found.images) {
            match compare(picture, found, &known, false, when) {
                Ok(kept) => return Ok((index, kept)),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.unwrap_or_else(|| {
            Failure::Violated(format!("{when}: images are {}; allowed: {}", show(&found.images), self.show()))
        }))
    }
}
