//! Standard input, output and error: three given files, or a pseudo terminal of the container's own.

use super::Child;
use super::failure::{Context, Failure};
use super::place;
use super::root::root;
use crate::start::Stdio;
use crate::start::streams::is_null;
use dhow_sys::mount::{self, Depth};
use rustix::fs::{FileType, OFlags, ResolveFlags, makedev};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// `f_type` of devpts (`linux/magic.h`).
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// The given files become 0, 1 and 2. They may have such numbers themselves, in any order, so they move away first.
/// Where a terminal is still to be made the null device takes the place of the caller's streams.
pub(super) fn files(child: &mut Child<'_>) -> Result<(), Failure> {
    let [stdin, stdout, stderr] = match (child.stdio, child.null) {
        (Stdio::Files(files), _) => files,
        (Stdio::Terminal { .. }, Some(null)) => &[null; 3],
        (Stdio::Terminal { .. }, None) => unreachable!("it is opened for every terminal"),
    };
    let what = || "cannot move the standard streams".to_owned();
    let away = |file: &BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(file, 3).context(what);
    let (stdin, stdout, stderr) = (away(stdin)?, away(stdout)?, away(stderr)?);
    become_streams(&stdin, &stdout, &stderr)
}

fn become_streams(stdin: &OwnedFd, stdout: &OwnedFd, stderr: &OwnedFd) -> Result<(), Failure> {
    let what = || "cannot move the standard streams".to_owned();
    rustix::stdio::dup2_stdin(stdin).context(what)?;
    rustix::stdio::dup2_stdout(stdout).context(what)?;
    rustix::stdio::dup2_stderr(stderr).context(what)
}

/// Where a stream is the null device, the container's own takes its place: that has a name in there, and changing it changes
/// nothing of the host's. What is no null device there, or cannot be opened, is left alone.
pub(super) fn own_null(child: &mut Child<'_>) -> Result<(), Failure> {
    if child.null.is_none() || !child.container.own_dev || matches!(child.stdio, Stdio::Terminal { .. }) {
        return Ok(());
    }
    let Some(null) = container_null(root(child)) else { return Ok(()) };
    let what = || "cannot move the standard streams".to_owned();
    if is_null(rustix::stdio::stdin()) {
        rustix::stdio::dup2_stdin(&null).context(what)?;
    }
    if is_null(rustix::stdio::stdout()) {
        rustix::stdio::dup2_stdout(&null).context(what)?;
    }
    if is_null(rustix::stdio::stderr()) {
        rustix::stdio::dup2_stderr(&null).context(what)?;
    }
    Ok(())
}

fn container_null(root: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = Path::new("/dev/null");
    // As a place first, as with the terminal; and should it be another one by then, it does not keep us waiting.
    place::plain(root, path).ok().filter(|place| is_null(place.as_fd()))?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let null = place::open(root, path, flags, ResolveFlags::NO_SYMLINKS).ok()?;
    rustix::fs::fcntl_setfl(&null, OFlags::empty()).ok()?;
    is_null(null.as_fd()).then_some(null)
}

/// A new pseudo terminal: the controlling one of our session, and `/dev/console` of a new container.
pub(super) fn terminal(child: &mut Child<'_>) -> Result<(), Failure> {
    make_terminal(child)?;
    control_terminal(child)
}

/// All of it that need not be done in the process that it is for.
pub(super) fn make_terminal(child: &mut Child<'_>) -> Result<(), Failure> {
    let Stdio::Terminal { size: (rows, columns) } = *child.stdio else { return Ok(()) };
    let what = || "cannot make a terminal".to_owned();
    let master = open_multiplexer(root(child))?;
    rustix::pty::unlockpt(&master).context(what)?;
    // By the master and not by its name in /dev/pts: whatever that name may lead to by now (CVE-2025-52565).
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).context(what)?;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&slave, size).context(what)?;
    rustix::fs::fchown(&slave, Some(child.program.uid), None).context(what)?;
    if child.enter.is_none() && child.container.own_dev {
        console(root(child), &slave)?;
    }
    become_streams(&slave, &slave, &slave)?;
    child.channel.hand_over_terminal(master).context(|| "cannot hand over the terminal".to_owned())
}

/// Makes what is standard input by now the controlling terminal.
pub(super) fn control_terminal(child: &mut Child<'_>) -> Result<(), Failure> {
    let Stdio::Terminal { .. } = child.stdio else { return Ok(()) };
    rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())
        .context(|| "cannot make it the controlling terminal".to_owned())
}

/// Opens `/dev/pts/ptmx` of the container, if that is what it seems to be.
fn open_multiplexer(root: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let what = || "cannot open /dev/pts/ptmx".to_owned();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    // As a place first: opening a device that is another one may have effects of its own.
    let place = place::plain(root, Path::new("/dev/pts/ptmx")).context(what)?;
    check_multiplexer(&place)?;
    let master = place::open(root, Path::new("/dev/pts/ptmx"), flags, ResolveFlags::NO_SYMLINKS).context(what)?;
    check_multiplexer(&master)?;
    Ok(master)
}

fn check_multiplexer(file: &OwnedFd) -> Result<(), Failure> {
    let what = || "cannot look at /dev/pts/ptmx".to_owned();
    let stat = rustix::fs::fstat(file).context(what)?;
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(5, 2);
    let on_devpts = rustix::fs::fstatfs(file).context(what)?.f_type == DEVPTS_SUPER_MAGIC;
    if device && on_devpts {
        return Ok(());
    }
    Err(Failure::because("/dev/pts/ptmx of the container is not the terminal multiplexer of a devpts"))
}

/// Binds the terminal on `/dev/console`, which must be no link (CVE-2025-52565).
fn console(root: BorrowedFd<'_>, slave: &OwnedFd) -> Result<(), Failure> {
    let what = || "cannot make /dev/console".to_owned();
    place::directory(root, Path::new("/dev"))
        .and_then(|dev| place::make_file(&dev, OsStr::new("console")))
        .context(what)?;
    let place = place::plain(root, Path::new("/dev/console")).context(what)?;
    if place::kind_of(&place).context(what)? == FileType::Directory {
        return Err(Failure::because("/dev/console is a directory"));
    }
    let clone = mount::clone_place(slave.as_fd(), Depth::One).context(what)?;
    mount::attach_to(clone, place.as_fd()).context(what)
}
