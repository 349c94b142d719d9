//! `ps`, `container ls`

use super::clipped;
use super::connect::LOST;
use super::filter::Filter;
use super::inspect::written;
use super::networks;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals, global};
use crate::output::table::List;
use crate::output::template::quote;
use crate::output::units;
use dhow_engine::container::request::RootSource;
use dhow_engine::container::view::Container;
use dhow_engine::{Engine, EngineError, container, image};
use dhow_runtime::status::Status;
use dhow_spec::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "int")]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "List containers",
    aliases: "dhow container ls, dhow container list, dhow container ps, dhow ps",
    count: Count::None,
};

const TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const TABLE_SIZE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n\
                   state: {{.State}}\nstatus: {{.Status}}\nnames: {{.Names}}\nlabels: {{.Labels}}\nports: {{.Ports}}\n";
const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

/// Characters of a command that a table shows.
const COMMAND: usize = 20;
/// Characters of each mount.
const MOUNT: usize = 15;
/// Digits of a short id.
const SHORT: usize = 12;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Ps>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let mut filter = Filter::parse(&args.filter)?;
    let engine = globals.reader()?;
    filter.settle(&engine)?;
    let last = if args.latest { Some(1) } else { args.last.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) };
    let all = args.all || last.is_some() || filter.asks_for_states();
    let containers = container::list(&engine)?;
    let shown: Vec<&Container> = containers
        .iter()
        .filter(|c| (all || runs(c.status)) && filter.fits(c))
        .take(last.unwrap_or(usize::MAX))
        .collect();
    let sizes = args.size || args.format.as_deref().is_some_and(|f| f.contains(".Size") || f.contains("json .}"));
    let look = Look {
        no_trunc: args.no_trunc,
        now: global::now(),
        // The default table has no absolute times, and finding out the zone costs.
        zone: (!matches!(args.format.as_deref(), None | Some("" | "table"))).then(jiff::tz::TimeZone::system),
        sizes,
        image_sizes: if sizes { image_sizes(&engine, &shown) } else { BTreeMap::new() },
        images: images(&engine, &shown)?,
    };
    let rows = shown.iter().map(|c| row(c, &look));
    let list = List {
        table: if args.size { TABLE_SIZE } else { TABLE },
        raw: Some(RAW),
        quiet: "{{.ID}}",
        headings: HEADINGS,
        type_name: "*formatter.ContainerContext",
    };
    parse::print(&list.render(args.format.as_deref(), args.quiet, rows)?)
}

/// What rows are to show.
struct Look<'c> {
    no_trunc: bool,
    now: i64,
    /// The zone of absolute times, where they are asked for.
    zone: Option<jiff::tz::TimeZone>,
    /// Whether sizes are asked for, which takes a walk through each container's files.
    sizes: bool,
    /// Bytes of each image, by its id, then.
    image_sizes: BTreeMap<String, u64>,
    /// Which image each name means now.
    images: BTreeMap<&'c str, Option<Digest>>,
}

/// Whether `ps` shows it without `-a`.
fn runs(status: Status) -> bool {
    matches!(status, Status::Running | Status::Paused | Status::Restarting)
}

fn images<'c>(engine: &Engine, containers: &[&'c Container]) -> Result<BTreeMap<&'c str, Option<Digest>>, EngineError> {
    let mut images = BTreeMap::new();
    engine.state().read(|read| {
        for container in containers {
            let RootSource::Image(name) = &container.root else { continue };
            if !images.contains_key(name.as_str()) {
                images.insert(name.as_str(), image::resolve::resolve(read, name).ok().map(|found| found.image.id));
            }
        }
        Ok(images)
    })
}

fn image_sizes(engine: &Engine, containers: &[&Container]) -> BTreeMap<String, u64> {
    let ids = containers.iter().filter_map(|c| c.image.as_ref()).map(ToString::to_string);
    let size = |id: String| engine.inspect_image(&id).ok().map(|image| (id, image.found.image.size));
    ids.filter_map(size).collect()
}

fn row(container: &Container, look: &Look<'_>) -> Value {
    let &Look { no_trunc, now, ref zone, .. } = look;
    let id = if no_trunc { &container.id } else { container.id.get(..SHORT).unwrap_or(&container.id) };
    let command = command(container);
    let command = if no_trunc { command } else { clipped(&command, COMMAND) };
    let mut row = json!({
        "Command": quote(&command),
        "ID": id,
        "Image": image_name(container, look),
        "Names": container.name,
        "Ports": networks::column(container),
        "RunningFor": units::ago(container.created, now),
        "Status": status(container, now),
    });
    if look.sizes {
        let bytes = written(&container.dir);
        let whole =
            container.image.as_ref().and_then(|id| look.image_sizes.get(&id.to_string())).map_or(0, |s| s + bytes);
        let whole = if whole > 0 { format!(" (virtual {})", units::short_size(whole)) } else { String::new() };
        row["Size"] = json!(units::short_size(bytes) + &whole);
    }
    if let Some(zone) = zone {
        if !look.sizes {
            row["Size"] = json!("0B");
        }
        let mounts = container.host.binds.iter().map(|b| b.source.display().to_string());
        let mounts = mounts.map(|m| if no_trunc { m } else { clipped(&m, MOUNT) });
        let labels = container.config.labels.iter().map(|(key, value)| format!("{key}={value}"));
        row["CreatedAt"] = json!(units::date_time(container.created, zone.clone()));
        row["Labels"] = json!(labels.collect::<Vec<_>>().join(","));
        row["LocalVolumes"] = json!("0");
        row["Mounts"] = json!(mounts.collect::<Vec<_>>().join(","));
        row["Networks"] = json!(networks::names(container));
        row["Platform"] = Value::Null;
        row["State"] = json!(shown_status(container).name());
    }
    row
}

