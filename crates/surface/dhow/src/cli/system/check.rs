//! `system check`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use crate::output::units;
use dhow_state::{CheckOptions, CheckReport, Done};
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Check {
    /// Remove what nothing owns
    #[arg(long)]
    repair: bool,
    /// Also read every blob and compare it with its digest
    #[arg(long)]
    verify: bool,
    /// Print findings only
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "Check the store: find what no live owner or row owns, and what is missing.\nExit status 1 when something \
            is left that needs attention.",
    aliases: "",
    count: Count::None,
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Check>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let engine = if args.repair { globals.engine()? } else { globals.reader()? };
    let report = engine.check(&CheckOptions { repair: args.repair, verify_blobs: args.verify })?;
    print(&report, args.quiet, args.repair)
}

fn print(report: &CheckReport, quiet: bool, repair: bool) -> Ended {
    let mut out = std::io::stdout().lock();
    let left = report.findings.iter().filter(|f| f.done != Done::Removed).count();
    for finding in &report.findings {
        let done = match finding.done {
            Done::Removed => "removed",
            Done::Reported => "found",
        };
        let size = match finding.bytes {
            0 => String::new(),
            bytes => format!(" ({})", units::human_size(bytes)),
        };
        writeln!(out, "{done}: {}: {}{size}", finding.kind.name(), finding.subject)?;
        if !finding.detail.is_empty() {
            writeln!(out, "    {}", finding.detail)?;
        }
        if finding.done != Done::Removed {
            writeln!(out, "    {}", finding.kind.hint())?;
        }
    }
    if !quiet {
        match (report.findings.len(), left) {
            (0, _) => writeln!(out, "The store is whole.")?,
            (found, 0) => writeln!(out, "{found} removed, nothing left to do.")?,
            (_, left) if repair => writeln!(out, "{left} left that need your attention.")?,
            (_, left) => writeln!(out, "{left} found. Remove what nothing owns with: dhow system check --repair")?,
        }
    }
    Ok(u8::from(left > 0))
}
