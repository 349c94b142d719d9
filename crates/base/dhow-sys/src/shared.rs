//! Memory that outlives its process: an anonymous file (memfd_create(2)), mapped shared.
//!
//! Who holds the descriptor can map it again after the process that wrote to it has been killed, and finds what that had
//! stored. One process maps it at a time: what keeps others away (a lock) is the owner's business. Pages that were never
//! touched take no memory.

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;

/// A mapped anonymous file of fixed size.
#[derive(Debug)]
pub struct Shared {
    file: OwnedFd,
    start: *mut u8,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone, as a Box belongs to its owner; it is bound to no thread.
unsafe impl Send for Shared {}

impl Shared {
    /// Makes one of `length` bytes, all zero. Its name is only for who looks into `/proc`.
    ///
    /// # Errors
    /// What memfd_create(2), ftruncate(2), fcntl(2) and mmap(2) say.
    pub fn new(name: &str, length: usize) -> io::Result<Shared> {
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, length as u64)?;
        // Nobody can take memory away from under the mapping.
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Shared::map(file, length)
    }

    /// Maps one that was made before.
    ///
    /// # Errors
    /// `InvalidData` for a file of another size, or one that could shrink; what mmap(2) says.
    pub fn open(file: OwnedFd, length: usize) -> io::Result<Shared> {
        let size = rustix::fs::fstat(&file)?.st_size;
        if u64::try_from(size) != Ok(length as u64) || !rustix::fs::fcntl_get_seals(&file)?.contains(SealFlags::SHRINK)
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no shared memory of this size"));
        }
        Shared::map(file, length)
    }

    fn map(file: OwnedFd, length: usize) -> io::Result<Shared> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing of ours.
        let start = unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, &file, 0) }?;
        Ok(Shared { file, start: start.cast(), length })
    }

    /// The word at this place, counted in words of 8 bytes.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.length / 8, "a word of the shared memory");
        // SAFETY: within the mapping, which starts on a page and lives as long as `self`. Whoever writes to bytes has `self`
        // for himself meanwhile.
        unsafe { AtomicU64::from_ptr(self.start.cast::<u64>().add(at)) }
    }

    /// Some of its bytes.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.length, "bytes of the shared memory");
        // SAFETY: within the mapping, which lives as long as `self` and, as it is sealed, has its memory for good; one
        // process maps it at a time (see above), and that writes bytes only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.add(range.start), range.len()) }
    }

    /// The same, to be written.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        assert!(range.start <= range.end && range.end <= self.length, "bytes of the shared memory");
        // SAFETY: as in `bytes`; `&mut self` keeps all other views of this process away.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

impl AsFd for Shared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no view of it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_was_stored_is_found_by_the_next() {
        let mut first = Shared::new("test", 10_000).unwrap();
        first.word(3).store(7, Ordering::Release);
        first.bytes_mut(9_000..9_003).copy_from_slice(b"abc");
        let file = first.as_fd().try_clone_to_owned().unwrap();
        drop(first);
        let again = Shared::open(file.try_clone().unwrap(), 10_000).unwrap();
        assert_eq!((again.word(3).load(Ordering::Acquire), again.bytes(8_999..9_003)), (7, &b"\0abc"[..]));
        assert_eq!(Shared::open(file.try_clone().unwrap(), 9_999).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(rustix::fs::ftruncate(&file, 0).is_err());
        let plain = rustix::fs::memfd_create("plain", MemfdFlags::CLOEXEC).unwrap();
        assert!(Shared::open(plain, 0).is_err());
    }

    #[test]
    #[should_panic(expected = "bytes of the shared memory")]
    fn nothing_is_lent_beyond_the_end() {
        Shared::new("test", 4096).unwrap().bytes_mut(4090..4097);
    }
}
