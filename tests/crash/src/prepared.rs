//! A scenario made ready in one directory: the store that it starts from, and pictures of every store that it may leave.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, violated};
use crate::images::Inputs;
use crate::picture::{Lens, Listed, Picture};
use crate::process::{Dhow, tool};
use crate::scenario::Scenario;
use crate::trace::{self, Ended};

/// A store that the scenario may leave.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) picture: Picture,
    /// Whether the killed command has happened, all of it.
    pub(crate) happened: bool,
    /// Whether a part of it has.
    pub(crate) partly: bool,
    /// Whether the command beside it succeeded.
    pub(crate) beside: bool,
}

/// One scenario, ready to be tried as often as wanted.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) scenario: &'static Scenario,
    pub(crate) dhow: Dhow,
    pub(crate) lens: Lens,
    /// Layers of each image in the archives.
    pub(crate) images: BTreeMap<String, Vec<String>>,
    setup: PathBuf,
    /// What may be left; the first is the store before the command.
    pub(crate) states: Vec<State>,
    /// Steps of a run that is not killed.
    pub(crate) steps: u64,
    /// Its duration.
    pub(crate) duration: Duration,
}

impl Prepared {
    /// Runs the set-up, then each allowed order of events once, in `place`.
    pub(crate) fn new(
        scenario: &'static Scenario,
        dhow: Dhow,
        inputs: &Inputs,
        lens: Lens,
        place: &Path,
    ) -> Result<Prepared, Failure> {
        let setup = place.join("setup");
        let images = inputs.images.clone();
        let zero = Duration::ZERO;
        let mut prepared =
            Prepared { scenario, dhow, lens, images, setup, states: Vec::new(), steps: 0, duration: zero };
        prepared.make_setup()?;
        prepared.make_states()?;
        prepared.measure()?;
        Ok(prepared)
    }

    fn make_setup(&self) -> Result<(), Failure> {
        empty(&self.dhow.live)?;
        fs::create_dir_all(self.dhow.out()).map_err(Failure::io("create", &self.dhow.out()))?;
        for line in self.scenario.setup {
            self.dhow.run(line)?.or_failed()?;
        }
        if !self.scenario.virgin {
            // Also for an empty set-up: the store itself is there.
            self.dhow.run("system check --repair")?.or_failed()?;
        }
        empty(&self.setup)?;
        copy(&self.dhow.live, &self.setup)
    }

    fn make_states(&mut self) -> Result<(), Failure> {
        let killed = self.scenario.command;
        let beside = self.scenario.beside;
        let mut orders: Vec<(Vec<&str>, bool, bool)> = Vec::new();
        match beside {
            None => orders.extend([(vec![], false, false), (vec![killed], true, false)]),
            Some(beside) => orders.extend([
                (vec![beside.command], false, true),
                (vec![killed, beside.command], true, true),
                (vec![beside.command, killed], true, true),
                (vec![killed], true, false),
            ]),
        }
        for lines in self.scenario.also {
            match beside {
                None => orders.push((lines.to_vec(), false, false)),
                Some(beside) => {
                    orders.push((lines.to_vec(), false, false));
                    orders.push(([*lines, &[beside.command]].concat(), false, true));
                    orders.push(([&[beside.command], *lines].concat(), false, true));
                }
            }
        }
        for (lines, happened, beside_ran) in orders {
            let others = beside.map_or("", |beside| beside.command);
            let partly = !happened && lines.iter().any(|line| *line != others);
            self.restore()?;
            let mut beside_lost = false;
            for line in &lines {
                let done = self.dhow.run(line)?;
                let is_beside = beside.is_some_and(|beside| beside.command == *line && beside.may_fail);
                beside_lost |= is_beside && !done.success;
                if !is_beside {
                    done.or_failed()?;
                }
            }
            // An order of events in which the command beside loses is that without it.
            if beside_lost {
                continue;
            }
            self.dhow.run("system check")?.or_failed()?;
            let picture = Picture::take(&self.dhow, &self.lens, "reference run")?;
            self.states.push(State { picture, happened, partly, beside: beside_ran });
        }
        Ok(())
    }

    fn measure(&mut self) -> Result<(), Failure> {
        let mut durations = Vec::new();
        for _ in 0..3 {
            self.restore()?;
            let begin = Instant::now();
            let child = self.dhow.spawn(self.scenario.command, Stdio::null)?;
            self.dhow.finish(self.scenario.command, child)?.or_failed()?;
            durations.push(begin.elapsed());
        }
        durations.sort();
        self.duration = durations[1];
        self.restore()?;
        match self.traced(self.scenario.command, None)? {
            Ended::Finished { success: true, steps } => self.steps = steps,
            other => {
                return Err(Failure::Command {
                    command: self.scenario.command.into(),
                    how: format!("fails when traced: {other:?}"),
                    output: fs::read_to_string(self.log()).unwrap_or_default(),
                });
            }
        }
        Ok(())
    }

    /// Where a traced run prints to.
    pub(crate) fn log(&self) -> PathBuf {
        self.setup.with_file_name("output")
    }

