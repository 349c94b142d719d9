//! `version`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals};
use crate::output::inspect::render_one;
use serde_json::{Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Version {
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape =
    Shape { usage: "[OPTIONS]", about: "Show the dhow version information", aliases: "", count: Count::None };

pub(crate) fn run(_globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Version>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let document = document();
    match args.format.as_deref().filter(|f| !f.is_empty()) {
        Some(format) => parse::print(&render_one(format, &document, "system.versionInfo")?),
        None => parse::print(&text(&document)),
    }
}

fn document() -> Value {
    let platform = dhow_spec::Platform::host();
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    json!({
        "Client": {
            "Version": env!("CARGO_PKG_VERSION"),
            "Os": platform.os,
            "Arch": platform.architecture,
            "KernelVersion": kernel,
            "LedgerVersion": dhow_state::SCHEMA_VERSION,
        },
        // There is no daemon: this program is both, and scripts that ask for the server's version get an answer.
        "Server": {
            "Version": env!("CARGO_PKG_VERSION"),
            "Os": platform.os,
            "Arch": platform.architecture,
            "KernelVersion": kernel,
        },
    })
}

fn text(document: &Value) -> String {
    let client = &document["Client"];
    let field = |key: &str| client[key].as_str().map_or_else(|| client[key].to_string(), str::to_owned);
    format!(
        "Client: dhow\n Version:           {}\n OS/Arch:           {}/{}\n Kernel:            {}\n Ledger version:    {}\n",
        field("Version"),
        field("Os"),
        field("Arch"),
        field("KernelVersion"),
        field("LedgerVersion"),
    )
}
