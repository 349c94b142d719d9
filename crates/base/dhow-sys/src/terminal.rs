//! Terminals: raw mode that is left on every way out, window sizes, and the other end of a pseudo terminal.
//!
//! See termios(3), tty_ioctl(4), pty(7). Whose terminal it is and what is typed there is none of its business.

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

/// The terminal in raw mode and how it was before: where a panic hook finds it, because with `panic = "abort"` nothing
/// is dropped.
static BEFORE: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal in raw mode; as it was before once this is dropped, and when the process panics. A signal that ends the
/// process is the caller's to catch. One per process at a time.
#[derive(Debug)]
pub struct RawMode {
    _private: (),
}

impl RawMode {
    /// Switches a terminal to raw mode: every byte comes as it is typed, nothing is echoed, no key is a signal.
    ///
    /// # Errors
    /// `ENOTTY` when it is no terminal; `ResourceBusy` when another is in raw mode.
    pub fn enter(terminal: BorrowedFd<'_>) -> io::Result<RawMode> {
        let before = rustix::termios::tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        let mut slot = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let kept = rustix::io::fcntl_dupfd_cloexec(terminal, 3)?;
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        *slot = Some((kept, before));
        if let Err(e) = rustix::termios::tcsetattr(terminal, OptionalActions::Drain, &raw) {
            *slot = None;
            return Err(e.into());
        }
        Ok(RawMode { _private: () })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal that is in raw mode back to how it was before. Fine when there is none.
fn restore() {
    // try_lock: a panic while the lock is held must not wait for itself.
    let slot = match BEFORE.try_lock() {
        Ok(mut slot) => slot.take(),
        Err(std::sync::TryLockError::Poisoned(slot)) => slot.into_inner().take(),
        Err(std::sync::TryLockError::WouldBlock) => None,
    };
    if let Some((terminal, before)) = slot {
        let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, &before);
    }
}

/// Whether it is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(fd)
}

/// Rows and columns.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn size(terminal: BorrowedFd<'_>) -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(terminal)?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets rows and columns. On a pseudo terminal the processes in its foreground get SIGWINCH when they changed.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn resize(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Opens the other end of a pseudo terminal by its master, whatever devpts it is of and without any path. It does not
/// become the controlling terminal of the caller.
///
/// # Errors
/// What the ioctl `TIOCGPTPEER` says.
pub fn open_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    Ok(rustix::pty::ioctl_tiocgptpeer(master.as_fd(), flags)?)
}

/// A new pseudo terminal of the caller's own devpts: master and peer, both close-on-exec.
///
/// # Errors
/// What opening /dev/ptmx says.
pub fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::unlockpt(&master)?;
    let peer = open_peer(master.as_fd())?;
    Ok((master, peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::termios::LocalModes;

    fn echoes(terminal: &OwnedFd) -> bool {
        rustix::termios::tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    #[test]
    fn raw_mode_ends_with_its_guard_and_with_a_panic() {
        let (_master, peer) = open_pair().unwrap();
        assert!(echoes(&peer));
        let raw = RawMode::enter(peer.as_fd()).unwrap();
        assert!(!echoes(&peer));
        assert_eq!(RawMode::enter(peer.as_fd()).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(raw);
        assert!(echoes(&peer));

        let raw = RawMode::enter(peer.as_fd()).unwrap();
        let thread = std::thread::spawn(|| panic!("as it should"));
        assert!(thread.join().is_err());
        assert!(echoes(&peer), "the hook restores it before anything unwinds");
        drop(raw);
        assert!(RawMode::enter(std::io::pipe().unwrap().0.as_fd()).is_err());
    }

    #[test]
    fn sizes_go_through() {
        let (master, peer) = open_pair().unwrap();
        assert!(is_terminal(peer.as_fd()));
        resize(master.as_fd(), 33, 101).unwrap();
        assert_eq!(size(peer.as_fd()).unwrap(), (33, 101));
        assert!(size(std::io::pipe().unwrap().0.as_fd()).is_err());
    }
}
