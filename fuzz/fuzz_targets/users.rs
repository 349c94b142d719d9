//! Users and groups of a root filesystem.
#![no_main]

#[path = "../checks/users.rs"]
mod checks;
// Taken as a file: the crate that it belongs to brings a database with it.
#[path = "../../crates/service/dhow-engine/src/container/spec/users/find.rs"]
mod find;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
