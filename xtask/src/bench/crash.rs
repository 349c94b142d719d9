//! 10,000 random kills; the harness prints its own figures.

use std::process::Command;

use super::Options;
use crate::failure::Failure;
use crate::project::{self, step};

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    step(project::cargo().args(["build", "--locked", "--package", "dhow-crash"]))?;
    let harness = project::built(&project::metadata()?, "debug", "dhow-crash")?;
    let kills = options.rounds(10_000).to_string();
    step(Command::new(harness).args(["kill", "--random", &kills]).env("DHOW", &options.dhow))
}
