//! Black box tests: the built binary beside the tools of others, on real and on hostile input.
//!
//! One test program, so that everything is linked once. Needs root, and the packages of scripts/install-test-deps; the
//! binary is found through `DHOW`, or beside this program's own target folder. Knows dhow's command line and its layout on
//! disk as ARCHITECTURE.md shows it; must not use any of its crates.

// A test may stop at the first thing that is not as it must be, wherever that is written.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod harness;

mod applications;
mod bad_archives;
mod bad_input;
mod bad_layers;
mod bad_stores;
mod beside;
mod crowds;
mod events;
mod exec;
mod hosts;
mod import;
mod inspect;
mod interop;
mod lifecycle;
mod list;
mod load;
mod logs;
mod names;
mod networks;
mod ps;
mod published;
mod resolved;
mod run;
mod save;
mod services;
mod show;
mod survive;
mod system;
mod terminal;
mod together;
mod unpacked;
mod upgrade;
mod watched;
mod words;
