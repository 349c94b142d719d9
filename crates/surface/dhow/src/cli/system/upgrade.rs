//! `system upgrade`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use crate::output::table;
use dhow_engine::system::upgrade::Asked;
use dhow_supervisor::client::Upgraded;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Upgrade {
    /// Print failures only
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "Let the processes beside running containers go on as this program, without a pause in any container.\nTo be \
            called once after a new dhow was put in place of the old one. Exit status 1 when one\nof them could not.",
    aliases: "",
    count: Count::None,
};

/// Digits of an id that are shown.
const SHORT: usize = 12;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Upgrade>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    // Nothing is written: signals do what they do, for who waits in vain for a process that does not answer.
    let asked = globals.reader()?.upgrade()?;
    let mut failures = Vec::new();
    let mut text = "PROCESS\tCONTAINER\tNAME\tRESULT\n".to_owned();
    for one in asked {
        let (process, id, name) = match &one.container {
            Some((id, name)) => ("supervisor", &id[..SHORT], name.as_str()),
            None => ("keeper", "", ""),
        };
        text += &format!("{process}\t{id}\t{name}\t{}\n", result(&one));
        if let Err(error) = one.outcome {
            let of = if name.is_empty() { process.to_owned() } else { format!("{process} of {name}") };
            failures.push(Failure::error(format!("{of}: {error}")));
        }
    }
    if !args.quiet {
        parse::print(&table::align_wide(&text))?;
    }
    Ok(failures.iter().map(Failure::report).max().unwrap_or(0))
}

fn result(asked: &Asked) -> &'static str {
    match &asked.outcome {
        Ok(Upgraded::Done) => "upgraded",
        Ok(Upgraded::Same) => "runs this program already",
        Ok(Upgraded::TooOld) => "too old to be upgraded in place: goes on as it is",
        Ok(Upgraded::NotRunning) => "not running",
        Err(_) => "failed: goes on as it is",
    }
}
