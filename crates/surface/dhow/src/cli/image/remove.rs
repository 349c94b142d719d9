//! `rmi`, `image rm`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::image::remove::{Removal, RemoveOptions};
use dhow_spec::Kind;
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Remove {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    #[arg(hide = true)]
    images: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    aliases: "dhow image rm, dhow image remove, dhow rmi",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Remove>(&SHAPE, words, |a| a.images.len())? else { return Ok(0) };
    let engine = globals.engine()?;
    let mut code = 0;
    for image in &args.images {
        match engine.remove_image(&global::text(image), RemoveOptions { force: args.force }) {
            Ok(done) => report(&done)?,
            Err(error) => {
                let failure = Failure::from(error);
                // With -f an image that is not there is as good as removed.
                let fatal = !(args.force && failure.kind == Some(Kind::NotFound));
                let failed = failure.report();
                code = if fatal { failed } else { code };
            }
        }
    }
    Ok(code)
}

fn report(done: &[Removal]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for removal in done {
        match removal {
            Removal::Untagged(name) => writeln!(out, "Untagged: {name}")?,
            Removal::Deleted(digest) => writeln!(out, "Deleted: {digest}")?,
        }
    }
    Ok(())
}
