//! Names of images and platforms.
#![no_main]

#[path = "../checks/reference.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
