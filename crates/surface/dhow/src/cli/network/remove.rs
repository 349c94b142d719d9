//! `network rm`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::network;
use dhow_spec::Kind;
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Remove {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    #[arg(hide = true)]
    networks: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    aliases: "dhow network rm, dhow network remove",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Remove>(&SHAPE, words, |a| a.networks.len())? else { return Ok(0) };
    let engine = globals.engine()?;
    let mut code = 0;
    for name in &args.networks {
        let name = global::text(name);
        match network::remove(&engine, &name) {
            Ok(_) => writeln!(std::io::stdout(), "{name}")?,
            Err(error) => {
                let failure = Failure::from(error);
                // With -f one that is not there is as good as removed.
                if !(args.force && failure.kind == Some(Kind::NotFound)) {
                    code = failure.report();
                }
            }
        }
    }
    Ok(code)
}
