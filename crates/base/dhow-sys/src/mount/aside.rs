//! The older mount(2), and a thread of its own for what would disturb the others.
//!
//! The working directory and the mount namespace are shared by all threads of a process. A thread can leave that share
//! (unshare(2)) but never join it again, so such work is done on a thread that ends with it.

use super::{MountError, MountFlags, attach::c_path};
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the thread has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Root and working directory.
    WorkingDirectory,
    /// Those, and a copy of the mount namespace: what is mounted in it is seen by nobody else and is gone with the
    /// thread; what others unmount meanwhile is unmounted in it too.
    Mounts,
}

/// Runs `work` on a thread of its own, which shares less with this one. An fd that it gives back is as good here as
/// there: the table of fds stays shared.
///
/// # Errors
/// What `work` says; before that, what unshare(2) says, or that no thread could be made.
pub fn aside<T: Send, E: From<MountError> + Send>(
    what: Aside,
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("mount".into()).spawn_scoped(scope, || {
            leave(what)?;
            work()
        });
        let thread = thread.map_err(|e| MountError::new("thread for mounting", e))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn leave(what: Aside) -> Result<(), MountError> {
    let flags = match what {
        Aside::WorkingDirectory => UnshareFlags::FS,
        Aside::Mounts => UnshareFlags::FS | UnshareFlags::NEWNS,
    };
    // SAFETY: the call is unsafe for CLONE_FILES, which would leave fds behind that this thread cannot use. Root, working
    // directory and mounts are no memory of ours, and the thread does not outlive its work.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(|e| MountError::new("unshare", e))?;
    if what == Aside::Mounts {
        let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).map_err(|e| MountError::new("mount --make-rslave /", e))?;
    }
    Ok(())
}

/// mount(2): a file system of `kind` at `target`, which may be a symbolic link, with options of at most
/// [`CLASSIC_DATA_MAX`](super::CLASSIC_DATA_MAX) bytes.
///
/// # Errors
/// What mount(2) says. It leaves no messages; the kernel's log may have some.
pub fn mount_classic(kind: &str, target: &Path, flags: MountFlags, options: &OsStr) -> Result<(), MountError> {
    let fail = |e: io::Error| MountError::new(format!("mount {kind}"), e);
    let options = c_path(Path::new(options)).map_err(fail)?;
    if options.as_bytes().len() > super::CLASSIC_DATA_MAX {
        return Err(fail(rustix::io::Errno::INVAL.into()));
    }
    let target = target.as_os_str().as_bytes();
    rustix::mount::mount(kind, target, kind, flags, options.as_c_str()).map_err(|e| fail(e.into()))
}
