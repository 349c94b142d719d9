//! `history`, `image history`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals, global};
use crate::output::table::List;
use crate::output::units;
use dhow_engine::image::history::HistoryStep;
use serde_json::{Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct History {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print sizes and dates in human readable format (default true)
    #[arg(short = 'H', long, value_name = "bool", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    image: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] IMAGE",
    about: "Show the history of an image",
    aliases: "dhow image history, dhow history",
    count: Count::Exactly(1),
};

const TABLE: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_EXACT: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// Characters of an instruction that a table shows.
const CREATED_BY: usize = 45;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<History>(&SHAPE, words, |a| a.image.len())? else { return Ok(0) };
    let steps = globals.reader()?.image_history(&global::text(&args.image[0]))?;
    let now = global::now();
    let rows = steps.iter().map(|step| row(step, &args, now));
    let list = List {
        table: if args.human { TABLE } else { TABLE_EXACT },
        raw: None,
        quiet: "{{.ID}}",
        headings: HEADINGS,
        type_name: "*formatter.historyContext",
    };
    parse::print(&list.render(args.format.as_deref(), args.quiet, rows)?)
}

/// At most so many characters, the last an ellipsis when some were left out.
fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

fn row(step: &HistoryStep, args: &History, now: i64) -> Value {
    let id = match &step.id {
        None => "<missing>".to_owned(),
        Some(id) if args.no_trunc => id.to_string(),
        Some(id) => id.short().to_owned(),
    };
    let by = step.created_by.replace('\t', " ");
    json!({
        "Comment": step.comment,
        "CreatedAt": step.created.map_or_else(|| "N/A".to_owned(), units::rfc3339),
        "CreatedBy": if args.no_trunc { by } else { clipped(&by, CREATED_BY) },
        "CreatedSince": step.created.map_or_else(|| "N/A".to_owned(), |c| units::ago(c, now)),
        "ID": id,
        "Size": if args.human { units::short_size(step.size) } else { step.size.to_string() },
    })
}
