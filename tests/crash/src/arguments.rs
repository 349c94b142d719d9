//! The command line of the harness.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

use crate::failure::Failure;
use crate::kill_trial::Point;
use crate::scenario::{self, Scenario};

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Invocation {
    Kill(KillPlan),
    PowerCut(PowerPlan),
    Containers(ContainerPlan),
    /// Internal: be traced, then become this program.
    Launch(Vec<OsString>),
    /// Internal: become this program, without its flushes.
    Swallow(Vec<OsString>),
    /// Internal: serve the recorded disk.
    ServeDisk(Vec<OsString>),
    List,
    Help,
}

/// How the points are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// So many kills over all scenarios, by the seed.
    Random(u64),
    /// Each step of each scenario, or each n-th.
    Exhaustive { stride: u64 },
    /// One trial again, of one scenario.
    Replay { trial: u64, at: Option<Point> },
}

/// A kill run.
#[derive(Debug)]
pub(crate) struct KillPlan {
    pub(crate) dhow: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) choice: Choice,
    pub(crate) seed: u64,
    pub(crate) scenarios: Vec<&'static Scenario>,
    pub(crate) jobs: u64,
}

/// A power-cut run.
#[derive(Debug)]
pub(crate) struct PowerPlan {
    pub(crate) dhow: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) cuts: u64,
    /// Only this cut.
    pub(crate) only: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) file_system: String,
    /// The flushes of dhow that are to do nothing: a run that then finds nothing would find nothing ever.
    pub(crate) swallow: Option<String>,
}

/// A run of kills of commands on containers.
#[derive(Debug)]
pub(crate) struct ContainerPlan {
    pub(crate) dhow: PathBuf,
    pub(crate) work: PathBuf,
    /// A static one: the only program of the image.
    pub(crate) busybox: PathBuf,
    /// Trials over all scenarios.
    pub(crate) count: u64,
    pub(crate) seed: u64,
    /// Only this scenario.
    pub(crate) only: Option<String>,
    /// Only this trial.
    pub(crate) trial: Option<u64>,
}

/// The flags, before it is known what they mean together.
#[derive(Default)]
struct Flags {
    dhow: Option<PathBuf>,
    work: Option<PathBuf>,
    random: Option<u64>,
    exhaustive: bool,
    stride: Option<u64>,
    seed: Option<u64>,
    scenarios: Vec<String>,
    busybox: Option<PathBuf>,
    trial: Option<u64>,
    at: Option<Point>,
    jobs: Option<u64>,
    cuts: Option<u64>,
    cut: Option<u64>,
    file_system: Option<String>,
    swallow: Option<String>,
}

/// Reads the arguments behind the program's name.
pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Invocation, Failure> {
    let verb = words.next().unwrap_or_default();
    match verb.to_str() {
        Some("launch") => Ok(Invocation::Launch(words.collect())),
        Some("swallow") => Ok(Invocation::Swallow(words.collect())),
        Some("serve-disk") => Ok(Invocation::ServeDisk(words.collect())),
        Some("list") => Ok(Invocation::List),
        Some("kill") => kill(flags(words)?),
        Some("power-cut") => power_cut(flags(words)?),
        Some("containers") => containers(flags(words)?),
        Some("" | "help" | "-h" | "--help") => Ok(Invocation::Help),
        _ => usage(format!("{}: not a verb; there are kill, containers, power-cut, list, help", verb.display())),
    }
}

fn flags(mut words: impl Iterator<Item = OsString>) -> Result<Flags, Failure> {
    let mut flags = Flags::default();
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or_else(|| Failure::Usage(format!("{} wants a value", flag.display())));
        match flag.to_str().unwrap_or_default() {
            "--dhow" => flags.dhow = Some(value()?.into()),
            "--work" => flags.work = Some(value()?.into()),
            "--random" => flags.random = Some(number(&value()?)?),
            "--exhaustive" => flags.exhaustive = true,
            "--stride" => flags.stride = Some(number::<u64>(&value()?)?.max(1)),
            "--seed" => flags.seed = Some(number(&value()?)?),
            "--trial" => flags.trial = Some(number(&value()?)?),
            "--at" => flags.at = Some(value()?.to_string_lossy().parse()?),
            "--jobs" => flags.jobs = Some(number::<u64>(&value()?)?.max(1)),
            "--cuts" => flags.cuts = Some(number(&value()?)?),
            "--cut" => flags.cut = Some(number(&value()?)?),
            "--fs" => flags.file_system = Some(value()?.to_string_lossy().into_owned()),
            "--swallow" => flags.swallow = Some(value()?.to_string_lossy().into_owned()),
            "--scenario" => flags.scenarios.push(value()?.to_string_lossy().into_owned()),
            "--busybox" => flags.busybox = Some(value()?.into()),
            other => return usage(format!("{other}: no such flag")),
        }
    }
    Ok(flags)
}

