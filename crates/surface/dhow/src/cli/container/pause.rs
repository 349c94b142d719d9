//! `pause` and `unpause`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use dhow_engine::container;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Pause {
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "CONTAINER [CONTAINER...]",
    about: "Pause all processes within one or more containers",
    aliases: "dhow container pause, dhow pause",
    count: Count::AtLeast(1),
};

const SHAPE_UNPAUSE: Shape = Shape {
    about: "Unpause all processes within one or more containers",
    aliases: "dhow container unpause, dhow unpause",
    ..SHAPE
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Pause>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    let engine = globals.engine_plain()?;
    super::each(&args.containers, |_| false, |name| container::pause(&engine, name).map(|()| name.to_owned()))
}

pub(crate) fn unpause(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Pause>(&SHAPE_UNPAUSE, words, |a| a.containers.len())? else { return Ok(0) };
    let engine = globals.engine_plain()?;
    super::each(&args.containers, |_| false, |name| container::unpause(&engine, name).map(|()| name.to_owned()))
}
