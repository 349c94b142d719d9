//! `port`: where the ports of a container are on the host.

use super::networks;
use super::run::warn;
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container;
use dhow_network::ports::Protocol;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Port {
    #[arg(hide = true)]
    words: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List port mappings or a specific mapping for the container",
    aliases: "dhow container port, dhow port",
    count: Count::Between(1, 2),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Port>(&SHAPE, words, |a| a.words.len())? else { return Ok(0) };
    let name = global::text(&args.words[0]);
    let engine = globals.reader()?;
    let container = container::inspect(&engine, &name)?;
    warn(&engine, &container.id);
    let lines = networks::lines(&container);
    let Some(asked) = args.words.get(1).map(|word| global::text(word)) else {
        let all: Vec<String> = lines.iter().map(|(port, address)| format!("{port} -> {address}\n")).collect();
        return parse::print(&all.concat());
    };
    let port = target(&asked)?;
    let found: Vec<String> =
        lines.iter().filter(|(target, _)| *target == port).map(|(_, address)| format!("{address}\n")).collect();
    match found.is_empty() {
        true => Err(Failure::error(format!("No public port '{port}' published for {name}"))),
        false => parse::print(&found.concat()),
    }
}

/// `80` or `80/udp`, as `80/tcp`.
fn target(text: &str) -> Result<String, Failure> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number: u16 = number.parse().map_err(|_| Failure::plain(format!("invalid port '{text}'")))?;
    let protocol: Protocol = protocol.parse().map_err(|e| Failure::plain(format!("{e}")))?;
    Ok(format!("{number}/{protocol}"))
}
