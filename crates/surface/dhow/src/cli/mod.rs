//! The command line: looks at the first words, builds only that command's parser, and runs it.
//!
//! Each command is one file, `cli/<noun>/<verb>.rs`, with its arguments and a `run`. Words, output and exit codes are
//! docker's; what docker prints on an error, dhow follows with the next step.

mod confirm;
mod container;
mod failure;
mod filter;
mod global;
mod image;
mod internal;
mod moment;
mod network;
mod parse;
mod signal;
mod system;

pub(crate) use failure::Failure;
pub(crate) use global::Globals;

use std::ffi::OsString;
use std::process::ExitCode;

/// How a command ended when nothing failed: its exit code.
pub(crate) type Ended = Result<u8, Failure>;

/// A command: the words that call it, what help says of it, and what runs it.
struct Command {
    words: &'static [&'static str],
    about: &'static str,
    run: fn(&Globals, Vec<OsString>) -> Ended,
}

const fn command(
    words: &'static [&'static str],
    about: &'static str,
    run: fn(&Globals, Vec<OsString>) -> Ended,
) -> Command {
    Command { words, about, run }
}

/// Every command, under each of its names; the first name is the one that help lists.
const COMMANDS: &[Command] = &[
    command(
        &["attach"],
        "Attach local standard input, output, and error streams to a running container",
        container::attach::run,
    ),
    command(&["create"], "Create a new container", container::create::run),
    command(&["events"], "Get real time events from the server", system::events::run),
    command(&["exec"], "Execute a command in a running container", container::exec::run),
    command(&["history"], "Show the history of an image", image::history::run),
    command(&["images"], "List images", image::list::run),
    command(&["import"], "Import the contents from a tarball to create a filesystem image", image::import::run),
    command(&["info"], "Display system-wide information", system::info::run),
    command(&["inspect"], "Return low-level information on dhow objects", container::inspect::run_any),
    command(&["kill"], "Kill one or more running containers", container::kill::run),
    command(&["load"], "Load an image from a tar archive or STDIN", image::load::run),
    command(&["logs"], "Fetch the logs of a container", container::logs::run),
    command(&["pause"], "Pause all processes within one or more containers", container::pause::run),
    command(&["port"], "List port mappings or a specific mapping for the container", container::port::run),
    command(&["ps"], "List containers", container::list::run),
    command(&["rename"], "Rename a container", container::rename::run),
    command(&["restart"], "Restart one or more containers", container::restart::run),
    command(&["rm"], "Remove one or more containers", container::remove::run),
    command(&["rmi"], "Remove one or more images", image::remove::run),
    command(&["run"], "Create and run a new container from an image", container::run::run),
    command(&["save"], "Save one or more images to a tar archive (streamed to STDOUT by default)", image::save::run),
    command(&["start"], "Start one or more stopped containers", container::start::run),
    command(&["stop"], "Stop one or more running containers", container::stop::run),
    command(&["tag"], "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", image::tag::run),
    command(&["top"], "Display the running processes of a container", container::top::run),
    command(&["unpause"], "Unpause all processes within one or more containers", container::pause::unpause),
    command(&["version"], "Show the dhow version information", system::version::run),
    command(&["wait"], "Block until one or more containers stop, then print their exit codes", container::wait::run),
    command(
        &["container", "attach"],
        "Attach local standard input, output, and error streams to a running container",
        container::attach::run,
    ),
    command(&["container", "create"], "Create a new container", container::create::run),
    command(&["container", "exec"], "Execute a command in a running container", container::exec::run),
    command(
        &["container", "inspect"],
        "Display detailed information on one or more containers",
        container::inspect::run,
    ),
    command(&["container", "kill"], "Kill one or more running containers", container::kill::run),
    command(&["container", "logs"], "Fetch the logs of a container", container::logs::run),
    command(&["container", "ls"], "List containers", container::list::run),
    command(&["container", "list"], "", container::list::run),
    command(&["container", "ps"], "", container::list::run),
    command(&["container", "pause"], "Pause all processes within one or more containers", container::pause::run),
    command(&["container", "port"], "List port mappings or a specific mapping for the container", container::port::run),
    command(&["container", "rename"], "Rename a container", container::rename::run),
    command(&["container", "restart"], "Restart one or more containers", container::restart::run),
    command(&["container", "rm"], "Remove one or more containers", container::remove::run),
    command(&["container", "remove"], "", container::remove::run),
    command(&["container", "run"], "Create and run a new container from an image", container::run::run),
    command(&["container", "start"], "Start one or more stopped containers", container::start::run),
    command(&["container", "stop"], "Stop one or more running containers", container::stop::run),
    command(&["container", "top"], "Display the running processes of a container", container::top::run),
    command(
        &["container", "unpause"],
        "Unpause all processes within one or more containers",
        container::pause::unpause,
    ),
    command(
        &["container", "wait"],
        "Block until one or more containers stop, then print their exit codes",
        container::wait::run,
    ),
    command(&["image", "history"], "Show the history of an image", image::history::run),
    command(
        &["image", "import"],
        "Import the contents from a tarball to create a filesystem image",
        image::import::run,
    ),
    command(&["image", "inspect"], "Display detailed information on one or more images", image::inspect::run),
    command(&["image", "load"], "Load an image from a tar archive or STDIN", image::load::run),
    command(&["image", "ls"], "List images", image::list::run),
    command(&["image", "list"], "", image::list::run),
    command(&["image", "prune"], "Remove unused images", image::prune::run),
    command(&["image", "rm"], "Remove one or more images", image::remove::run),
    command(&["image", "remove"], "", image::remove::run),
    command(
        &["image", "save"],
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
        image::save::run,
    ),
    command(&["image", "tag"], "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", image::tag::run),
    command(&["network", "connect"], "Connect a container to a network", network::connect::run),
    command(&["network", "create"], "Create a network", network::create::run),
    command(&["network", "disconnect"], "Disconnect a container from a network", network::disconnect::run),
    command(&["network", "inspect"], "Display detailed information on one or more networks", network::inspect::run),
    command(&["network", "ls"], "List networks", network::list::run),
    command(&["network", "list"], "", network::list::run),
    command(&["network", "prune"], "Remove all unused networks", network::prune::run),
    command(
        &["network", "reload"],
        "Put bridges, wires, kernel settings and firewall rules right that somebody changed",
        network::reload::run,
    ),
    command(&["network", "rm"], "Remove one or more networks", network::remove::run),
    command(&["network", "remove"], "", network::remove::run),
    command(&["system", "check"], "Check the store, and with --repair remove what nothing owns", system::check::run),
    command(&["system", "events"], "Get real time events from the server", system::events::run),
    command(&["system", "info"], "Display system-wide information", system::info::run),
    command(
        &["system", "upgrade"],
        "Let the processes beside running containers go on as this program",
        system::upgrade::run,
    ),
];

