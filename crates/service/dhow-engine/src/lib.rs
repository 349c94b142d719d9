//! Use cases: what dhow does with images, containers, networks and its own store, one verb per file.
//!
//! Requests and answers are plain values; nothing here prints, parses arguments or reads the environment. Whoever
//! asks brings the time ([`Clock`]), a way to show progress ([`Progress`]) and a way to stop ([`Cancel`]).

pub mod container;
pub mod error;
pub mod image;
pub mod network;
pub mod progress;
pub mod system;

pub use error::EngineError;
pub use progress::{Cancel, LayerProgress, Progress, Silent};

use dhow_state::{Access, Places, State, Timestamp};

/// Where the time comes from: nanoseconds since the Unix epoch.
pub type Clock = fn() -> Timestamp;

/// A store that is open, and what use cases need besides.
pub struct Engine {
    state: State,
    clock: Clock,
    cancel: Cancel,
    access: Access,
}

impl Engine {
    /// Opens the store.
    ///
    /// # Errors
    /// As [`State::open`].
    pub fn open(places: &Places, access: Access, clock: Clock, cancel: Cancel) -> Result<Engine, EngineError> {
        Ok(Engine { state: State::open(places, access)?, clock, cancel, access })
    }

    /// The store's state.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn read_only(&self) -> bool {
        matches!(self.access, Access::ReadOnly)
    }

    /// Runs what makes room, or records what has happened, where need be in the room that the store keeps for that.
    fn in_reserve<T>(&self, f: impl Fn() -> Result<T, EngineError>) -> Result<T, EngineError> {
        self.state.in_reserve(EngineError::is_full, f)
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
