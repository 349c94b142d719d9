//! One trial: start the command, kill it at one point, recover, and look at everything.

use std::fmt;
use std::fs;
use std::process::Stdio;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::archive;
use crate::failure::{Failure, violated};
use crate::picture::{self, Picture, names};
use crate::prepared::Prepared;
use crate::random::Random;
use crate::trace::{Ended, Side, Step};

/// The point at which a command is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// At a system call, under ptrace.
    Step(Step),
    /// After some time, wherever it then is, without ptrace.
    Time(Duration),
}

impl fmt::Display for Point {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Step(Step { number, side: Side::Before }) => write!(to, "before:{number}"),
            Point::Step(Step { number, side: Side::After }) => write!(to, "after:{number}"),
            Point::Time(time) => write!(to, "time:{}", time.as_micros()),
        }
    }
}

impl FromStr for Point {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Point, Failure> {
        let wrong = || Failure::Usage(format!("{text}: a point is before:N, after:N or time:MICROSECONDS"));
        let (kind, number) = text.split_once(':').ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        match kind {
            "before" => Ok(Point::Step(Step { number, side: Side::Before })),
            "after" => Ok(Point::Step(Step { number, side: Side::After })),
            "time" => Ok(Point::Time(Duration::from_micros(number))),
            _ => Err(wrong()),
        }
    }
}

/// What became of a trial without a violation.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// The call at which it was killed; `time` for a kill without ptrace; none when it came to its end first.
    pub(crate) killed: Option<String>,
    /// Whether the recovery was killed as well.
    pub(crate) recovery_killed: bool,
    /// Whether the command had happened, by what was found after the recovery.
    pub(crate) happened: bool,
    /// Blobs and layers that were there although no image needs them.
    pub(crate) kept: usize,
    pub(crate) repeated: bool,
    pub(crate) saved: bool,
    pub(crate) emptied: bool,
}

/// Runs one trial. All that is chosen by chance comes from `random`, so a seed repeats it.
pub(crate) fn run(prepared: &Prepared, point: Point, random: &mut Random) -> Result<Trial, Failure> {
    prepared.restore()?;
    let mut trial = Trial::default();
    let beside = kill(prepared, point, random, &mut trial)?;
    let (listed, _) = picture::images(&prepared.dhow, &prepared.lens, "reading before any recovery")?;
    prepared.may_list(&listed, beside, "reading before any recovery")?;
    let how = recover(prepared, random, &mut trial)?;
    let when = format!("after recovery by {how}");
    check(prepared, how, &when)?;
    let found = Picture::take(&prepared.dhow, &prepared.lens, &when)?;
    let (state, kept) = prepared.judge(&found, beside, false, &when)?;
    (trial.happened, trial.kept) = (state.happened, kept);
    inspect(prepared, &found, &when)?;
    if random.chance(15) {
        save(prepared, &found, &when)?;
        trial.saved = true;
    }
    output(prepared, &when)?;
    // Half of a removal done, the same command rightly fails for that half.
    if prepared.scenario.idempotent || !(state.happened || state.partly) {
        repeat(prepared, beside)?;
        trial.repeated = true;
    }
    if random.chance(15) {
        throw_all_away(prepared)?;
        trial.emptied = true;
    }
    Ok(trial)
}

/// Runs the command up to its kill, beside the other command if there is one; tells whether that one succeeded.
fn kill(prepared: &Prepared, point: Point, random: &mut Random, trial: &mut Trial) -> Result<bool, Failure> {
    let delay = prepared.duration.mul_f64(random.below(1000) as f64 / 1000.0);
    let ahead = random.chance(30);
    thread::scope(|scope| {
        let beside = prepared.scenario.beside.map(|beside| {
            let other = scope.spawn(move || {
                if !ahead {
                    thread::sleep(delay);
                }
                prepared.dhow.run(beside.command)
            });
            (beside, other)
        });
        if ahead && beside.is_some() {
            thread::sleep(delay / 4);
        }
        let killed = match point {
            Point::Step(step) => by_step(prepared, step),
            Point::Time(time) => by_time(prepared, time),
        };
        let done =
            beside.map(|(beside, other)| (beside, other.join().expect("the thread of a command does not panic")));
        trial.killed = killed?;
        match done {
            None => Ok(false),
            Some((_, Err(failure))) => Err(failure),
            Some((beside, Ok(done))) if beside.may_fail => Ok(done.success),
            Some((_, Ok(done))) => done.or_violated("the command beside the killed one").map(|_| true),
        }
    })
}

