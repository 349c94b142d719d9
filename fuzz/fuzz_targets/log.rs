//! Lines of logs, and messages on a supervisor's socket.
#![no_main]

#[path = "../checks/log.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
