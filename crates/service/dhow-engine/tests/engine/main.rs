//! The verbs of containers against the real kernel: real supervisors, real namespaces, a root made of busybox.
//!
//! This binary is also what the engine starts as supervisor and at the end of a container (`internal ...`), as the
//! program `dhow` does; and a client that tests kill (`client ...`). So it has a main function of its own, which knows
//! as much of libtest's command line as cargo and nextest use.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests fail by panicking and tell how they went"
)]

mod containers;
mod crash;
mod crowds;
mod execs;
mod images;
mod place;
mod rootfs;

use dhow_engine::container;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments = container::words(std::env::args_os().skip(1).collect()).unwrap();
    let arguments: Vec<String> = arguments.into_iter().map(|word| word.into_string().unwrap()).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // Executed by a container that was entered: this program, inside.
        ["linger"] => {
            std::thread::sleep(Duration::from_secs(1));
            return ExitCode::SUCCESS;
        }
        ["internal", "supervise"] => return ExitCode::from(dhow_supervisor::supervise::supervise()),
        ["internal", "keep"] => return ExitCode::from(dhow_supervisor::keeper::keep()),
        ["--root", root, "--runroot", run_root, rest @ ..] => return internal(root, run_root, rest),
        _ => {}
    }
    let tests = [containers::TESTS, crash::TESTS, crowds::TESTS, execs::TESTS, images::TESTS, rootfs::TESTS].concat();
    let flag = |flag: &str| words.contains(&flag);
    // No test is ignored here; who asks for those alone gets none.
    if flag("--ignored") {
        return ExitCode::SUCCESS;
    }
    if flag("--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: containers need root");
        return ExitCode::SUCCESS;
    }
    // As `dhow exec` does; for all tests, since it costs nothing.
    if !container::is_sealed() {
        let error = container::seal(std::env::args_os().skip(1));
        panic!("{error}");
    }
    let wanted: Vec<&str> = words.iter().filter(|word| !word.starts_with('-')).copied().collect();
    let is_wanted = |name: &str| match flag("--exact") {
        true => wanted.contains(&name),
        false => wanted.is_empty() || wanted.iter().any(|part| name.contains(part)),
    };
    run(tests.iter().filter(|(name, _)| is_wanted(name)))
}

fn run<'t>(tests: impl Iterator<Item = &'t Test>) -> ExitCode {
    let mut failed = Vec::new();
    for (name, test) in tests {
        // No bridge, rule or port of a test is the machine's, or of another test.
        dhow_sys::namespace::unshare(dhow_sys::clone::Namespaces::NETWORK).unwrap();
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(()) => println!("test {name} ... ok ({:?})", begun.elapsed()),
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(*name);
            }
        }
    }
    println!("failed: {failed:?}");
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What `dhow --root R --runroot RR internal ...` does, and clients to be killed.
fn internal(root: &str, run_root: &str, words: &[&str]) -> ExitCode {
    if words.starts_with(&["client", "exec"]) && !container::is_sealed() {
        panic!("{}", container::seal(std::env::args_os().skip(1)));
    }
    let engine = place::open(root.as_ref(), run_root.as_ref());
    match words {
        ["internal", "exited", id, ..] => {
            let delay = container::exited(&engine, id).unwrap();
            dhow_engine::network::release(&engine).unwrap();
            if let Some(delay) = delay {
                std::thread::sleep(delay);
                container::start_again(&engine, id).unwrap();
            }
        }
        ["internal", "release", ..] => dhow_engine::network::release(&engine).unwrap(),
        ["internal", "again", id] => {
            if let Some(delay) = container::again(&engine, id).unwrap() {
                std::thread::sleep(delay);
                container::start_again(&engine, id).unwrap();
            }
        }
        ["internal", "stop", id, started, grace] => {
            let grace = Duration::from_millis(grace.parse().unwrap());
            container::finish_stop(&engine, id, started.parse().unwrap(), grace).unwrap();
        }
        ["client", "start", id] => drop(container::start(&engine, id, Default::default(), (0, 0)).unwrap()),
        ["client", "stop", id, grace] => {
            let grace = Some(Duration::from_millis(grace.parse().unwrap()));
            container::stop(&engine, id, grace, None).unwrap();
        }
        ["client", "exec", id, command @ ..] => return execs::client(&engine, id, command),
        ["client", "rm", id] => drop(container::remove(&engine, id, true).unwrap()),
        other => panic!("no such command: {other:?}"),
    }
    ExitCode::SUCCESS
}
