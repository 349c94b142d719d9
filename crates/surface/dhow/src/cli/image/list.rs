//! `images`, `image ls`

use crate::cli::filter::{label, until};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use crate::output::table::List;
use crate::output::units;
use dhow_engine::Engine;
use dhow_engine::image::list::{ImageFilter, Listed};
use serde_json::{Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Images {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    aliases: "dhow image ls, dhow image list, dhow images",
    count: Count::AtMost(1),
};

const TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_DIGESTS: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const RAW: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\n\
                   virtual_size: {{.Size}}\n";
const RAW_DIGESTS: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\n\
                           created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";
const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

/// What stands where an image has no name or digest.
const NONE: &str = "<none>";

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Images>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let engine = globals.reader()?;
    let keys = ["dangling", "label", "before", "since", "until", "reference"];
    let mut filter = filter(&engine, &args.filter, &keys)?;
    filter.references.extend(args.rest.first().map(|r| global::text(r)));
    let images = engine.list_images(&filter)?;
    let with_digests = args.digests || args.format.as_deref().is_some_and(|f| f.contains(".Digest"));
    let look = Look {
        digests: with_digests,
        no_trunc: args.no_trunc,
        now: global::now(),
        // The default table has no absolute times, and a thousand of them cost milliseconds.
        zone: (!matches!(args.format.as_deref(), None | Some("" | "table"))).then(jiff::tz::TimeZone::system),
    };
    let rows = images.iter().flat_map(|image| rows(image, &filter, &look));
    let list = List {
        table: if args.digests { TABLE_DIGESTS } else { TABLE },
        raw: Some(if args.digests { RAW_DIGESTS } else { RAW }),
        quiet: "{{.ID}}",
        headings: HEADINGS,
        type_name: "*formatter.imageContext",
    };
    parse::print(&list.render(args.format.as_deref(), args.quiet, rows)?)
}

/// What rows are to show.
struct Look {
    digests: bool,
    no_trunc: bool,
    now: i64,
    /// The zone of absolute times, where they are asked for.
    zone: Option<jiff::tz::TimeZone>,
}

/// One row for each name of an image; one for an image without.
fn rows(image: &Listed, filter: &ImageFilter, look: &Look) -> Vec<Value> {
    let &Look { digests, no_trunc, now, ref zone } = look;
    let id = if no_trunc { image.id.to_string() } else { image.id.short().to_owned() };
    let created_since = image.created.map_or_else(|| "N/A".to_owned(), |created| units::ago(created, now));
    let size = units::short_size(image.size);
    let row = |repository: &str, tag: &str, digest: &str| {
        // The default table shows these, and nothing else costs anything then.
        let mut row = json!({
            "CreatedSince": created_since,
            "Digest": digest,
            "ID": id,
            "Repository": repository,
            "Size": size,
            "Tag": tag,
        });
        if let Some(zone) = zone {
            let created_at = image.created.map(|created| units::date_time(created, zone.clone()));
            row["CreatedAt"] = json!(created_at.as_deref().unwrap_or("N/A"));
            row["VirtualSize"] = json!(size);
            for unknown in ["Containers", "SharedSize", "UniqueSize"] {
                row[unknown] = json!("N/A");
            }
        }
        row
    };
    if image.names.is_empty() {
        let digest = image.manifests.first().map_or_else(|| NONE.to_owned(), ToString::to_string);
        return vec![row(NONE, NONE, if digests { &digest } else { NONE })];
    }
    let names = image.names.iter().filter(|n| filter.names(&n.reference));
    names
        .map(|name| {
            let digest = name.manifest.to_string();
            let tag = name.reference.tag().unwrap_or(NONE);
            row(&name.reference.familiar_name(), tag, if digests { &digest } else { NONE })
        })
        .collect()
}

/// The filters of a command line, of those that the command knows.
pub(crate) fn filter(engine: &Engine, texts: &[String], known: &[&str]) -> Result<ImageFilter, Failure> {
    let mut filter = ImageFilter::default();
    for text in texts {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Failure::plain(format!(
                "invalid argument {text:?} for \"-f, --filter\" flag: invalid filter {text:?}"
            )));
        };
        let key = key.trim().to_lowercase();
        if !known.contains(&key.as_str()) {
            return Err(Failure::error(format!("invalid filter '{key}'"))
                .with_hint(format!("known here are: {}", known.join(", "))));
        }
        add(engine, &mut filter, &key, value.trim())?;
    }
    Ok(filter)
}

fn add(engine: &Engine, filter: &mut ImageFilter, key: &str, value: &str) -> Result<(), Failure> {
    match key {
        "dangling" => {
            filter.dangling = Some(match value.to_lowercase().as_str() {
                "true" | "1" | "t" => true,
                "false" | "0" | "f" => false,
                _ => return Err(Failure::error(format!("invalid filter 'dangling={value}'"))),
            });
        }
        "label" => filter.labels.push(label(value)),
        "label!" => filter.without_labels.push(label(value)),
        "before" => filter.before = Some(engine.image_created(value)?),
        "since" => filter.since = Some(engine.image_created(value)?),
        "until" => filter.until = Some(until(value)?),
        _ => filter.references.push(value.to_owned()),
    }
    Ok(())
}
