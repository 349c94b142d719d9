//! Image documents and changes.
#![no_main]

#[path = "../checks/documents.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
