//! The dhow of an earlier commit, which the tests run containers under before the new one takes them over.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::project::{self, output, step};

/// Builds the program of the last tag or, where there is none behind this commit, of the commit before it, and keeps a
/// copy; none where the history is not there, which is said aloud. To be called before the program under test is built:
/// the two share a target folder, so that only our own crates are built twice.
pub(crate) fn build(metadata: &serde_json::Value) -> Result<Option<PathBuf>, Failure> {
    let Some(commit) = commit() else {
        eprintln!("xtask: SKIPPED: containers of an earlier dhow: this clone has no history (git fetch --unshallow)");
        return Ok(None);
    };
    let built = project::built(metadata, "release", "dhow")?;
    let target = built.ancestors().nth(3).ok_or_else(|| Failure::new("the target folder has no such depth"))?;
    let folder = target.join("previous");
    let program = folder.join(format!("dhow-{commit}"));
    if program.is_file() {
        return Ok(Some(program));
    }
    let tree = folder.join("tree");
    check_out(&tree, &commit)?;
    // From our own folder, so that its flags for the linker are in force, and what both depend on is the same.
    let mut build = project::cargo();
    build.args(["build", "--release", "--locked", "--package", "dhow", "--manifest-path"]).arg(tree.join("Cargo.toml"));
    // The lead to that manifest's own target folder.
    step(build.env("CARGO_TARGET_DIR", target))?;
    let failed = |e: std::io::Error| Failure::new(format!("{}: {e}", program.display()));
    // Whole or not at all, for it is looked for the next time.
    let aside = folder.join("dhow-new");
    std::fs::copy(&built, &aside).and_then(|_| std::fs::rename(&aside, &program)).map_err(failed)?;
    step(git().args(["worktree", "remove", "--force"]).arg(&tree))?;
    Ok(Some(program))
}

/// The commit in question.
fn commit() -> Option<String> {
    let ask = |words: &[&str]| output(git().args(words)).ok().map(|text| text.trim().to_owned());
    let tag = ask(&["describe", "--tags", "--abbrev=0", "HEAD^"]);
    ask(&["rev-parse", "--verify", "--quiet", &format!("{}^{{commit}}", tag.as_deref().unwrap_or("HEAD^"))])
}

/// A work tree of that commit, anew.
fn check_out(tree: &Path, commit: &str) -> Result<(), Failure> {
    // One that a broken-off run has left; where there is none, both do nothing.
    let _ = output(git().args(["worktree", "remove", "--force"]).arg(tree));
    let _ = std::fs::remove_dir_all(tree);
    step(git().args(["worktree", "prune"]))?;
    step(git().args(["worktree", "add", "--detach", "--force"]).arg(tree).arg(commit))
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(project::root());
    command
}
