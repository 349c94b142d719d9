//! The question before something is removed.

use super::Failure;
use std::io::Write;

/// Whether the person says yes. `what`: that will be removed.
pub(crate) fn confirmed(what: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    write!(out, "WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Failure::error(format!("cannot read the answer: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}