/// The command line as docker's daemon puts it together.
fn command(container: &Container) -> String {
    let word = |(at, word): (usize, &String)| match at > 0 && word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    container.command.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// The name it was made from, or the id where that name means something else by now.
fn image_name(container: &Container, look: &Look<'_>) -> String {
    let name = match &container.root {
        RootSource::Directory { path, .. } => return path.display().to_string(),
        RootSource::Image(name) => name,
    };
    let Some(image) = &container.image else { return name.clone() };
    let same = look.images.get(name.as_str()).is_some_and(|now| now.as_ref() == Some(image));
    let is_id = image.hex().starts_with(name.trim_start_matches("sha256:"));
    match (same && !is_id, look.no_trunc) {
        (true, true) => name.clone(),
        (true, false) => match dhow_spec::Reference::parse(name) {
            Ok(reference) if reference.digest().is_some() => match reference.tag() {
                Some(tag) => format!("{}:{tag}", reference.familiar_name()),
                None => reference.familiar_name(),
            },
            Ok(reference) => reference.familiar(),
            Err(_) => name.clone(),
        },
        (false, true) => image.to_string(),
        (false, false) => image.short().to_owned(),
    }
}

/// Where it is in its life, in docker's words: what never ran counts as created, whatever was tried.
pub(super) fn shown_status(container: &Container) -> Status {
    match container.status {
        Status::Starting => Status::Created,
        Status::Exited if container.started.is_none() => Status::Created,
        status => status,
    }
}

/// `Up 3 seconds (Paused)`, `Exited (0) 5 seconds ago`, `Created`.
fn status(container: &Container, now: i64) -> String {
    let since = |time: Option<i64>| units::human_duration(now.saturating_sub(time.unwrap_or(now)));
    let code = container.exit_code.unwrap_or(i32::from(LOST));
    match shown_status(container) {
        Status::Running => format!("Up {}", since(container.started)),
        Status::Paused => format!("Up {} (Paused)", since(container.started)),
        Status::Restarting => format!("Restarting ({code}) {} ago", since(container.finished)),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Created | Status::Starting => "Created".to_owned(),
        Status::Exited => format!("Exited ({code}) {} ago", since(container.finished)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::container;
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn statuses() {
        let mut container = container();
        let (started, finished) = (100 * SECOND, 103 * SECOND);
        (container.started, container.finished, container.exit_code) = (Some(started), Some(finished), Some(0));
        let mut shown = |state| {
            container.status = state;
            status(&container, finished + 5 * SECOND)
        };
        assert_eq!(shown(Status::Created), "Created");
        assert_eq!(shown(Status::Running), "Up 8 seconds");
        assert_eq!(shown(Status::Paused), "Up 8 seconds (Paused)");
        assert_eq!(shown(Status::Exited), "Exited (0) 5 seconds ago");
        assert_eq!(shown(Status::Restarting), "Restarting (0) 5 seconds ago");
        assert_eq!(shown(Status::Removing), "Removal In Progress");
        assert_eq!(shown(Status::Dead), "Dead");
        container.exit_code = None;
        container.status = Status::Exited;
        assert_eq!(status(&container, finished), "Exited (255) Less than a second ago");
    }

    #[test]
    fn rows_are_docker_s() {
        let mut container = container();
        container.command = ["sh", "-c", "sleep 1000 # long"].map(String::from).to_vec();
        let image = container.image.clone();
        let look = |no_trunc, now: Option<Digest>| Look {
            no_trunc,
            now: container.created + 120 * SECOND,
            zone: Some(jiff::tz::TimeZone::UTC),
            sizes: false,
            image_sizes: BTreeMap::new(),
            images: BTreeMap::from([("busybox", now)]),
        };
        let shown = row(&container, &look(false, image.clone()));
        assert_eq!(shown["ID"], container.id[..12]);
        assert_eq!(shown["Command"], "\"sh -c 'sleep 1000 #…\"");
        assert_eq!(shown["RunningFor"], "2 minutes ago");
        assert_eq!(shown["Image"], "busybox");
        assert_eq!(shown["CreatedAt"], "2024-01-02 03:04:05 +0000 UTC");
        assert_eq!(shown["Networks"], "none");
        assert_eq!(shown["Mounts"], "/srv/data/of/t…");
        assert_eq!(shown["Labels"], "a=1,b=2");
        let whole = row(&container, &look(true, None));
        assert_eq!(whole["Command"], "\"sh -c 'sleep 1000 # long'\"");
        assert_eq!(whole["Image"], image.clone().map_or(String::new(), |i| i.to_string()));
        assert_eq!(row(&container, &look(false, None))["Image"], image.map_or(String::new(), |i| i.short().to_owned()));
    }
}
