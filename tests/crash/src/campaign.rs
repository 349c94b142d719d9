//! A kill run: shares the trials out to workers, each with a store of its own, and gathers what they find.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::arguments::{Choice, KillPlan};
use crate::failure::Failure;
use crate::images::{self, Inputs};
use crate::kill_trial::{self, Point, side};
use crate::mounts;
use crate::picture::Lens;
use crate::prepared::{Prepared, copy, empty};
use crate::process::{Dhow, Watchdog};
use crate::random::Random;
use crate::report::{self, Tally};
use crate::trace::{Side, Step};

/// A scenario that is broken is broken; more findings of the same kind only cost time.
const ENOUGH_VIOLATIONS: u64 = 10;

/// So many steps at the end of a command are chosen more often.
const LAST_STEPS: u64 = 40;

/// Runs the plan; true when no promise was broken.
pub(crate) fn run(plan: &KillPlan) -> Result<bool, Failure> {
    let began = Instant::now();
    let store = plan.work.join("stores");
    fs::create_dir_all(&store).map_err(Failure::io("create", &store))?;
    if mounts::private()? {
        mounts::in_memory(&store)?;
    } else {
        report::note("not permitted to mount: the stores stay on the file system of --work");
    }
    let inputs = images::write(&store.join("in"))?;
    let run = Run { plan, store, inputs, lens_began: now() - 60, watchdog: Watchdog::new() };
    let tallies: Mutex<Vec<(&'static str, Tally)>> =
        Mutex::new(plan.scenarios.iter().map(|scenario| (scenario.name, Tally::default())).collect());
    let results: Vec<Result<(), Failure>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.jobs)
            .map(|worker| {
                scope.spawn({
                    let (run, tallies) = (&run, &tallies);
                    move || run.worker(worker, tallies)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    for result in results {
        result?;
    }
    let tallies = tallies.into_inner().expect("a worker does not panic");
    report::table(&tallies, began.elapsed());
    // Where it is a mount of our own it ends with this process; the error says so.
    let _ = fs::remove_dir_all(&run.store);
    Ok(tallies.iter().all(|(_, tally)| tally.violations == 0))
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_secs().cast_signed()
}

struct Run<'a> {
    plan: &'a KillPlan,
    store: PathBuf,
    inputs: Inputs,
    lens_began: i64,
    watchdog: Watchdog,
}

impl Run<'_> {
    fn worker(&self, worker: u64, tallies: &Mutex<Vec<(&'static str, Tally)>>) -> Result<(), Failure> {
        let place = self.store.join(worker.to_string());
        for (index, scenario) in self.plan.scenarios.iter().enumerate() {
            let live = place.join("live");
            let dhow = Dhow {
                program: self.plan.dhow.clone(),
                run_root: live.join("run"),
                live,
                inputs: self.inputs.directory.clone(),
                watchdog: self.watchdog.clone(),
                swallow: None,
            };
            let lens = Lens { known: self.inputs.ids(), began: self.lens_began };
            let prepared = Prepared::new(scenario, dhow, &self.inputs, lens, &place)?;
            let mut tally = Tally::new(prepared.steps);
            self.scenario(worker, &prepared, &mut tally)?;
            tallies.lock().expect("a worker does not panic")[index].1.merge(tally);
        }
        Ok(())
    }

    /// This worker's share of one scenario: each `jobs`-th trial.
    fn scenario(&self, worker: u64, prepared: &Prepared, tally: &mut Tally) -> Result<(), Failure> {
        let count = match self.plan.choice {
            Choice::Random(count) => count.div_ceil(self.plan.scenarios.len() as u64 * self.plan.jobs),
            Choice::Exhaustive { .. } => u64::MAX,
            Choice::Replay { trial, at } => return self.replay(prepared, trial, at, tally),
        };
        let mut index = worker;
        // Kills are counted, not trials: some commands come to their end first. Not all can, or it would never end.
        let most = worker.saturating_add(count.saturating_mul(5 * self.plan.jobs));
        while tally.kills() < count && index < most && tally.violations < ENOUGH_VIOLATIONS {
            let point = self.point(prepared, index);
            let ended = self.trial(prepared, index, point, tally)?;
            // Several threads need not take the same number of steps each time, so the first short run is not the end.
            if let (Choice::Exhaustive { .. }, Point::Step(step)) = (self.plan.choice, point)
                && ended
                && step.number > prepared.steps
            {
                break;
            }
            index += self.plan.jobs;
        }
        Ok(())
    }

    fn point(&self, prepared: &Prepared, index: u64) -> Point {
        // Numbers of its own: a replay at a given point then goes on with the same ones as the trial did.
        let mut random = Random::new(self.plan.seed.wrapping_add(1 << 32), prepared.scenario.name, index);
        if let Choice::Exhaustive { stride } = self.plan.choice {
            return Point::Step(Step { number: 1 + index * stride, side: Side::Before });
        }
        if random.chance(20) {
            let longest = prepared.duration.as_micros() as u64 * 11 / 10;
            return Point::Time(Duration::from_micros(random.below(longest)));
        }
        // Commands end with what matters most, the commit and the sweep behind it, which is few of their steps.
        let first = if random.chance(30) { prepared.steps.saturating_sub(LAST_STEPS) } else { 0 };
        let number = 1 + first + random.below(prepared.steps + 1 - first);
        Point::Step(Step { number, side: side(&mut random) })
    }

    fn replay(&self, prepared: &Prepared, trial: u64, at: Option<Point>, tally: &mut Tally) -> Result<(), Failure> {
        let point = at.unwrap_or_else(|| self.point(prepared, trial));
        self.trial(prepared, trial, point, tally).map(|_| ())
    }

    /// One trial; tells whether the command came to its end.
    fn trial(&self, prepared: &Prepared, index: u64, point: Point, tally: &mut Tally) -> Result<bool, Failure> {
        let mut random = Random::new(self.plan.seed, prepared.scenario.name, index);
        match kill_trial::run(prepared, point, &mut random) {
            Ok(trial) => {
                tally.add(&trial);
                if matches!(self.plan.choice, Choice::Replay { .. }) {
                    report::replayed(&trial);
                }
                Ok(trial.killed.is_none())
            }
            Err(Failure::Violated(text)) => {
                tally.add_violation();
                let name = prepared.scenario.name;
                let kept = self.keep(&prepared.dhow.live, name, index)?;
                let replay = format!(
                    "dhow-crash kill --dhow {} --work {} --scenario {name} --seed {} --trial {index} --at {point}",
                    self.plan.dhow.display(),
                    self.plan.work.display(),
                    self.plan.seed
                );
                report::violation(name, &text, &replay, &kept);
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Copies the store out of the file system that ends with this process.
    fn keep(&self, live: &Path, name: &str, index: u64) -> Result<PathBuf, Failure> {
        let kept = self.plan.work.join("kept").join(format!("{name}-{index}"));
        empty(&kept)?;
        copy(live, &kept)?;
        Ok(kept)
    }
}