    /// Runs one line under ptrace.
    pub(crate) fn traced(&self, line: &str, stop: Option<trace::Step>) -> Result<Ended, Failure> {
        let arguments = self.dhow.arguments(line);
        trace::run(&self.dhow.program, &arguments, stop, &self.dhow.live, &self.log(), &self.dhow.watchdog)
    }

    /// Puts the store back to where the scenario starts.
    pub(crate) fn restore(&self) -> Result<(), Failure> {
        empty(&self.dhow.live)?;
        copy(&self.setup, &self.dhow.live)
    }

    /// Whether such a list of images may be seen.
    pub(crate) fn may_list(&self, images: &BTreeSet<Listed>, beside: bool, when: &str) -> Result<(), Failure> {
        if self.allowed(beside).any(|state| state.picture.images == *images) {
            return Ok(());
        }
        let allowed: Vec<_> = self.allowed(beside).map(|state| show(&state.picture.images)).collect();
        violated(format!("{when}: images are {}; allowed: {}", show(images), allowed.join(" or ")))
    }

    fn allowed(&self, beside: bool) -> impl Iterator<Item = &State> {
        self.states.iter().filter(move |state| state.beside == beside)
    }

    /// Finds the allowed state that a store is in, and how many files it holds beyond that (kept for a resume).
    /// `done`: only a state in which the command has happened will do.
    pub(crate) fn judge(
        &self,
        found: &Picture,
        beside: bool,
        done: bool,
        when: &str,
    ) -> Result<(&State, usize), Failure> {
        self.may_list(&found.images, beside, when)?;
        if let Some(path) = found.work.iter().next() {
            return violated(format!("{when}: {} is left", path.display()));
        }
        let mut first = None;
        let fits = |state: &&State| state.picture.images == found.images && (state.happened || !done);
        for state in self.allowed(beside).filter(fits) {
            match self.same_files(&state.picture, found, when) {
                Ok(kept) => return Ok((state, kept)),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.unwrap_or_else(|| Failure::Violated(format!("{when}: it has not happened"))))
    }

    fn same_files(&self, wanted: &Picture, found: &Picture, when: &str) -> Result<usize, Failure> {
        let known: Vec<&Picture> = self.states.iter().map(|state| &state.picture).collect();
        compare(wanted, found, &known, self.scenario.dated, when)
    }
}

/// Compares the files of a store with those of a reference. Gives the number of files beyond it, each of which one of the
/// `known` pictures must hold with the same content.
pub(crate) fn compare(
    wanted: &Picture,
    found: &Picture,
    known: &[&Picture],
    dated: bool,
    when: &str,
) -> Result<usize, Failure> {
    let mut kept = 0;
    let missing: Vec<&String> = wanted.blobs.difference(&found.blobs).collect();
    let beyond: Vec<&String> = found.blobs.difference(&wanted.blobs).collect();
    let foreign = beyond.iter().filter(|blob| !known.iter().any(|picture| picture.blobs.contains(**blob))).count();
    // The config and the manifest of an import have another digest each time, so only their number can be compared.
    if missing.len() > if dated { foreign } else { 0 } {
        return violated(format!("{when}: blobs {missing:?} are missing"));
    }
    if foreign > 0 && !dated {
        return violated(format!("{when}: of the blobs {beyond:?} some belong to no image"));
    }
    kept += beyond.len() - missing.len();
    for (name, lines) in &wanted.layers {
        match found.layers.get(name) {
            None => return violated(format!("{when}: layer {name} is missing")),
            Some(real) => same_tree(name, lines, real, when)?,
        }
    }
    for (name, lines) in found.layers.iter().filter(|(name, _)| !wanted.layers.contains_key(*name)) {
        match known.iter().find_map(|picture| picture.layers.get(name)) {
            None => return violated(format!("{when}: layer {name} belongs to no image")),
            Some(real) => same_tree(name, real, lines, when)?,
        }
        kept += 1;
    }
    if let Some(name) = found.top.iter().find(|name| !known.iter().any(|picture| picture.top.contains(*name))) {
        return violated(format!("{when}: {name} is left in the data root"));
    }
    Ok(kept)
}

fn same_tree(name: &str, wanted: &[String], found: &[String], when: &str) -> Result<(), Failure> {
    if wanted == found {
        return Ok(());
    }
    let wanted: BTreeSet<&String> = wanted.iter().collect();
    let found: BTreeSet<&String> = found.iter().collect();
    violated(format!(
        "{when}: layer {name} differs:\n  wanted {:?}\n  found  {:?}",
        wanted.difference(&found).take(5).collect::<Vec<_>>(),
        found.difference(&wanted).take(5).collect::<Vec<_>>()
    ))
}

/// Images for a message.
pub(crate) fn show(images: &BTreeSet<Listed>) -> String {
    let names: Vec<String> = images.iter().map(|image| format!("{}={:.15}", image.name, image.id)).collect();
    format!("{{{}}}", names.join(" "))
}

/// Makes a directory, or empties the one that is there.
pub(crate) fn empty(directory: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::Io { what: "empty", path: directory.to_owned(), source: error })
        }
        _ => fs::create_dir_all(directory).map_err(Failure::io("create", directory)),
    }
}

/// Copies what is in a directory, with owners, times, attributes, links and holes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    tool(Command::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from.join(".")).arg(to))
}
