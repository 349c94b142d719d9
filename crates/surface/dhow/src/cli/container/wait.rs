//! `wait`

use super::connect::LOST;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use dhow_engine::container::{self, Until};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Wait {
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "CONTAINER [CONTAINER...]",
    about: "Block until one or more containers stop, then print their exit codes",
    aliases: "dhow container wait, dhow wait",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Wait>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    let engine = globals.reader()?;
    super::each(
        &args.containers,
        |_| false,
        |name| {
            let code = container::wait(&engine, name, Until::NotRunning)?;
            Ok(code.unwrap_or(i32::from(LOST)).to_string())
        },
    )
}
