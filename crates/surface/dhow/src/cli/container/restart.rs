//! `restart`

use super::stop::{grace, signal};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use dhow_engine::container;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Restart {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, visible_alias = "time", value_name = "int")]
    timeout: Option<i64>,
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart one or more containers",
    aliases: "dhow container restart, dhow restart",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Restart>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    let (grace, signal) = (grace(args.timeout), signal(args.signal.as_deref(), "restart", &args.containers)?);
    let engine = globals.engine_plain()?;
    super::each(
        &args.containers,
        |_| false,
        |name| container::restart(&engine, name, grace, signal).map(|()| name.to_owned()),
    )
}
