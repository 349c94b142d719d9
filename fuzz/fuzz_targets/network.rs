//! Messages of netlink; ports, blocks of addresses and configurations of networks as text.
#![no_main]

#[path = "../checks/network.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));
