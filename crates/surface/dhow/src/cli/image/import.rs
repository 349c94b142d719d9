//! `import`

use super::{Watch, platform};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::image::import::ImportRequest;
use dhow_spec::Reference;
use rustix::termios::isatty;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;

#[derive(clap::Args)]
struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, value_name = "string", default_value = "", hide_default_value = true)]
    message: String,
    /// Set the platform of the image. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] file|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    aliases: "dhow image import, dhow import",
    count: Count::Between(1, 2),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Import>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let platform = platform(args.platform.as_deref())?;
    let name = args.rest.get(1).map(|name| name_of(name)).transpose()?;
    let (input, source) = open(&args.rest[0])?;
    let engine = globals.engine()?;
    let watch = Watch::new(isatty(std::io::stdout()));
    let request = ImportRequest { input, source, name, changes: args.change, message: args.message, platform };
    let id = engine.import(request, &watch)?;
    drop(watch);
    parse::print(&format!("{id}\n"))
}

fn name_of(text: &OsStr) -> Result<Reference, Failure> {
    let text = global::text(text);
    let name = Reference::parse(&text).map_err(|e| Failure::error(format!("{text}: {e}")))?;
    match name.digest() {
        Some(_) => Err(Failure::error("cannot import digest reference")),
        None => Ok(name.with_default_tag()),
    }
}

fn open(source: &OsStr) -> Result<(Box<dyn Read + Send>, String), Failure> {
    if source == "-" {
        if isatty(std::io::stdin()) {
            return Err(Failure::plain("requested import from stdin, but stdin is empty")
                .with_hint("pipe a tar in, for example: tar -C DIR -c . | dhow import - NAME"));
        }
        return Ok((Box::new(std::io::stdin()), "standard input".to_owned()));
    }
    let text = global::text(source);
    if text.contains("://") {
        return Err(Failure::error(format!("cannot import {text}: URLs are not supported"))
            .with_hint(format!("fetch it yourself: curl -fsSL {text} | dhow import - NAME")));
    }
    let file = File::open(source).map_err(|e| Failure::error(format!("cannot open {text}: {e}")))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Failure::error(format!("{text} is a directory"))
            .with_hint(format!("pack it: tar -C {text} -c . | dhow import - NAME")));
    }
    Ok((Box::new(file), text))
}
