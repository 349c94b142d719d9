//! Seccomp profiles, read and compiled.
#![no_main]

#[path = "../checks/seccomp.rs"]
mod checks;

use dhow_runtime::seccomp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
