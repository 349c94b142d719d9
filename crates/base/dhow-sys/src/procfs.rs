//! Reading files that the kernel makes up as they are read: their size is not known before, and they are short.
//!
//! The standard library begins with 32 bytes there and doubles that, which is seven system calls for a page of text.

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::path::Path;

/// What nearly all of them fit in.
const USUAL: usize = 8192;

/// Reads such a file whole.
///
/// # Errors
/// Of the file system.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = rustix::fs::openat(CWD, path.as_ref(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::with_capacity(USUAL);
    loop {
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(bytes),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        if bytes.len() == bytes.capacity() {
            bytes.reserve(bytes.len());
        }
    }
}

/// The same, as text.
///
/// # Errors
/// Of the file system; `InvalidData` for what is not UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_standard_library_reads() {
        for path in ["/proc/self/limits", "/proc/filesystems", "/proc/sys/kernel/random/boot_id", "/proc/kallsyms"] {
            assert_eq!(read(path).unwrap(), std::fs::read(path).unwrap(), "{path}");
        }
        assert_eq!(read("/proc/self/nothing").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
