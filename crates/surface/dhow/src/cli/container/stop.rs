//! `stop`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use std::ffi::OsString;
use std::time::Duration;

#[derive(clap::Args)]
struct Stop {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, visible_alias = "time", value_name = "int")]
    timeout: Option<i64>,
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    aliases: "dhow container stop, dhow stop",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Stop>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    let (grace, signal) = (grace(args.timeout), signal(args.signal.as_deref(), "stop", &args.containers)?);
    let engine = globals.engine_plain()?;
    super::each(
        &args.containers,
        |_| false,
        |name| container::stop(&engine, name, grace, signal).map(|()| name.to_owned()),
    )
}

/// Seconds as docker takes them: a negative number is for ever.
pub(super) fn grace(seconds: Option<i64>) -> Option<Duration> {
    seconds.map(|seconds| u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs))
}

/// The signal of that name; a name that is none is told of each container, as docker's daemon does.
pub(super) fn signal(name: Option<&str>, verb: &str, containers: &[OsString]) -> Result<Option<i32>, Failure> {
    let Some(name) = name.filter(|n| !n.is_empty()) else { return Ok(None) };
    container::signal_number(name).map(Some).ok_or_else(|| {
        let line =
            |c: &OsString| format!("Error: cannot {verb} container: {}: invalid signal: {name}", global::text(c));
        let lines: Vec<String> = containers.iter().map(line).collect();
        Failure::plain(lines.join("\n")).with_hint("give a name (TERM, SIGTERM) or a number (15)")
    })
}
