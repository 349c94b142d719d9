//! The ledger and durable files: who owns which path.

mod error;
mod rows;
mod skeleton;

pub use error::StateError;
pub use rows::*;
pub use skeleton::*;