fn by_step(prepared: &Prepared, step: Step) -> Result<Option<String>, Failure> {
    match prepared.traced(prepared.scenario.command, Some(step))? {
        Ended::Killed { call } => Ok(Some(call)),
        Ended::Hung => violated("the command neither ended nor went on"),
        Ended::Finished { success: true, .. } => Ok(None),
        // With another command beside it, the loser may find nothing left to do.
        Ended::Finished { .. } if prepared.scenario.beside.is_some() => Ok(None),
        Ended::Finished { .. } => {
            let output = fs::read_to_string(prepared.log()).unwrap_or_default();
            violated(format!("the command failed without being killed: {output}"))
        }
    }
}

fn by_time(prepared: &Prepared, time: Duration) -> Result<Option<String>, Failure> {
    let line = prepared.scenario.command;
    let mut child = prepared.dhow.spawn(line, Stdio::null)?;
    thread::sleep(time);
    child.kill().map_err(Failure::io("kill", &prepared.dhow.program))?;
    let done = prepared.dhow.finish(line, child)?;
    let killed = !done.success && done.how.contains("signal: 9");
    if !killed && !done.success && prepared.scenario.beside.is_none() {
        return violated(format!("the command failed without being killed: {}", done.how));
    }
    Ok(killed.then(|| "time".to_owned()))
}

/// Recovery by a command that is there for something else.
const OTHER_COMMAND: &str = "tag and rmi";

/// Recovers in one of several ways, as life has it; gives its name.
fn recover(prepared: &Prepared, random: &mut Random, trial: &mut Trial) -> Result<&'static str, Failure> {
    const CHECK: &str = "system check --repair";
    let when = "recovery";
    match random.below(4) {
        0 => {
            let step = Step { number: 1 + random.below(30), side: side(random) };
            match prepared.traced(CHECK, Some(step))? {
                Ended::Killed { .. } => trial.recovery_killed = true,
                Ended::Finished { success: true, .. } => {}
                other => return violated(format!("{when}: `{CHECK}` {other:?}")),
            }
            prepared.dhow.run(CHECK)?.or_violated(when)?;
            Ok("a killed and a second check")
        }
        1 => {
            let (listed, _) = picture::images(&prepared.dhow, &prepared.lens, when)?;
            let Some(image) = listed.iter().find(|image| !image.name.contains("<none>")) else {
                prepared.dhow.run(CHECK)?.or_violated(when)?;
                return Ok("check");
            };
            prepared.dhow.run(&format!("tag {} probe:1", image.name))?.or_violated(when)?;
            prepared.dhow.run("rmi probe:1")?.or_violated(when)?;
            Ok(OTHER_COMMAND)
        }
        _ => {
            prepared.dhow.run(CHECK)?.or_violated(when)?;
            Ok("check")
        }
    }
}

/// Nothing is left to repair. A command other than the check need not look for the lock files of dead processes, which
/// hold nothing and are taken over by whoever wants the lock.
fn check(prepared: &Prepared, how: &str, when: &str) -> Result<(), Failure> {
    let done = prepared.dhow.run("system check")?;
    let mut findings = done.output.lines().filter(|line| line.starts_with("found:")).peekable();
    let locks = findings.peek().is_some() && findings.all(|line| line.starts_with("found: stale-lock:"));
    if done.success || how != OTHER_COMMAND || !locks {
        return done.or_violated(when).map(|_| ());
    }
    prepared.dhow.run("system check --repair")?.or_violated(when)?;
    prepared.dhow.run("system check")?.or_violated(when).map(|_| ())
}

/// Before or after, with equal chance.
pub(crate) fn side(random: &mut Random) -> Side {
    if random.chance(50) { Side::Before } else { Side::After }
}

