//! `image prune`

use super::list::filter;
use crate::cli::confirm::confirmed;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use crate::output::units;
use dhow_engine::image::prune::PruneRequest;
use dhow_engine::image::remove::Removal;
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Prune {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape { usage: "[OPTIONS]", about: "Remove unused images", aliases: "", count: Count::None };

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Prune>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let engine = globals.engine()?;
    let mut filter = filter(&engine, &args.filter, &["dangling", "label", "label!", "until"])?;
    // `dangling=false` is another way to ask for all.
    let all = args.all || filter.dangling == Some(false);
    filter.dangling = None;
    let what = if all { "all images without at least one container associated to them" } else { "all dangling images" };
    if !args.force && !confirmed(what)? {
        return Err(Failure::plain("image prune has been cancelled"));
    }
    let pruned = engine.prune_images(&PruneRequest { all, filter })?;
    let mut out = std::io::stdout().lock();
    if !pruned.removed.is_empty() {
        writeln!(out, "Deleted Images:")?;
        for removal in &pruned.removed {
            match removal {
                Removal::Untagged(name) => writeln!(out, "untagged: {name}")?,
                Removal::Deleted(digest) => writeln!(out, "deleted: {digest}")?,
            }
        }
        writeln!(out)?;
    }
    writeln!(out, "Total reclaimed space: {}", units::human_size(pruned.freed))?;
    Ok(0)
}
