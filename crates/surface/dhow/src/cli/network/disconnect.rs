//! `network disconnect`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals, global};
use dhow_engine::network;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Disconnect {
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
    #[arg(hide = true)]
    words: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    aliases: "",
    count: Count::Exactly(2),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Disconnect>(&SHAPE, words, |a| a.words.len())? else { return Ok(0) };
    // Nothing is ever left that only force could take away.
    let _ = args.force;
    network::disconnect(&globals.engine()?, &global::text(&args.words[1]), &global::text(&args.words[0]))?;
    Ok(0)
}
