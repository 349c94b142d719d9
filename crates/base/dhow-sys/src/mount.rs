//! Mounting without a place: file system contexts, and the detached mounts that come out of them.
//!
//! A *detached mount* is an fd that holds a mounted file system which no path leads to yet. Files in it are reached
//! with openat(2) on that fd, [`attach`] puts it somewhere, and when nobody attached it, closing the fd unmounts it:
//! nothing to clean up, nothing that leaks after a crash.
//!
//! - this file: [`FsContext`], which configures a file system and mounts it (fsopen, fsconfig, fsmount);
//! - [`clone_tree`], [`attach`], [`set_attributes`], [`unmount`]: what is done with mounts that exist;
//! - [`open_tree_at`], [`clone_place`], [`change`], [`map_ids`], [`attach_to`]: the same by fd, for whole trees;
//! - [`aside`] and [`mount_classic`]: the older mount(2), which needs a working directory or a mount namespace that no
//!   other thread has a part in.
//!
//! It knows nothing of layers; which options an overlay gets is decided elsewhere. All of it needs CAP_SYS_ADMIN in the
//! user namespace of the mount namespace. See mount_namespaces(7) and the kernel's `mount_api.rst`.

mod aside;
mod attach;
mod detached;
mod idmap;

pub use aside::{Aside, aside, mount_classic};
pub use attach::{attach, clone_tree, set_attributes, unmount};
pub use detached::{Change, Depth, Propagation, attach_to, change, clone_place, open_tree_at};
pub use idmap::map_ids;
pub use rustix::mount::{MountAttrFlags, MountFlags};

use rustix::mount::{FsMountFlags, FsOpenFlags};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest string that one fsconfig(2) parameter takes, without the NUL at its end.
pub const STRING_MAX: usize = 255;

/// Longest option string that mount(2) takes: a page, without the NUL at its end.
pub const CLASSIC_DATA_MAX: usize = 4095;

/// A mount operation that the kernel refused, with what it had to say about it.
#[derive(Debug, thiserror::Error)]
pub struct MountError {
    /// What was tried, as `fsopen overlay` or `fsconfig lowerdir+`.
    pub operation: String,
    /// The messages that the kernel left in the context, oldest first, without their `e ` or `w `. Often none.
    pub messages: Vec<String>,
    /// The error number.
    pub source: io::Error,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.source)?;
        if !self.messages.is_empty() {
            write!(f, " (kernel: {})", self.messages.join("; "))?;
        }
        Ok(())
    }
}

impl MountError {
    fn new(operation: impl Into<String>, source: impl Into<io::Error>) -> MountError {
        MountError { operation: operation.into(), messages: Vec::new(), source: source.into() }
    }

    /// The error number of the kernel; none when the failure came from elsewhere (a thread that could not be made).
    pub fn errno(&self) -> Option<rustix::io::Errno> {
        rustix::io::Errno::from_io_error(&self.source)
    }
}

/// A file system that is being configured.
#[derive(Debug)]
pub struct FsContext {
    fd: OwnedFd,
}

/// A context that somebody else has opened.
impl From<OwnedFd> for FsContext {
    fn from(fd: OwnedFd) -> FsContext {
        FsContext { fd }
    }
}

impl AsFd for FsContext {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl FsContext {
    /// Starts to configure a file system of this kind, as `/proc/filesystems` names it.
    ///
    /// # Errors
    /// What fsopen(2) says: `ENODEV` when the kernel has no such file system, `EPERM` without the capability.
    pub fn open(kind: &str) -> Result<FsContext, MountError> {
        match rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(fd) => Ok(FsContext { fd }),
            Err(e) => Err(MountError::new(format!("fsopen {kind}"), e)),
        }
    }

    /// Sets a parameter to a string of at most [`STRING_MAX`] bytes.
    ///
    /// # Errors
    /// What fsconfig(2) says: `EINVAL` for an unknown parameter, a bad value or one that is too long.
    pub fn set_string(&self, key: &str, value: &OsStr) -> Result<(), MountError> {
        rustix::mount::fsconfig_set_string(&self.fd, key, value).map_err(|e| self.explain("fsconfig", key, e))
    }

    /// Sets a parameter that has no value.
    ///
    /// # Errors
    /// As [`set_string`](Self::set_string).
    pub fn set_flag(&self, key: &str) -> Result<(), MountError> {
        rustix::mount::fsconfig_set_flag(&self.fd, key).map_err(|e| self.explain("fsconfig", key, e))
    }

    /// Sets a parameter to an open file or directory, which must not be an `O_PATH` one.
    ///
    /// # Errors
    /// As [`set_string`](Self::set_string); `EINVAL` too when the parameter takes no fd on this kernel.
    pub fn set_fd(&self, key: &str, value: BorrowedFd<'_>) -> Result<(), MountError> {
        rustix::mount::fsconfig_set_fd(&self.fd, key, value).map_err(|e| self.explain("fsconfig", key, e))
    }

