//! One small process per container: it holds stdio, writes the log, knows the exit status.
//!
//! Never opens the ledger; whoever starts a container gives it a [`Plan`](plan::Plan) and file descriptors, and at the
//! end it runs the command that the plan names. See [`plan`] for what lies in a container's run directory, [`wire`] for
//! what is said on its socket, [`supervise`] for its life.

pub mod client;
pub mod failure;
pub mod keeper;
pub mod log;
pub mod plan;
pub mod status;
pub mod supervise;
pub mod wire;
