//! `system check`: what no live owner or row owns, and what a row owns that is not there. A repair also settles what rows
//! say of processes that are gone.

use crate::Engine;
use crate::error::EngineError;
use dhow_state::{CheckOptions, CheckReport};

impl Engine {
    /// Looks the store over; with `repair` removes what nothing owns.
    ///
    /// # Errors
    /// When the store cannot be looked at. Findings are no errors.
    pub fn check(&self, options: &CheckOptions) -> Result<CheckReport, EngineError> {
        if options.repair && !self.read_only() {
            crate::container::settle_all(self)?;
        }
        Ok(self.state.check(options, self.now())?)
    }
}
