//! Commands about dhow itself, one verb per file.

pub(super) mod check;
pub(super) mod events;
pub(super) mod info;
pub(super) mod upgrade;
pub(super) mod version;
