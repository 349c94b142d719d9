//! `exec`

use super::{connect, create, flags};
use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use dhow_engine::container::ExecRequest;
use dhow_engine::{EngineError, container};
use dhow_supervisor::client::Terminal;
use std::ffi::OsString;
use std::io::{Read as _, Write as _, stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

#[derive(clap::Args)]
struct Exec {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "string")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    workdir: Option<String>,
    #[arg(hide = true)]
    words: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    aliases: "dhow container exec, dhow exec",
    count: Count::AtLeast(2),
};

/// Whether it is clear without a parser that something is to be executed, and waited for.
fn is_plain(words: &[OsString]) -> bool {
    let flags: [&[u8]; 4] = [b"-i", b"-t", b"-it", b"-ti"];
    let first = words.iter().map(|word| word.as_bytes()).find(|word| !flags.contains(word));
    words.len() >= 2 && first.is_some_and(|word| !word.is_empty() && word[0] != b'-')
}

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    if is_plain(&words[1..]) && !container::is_sealed() {
        // What the words mean is found out once, by who is executed then. Should that fail it is told below.
        let _ = container::seal(std::env::args_os().skip(1));
    }
    let Some(args) = parse::parse_leading::<Exec>(&SHAPE, words, |a| a.words.len())? else { return Ok(0) };
    // What enters a container can be looked at from within: it runs from a file that nobody can write (CVE-2019-5736).
    // And its words are for nobody there.
    if args.detach && !globals.background {
        return background();
    }
    if !container::is_sealed() {
        return Err(container::seal(std::env::args_os().skip(1)).into());
    }
    let keys = connect::detach_keys(args.detach_keys.as_deref())?;
    if !args.detach {
        connect::check_terminal(args.interactive, args.tty)?;
    }
    let name = global::text(&args.words[0]);
    let env = create::with_surroundings(|around| flags::environment(&args.env, &args.env_file, around))?;
    let filled = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let request = ExecRequest {
        command: args.words[1..].iter().map(|w| global::text(w)).collect(),
        user: filled(&args.user),
        env,
        working_dir: filled(&args.workdir),
        tty: args.tty,
        stdin: args.interactive && !args.detach,
        privileged: args.privileged,
    };
    if args.detach {
        return detached(globals, &name, &request).map_err(explained);
    }
    let engine = globals.engine_plain()?;
    let (stdin, stdout, stderr) = (stdin(), stdout(), stderr());
    let terminal = Terminal {
        stdin: request.stdin.then(|| stdin.as_fd()),
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
        tty: request.tty,
        detach_keys: keys,
        on_signal: None,
    };
    let size = if request.tty { connect::size() } else { (0, 0) };
    match container::exec(&engine, &name, &request, terminal, size).map_err(explained)? {
        Some(code) => Ok(connect::exit_code(code)),
        None => Err(Failure::plain("read escape sequence")),
    }
}

fn explained(error: EngineError) -> Failure {
    let code = if let EngineError::Start { status, message } = &error { code(*status, message) } else { 1 };
    Failure::from(error).with_code(code)
}

/// What the process left behind says once the program runs.
const RUNS: u8 = b'+';

/// Leaves a process behind that does it, and waits until the program runs there, or cannot.
fn background() -> Ended {
    let failed = |e| Failure::error(format!("cannot start a process in the background: {e}"));
    let (mut told, tells) = std::io::pipe().map_err(failed)?;
    let words = ["internal", "background"].map(OsString::from).into_iter().chain(std::env::args_os().skip(1));
    let mut child = container::send_on(words, tells.into()).map_err(failed)?;
    let mut answer = Vec::new();
    told.read_to_end(&mut answer).map_err(failed)?;
    if answer == [RUNS] {
        return Ok(0);
    }
    // It has said why.
    let ended = child.wait().map_err(failed)?;
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0).unwrap_or(1))
}

/// Does it, in the process left behind.
fn detached(globals: &Globals, name: &str, request: &ExecRequest) -> Result<u8, EngineError> {
    let started = container::exec_detached(&globals.plain()?, name, request, (0, 0))?;
    let _ = stdout().write_all(&[RUNS]).and_then(|()| stdout().flush());
    // Whoever asked does not wait for these to be closed.
    if let Ok(nothing) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
    // The store is not open meanwhile.
    let gone = started.wait()?;
    container::exec_ended(&globals.plain()?, &gone)?;
    Ok(0)
}

/// 126 and 127 are a shell's; what else stood in the way docker tells from its text.
fn code(status: u8, message: &str) -> u8 {
    match status {
        126 | 127 => status,
        _ if message.to_lowercase().contains("no such file or directory") => 127,
        _ => 128,
    }
}
