//! `network prune`

use super::filters;
use crate::cli::confirm::confirmed;
use crate::cli::filter::{label, until};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use dhow_engine::network::{self, NetworkFilter};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Prune {
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape { usage: "[OPTIONS]", about: "Remove all unused networks", aliases: "", count: Count::None };

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Prune>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let mut filter = NetworkFilter::default();
    for (key, value) in filters(&args.filter, &["label", "label!", "until"])? {
        match key.as_str() {
            "label" => filter.labels.push(label(&value)),
            "label!" => filter.without_labels.push(label(&value)),
            _ => filter.until = Some(until(&value)?),
        }
    }
    if !args.force && !confirmed("all custom networks not used by at least one container")? {
        return Err(Failure::plain("network prune has been cancelled"));
    }
    let removed = network::prune(&globals.engine()?, &filter)?;
    if removed.is_empty() {
        return Ok(0);
    }
    parse::print(&format!("Deleted Networks:\n{}\n\n", removed.join("\n")))
}
