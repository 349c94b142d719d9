//! `cargo xtask test`: builds the binary, then everything that tests it, from the cheapest to the dearest.
//!
//! Installs nothing and needs no network but for the first run's Debian images (tests/fixtures). Most of what dhow does
//! needs root, so the test programs run as root: as they are, or through sudo.

use std::process::Command;

use crate::failure::Failure;
use crate::previous;
use crate::project::{self, step};

/// Kills chosen at random, after one at each step; `cargo xtask bench crash` does more.
const RANDOM_KILLS: &str = "2000";

/// The test that wants a dhow of an earlier commit.
const TAKEN_OVER: &str = "upgrade::containers_of_the_previous_commit_are_taken_over";

/// Runs all tests, or those whose name has `filter` in it.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Failure> {
    let metadata = project::metadata()?;
    let previous = match filter.is_none_or(|filter| TAKEN_OVER.contains(filter)) {
        true => previous::build(&metadata)?,
        false => None,
    };
    // What users get is what is tested end to end: the release build.
    step(project::cargo().args(["build", "--release", "--locked", "--package", "dhow"]))?;
    let dhow = project::built(&metadata, "release", "dhow")?;
    if filter.is_none() {
        // nextest leaves these out.
        step(project::cargo().args(["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
    }
    let mut tests = project::cargo();
    if project::on_path("cargo-nextest") {
        tests.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
    } else {
        tests.args(["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]);
    }
    tests.args(filter).env("DHOW", &dhow);
    if let Some(previous) = previous {
        tests.env("DHOW_PREVIOUS", previous);
    }
    if !is_root() {
        // cargo starts each test program through this.
        let tuple = project::host_tuple()?.to_uppercase().replace('-', "_");
        tests.env(format!("CARGO_TARGET_{tuple}_RUNNER"), "sudo --preserve-env");
    }
    step(&mut tests)?;
    if filter.is_some() {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(|e| Failure::new(format!("this program: {e}")))?;
    step(as_root(&own).args(["budget", "--dhow"]).arg(&dhow))?;
    crash(&dhow, &metadata)?;
    println!("all tests passed: unit, end to end, what a run costs, crash harness");
    Ok(())
}

/// Kills of what stands beside containers; about a minute.
const CONTAINER_KILLS: &str = "95";

/// The crash harness: kill at each step, at random, beside containers, and power cuts.
fn crash(dhow: &std::path::Path, metadata: &serde_json::Value) -> Result<(), Failure> {
    step(project::cargo().args(["build", "--locked", "--package", "dhow-crash"]))?;
    let harness = project::built(metadata, "debug", "dhow-crash")?;
    let containers = ["containers", "--random", CONTAINER_KILLS];
    for what in [&["kill", "--random", RANDOM_KILLS][..], &containers, &["power-cut"]] {
        step(as_root(&harness).args(what).env("DHOW", dhow))?;
    }
    Ok(())
}

/// A command that runs `program` as root.
pub(crate) fn as_root(program: &std::path::Path) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("--preserve-env").arg(program);
    sudo
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
