//! Places in the root of a container, found and made without ever leaving it.
//!
//! The root is hostile: any part of a path in it may be a symbolic link to anywhere, and may change while we look. So
//! the kernel resolves (openat2 with `RESOLVE_IN_ROOT`, magic links of procfs refused), what is found is held by a
//! descriptor, and only that descriptor is used (CVE-2019-19921, CVE-2021-30465, CVE-2024-45310).

use dhow_sys::tree;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// What is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A directory; made 0755 if missing.
    Directory,
    /// Anything else; an empty regular file is made if there is nothing.
    File,
}

/// As many symbolic links as the kernel follows in one path.
const LINKS_MAX: u32 = 40;

const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens what is there, as a place (`O_PATH`), symbolic links followed inside the root.
pub(super) fn existing(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open(root, path, PLACE, ResolveFlags::NO_MAGICLINKS)
}

/// Opens what is there, if there is no symbolic link on the way and it is none itself.
pub(super) fn plain(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open(root, path, PLACE, ResolveFlags::NO_SYMLINKS)
}

/// Opens a path in the root.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    tree::openat2(root, path, flags, resolve | ResolveFlags::IN_ROOT)
}

/// Opens what is there, or makes it with all that is missing on the way. Links that lead to nothing are followed, too:
/// what they lead to is made, inside the root.
pub(super) fn made(root: BorrowedFd<'_>, path: &Path, wanted: Wanted) -> Result<OwnedFd, Errno> {
    match existing(root, path) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let mut rest: VecDeque<OsString> = names(path).collect();
    // Free of symbolic links and `..`, as far as it was when we looked; if that changes, resolving fails.
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let there = here.join(&name);
        let kind = if rest.is_empty() { wanted } else { Wanted::Directory };
        match link_at(root, &there) {
            Ok(Some(target)) => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Errno::LOOP);
                }
                if target.has_root() {
                    here = PathBuf::from("/");
                }
                for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                    rest.push_front(name);
                }
                continue;
            }
            Ok(None) => {}
            Err(Errno::NOENT) => make(root, &here, &name, kind)?,
            Err(e) => return Err(e),
        }
        here = there;
    }
    plain(root, &here)
}

/// Opens a directory, made if missing.
pub(super) fn directory(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let place = made(root, path, Wanted::Directory)?;
    if kind_of(&place)? == FileType::Directory { Ok(place) } else { Err(Errno::NOTDIR) }
}

/// What kind of file is open.
pub(super) fn kind_of(file: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode))
}

/// Where the symbolic link at `path` leads, or nothing when something else is there.
fn link_at(root: BorrowedFd<'_>, path: &Path) -> Result<Option<PathBuf>, Errno> {
    let place = open(root, path, PLACE | OFlags::NOFOLLOW, ResolveFlags::NO_SYMLINKS)?;
    if kind_of(&place)? != FileType::Symlink {
        return Ok(None);
    }
    let target = rustix::fs::readlinkat(&place, "", Vec::new())?;
    Ok(Some(PathBuf::from(OsString::from_vec(target.into_bytes()))))
}

fn make(root: BorrowedFd<'_>, parent: &Path, name: &OsStr, wanted: Wanted) -> Result<(), Errno> {
    let parent = plain(root, parent)?;
    match wanted {
        // Another container with the same volume may make it at the same time.
        Wanted::Directory => there(rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))),
        Wanted::File => make_file(&parent, name),
    }
}

/// Makes an empty file in a directory; fine when something of that name is there, a link too.
pub(super) fn make_file(directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    there(rustix::fs::mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0))
}

fn there(made: Result<(), Errno>) -> Result<(), Errno> {
    if made == Err(Errno::EXIST) { Ok(()) } else { made }
}

/// The names of a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    fn root(name: &str) -> (PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("dhow-place-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let fd = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        (path, fd)
    }

    #[test]
    fn what_is_missing_is_made_inside() {
        let (path, fd) = root("inside");
        symlink("/var/run", path.join("run")).unwrap();
        symlink("../../../etc/x", path.join("up")).unwrap();
        made(fd.as_fd(), Path::new("/run/a/b"), Wanted::Directory).unwrap();
        made(fd.as_fd(), Path::new("/up"), Wanted::File).unwrap();
        made(fd.as_fd(), Path::new("c/../../d"), Wanted::File).unwrap();
        assert!(path.join("var/run/a/b").is_dir());
        assert!(path.join("etc/x").is_file());
        assert!(path.join("d").is_file());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn links_in_a_circle_and_files_on_the_way_are_refused() {
        let (path, fd) = root("refused");
        symlink("b", path.join("a")).unwrap();
        symlink("a", path.join("b")).unwrap();
        fs::write(path.join("file"), "").unwrap();
        assert_eq!(made(fd.as_fd(), Path::new("/a/x"), Wanted::File).unwrap_err(), Errno::LOOP);
        assert_eq!(made(fd.as_fd(), Path::new("/file/x"), Wanted::File).unwrap_err(), Errno::NOTDIR);
        assert_eq!(directory(fd.as_fd(), Path::new("/file")).unwrap_err(), Errno::NOTDIR);
        assert_eq!(plain(fd.as_fd(), Path::new("/a")).unwrap_err(), Errno::LOOP);
        fs::remove_dir_all(path).unwrap();
    }
}
