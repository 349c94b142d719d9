//! `tag`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals, global};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Tag {
    #[arg(hide = true)]
    names: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    aliases: "dhow image tag, dhow tag",
    count: Count::Exactly(2),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Tag>(&SHAPE, words, |a| a.names.len())? else { return Ok(0) };
    globals.engine()?.tag(&global::text(&args.names[0]), &global::text(&args.names[1]))?;
    Ok(0)
}