/// Nouns, with what help says of them.
const NOUNS: &[(&str, &str)] = &[
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("network", "Manage networks"),
    ("system", "Manage dhow"),
];

/// Runs the command line and says how the process ends.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let words = dhow_engine::container::words(args)
        .map_err(|e| Failure::error(format!("cannot read the words that were put aside: {e}")));
    let ended = words.and_then(global::parse).and_then(|(globals, words)| dispatch(&globals, words));
    ExitCode::from(match ended {
        Ok(code) => code,
        Err(failure) => failure.report(),
    })
}

fn dispatch(globals: &Globals, words: Vec<OsString>) -> Ended {
    if globals.version {
        return parse::print(&format!("dhow version {}\n", env!("CARGO_PKG_VERSION")));
    }
    let text: Vec<_> = words.iter().take(2).map(|w| w.to_string_lossy()).collect();
    let Some(first) = text.first() else { return parse::print(&help()) };
    match first.as_ref() {
        "help" => return dispatch_help(globals, &words[1..]),
        "internal" => return internal::run(globals, &words),
        "init" => return internal::init(&words),
        _ => {}
    }
    if let Some((noun, about)) = NOUNS.iter().find(|(noun, _)| noun == first) {
        return dispatch_noun(globals, noun, about, words);
    }
    match COMMANDS.iter().find(|c| c.words == [first.as_ref()]) {
        Some(command) => (command.run)(globals, words),
        None if globals.help => parse::print(&help()),
        None => Err(Failure::plain(format!(
            "dhow: unknown command: dhow {first}\n\nRun 'dhow --help' for more information"
        ))),
    }
}

fn dispatch_noun(globals: &Globals, noun: &str, about: &str, mut words: Vec<OsString>) -> Ended {
    let verb = words.get(1).map(|w| w.to_string_lossy().into_owned());
    match verb.as_deref() {
        None | Some("--help" | "-h") => parse::print(&noun_help(noun, about)),
        Some(verb) => match COMMANDS.iter().find(|c| c.words == [noun, verb]) {
            Some(command) => {
                words.remove(0);
                words[0] = format!("{noun} {verb}").into();
                (command.run)(globals, words)
            }
            None => Err(Failure::plain(format!(
                "dhow: unknown command: dhow {noun} {verb}\n\nUsage:  dhow {noun}\n\nRun 'dhow {noun} --help' for more \
                 information"
            ))),
        },
    }
}

/// `dhow help [COMMAND]`.
fn dispatch_help(globals: &Globals, words: &[OsString]) -> Ended {
    if words.is_empty() {
        return parse::print(&help());
    }
    let mut words = words.to_vec();
    words.push("--help".into());
    dispatch(globals, words)
}

fn listed<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    lines.map(|(name, about)| format!("  {name:<11} {about}\n")).collect()
}

fn help() -> String {
    let nouns = listed(NOUNS.iter().copied());
    let verbs = listed(COMMANDS.iter().filter(|c| c.words.len() == 1).map(|c| (c.words[0], c.about)));
    format!(
        "Usage:  dhow [OPTIONS] COMMAND\n\nContainers, whole: one program, no daemon\n\nManagement Commands:\n{nouns}\n\
         Commands:\n{verbs}\nGlobal Options:\n{}\nRun 'dhow COMMAND --help' for more information on a command.\n",
        global::OPTIONS
    )
}

fn noun_help(noun: &str, about: &str) -> String {
    let verbs = COMMANDS.iter().filter(|c| c.words.len() == 2 && c.words[0] == noun && !c.about.is_empty());
    let verbs = listed(verbs.map(|c| (c.words[1], c.about)));
    format!(
        "Usage:  dhow {noun} COMMAND\n\n{about}\n\nCommands:\n{verbs}\nRun 'dhow {noun} COMMAND --help' for more \
         information on a command.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_there_once_and_under_a_known_noun() {
        for (i, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..i].iter().all(|c| c.words != command.words), "{:?}", command.words);
            if let [noun, _] = command.words {
                assert!(NOUNS.iter().any(|(n, _)| n == noun), "{noun}");
            }
        }
    }
}
