//! `load`

use super::{Watch, platform};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use dhow_engine::image::load::{LoadRequest, Loaded};
use dhow_store::archive::Input;
use rustix::termios::isatty;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "string")]
    input: Option<PathBuf>,
    /// Load only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true)]
    rest: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or STDIN",
    aliases: "dhow image load, dhow load",
    count: Count::None,
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Load>(&SHAPE, words, |a| a.rest.len())? else { return Ok(0) };
    let platform = platform(args.platform.as_deref())?;
    let input = input(args.input)?;
    let engine = globals.engine()?;
    let watch = Watch::new(!args.quiet && isatty(std::io::stdout()));
    let loaded = engine.load(LoadRequest { input, platform }, &watch)?;
    drop(watch);
    report(&loaded)
}

fn input(path: Option<PathBuf>) -> Result<Input, Failure> {
    match path {
        Some(path) if path.as_os_str() != "-" => {
            let file = File::open(&path).map_err(|e| Failure::error(format!("cannot open {}: {e}", path.display())))?;
            Ok(Input::File(file, path.display().to_string()))
        }
        _ if isatty(std::io::stdin()) => Err(Failure::plain("requested load from stdin, but stdin is empty")
            .with_hint("name an archive with -i FILE, or pipe one in")),
        _ => {
            use std::os::fd::AsFd;
            let fd = std::io::stdin().as_fd().try_clone_to_owned();
            let file = File::from(fd.map_err(|e| Failure::error(format!("cannot read standard input: {e}")))?);
            Ok(Input::File(file, "standard input".to_owned()))
        }
    }
}

fn report(loaded: &[Loaded]) -> Ended {
    let mut out = std::io::stdout().lock();
    for image in loaded {
        for (name, before) in &image.taken {
            writeln!(out, "The image {name} already exists, renaming the old one with ID {before} to empty string")?;
        }
        for name in &image.names {
            writeln!(out, "Loaded image: {name}")?;
        }
        if image.names.is_empty() {
            writeln!(out, "Loaded image ID: {}", image.id)?;
        }
    }
    Ok(0)
}
