//! `cargo xtask bench NAME`: dhow beside its peers, in one run.
use crate::failure::Failure;
pub(crate) fn run(_args: &[String]) -> Result<(), Failure> {
    Ok(())
}
