//! `stop`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
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
    let (grace, signal) = (grace(args.timeout), signal(args.signal.as_deref())?);
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

pub(super) fn signal(name: Option<&str>) -> Result<Option<i32>, Failure> {
    let number = |name: &str| {
        container::signal_number(name).ok_or_else(|| {
            Failure::error(format!("invalid signal: {name}")).with_hint("give a name (TERM, SIGTERM) or a number (15)")
        })
    };
    name.filter(|n| !n.is_empty()).map(number).transpose()
}
