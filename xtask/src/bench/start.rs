//! What it costs to start the program at all.

use std::process::Command;

use super::Options;
use super::measure::{Case, interleave, time};
use super::report::{Figure, Report};
use crate::failure::Failure;
use crate::project::{on_path, output};

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut cases = vec![Case::new("dhow --version", || time(Command::new(&options.dhow).arg("--version")))];
    cases.push(Case::new("dhow load --help", || time(Command::new(&options.dhow).args(["load", "--help"]))));
    if on_path("busybox") {
        cases.push(Case::new("busybox true", || time(Command::new("busybox").arg("true"))));
    }
    cases.push(Case::new("true", || time(&mut Command::new("/bin/true"))));
    if on_path("podman") {
        cases.push(Case::new("podman --version", || time(Command::new("podman").arg("--version"))));
    }
    let cases = interleave(&mut cases, options.rounds(300))?;
    let size = std::fs::metadata(&options.dhow).map_err(Failure::at(&options.dhow))?.len() >> 10;
    let about = format!("start and end of a program; dhow is {size} KiB{}", instructions(options)?);
    Report { name: "start", about, cases, figures: &[Figure::CpuMicros] }.publish(options)
}

/// Counted instructions do not depend on what else the machine does.
fn instructions(options: &Options) -> Result<String, Failure> {
    if !on_path("valgrind") {
        return Ok(String::new());
    }
    let script = "valgrind --tool=callgrind --callgrind-out-file=/dev/null \"$1\" --version 2>&1 >/dev/null | sed -n 's/.*Collected : //p'";
    let count = output(Command::new("sh").args(["-c", script, "sh"]).arg(&options.dhow))?;
    Ok(format!(", {} instructions for --version", count.trim()))
}
