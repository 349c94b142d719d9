//! Tar archives. Mutation knows two things about them, without which nearly every input would end at its first header:
//! the checksum of what looks like a header is set right again, and extended headers get records of the right length.
#![no_main]

#[path = "../checks/tar.rs"]
mod checks;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const BLOCK: usize = 512;

const KEYWORDS: [&str; 18] = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "atime",
    "hdrcharset",
    "comment",
    "SCHILY.xattr.user.a",
    "SCHILY.xattr.security.capability",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.numblocks",
    "GNU.sparse.map",
];

const VALUES: [&str; 16] = [
    "",
    "0",
    "1",
    "512",
    "9000",
    "18446744073709551615",
    "-1",
    "1.5",
    "-0.000000001",
    "0,512,1024,512",
    "0,0",
    "a/b",
    "../x",
    "/",
    "\u{e9}",
    "UTF-8",
];

fuzz_target!(|data: &[u8]| checks::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    let data = &mut data[..size];
    if seed % 4 == 1 {
        set_records(data, seed / 4);
    }
    // Some inputs stay wrong.
    if seed % 8 != 0 {
        for header in data.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
            set_checksum(header);
        }
    }
    size
});

/// Fills the content of one extended header with a few well-formed records.
fn set_records(data: &mut [u8], mut choice: u32) {
    let mut pick = |n: usize| {
        choice = choice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        choice as usize / 65_536 % n
    };
    let blocks = data.len() / BLOCK;
    let is_extended = |at: &usize| data[at * BLOCK + 156] == b'x' && data[at * BLOCK + 257..][..5] == *b"ustar";
    let headers: Vec<usize> = (0..blocks.saturating_sub(1)).filter(is_extended).collect();
    if headers.is_empty() {
        return;
    }
    let at = headers[pick(headers.len())] * BLOCK;
    let mut records = String::new();
    for _ in 0..=pick(5) {
        let next = record(KEYWORDS[pick(KEYWORDS.len())], VALUES[pick(VALUES.len())]);
        if records.len() + next.len() <= BLOCK {
            records.push_str(&next);
        }
    }
    data[at + 124..at + 136].copy_from_slice(format!("{:011o}\0", records.len()).as_bytes());
    data[at + BLOCK..at + 2 * BLOCK].fill(0);
    data[at + BLOCK..][..records.len()].copy_from_slice(records.as_bytes());
}

/// `length keyword=value`, where the length counts itself.
fn record(keyword: &str, value: &str) -> String {
    let rest = format!(" {keyword}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

fn set_checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
