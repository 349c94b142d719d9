//! `container inspect`, and `inspect` for whatever there is: containers first, then images, then networks.

use super::document::document;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global, image, network};
use crate::output::inspect::Inspection;
use dhow_engine::{Engine, EngineError, container};
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[derive(clap::Args)]
struct Inspect {
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Display detailed information on one or more containers",
    aliases: "",
    count: Count::AtLeast(1),
};

#[derive(clap::Args)]
struct InspectAny {
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    #[arg(hide = true)]
    names: Vec<OsString>,
}

const SHAPE_ANY: Shape = Shape {
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Return low-level information on dhow objects",
    aliases: "",
    count: Count::AtLeast(1),
};

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Container,
    Image,
    Network,
}

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Inspect>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    inspect(globals, args.format.as_deref(), &args.containers, Kind::Container, args.size)
}

pub(crate) fn run_any(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<InspectAny>(&SHAPE_ANY, words, |a| a.names.len())? else { return Ok(0) };
    let kind = match args.kind.as_deref() {
        None | Some("") => Kind::Any,
        Some("container") => Kind::Container,
        Some("image") => Kind::Image,
        Some("network") => Kind::Network,
        Some(kind) => {
            return Err(Failure::plain(format!(
                "unknown type: {kind:?}: must be one of \"container\", \"image\", \"network\""
            )));
        }
    };
    inspect(globals, args.format.as_deref(), &args.names, kind, args.size)
}

fn inspect(globals: &Globals, format: Option<&str>, names: &[OsString], kind: Kind, sizes: bool) -> Ended {
    let mut inspection = Inspection::new(format)?;
    let engine = globals.reader()?;
    let mut failures = Vec::new();
    for name in names {
        match one(&engine, &global::text(name), kind, sizes) {
            Ok(document) => inspection.add(document),
            Err(failure) => failures.push(failure),
        }
    }
    parse::print(&inspection.render()?)?;
    Ok(failures.iter().map(Failure::report).max().unwrap_or(0))
}

fn one(engine: &Engine, name: &str, kind: Kind, sizes: bool) -> Result<Value, Failure> {
    if matches!(kind, Kind::Any | Kind::Container) {
        match container::inspect(engine, name) {
            Ok(found) => {
                let sizes = sizes.then(|| written(&found.dir)).map(|bytes| {
                    let image = found.image.as_ref().and_then(|id| engine.inspect_image(&id.to_string()).ok());
                    (bytes, bytes + image.map_or(0, |i| i.found.image.size))
                });
                return Ok(document(&found, sizes));
            }
            Err(EngineError::NoSuchContainer(_)) if kind == Kind::Any => {}
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(kind, Kind::Any | Kind::Image) {
        match engine.inspect_image(name) {
            Ok(found) => return Ok(image::inspect::document(&found)),
            Err(EngineError::NoSuchImage(_)) if kind == Kind::Any => {}
            Err(error) => return Err(error.into()),
        }
    }
    match dhow_engine::network::inspect(engine, name) {
        Ok(found) => Ok(network::inspect::document(&found)),
        Err(EngineError::NoSuchNetwork(_)) if kind == Kind::Any => {
            Err(Failure::error(format!("No such object: {name}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Bytes of the files that a container has written: those of its own layer.
pub(super) fn written(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![dir.join("rootfs").join("fs")];
    while let Some(folder) = waiting.pop() {
        // What goes away meanwhile has no size.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => waiting.push(entry.path()),
                Ok(meta) if meta.is_file() => bytes += meta.size(),
                _ => {}
            }
        }
    }
    bytes
}
