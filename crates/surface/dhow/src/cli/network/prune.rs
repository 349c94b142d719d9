//! `network prune`

use super::{filters, label};
use crate::cli::moment::moment;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::network::{self, NetworkFilter};
use std::ffi::OsString;
use std::io::Write;

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
            _ => {
                let until = moment(&value, global::now()).ok_or_else(|| {
                    Failure::error(format!("invalid filter 'until={value}'"))
                        .with_hint("give a duration (24h, 10m30s), an RFC 3339 time or seconds since 1970")
                })?;
                filter.until = Some(until);
            }
        }
    }
    if !args.force && !confirmed()? {
        return Err(Failure::plain("network prune has been cancelled"));
    }
    let removed = network::prune(&globals.engine()?, &filter)?;
    if removed.is_empty() {
        return Ok(0);
    }
    parse::print(&format!("Deleted Networks:\n{}\n\n", removed.join("\n")))
}

fn confirmed() -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    write!(
        out,
        "WARNING! This will remove all custom networks not used by at least one container.\n\
         Are you sure you want to continue? [y/N] "
    )?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Failure::error(format!("cannot read the answer: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}
