//! `kill`

use super::stop::signal;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use dhow_engine::{EngineError, container};
use dhow_spec::Classify;
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
    let signal = signal(args.signal.as_deref(), "kill", &args.containers)?.unwrap_or(SIGKILL);
    let engine = globals.engine_plain()?;
    let kill = |name: &str| match container::kill(&engine, name, signal) {
        Ok(()) => Ok(name.to_owned()),
        // docker says here what it was about.
        Err(error @ EngineError::NoSuchContainer(_)) => Err(EngineError::Conflict {
            message: format!("cannot kill container: {name}: {error}"),
            hint: error.hint(),
        }),
        Err(error) => Err(error),
    };
    super::each(&args.containers, |_| false, kill)
}
