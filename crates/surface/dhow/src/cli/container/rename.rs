//! `rename`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals, global};
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
    container::rename(&globals.engine_plain()?, &global::text(&args.names[0]), &global::text(&args.names[1]))?;
    Ok(0)
}
