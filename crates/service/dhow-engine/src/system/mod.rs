//! The store itself: what it is, whether it is whole, and the processes that stand beside its containers.

pub mod check;
pub mod info;
pub mod upgrade;
