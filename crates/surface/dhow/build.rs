//! Packs the relocations of the program where the C library that is linked in can unpack them (DT_RELR): two bits for each
//! of its 11,000 relocations instead of 24 bytes, so that each start reads some KiB of them and not 270.
//!
//! glibc does since 2.36; what an older one makes of them is a crash before main.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library of this machine, which is the one that is linked in. None when it cannot be told.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok().filter(|said| said.status.success())?;
    let said = String::from_utf8(said.stdout).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
