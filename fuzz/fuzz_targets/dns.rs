//! Messages of the DNS.
#![no_main]

#[path = "../checks/dns.rs"]
mod checks;
use dhow_network::resolver::message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
