//! `cargo xtask {test,bench,budget,tidy}`: the developer's commands.
//!
//! Owns the order in which the workspace is built, checked, tested and measured. Knows the workspace's folders and the
//! command line of dhow; must not know any of its crates from within: what is tested and measured is the built binary.

// A developer's command speaks to a terminal; that is its job.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod budget;
mod failure;
mod previous;
mod project;
mod test;
mod tidy;

use std::process::ExitCode;

use failure::Failure;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy                      formatting, clippy, and the rules of this workspace
  test [FILTER]             all tests: unit, end to end, crash harness (as root, or with sudo)
  bench NAME [OPTION...]    measure dhow beside its peers: unpack, load, list, memory, start, crash, all
  bench --help              the options of the benchmarks
  budget [--dhow PATH]      count the system calls and instructions of a run, and fail above what was agreed (as root)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words = args.iter().map(String::as_str);
    let outcome = match words.next() {
        Some("tidy") => tidy::run(),
        Some("test") => test::run(words.next()),
        Some("bench") => bench::run(&args[1..]),
        Some("budget") => budget::run(&args[1..]),
        // Called by the benchmarks themselves.
        Some("measured") => bench::measured(&args[1..]),
        // Called by the budget itself.
        Some("traced") => budget::traced(&args[1..]),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(Failure::usage(USAGE)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
