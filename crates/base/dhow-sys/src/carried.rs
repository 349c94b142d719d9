//! A descriptor carried over an execution by its number, where there is no socket to send it over.

use rustix::io::FdFlags;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// Takes the descriptor of this number, which whoever executed this program left open for it. Close-on-exec from now on.
///
/// # Errors
/// `InvalidInput` when there is none, or when it is one of the standard streams or was opened by this program, all of whose
/// own descriptors are close-on-exec.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    let refused = || io::Error::from(io::ErrorKind::InvalidInput);
    if number < 3 {
        return Err(refused());
    }
    // SAFETY: Not -1. It is only asked for its flags, which fails when there is no such descriptor.
    let flags = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).map_err(|_| refused())?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err(refused());
    }
    // SAFETY: It is open, and nobody in this process owns it: what this process opens is close-on-exec, so it came over
    // the execution, and whoever takes it marks it so below before anybody else can take it.
    let taken = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&taken, FdFlags::CLOEXEC)?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd as _, IntoRawFd as _};

    #[test]
    fn only_what_was_left_open_is_taken() {
        assert!(take(0).is_err() && take(-1).is_err() && take(100_000).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(take(file.as_raw_fd()).is_err(), "it is ours");
        rustix::io::fcntl_setfd(&file, FdFlags::empty()).unwrap();
        let number = file.into_raw_fd();
        let taken = take(number).unwrap();
        assert!(take(number).is_err(), "a second time");
        drop(taken);
    }
}
