//! What commands print: formats chosen with `--format`, tables, sizes and times for people, progress.
//!
//! Owns: turning values into text as docker does. Must not know: commands, the engine, what the values mean. Nothing
//! here writes to the terminal by itself but [`progress`].

mod float;
pub(crate) mod inspect;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod units;