/// Each image answers `image inspect` with the layers that its archive gave it.
fn inspect(prepared: &Prepared, found: &Picture, when: &str) -> Result<(), Failure> {
    if found.ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = found.ids.iter().map(String::as_str).collect();
    let done = prepared.dhow.run(&format!("image inspect {}", ids.join(" ")))?.or_violated(when)?;
    let documents: Vec<Value> = serde_json::from_str(&done.output)
        .or_else(|error| violated(format!("{when}: `image inspect` is no document: {error}")))?;
    for (id, document) in ids.iter().zip(&documents) {
        let layers: Vec<&str> =
            document["RootFS"]["Layers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if let Some(wanted) = prepared.images.get(*id).filter(|wanted| *wanted != &layers) {
            return violated(format!("{when}: image {id} has layers {layers:?}, not {wanted:?}"));
        }
    }
    if documents.len() != ids.len() {
        return violated(format!("{when}: {} of {} images can be inspected", documents.len(), ids.len()));
    }
    Ok(())
}

/// All images can be saved, and the archive is whole.
fn save(prepared: &Prepared, found: &Picture, when: &str) -> Result<(), Failure> {
    if found.ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = found.ids.iter().map(String::as_str).collect();
    prepared.dhow.run(&format!("save -o {{out}}/check.tar {}", ids.join(" ")))?.or_violated(when)?;
    let path = prepared.dhow.out().join("check.tar");
    let saved = archive::verify(&path)?;
    if saved != found.ids {
        return violated(format!("{when}: asked to save {:?}, saved {saved:?}", found.ids));
    }
    fs::remove_file(&path).map_err(Failure::io("remove", &path))
}

/// The file that the command writes is whole, or it is not there.
fn output(prepared: &Prepared, when: &str) -> Result<(), Failure> {
    let Some((name, count)) = prepared.scenario.output else { return Ok(()) };
    let path = prepared.dhow.out().join(name);
    if !path.exists() {
        if prepared.scenario.setup.iter().any(|line| line.contains(name)) {
            return violated(format!("{when}: {name}, which was there before, is gone"));
        }
        return Ok(());
    }
    let saved = archive::verify(&path)?.len();
    if saved == count { Ok(()) } else { violated(format!("{when}: {name} holds {saved} of {count} images")) }
}

/// The same command again does all of its work.
fn repeat(prepared: &Prepared, beside: bool) -> Result<(), Failure> {
    let when = "after the command was repeated";
    prepared.dhow.run(prepared.scenario.command)?.or_violated("repeating the command")?;
    let found = Picture::take(&prepared.dhow, &prepared.lens, when)?;
    let (_, kept) = prepared.judge(&found, beside, true, when)?;
    if kept > 0 && !prepared.scenario.dated {
        return violated(format!("{when}: {kept} blobs or layers belong to no image"));
    }
    if prepared.scenario.output.is_some() {
        output(prepared, when)?;
        if names(&prepared.dhow.out())?.iter().all(|name| prepared.scenario.output.is_some_and(|out| out.0 != name)) {
            return violated(format!("{when}: there is no output file"));
        }
    }
    Ok(())
}

/// With all images removed nothing is left: what was kept for a resume had an owner.
fn throw_all_away(prepared: &Prepared) -> Result<(), Failure> {
    let when = "after all images were removed";
    let dhow = &prepared.dhow;
    throw_away(dhow, &prepared.lens, when)
}

/// Removes every image and looks for files that stay.
pub(crate) fn throw_away(dhow: &crate::process::Dhow, lens: &picture::Lens, when: &str) -> Result<(), Failure> {
    let (_, ids) = picture::images(dhow, lens, when)?;
    if !ids.is_empty() {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        dhow.run(&format!("rmi -f {}", ids.join(" ")))?.or_violated(when)?;
    }
    dhow.run("image prune -f -a")?.or_violated(when)?;
    dhow.run("system check --repair")?.or_violated(when)?;
    let left = Picture::take(dhow, lens, when)?;
    if left.images.is_empty() && left.blobs.is_empty() && left.layers.is_empty() && left.work.is_empty() {
        return Ok(());
    }
    violated(format!(
        "{when}: left are images {:?}, blobs {:?}, layers {:?}, work {:?}",
        left.ids,
        left.blobs,
        left.layers.keys(),
        left.work
    ))
}
