//! The DNS resolver of a network.

pub mod answer;
pub mod message;
pub mod resolv_conf;
pub mod zone;
