//! Runs a command and says what it took. Cases take turns: every round runs each of them once, in an order that turns too.

use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::failure::Failure;

/// What one run of a case took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds of CPU, user and system, of the command and all it waited for.
    pub(crate) cpu: f64,
    /// Largest resident set of any one process of it, in KiB; 0 where nobody looked.
    pub(crate) peak: i64,
}

/// Something to measure.
pub(crate) struct Case<'a> {
    pub(crate) name: String,
    /// Prepares, runs, cleans up; only what it measures itself counts.
    pub(crate) run: Box<dyn FnMut() -> Result<Sample, Failure> + 'a>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() -> Result<Sample, Failure> + 'a) -> Self {
        Case { name: name.into(), run: Box::new(run) }
    }
}

/// The samples of each case, in order of the cases.
pub(crate) fn interleave(cases: &mut [Case<'_>], rounds: usize) -> Result<Vec<(String, Vec<Sample>)>, Failure> {
    let mut samples = vec![Vec::new(); cases.len()];
    for round in 0..rounds {
        for turn in 0..cases.len() {
            let at = (round + turn) % cases.len();
            samples[at].push((cases[at].run)()?);
        }
        if rounds < 20 {
            eprintln!("xtask: round {} of {rounds}", round + 1);
        }
    }
    Ok(cases.iter().map(|case| case.name.clone()).zip(samples).collect())
}

/// As `interleave`, but each round in the order of the cases: for cases that go on from those before them.
pub(crate) fn in_order(cases: &mut [Case<'_>], rounds: usize) -> Result<Vec<(String, Vec<Sample>)>, Failure> {
    let mut samples = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for (case, samples) in cases.iter_mut().zip(&mut samples) {
            samples.push((case.run)()?);
        }
    }
    Ok(cases.iter().map(|case| case.name.clone()).zip(samples).collect())
}

/// Wall and CPU time of a command; fails when it fails. Its output is dropped.
pub(crate) fn time(command: &mut Command) -> Result<Sample, Failure> {
    let before = usage(UsageWho::RUSAGE_CHILDREN)?;
    let start = Instant::now();
    succeed(command)?;
    let wall = start.elapsed().as_secs_f64();
    let after = usage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(Sample { wall, cpu: cpu(&after) - cpu(&before), peak: 0 })
}

/// As `time`, for work of this program's own.
pub(crate) fn time_own(work: impl FnOnce() -> Result<(), Failure>) -> Result<Sample, Failure> {
    let before = usage(UsageWho::RUSAGE_SELF)?;
    let start = Instant::now();
    work()?;
    let wall = start.elapsed().as_secs_f64();
    let after = usage(UsageWho::RUSAGE_SELF)?;
    Ok(Sample { wall, cpu: cpu(&after) - cpu(&before), peak: 0 })
}

/// As `time`, with the peak memory: the command is run by a copy of this program that has no other child.
pub(crate) fn time_and_memory(command: &Command) -> Result<Sample, Failure> {
    let own = std::env::current_exe().map_err(|e| Failure::new(format!("this program: {e}")))?;
    let mut measured = Command::new(own);
    measured.arg("measured").arg(command.get_program()).args(command.get_args());
    let said = crate::project::output(&mut measured)?;
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [wall, cpu, peak] = numbers[..] else { return Err(Failure::new(format!("no figures: {said}"))) };
    // Exact: a number of KiB fits a double many times over.
    Ok(Sample { wall, cpu, peak: peak as i64 })
}

/// The other side of `time_and_memory`: runs the command given by `args`, prints its figures.
pub(crate) fn measured(args: &[String]) -> Result<(), Failure> {
    let Some((program, args)) = args.split_first() else { return Err(Failure::new("measured: no command")) };
    let sample = time(Command::new(program).args(args))?;
    println!("{} {} {}", sample.wall, sample.cpu, usage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}

fn succeed(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.spawn().and_then(std::process::Child::wait_with_output);
    let output = output.map_err(|e| Failure::new(format!("{program}: {e}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{program}: {}: {}", output.status, said.trim())));
    }
    Ok(())
}

fn usage(whose: UsageWho) -> Result<Usage, Failure> {
    getrusage(whose).map_err(|e| Failure::new(format!("getrusage: {e}")))
}

fn cpu(usage: &Usage) -> f64 {
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}
