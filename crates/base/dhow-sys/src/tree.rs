//! A file tree that hostile relative paths are resolved in, and the operations on one name in one directory.
//!
//! Two levels. [`Tree`] is a root: the kernel resolves paths under it as a process that had it as its root
//! directory would (openat2 with `RESOLVE_IN_ROOT`), so that neither `..` nor an absolute symbolic link leads out,
//! and magic links of procfs lead nowhere. The free functions act on one directory fd and one *name*: they refuse
//! what is not a single component and never follow a symbolic link in it, so there is nothing to resolve at all.
//!
//! It knows nothing of layers or archives. See openat2(2), path_resolution(7).

mod make;
mod remove;
mod xattr;

pub use make::{
    FileTime, create_file, link, make_directory, make_fifo, make_node, set_mode, set_owner, set_times, symlink,
};
pub use remove::remove_all;
pub use xattr::{Target, get_xattr, list_xattrs, remove_xattr, set_xattr};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Longest path that one system call takes, without the NUL at its end.
const PATH_MAX: usize = 4095;

/// The root of a file tree.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// Opens an existing directory as a root. The last component may not be a symbolic link.
    ///
    /// # Errors
    /// What openat(2) says; `NotADirectory` for a symbolic link.
    pub fn open(path: &Path) -> io::Result<Tree> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Tree { root: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Makes the directory, 0755 whatever the umask and without a default access list that it would hand on, and
    /// opens it as a root.
    ///
    /// # Errors
    /// What mkdir(2) says, `AlreadyExists` among it.
    pub fn create(path: &Path) -> io::Result<Tree> {
        rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755))?;
        let tree = Tree::open(path)?;
        rustix::fs::fchmod(&tree.root, Mode::from_raw_mode(0o755))?;
        for name in ["system.posix_acl_default", "system.posix_acl_access"] {
            xattr::remove_if_there(Target::Fd(tree.root.as_fd()), OsStr::new(name))?;
        }
        Ok(tree)
    }

    /// The root directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what `path` names, as a place (`O_PATH`). Symbolic links are followed inside the tree, in the last
    /// component too; a leading `/` and `..` mean the root of the tree at most.
    ///
    /// # Errors
    /// What openat2(2) says.
    pub fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open_in_root(path, OFlags::PATH | OFlags::CLOEXEC)
    }

    /// Opens the directory that holds the last component of `path`, and hands that component back, unresolved.
    ///
    /// # Errors
    /// What openat2(2) says; `InvalidInput` when the path has no last component (empty, `/`, or ending in `..`).
    pub fn open_parent(&self, path: &Path) -> io::Result<(OwnedFd, OsString)> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = self.open_in_root(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
        Ok((dir, name.to_owned()))
    }

    /// Opens a directory by a path without any symbolic link, `..` or mount point in it, however long it is.
    /// The empty path is the root.
    ///
    /// # Errors
    /// What openat2(2) says: `ELOOP` for a symbolic link, `EXDEV` for a mount point.
    pub fn open_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        open_beneath(self.root(), path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// Removes what `path` names, with everything beneath it. See [`remove_all`].
    ///
    /// # Errors
    /// See [`Tree::open_parent`] and [`remove_all`].
    pub fn remove_all(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.open_parent(path)?;
        remove_all(dir.as_fd(), &name)
    }

    fn open_in_root(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(self.root.as_fd(), path, flags, resolve)?)
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root()
    }
}

