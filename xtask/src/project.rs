//! Where things are in this workspace, and how its programs are called.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::failure::Failure;

/// The workspace's root: the folder above this package.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace's root").to_path_buf()
}

/// The cargo that called us, so that the toolchain stays the same.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// What `cargo metadata` says of the workspace and everything it depends on, by the lock file.
pub(crate) fn metadata() -> Result<Value, Failure> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--format-version", "1"]);
    serde_json::from_str(&output(&mut command)?).map_err(|e| Failure::new(format!("cargo metadata: {e}")))
}

/// Where cargo puts what it builds in `profile` ("debug", "release"), for the target that .cargo/config.toml names.
pub(crate) fn built(metadata: &Value, profile: &str, program: &str) -> Result<PathBuf, Failure> {
    let target =
        metadata["target_directory"].as_str().ok_or_else(|| Failure::new("cargo metadata names no target folder"))?;
    Ok(Path::new(target).join(host_tuple()?).join(profile).join(program))
}

/// The host's target tuple, as rustc names it.
pub(crate) fn host_tuple() -> Result<String, Failure> {
    let version = output(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("rustc -vV names no host"))
}

/// Whether a program of this name is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Runs it with our stdout and stderr, says what it ran and how long it took; fails when it failed.
pub(crate) fn step(command: &mut Command) -> Result<(), Failure> {
    let words = words(command);
    eprintln!("xtask: {words}");
    let start = Instant::now();
    let status = command.status().map_err(|e| Failure::new(format!("{words}: {e}")))?;
    if !status.success() {
        return Err(Failure::new(format!("{words}: {status}")));
    }
    eprintln!("xtask: done in {:.1} s: {words}", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs it and returns its stdout; fails when it failed, with its stderr.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let words = words(command);
    let output = command.stdin(Stdio::null()).output().map_err(|e| Failure::new(format!("{words}: {e}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{words}: {}: {}", output.status, said.trim())));
    }
    String::from_utf8(output.stdout).map_err(|e| Failure::new(format!("{words}: {e}")))
}

fn words(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    std::iter::once(name.into())
        .chain(command.get_args().map(|arg| arg.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}
