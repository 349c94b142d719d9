//! `run`

use super::connect::{self, Manner, Outcome};
use super::create::{self, CidFile};
use super::flags;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals};
use dhow_engine::container::Supervisor;
use dhow_engine::container::request::{CreateRequest, RestartPolicy};
use dhow_engine::{Engine, EngineError, container, network};
use dhow_supervisor::client::{Connection, Streams};
use std::ffi::OsString;
use std::io::Write;

#[derive(clap::Args)]
struct Run {
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Proxy received signals to the process (default true)
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    sig_proxy: bool,
    #[command(flatten)]
    create: flags::Create,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    aliases: "dhow container run, dhow run",
    count: Count::AtLeast(1),
};

/// docker's exit code for what `run` itself could not do.
const FAILED: u8 = 125;

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse_leading::<Run>(&SHAPE, words, |a| a.create.count())? else { return Ok(0) };
    let keys = connect::detach_keys(args.detach_keys.as_deref()).map_err(ours)?;
    let (cidfile, attached) = (args.create.cidfile.clone(), !args.create.attach.is_empty());
    let mut request = create::request(args.create, "run")?;
    if args.detach {
        detach(attached, &mut request)?;
    } else {
        connect::check_terminal(request.config.attach_stdin, request.config.tty)?;
    }
    let cidfile = CidFile::claim(cidfile.as_deref()).map_err(ours)?;
    // Its start goes on beside ours.
    let supervisor = Supervisor::ready().map_err(|e| ours(e.into()))?;
    let engine = globals.engine_plain().map_err(ours)?;
    let id = create::make(&engine, &request, cidfile).map_err(ours)?;
    let config = &request.config;
    let manner = Manner {
        streams: Streams { stdin: config.attach_stdin, stdout: config.attach_stdout, stderr: config.attach_stderr },
        tty: config.tty,
        keys,
        proxy: args.sig_proxy,
        // One that is started again is so by what its supervisor runs at its end.
        records: request.host.restart == RestartPolicy::No,
    };
    let connection = begin(&engine, &id, &manner, &request, supervisor)?;
    if !request.host.ports.is_empty() || request.host.publish_all {
        warn(&engine, &id);
    }
    if manner.streams == Streams::default() {
        drop(connection);
        writeln!(std::io::stdout(), "{id}")?;
        return Ok(0);
    }
    Ok(match connect::stream(&engine, &id, connection, &manner)? {
        Outcome::Exited(code) => code,
        Outcome::Detached => 0,
    })
}

/// Says what keeps published ports from being reached. The container runs whatever comes of it.
pub(super) fn warn(engine: &Engine, id: &str) {
    for advice in network::advice(engine, id).unwrap_or_default() {
        // Where standard error is gone there is nobody to warn.
        let _ = writeln!(std::io::stderr(), "WARNING: {advice}");
    }
}

fn ours(failure: Failure) -> Failure {
    failure.of_command("run").with_code(FAILED)
}

/// With -d nothing is connected.
fn detach(attached: bool, request: &mut CreateRequest) -> Result<(), Failure> {
    if attached {
        return Err(Failure::plain("conflicting options: cannot specify both --attach and --detach"));
    }
    let config = &mut request.config;
    (config.attach_stdin, config.attach_stdout, config.attach_stderr) = (false, false, false);
    config.stdin_once = false;
    Ok(())
}

/// Starts what was made; what cannot be started and was to be removed at its end is removed.
fn begin(
    engine: &Engine,
    id: &str,
    manner: &Manner,
    request: &CreateRequest,
    supervisor: Supervisor,
) -> Result<Connection, Failure> {
    let size = if manner.tty { connect::size() } else { (0, 0) };
    let started = container::start_with(engine, id, manner.streams, size, Some(supervisor));
    let started = started.and_then(|connection| match connection {
        Some(connection) => Ok(connection),
        // Somebody else was faster.
        None => container::attach(engine, id, manner.streams),
    });
    started.map_err(|error| {
        if request.host.auto_remove {
            // It may be gone already. The failure to start is the one to tell.
            let _ = container::remove(engine, id, true);
        }
        let code = if let EngineError::Start { status, .. } = &error { *status } else { FAILED };
        Failure::from(error).of_command("run").with_code(code)
    })
}
