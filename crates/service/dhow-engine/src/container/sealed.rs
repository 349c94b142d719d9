//! The program file that `exec` runs from: nobody may be able to write to it.
//!
//! Who enters a container is for a moment a process of it, and what the container executes may be `/proc/self/exe`: this
//! very program, run again inside. Another process of the container then reaches the program's file through
//! `/proc/<pid>/exe`, and with the rights of root would put another in its place, on the host (CVE-2019-5736). Through a
//! read-only mount of its own that no path leads to, the file can be read and not written. So the program of who enters
//! is executed once more from such a mount before anything else is done; a supervisor is so from its start.

use crate::EngineError;
use dhow_sys::mount::{MountAttrFlags, clone_tree, set_attributes};
use rustix::fs::{MemfdFlags, StatVfsMountFlags, fstatvfs, statvfs};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whether this process runs from a file that cannot be written through it.
pub fn is_sealed() -> bool {
    statvfs(super::PROGRAM).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// What the program is called with when its words are in a file of this number.
const ASIDE: [&str; 2] = ["internal", "words"];

/// Executes this very program again from a read-only mount, with these words behind its name, and the same environment and
/// descriptors. To be called before anything is opened that does not survive that, by a process of one thread. Comes back
/// only when it does not work; then [`super::exec()`] would refuse.
///
/// The words are put aside into a file in memory, where [`words()`] finds them: the command line of who enters a container
/// can be read from within by anybody, and there may be secrets in it.
pub fn seal(words: impl IntoIterator<Item = OsString>) -> EngineError {
    let failed = |source: io::Error| EngineError::io("execute from a read-only mount", super::PROGRAM, source);
    match command(words) {
        Ok((mut command, _kept)) => failed(command.exec()),
        Err(e) => failed(e),
    }
}

/// Starts this very program from a read-only mount, with these words behind its name, for work that goes on when the caller
/// has ended: without input, with this as its standard output, and the caller's standard error. It is the caller's child.
///
/// # Errors
/// Of such a mount; of starting it.
pub fn send_on(words: impl IntoIterator<Item = OsString>, output: OwnedFd) -> io::Result<Child> {
    let (mut command, _kept) = command(words)?;
    // Not in the group that the end of the caller's session is told to.
    command.stdin(Stdio::null()).stdout(output).process_group(0).spawn()
}

/// This program on a read-only mount, to be executed with these words; what has to stay open until then.
pub(super) fn command(words: impl IntoIterator<Item = OsString>) -> io::Result<(Command, Kept)> {
    // One that runs from such a mount has no path that another could be made of, and needs none.
    let mount = if is_sealed() { None } else { Some(read_only()?) };
    // Not close-on-exec: it is for the program that is executed.
    let aside = rustix::fs::memfd_create(c"dhow-words", MemfdFlags::empty())?;
    let mut file = File::from(aside);
    for word in words {
        file.write_all(word.as_bytes())?;
        file.write_all(&[0])?;
    }
    file.rewind()?;
    let program = mount.as_ref().map(|mount| format!("/proc/self/fd/{}", mount.as_raw_fd()));
    let mut command = Command::new(program.as_deref().unwrap_or(super::PROGRAM));
    command.arg0("dhow").args(ASIDE).arg(file.as_raw_fd().to_string());
    Ok((command, Kept { _mount: mount, _words: file }))
}

/// Descriptors of the program that is to be executed and of its words.
pub(super) struct Kept {
    _mount: Option<OwnedFd>,
    _words: File,
}

/// The words that this program was called with, given those behind its name: those that were put aside, if so.
///
/// # Errors
/// When they cannot be read.
pub fn words(arguments: Vec<OsString>) -> io::Result<Vec<OsString>> {
    let number = match arguments.as_slice() {
        [first, second, number] if [first, second] == ASIDE.map(OsStr::new) => number.to_str(),
        _ => return Ok(arguments),
    };
    let number = number.and_then(|number| number.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    let mut bytes = Vec::new();
    File::from(dhow_sys::carried::take(number)?).read_to_end(&mut bytes)?;
    let mut words: Vec<OsString> = bytes.split(|byte| *byte == 0).map(|w| OsStr::from_bytes(w).to_owned()).collect();
    // Each ends with a zero.
    words.pop();
    Ok(words)
}

/// This program's file, on a read-only mount of its own that no path leads to.
///
/// # Errors
/// When such a mount is refused.
pub(crate) fn read_only() -> io::Result<OwnedFd> {
    let mount = clone_tree(Path::new(super::PROGRAM)).map_err(|e| e.source)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    set_attributes(mount.as_fd(), attributes, MountAttrFlags::empty()).map_err(|e| e.source)?;
    // If that did nothing, a program that looks whether it is so would execute itself for ever.
    match fstatvfs(&mount).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        true => Ok(mount),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The path of this program, for who is started from it later; itself through procfs when no path leads to it any more.
/// In a process that runs from a mount of its own, only a path that somebody else gave it would.
pub(super) fn program() -> OsString {
    use std::os::unix::fs::MetadataExt as _;
    let same = || {
        let path = std::fs::read_link(super::PROGRAM).ok()?;
        let (by_path, itself) = (std::fs::metadata(&path).ok()?, std::fs::metadata(super::PROGRAM).ok()?);
        let same = by_path.is_file() && (by_path.dev(), by_path.ino()) == (itself.dev(), itself.ino());
        same.then_some(path)
    };
    same().map_or_else(|| super::PROGRAM.into(), Into::into)
}