    /// Makes the file system as configured, and gives a detached mount of it.
    ///
    /// # Errors
    /// What fsconfig(2) and fsmount(2) say.
    pub fn mount(self, attributes: MountAttrFlags) -> Result<OwnedFd, MountError> {
        rustix::mount::fsconfig_create(&self.fd).map_err(|e| self.explain("fsconfig", "create", e))?;
        rustix::mount::fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|e| self.explain("fsmount", "", e))
    }

    fn explain(&self, operation: &str, subject: &str, error: rustix::io::Errno) -> MountError {
        let mut operation = operation.to_owned();
        if !subject.is_empty() {
            operation.push(' ');
            operation.push_str(subject);
        }
        MountError { operation, messages: self.messages(), source: error.into() }
    }

    /// Takes the messages out of the context's log. Each read gives one, `ENODATA` ends them.
    fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut line = [0u8; 1024];
        while let Ok(n) = rustix::io::read(&self.fd, &mut line) {
            if n == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line[..n]);
            let text = text.trim_end();
            let text = ["e ", "w ", "i "].iter().find_map(|mark| text.strip_prefix(mark)).unwrap_or(text);
            messages.push(text.to_owned());
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use std::fs;
    use std::os::fd::{AsFd, AsRawFd};
    use std::path::PathBuf;

    fn tmpfs() -> OwnedFd {
        FsContext::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap()
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("dhow-mount-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn inside(mount: &OwnedFd) -> PathBuf {
        format!("/proc/self/fd/{}/.", mount.as_raw_fd()).into()
    }

    #[test]
    fn failures_repeat_what_the_kernel_said() {
        let context = FsContext::open("tmpfs").unwrap();
        let error = context.set_string("no-such-parameter", OsStr::new("x")).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::INVAL));
        assert_eq!(error.messages, ["tmpfs: Unknown parameter 'no-such-parameter'"]);
        assert!(error.to_string().starts_with("fsconfig no-such-parameter: "), "{error}");
        assert!(error.to_string().ends_with(" (kernel: tmpfs: Unknown parameter 'no-such-parameter')"), "{error}");
        let error = FsContext::open("no-such-file-system").unwrap_err();
        assert_eq!((error.errno(), error.messages.len()), (Some(Errno::NODEV), 0));
    }

    #[test]
    fn a_detached_mount_is_used_without_a_place() {
        let mount = tmpfs();
        fs::write(inside(&mount).join("file"), "x").unwrap();
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
        set_attributes(mount.as_fd(), read_only, MountAttrFlags::empty()).unwrap();
        let error = fs::write(inside(&mount).join("file"), "y").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        set_attributes(mount.as_fd(), MountAttrFlags::empty(), read_only).unwrap();
        fs::write(inside(&mount).join("file"), "z").unwrap();
    }

    #[test]
    fn mounts_made_aside_are_seen_by_nobody_else() {
        let path = directory("aside");
        let clone = aside(Aside::Mounts, || -> Result<OwnedFd, MountError> {
            attach(tmpfs().as_fd(), &path)?;
            fs::write(path.join("file"), "x").unwrap();
            let clone = clone_tree(&path)?;
            unmount(&path)?;
            assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
            assert_eq!(unmount(&path).unwrap_err().errno(), Some(Errno::INVAL));
            mount_classic("tmpfs", &path, MountFlags::RDONLY, OsStr::new("size=4096,mode=0711"))?;
            assert!(fs::write(path.join("file"), "x").is_err());
            Ok(clone)
        });
        assert_eq!(fs::read_to_string(inside(&clone.unwrap()).join("file")).unwrap(), "x");
        fs::write(path.join("file"), "not read-only").unwrap();
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_working_directory_aside_leaves_ours_alone() {
        let before = std::env::current_dir().unwrap();
        let there = aside(Aside::WorkingDirectory, || -> Result<PathBuf, MountError> {
            std::env::set_current_dir("/proc").unwrap();
            Ok(std::env::current_dir().unwrap())
        });
        assert_eq!(there.unwrap(), PathBuf::from("/proc"));
        assert_eq!(std::env::current_dir().unwrap(), before);
    }

    #[test]
    fn long_options_are_refused_before_the_kernel_cuts_them() {
        let long = "x".repeat(CLASSIC_DATA_MAX + 1);
        let error = mount_classic("tmpfs", &PathBuf::from("/nowhere"), MountFlags::empty(), OsStr::new(&long));
        assert_eq!(error.unwrap_err().errno(), Some(Errno::INVAL));
    }
}
