//! `dhow-crash`: kills dhow with SIGKILL at each step of each command, or cuts the power under its disk, lets it recover,
//! and checks what is left. dhow is a black box here: a path to a program and its command line.
//!
//! README.md beside this crate says how to run it, what it proves and what it does not.

mod archive;
mod arguments;
mod calls;
mod campaign;
mod containers;
mod failure;
mod images;
mod kill_trial;
mod mounts;
mod picture;
mod power;
mod prepared;
mod process;
mod random;
mod report;
mod scenario;
mod trace;

use std::process::ExitCode;

use arguments::Invocation;
use failure::Failure;

fn main() -> ExitCode {
    let done = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Invocation::Kill(plan)) => campaign::run(&plan),
        Ok(Invocation::Containers(plan)) => private_network().and_then(|()| containers::run(&plan)),
        Ok(Invocation::PowerCut(plan)) => private_network().and_then(|()| power::run(&plan)),
        Ok(Invocation::Launch(command)) => Err(trace::launch(&command)),
        Ok(Invocation::Swallow(words)) => Err(trace::swallow(&words)),
        Ok(Invocation::ServeDisk(arguments)) => power::serve(&arguments).map(|()| true),
        Ok(Invocation::List) => {
            report::list(scenario::ALL);
            Ok(true)
        }
        Ok(Invocation::Help) => {
            report::help();
            Ok(true)
        }
        Err(failure) => Err(failure),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            report::failure(&failure);
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 64 } else { 2 })
        }
    }
}

/// What is killed must leave nothing on the machine: bridges, ports and rules go with this namespace.
fn private_network() -> Result<(), Failure> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).map_err(Failure::kernel("make a network namespace"))?;
    process::tool(std::process::Command::new("ip").args(["link", "set", "lo", "up"]))
}
