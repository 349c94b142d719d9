//! What the harness prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this file is the program's voice")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::kill_trial::Trial;
use crate::scenario::Scenario;

/// The results of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    trials: u64,
    by_time: u64,
    finished: u64,
    recoveries_killed: u64,
    happened: u64,
    repeated: u64,
    saved: u64,
    emptied: u64,
    kept: u64,
    pub(crate) violations: u64,
    calls: BTreeMap<String, u64>,
}

impl Tally {
    /// Nothing found yet, of a command of so many steps.
    pub(crate) fn new(steps: u64) -> Tally {
        Tally { steps, ..Tally::default() }
    }

    /// One more trial without a violation.
    pub(crate) fn add(&mut self, trial: &Trial) {
        self.trials += 1;
        match trial.killed.as_deref() {
            None => self.finished += 1,
            Some("time") => self.by_time += 1,
            Some(call) => {
                let name = call.split(' ').next().unwrap_or(call);
                *self.calls.entry(name.trim_start_matches("SYS_").to_owned()).or_default() += 1;
            }
        }
        self.recoveries_killed += u64::from(trial.recovery_killed);
        self.happened += u64::from(trial.happened);
        self.kept += u64::from(trial.kept > 0);
        self.repeated += u64::from(trial.repeated);
        self.saved += u64::from(trial.saved);
        self.emptied += u64::from(trial.emptied);
    }

    /// One more that found something.
    pub(crate) fn add_violation(&mut self) {
        self.trials += 1;
        self.violations += 1;
    }

    /// Takes over what another worker found.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.steps = self.steps.max(other.steps);
        for (own, others) in [
            (&mut self.trials, other.trials),
            (&mut self.by_time, other.by_time),
            (&mut self.finished, other.finished),
            (&mut self.recoveries_killed, other.recoveries_killed),
            (&mut self.happened, other.happened),
            (&mut self.repeated, other.repeated),
            (&mut self.saved, other.saved),
            (&mut self.emptied, other.emptied),
            (&mut self.kept, other.kept),
            (&mut self.violations, other.violations),
        ] {
            *own += others;
        }
        for (call, count) in other.calls {
            *self.calls.entry(call).or_default() += count;
        }
    }

    /// How often the command was killed, or should have been when something else was found.
    pub(crate) fn kills(&self) -> u64 {
        self.by_call() + self.by_time + self.violations
    }

    fn by_call(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// The table at the end of a kill run.
pub(crate) fn table(tallies: &[(&'static str, Tally)], took: Duration) {
    println!(
        "{:<22}{:>6}{:>8}{:>9}{:>9}{:>7}{:>7}{:>10}{:>8}{:>7}{:>7}{:>6}{:>12}",
        "scenario",
        "steps",
        "trials",
        "at call",
        "at time",
        "ended",
        "twice",
        "happened",
        "repeat",
        "saved",
        "empty",
        "kept",
        "violations"
    );
    let mut sum = Tally::default();
    let row = |name: &str, tally: &Tally| {
        println!(
            "{name:<22}{:>6}{:>8}{:>9}{:>9}{:>7}{:>7}{:>10}{:>8}{:>7}{:>7}{:>6}{:>12}",
            tally.steps,
            tally.trials,
            tally.by_call(),
            tally.by_time,
            tally.finished,
            tally.recoveries_killed,
            tally.happened,
            tally.repeated,
            tally.saved,
            tally.emptied,
            tally.kept,
            tally.violations
        );
    };
    for (name, tally) in tallies {
        row(name, tally);
    }
    for (_, tally) in tallies {
        let steps = sum.steps + tally.steps;
        sum.merge(Tally { calls: tally.calls.clone(), ..*tally });
        sum.steps = steps;
    }
    row("all", &sum);
    let calls: Vec<String> = sum.calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
    println!("killed at: {}", calls.join(", "));
    println!(
        "{} kills, {} recoveries killed too, {} violations, {:.1} s",
        sum.kills(),
        sum.recoveries_killed,
        sum.violations,
        took.as_secs_f64()
    );
}

/// One violation, at once, with the way back to it.
pub(crate) fn violation(name: &str, text: &str, replay: &str, kept: &Path) {
    println!("VIOLATION {name}: {text}\n  store kept in {}\n  again: {replay}", kept.display());
}

/// The end of a power-cut run.
pub(crate) fn power(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}

/// One trial that was replayed.
pub(crate) fn replayed(trial: &Trial) {
    println!("no violation: {trial:?}");
}

/// A remark.
pub(crate) fn note(text: &str) {
    eprintln!("dhow-crash: {text}");
}

/// An error of the harness.
pub(crate) fn failure(failure: &Failure) {
    eprintln!("dhow-crash: {failure}");
}

/// The scenarios.
pub(crate) fn list(scenarios: &[Scenario]) {
    for scenario in scenarios {
        let beside = scenario.beside.map_or(String::new(), |beside| format!("  beside `{}`", beside.command));
        println!("{:<22}{}{beside}", scenario.name, scenario.command);
    }
}

/// How to call it.
pub(crate) fn help() {
    println!(
        "dhow-crash kill [--dhow PATH] [--work DIR] [--random COUNT | --exhaustive [--stride N]] [--seed N]
                [--scenario NAME]... [--jobs N]
dhow-crash kill --dhow PATH --scenario NAME --seed N --trial N [--at before:N|after:N|time:MICROSECONDS]
dhow-crash containers [--dhow PATH] [--work DIR] [--random COUNT] [--seed N] [--scenario NAME [--trial N]]
                [--busybox PATH]
dhow-crash power-cut [--dhow PATH] [--work DIR] [--cuts COUNT | --cut N] [--seed N] [--fs ext4|xfs|btrfs]
                [--swallow fsync|fdatasync|syncfs|all]
dhow-crash list

dhow is taken from --dhow or the variable DHOW. Exit: 0 no violation, 1 violations, 2 the harness could not go on."
    );
}
