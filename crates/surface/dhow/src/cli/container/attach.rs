//! `attach`

use super::connect::{self, Manner, Outcome};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container::view::Container;
use dhow_engine::container::{self, request::RestartPolicy};
use dhow_runtime::status::Status;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Attach {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process (default true)
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    sig_proxy: bool,
    #[arg(hide = true)]
    container: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER",
    about: "Attach local standard input, output, and error streams to a running container",
    aliases: "dhow container attach, dhow attach",
    count: Count::Exactly(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Attach>(&SHAPE, words, |a| a.container.len())? else { return Ok(0) };
    let keys = connect::detach_keys(args.detach_keys.as_deref())?;
    let engine = globals.engine_plain()?;
    let found = container::inspect(&engine, &global::text(&args.container[0]))?;
    check(&found)?;
    let manner = Manner {
        streams: connect::streams_of(&found, !args.no_stdin),
        tty: found.config.tty,
        keys,
        proxy: args.sig_proxy && !found.config.tty,
        records: found.host.restart == RestartPolicy::No,
    };
    connect::check_terminal(manner.streams.stdin, manner.tty)?;
    let connection = container::attach(&engine, &found.id, manner.streams)?;
    if manner.tty {
        let (rows, columns) = connect::size();
        connection.resize(rows, columns).map_err(connect::failed)?;
    }
    match connect::stream(&engine, &found.id, connection, &manner)? {
        Outcome::Exited(code) => Ok(code),
        Outcome::Detached => Err(Failure::plain("read escape sequence")),
    }
}

fn check(container: &Container) -> Result<(), Failure> {
    Err(Failure::plain(match container.status {
        Status::Running => return Ok(()),
        Status::Paused => "You cannot attach to a paused container, unpause it first",
        Status::Restarting => "You cannot attach to a restarting container, wait until it is running",
        _ => "You cannot attach to a stopped container, start it first",
    }))
}
