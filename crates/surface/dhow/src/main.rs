//! The `dhow` program: nothing but the way from the command line to the engine and back.

mod cli;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Files that containers see are for whoever they run as, whatever the caller's umask is. What nobody else may see
    // is made with its own mode.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    cli::run(std::env::args_os().skip(1).collect())
}
