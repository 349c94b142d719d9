//! `kill`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
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
    let signal = super::stop::signal(args.signal.as_deref())?.unwrap_or(SIGKILL);
    let engine = globals.engine_plain()?;
    super::each(&args.containers, |_| false, |name| container::kill(&engine, name, signal).map(|()| name.to_owned()))
}
