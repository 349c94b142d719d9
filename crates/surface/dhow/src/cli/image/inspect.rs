//! `image inspect`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use crate::output::inspect::Inspection;
use crate::output::units;
use dhow_engine::image::inspect::Inspected;
use serde_json::{Map, Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Inspect {
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(hide = true)]
    images: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Display detailed information on one or more images",
    aliases: "",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Inspect>(&SHAPE, words, |a| a.images.len())? else { return Ok(0) };
    inspect(globals, args.format.as_deref(), &args.images)
}

fn inspect(globals: &Globals, format: Option<&str>, names: &[OsString]) -> Ended {
    let mut inspection = Inspection::new(format)?;
    let engine = globals.reader()?;
    let mut code = 0;
    for name in names {
        match engine.inspect_image(&global::text(name)) {
            Ok(found) => inspection.add(document(&found)),
            Err(error) => code = Failure::from(error).report(),
        }
    }
    parse::print(&inspection.render()?)?;
    Ok(code)
}

/// The document that docker shows for an image.
pub(crate) fn document(image: &Inspected) -> Value {
    let found = &image.found;
    let config = &image.config;
    let mut document = Map::new();
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    put("Id", json!(found.image.id.to_string()));
    put("RepoTags", image.names.iter().map(|n| json!(n.familiar())).collect());
    put("RepoDigests", json!(image.digests));
    put("Parent", json!(""));
    put("Comment", json!(config.comment));
    if let Some(created) = &config.created {
        put("Created", json!(created));
    }
    put("DockerVersion", json!(config.docker_version));
    put("Author", json!(config.author));
    put("Architecture", json!(config.architecture));
    if let Some(variant) = &config.variant {
        put("Variant", json!(variant));
    }
    put("Os", json!(config.os));
    if let Some(version) = &config.os_version {
        put("OsVersion", json!(version));
    }
    put("Size", json!(found.image.size));
    put("GraphDriver", graph_driver(image));
    let diff_ids: Vec<_> = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    put("RootFS", json!({"Type": config.rootfs.kind, "Layers": diff_ids}));
    let tagged = image.last_tagged.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), units::rfc3339);
    put("Metadata", json!({"LastTagTime": tagged}));
    put(
        "Descriptor",
        json!({
            "mediaType": found.manifest.media_type,
            "digest": found.manifest.digest.to_string(),
            "size": found.manifest.size,
        }),
    );
    put("Config", serde_json::to_value(&config.config).unwrap_or(Value::Null));
    Value::Object(document)
}

/// Where the layers lie, in the words of docker's overlay2 driver.
fn graph_driver(image: &Inspected) -> Value {
    let mut data = Map::new();
    let mut paths: Vec<_> = image.layer_paths.iter().rev().map(|p| p.display().to_string()).collect();
    if !paths.is_empty() {
        let upper = paths.remove(0);
        if !paths.is_empty() {
            data.insert("LowerDir".to_owned(), json!(paths.join(":")));
        }
        data.insert("UpperDir".to_owned(), json!(upper));
    }
    json!({"Name": "overlay", "Data": data})
}
