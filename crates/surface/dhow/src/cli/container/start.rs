//! `start`

use super::connect::{self, Manner, Outcome};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container::request::RestartPolicy;
use dhow_engine::{Engine, container};
use dhow_supervisor::client::Streams;
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    #[arg(hide = true)]
    containers: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start one or more stopped containers",
    aliases: "dhow container start, dhow start",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Start>(&SHAPE, words, |a| a.containers.len())? else { return Ok(0) };
    let names: Vec<String> = args.containers.iter().map(|n| global::text(n)).collect();
    let keys = connect::detach_keys(args.detach_keys.as_deref())?;
    let engine = globals.engine_plain()?;
    match (args.attach || args.interactive, names.as_slice()) {
        (false, names) => without(&engine, names),
        (true, [name]) => attached(&engine, name, args.interactive, keys),
        (true, _) => Err(Failure::plain("you cannot start and attach multiple containers at once")),
    }
}

fn without(engine: &Engine, names: &[String]) -> Ended {
    let mut failed = Vec::new();
    for name in names {
        match container::start(engine, name, Streams::default(), (0, 0)) {
            Ok(_) => writeln!(std::io::stdout(), "{name}")?,
            Err(error) => {
                Failure::from(error).report();
                failed.push(name.as_str());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(0),
        false => Err(Failure::error(format!("failed to start containers: {}", failed.join(", ")))),
    }
}

fn attached(engine: &Engine, name: &str, interactive: bool, keys: Vec<u8>) -> Ended {
    let found = container::inspect(engine, name)?;
    let streams = connect::streams_of(&found, interactive);
    connect::check_terminal(streams.stdin, found.config.tty)?;
    let size = if found.config.tty { connect::size() } else { (0, 0) };
    let connection = match container::start(engine, &found.id, streams, size)? {
        Some(connection) => connection,
        None => container::attach(engine, &found.id, streams)?,
    };
    let manner = Manner {
        streams,
        tty: found.config.tty,
        keys,
        proxy: !found.config.tty,
        records: found.host.restart == RestartPolicy::No,
    };
    Ok(match connect::stream(engine, &found.id, connection, &manner)? {
        Outcome::Exited(code) => code,
        Outcome::Detached => 0,
    })
}
