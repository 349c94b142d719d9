//! `rename`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Rename {
    #[arg(hide = true)]
    names: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    aliases: "dhow container rename, dhow rename",
    count: Count::Exactly(2),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Rename>(&SHAPE, words, |a| a.names.len())? else { return Ok(0) };
    let [from, to] = [0, 1].map(|at| global::text(&args.names[at]));
    match container::rename(&globals.engine_plain()?, &from, &to) {
        Ok(()) => Ok(0),
        Err(error) => {
            Failure::from(error).report();
            Err(Failure::error(format!("failed to rename container named {from}")))
        }
    }
}
