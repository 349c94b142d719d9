//! `network reload`: dhow's own, as podman's.

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use dhow_engine::network;
use std::ffi::OsString;
use std::io::Write as _;

#[derive(clap::Args)]
struct Reload {
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "",
    about: "Put bridges, wires, kernel settings and firewall rules right that somebody changed",
    aliases: "",
    count: Count::None,
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(_) = parse::parse::<Reload>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let done = network::reload(&globals.engine()?)?;
    let mut lines = Vec::new();
    lines.extend(done.bridges.iter().map(|name| format!("bridge {name} was missing or down")));
    lines.extend(done.wires.iter().map(|name| format!("link {name} was in no bridge of its network, or down")));
    lines.extend(done.differences.iter().map(|difference| format!("firewall: {difference}")));
    lines.extend(done.changes.iter().map(ToString::to_string));
    lines.extend(done.beside.iter().map(|place| format!("firewall: our rules in {place} were put right")));
    for advice in &done.advice {
        // Where standard error is gone there is nobody to warn.
        let _ = writeln!(std::io::stderr(), "WARNING: {advice}");
    }
    parse::print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}
