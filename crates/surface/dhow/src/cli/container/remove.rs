//! `rm`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use dhow_engine::{EngineError, container};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Remove {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    aliases: "dhow container rm, dhow container remove, dhow rm",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Remove>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    if args.link {
        return Err(Failure::error("links between containers are not supported"));
    }
    // No container has anonymous volumes yet, so there is nothing that `-v` could leave out.
    let _ = args.volumes;
    let engine = globals.engine_plain()?;
    // With -f a container that is not there is as good as removed.
    let spared = |error: &EngineError| args.force && matches!(error, EngineError::NoSuchContainer(_));
    super::each(&args.containers, spared, |name| container::remove(&engine, name, args.force).map(|_| name.to_owned()))
}