/// Opens `path` beneath `dir`: no symbolic link, no `..` out of it, no mount point. A path longer than one system
/// call takes is walked in pieces.
///
/// # Errors
/// What openat2(2) says.
pub fn open_beneath(dir: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let open = |at: BorrowedFd<'_>, piece: &[u8], flags: OFlags| {
        let piece: &[u8] = if piece.is_empty() { b"." } else { piece };
        openat2(at, OsStr::from_bytes(piece).as_ref(), flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, resolve)
    };
    let mut rest = path.as_os_str().as_bytes();
    let mut at: Option<OwnedFd> = None;
    while rest.len() > PATH_MAX {
        let cut = rest[..PATH_MAX].iter().rposition(|&b| b == b'/').ok_or(rustix::io::Errno::NAMETOOLONG)?;
        let here = at.as_ref().map_or(dir, |fd| fd.as_fd());
        at = Some(open(here, &rest[..cut], OFlags::PATH | OFlags::DIRECTORY)?);
        rest = &rest[cut + 1..];
    }
    Ok(open(at.as_ref().map_or(dir, |fd| fd.as_fd()), rest, flags)?)
}

/// Opens one name of a directory, as `flags` ask. A symbolic link is not followed: it is an error, or with
/// `O_PATH` the link itself. Neither is a mount point entered.
///
/// # Errors
/// What openat2(2) says; `InvalidInput` when `name` is not one component.
pub fn open_name(dir: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat2(dir, single(name)?.as_ref(), flags, resolve)?)
}

/// The status of one name of a directory, or nothing when it is not there. A symbolic link is not followed.
///
/// # Errors
/// What fstatat(2) says, but for a missing name.
pub fn status(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, single(name)?, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The target of a symbolic link.
///
/// # Errors
/// What readlinkat(2) says; `EINVAL` when it is no symbolic link.
pub fn read_link(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<OsString> {
    let target = rustix::fs::readlinkat(dir, single(name)?, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()))
}

/// Removes one name that is no directory.
///
/// # Errors
/// What unlinkat(2) says.
pub fn unlink(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    Ok(rustix::fs::unlinkat(dir, single(name)?, AtFlags::empty())?)
}

/// Whether a directory has no names in it.
///
/// # Errors
/// What getdents64(2) says.
pub fn is_empty(dir: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(next_name(&mut rustix::fs::Dir::read_from(dir)?)?.is_none())
}

/// The names in a directory, in no order. They are read before anything is handed out, so the caller may change the
/// directory meanwhile.
///
/// # Errors
/// What getdents64(2) says.
pub fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let mut entries = rustix::fs::Dir::read_from(dir)?;
    std::iter::from_fn(|| next_name(&mut entries).transpose()).collect()
}

fn next_name(entries: &mut rustix::fs::Dir) -> io::Result<Option<OsString>> {
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            return Ok(Some(OsString::from_vec(name.to_vec())));
        }
    }
    Ok(None)
}

/// The kind of file system that a file lies on, by the name people know it by.
///
/// # Errors
/// What fstatfs(2) says.
pub fn file_system_name(fd: BorrowedFd<'_>) -> io::Result<String> {
    // Magic numbers of statfs(2).
    let magic = rustix::fs::fstatfs(fd)?.f_type as u64;
    Ok(match magic {
        0xEF53 => "ext4".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683E => "btrfs".into(),
        0x0102_1994 => "tmpfs".into(),
        0x8584_58F6 => "ramfs".into(),
        0x794C_7630 => "overlay".into(),
        0xF2F5_2010 => "f2fs".into(),
        0x2FC1_2FC1 => "zfs".into(),
        0x6969 => "nfs".into(),
        0x6573_5546 => "fuse".into(),
        0x0102_1997 => "9p".into(),
        0xCA45_1A4E => "bcachefs".into(),
        other => format!("{other:#x}"),
    })
}

/// openat2(2). While anything is renamed or mounted anywhere on the host the kernel cannot tell whether a `..` stays
/// inside, and says so with `EAGAIN`: then we look again. Nobody can rename as fast as we look, so a few times would do;
/// without an end somebody who tries could keep us here.
///
/// # Errors
/// What openat2(2) says.
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, rustix::io::Errno> {
    const TRIES_MAX: u32 = 10_000;
    for _ in 0..TRIES_MAX {
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(rustix::io::Errno::AGAIN)
}

/// `name`, if it is one component that stays in its directory.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(name)
}
