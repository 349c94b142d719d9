//! The store itself: what it is, and whether it is whole.

pub mod check;
pub mod info;
