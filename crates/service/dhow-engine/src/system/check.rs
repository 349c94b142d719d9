//! `system check`: what no live owner or row owns, and what a row owns that is not there.

use crate::Engine;
use crate::error::EngineError;
use dhow_state::{CheckOptions, CheckReport};

impl Engine {
    /// Looks the store over; with `repair` removes what nothing owns.
    ///
    /// # Errors
    /// When the store cannot be looked at. Findings are no errors.
    pub fn check(&self, options: &CheckOptions) -> Result<CheckReport, EngineError> {
        Ok(self.state.check(options, self.now())?)
    }
}
