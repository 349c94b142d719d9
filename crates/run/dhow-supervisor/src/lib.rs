//! One small process per container: it holds stdio, writes the log, knows the exit status.
//!
//! Never opens the ledger; whoever starts a container gives it a [`Plan`](plan::Plan) and file descriptors, and at the
//! end it runs the command that the plan names. See [`plan`] for what lies in a container's run directory.

pub mod client;
pub mod log;
pub mod plan;
pub mod supervise;