fn kill(flags: Flags) -> Result<Invocation, Failure> {
    let stride = flags.stride.unwrap_or(1);
    let choice = match (flags.random, flags.exhaustive, flags.trial.or(flags.at.map(|_| 0))) {
        (None, false, Some(trial)) if flags.scenarios.len() == 1 => Choice::Replay { trial, at: flags.at },
        (None, false, Some(_)) => return usage("--trial and --at want one --scenario"),
        (None, true, None) => Choice::Exhaustive { stride },
        (count, false, None) => Choice::Random(count.unwrap_or(2000)),
        _ => return usage("--random, --exhaustive and --trial exclude each other"),
    };
    let found: Option<Vec<_>> = flags.scenarios.iter().map(|name| scenario::find(name)).collect();
    let scenarios = found.ok_or_else(|| Failure::Usage(format!("{}: no such scenario", flags.scenarios.join(" "))))?;
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let all = scenarios.is_empty();
    Ok(Invocation::Kill(KillPlan {
        dhow: program(flags.dhow)?,
        work: flags.work.unwrap_or_else(|| "/dev/shm/dhow-crash".into()),
        choice,
        seed: flags.seed.unwrap_or(1),
        scenarios: if all { scenario::ALL.iter().collect() } else { scenarios },
        jobs: if matches!(choice, Choice::Replay { .. }) { 1 } else { flags.jobs.unwrap_or(cores) },
    }))
}

fn containers(flags: Flags) -> Result<Invocation, Failure> {
    if flags.scenarios.len() > 1 || (flags.trial.is_some() && flags.scenarios.is_empty()) {
        return usage("containers: one --scenario, or all of them; --trial wants one");
    }
    Ok(Invocation::Containers(ContainerPlan {
        dhow: program(flags.dhow)?,
        work: flags.work.unwrap_or_else(|| "/dev/shm/dhow-crash".into()),
        busybox: flags.busybox.unwrap_or_else(|| "/bin/busybox".into()),
        count: flags.random.unwrap_or(240),
        seed: flags.seed.unwrap_or(1),
        only: flags.scenarios.into_iter().next(),
        trial: flags.trial,
    }))
}

fn power_cut(flags: Flags) -> Result<Invocation, Failure> {
    Ok(Invocation::PowerCut(PowerPlan {
        dhow: program(flags.dhow)?,
        work: flags.work.unwrap_or_else(|| "/dev/shm/dhow-power".into()),
        cuts: flags.cuts.unwrap_or(200),
        only: flags.cut,
        seed: flags.seed.unwrap_or(1),
        file_system: flags.file_system.unwrap_or_else(|| "ext4".into()),
        swallow: flags.swallow,
    }))
}

fn program(flag: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let path = flag
        .or_else(|| std::env::var_os("DHOW").map(PathBuf::from))
        .ok_or_else(|| Failure::Usage("which dhow? give --dhow PATH or set DHOW".into()))?;
    path.canonicalize().map_err(Failure::io("find", &path))
}

fn number<T: FromStr>(text: &OsString) -> Result<T, Failure> {
    let text = text.to_string_lossy();
    text.parse().map_err(|_| Failure::Usage(format!("{text}: not a number")))
}

fn usage<T>(text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> impl Iterator<Item = OsString> {
        line.split_whitespace().map(OsString::from)
    }

    #[test]
    fn a_replay_names_one_scenario_and_a_point() {
        let parsed = parse(words("kill --dhow /bin/sh --scenario import --seed 3 --trial 7 --at after:12")).unwrap();
        let Invocation::Kill(plan) = parsed else { panic!("{parsed:?}") };
        let at = Some("after:12".parse().unwrap());
        assert_eq!(plan.choice, Choice::Replay { trial: 7, at });
        assert_eq!((plan.seed, plan.scenarios.len()), (3, 1));
    }

    #[test]
    fn contradictions_and_unknown_words_are_refused() {
        for line in [
            "kill --dhow /bin/sh --random 5 --exhaustive",
            "kill --dhow /bin/sh --trial 5",
            "kill --dhow /bin/sh --scenario nothing",
            "kill --dhow /bin/sh --random many",
            "kill --dhow /bin/sh --at never:1",
            "stop",
        ] {
            assert!(parse(words(line)).is_err(), "{line}");
        }
    }
}
