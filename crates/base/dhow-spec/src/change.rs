//! The instructions that `import --change` and `commit --change` accept, and what they do to a configuration.

use crate::error_kind::{Classify, Kind};
use crate::image_config::ImageConfig;

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {}

/// Parses instructions as `--change` gives them, several lines and continuations included.
///
/// # Errors
/// [`ChangeError`].
pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Vec<Change>, ChangeError> {
    match texts.first() {
        None => Ok(Vec::new()),
        Some(first) => Err(ChangeError::NotAChange(first.as_ref().to_owned())),
    }
}

/// Applies instructions to a configuration, in order.
///
/// # Errors
/// [`ChangeError`]; the configuration is then unchanged.
pub fn apply(_config: &mut ImageConfig, _changes: &[Change]) -> Result<(), ChangeError> {
    Ok(())
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It is none of the instructions that a change may be.
    #[error("{0} is not a valid change command")]
    NotAChange(String),
}

impl Classify for ChangeError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
