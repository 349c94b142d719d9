//! `kill`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Kill {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill one or more running containers",
    aliases: "dhow container kill, dhow kill",
    count: Count::AtLeast(1),
};

const SIGKILL: i32 = 9;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Kill>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    let named = args.signal.as_deref().filter(|s| !s.is_empty());
    let signal = match named.map(container::signal_number) {
        None => SIGKILL,
        Some(Some(signal)) => signal,
        Some(None) => return Err(invalid(&args)),
    };
    let engine = globals.engine_plain()?;
    super::each(&args.containers, |_| false, |name| container::kill(&engine, name, signal).map(|()| name.to_owned()))
}

/// docker's daemon says it of each container.
fn invalid(args: &Kill) -> Failure {
    let signal = args.signal.as_deref().unwrap_or_default();
    let lines = args
        .containers
        .iter()
        .map(|name| format!("Error: cannot kill container: {}: invalid signal: {signal}", global::text(name)));
    Failure::plain(lines.collect::<Vec<_>>().join("\n")).with_hint("give a name (TERM, SIGTERM) or a number (15)")
}
