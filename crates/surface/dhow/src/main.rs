//! The `dhow` program: nothing but the way from the command line to the engine and back.

mod cli;
mod output;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os().skip(1).collect())
}
