//! Tar archives. After each mutation the checksums of what looks like a header are set right again; without that,
//! nearly every input would end at its first header.
#![no_main]

#[path = "../checks/tar.rs"]
mod checks;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const BLOCK: usize = 512;

fuzz_target!(|data: &[u8]| checks::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    // Some inputs stay wrong.
    if seed % 8 != 0 {
        for header in data[..size].chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
            set_checksum(header);
        }
    }
    size
});

fn set_checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
