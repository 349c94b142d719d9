//! Where a supervisor is: its namespaces, its root and what it was given by whoever started it.
//!
//! A container belongs to the one who started it: his mounts are what its binds mean when it is started again, his network
//! is that of the host. A supervisor is his child, and so is in the right place from the start. A successor is a child of
//! the keeper, which is a child of whoever ran the first container of all; so supervisors send descriptors of where they
//! are along, and a successor goes there before it does anything else.
//!
//! Namespaces of processes and of time cannot be entered by who is there already. A supervisor whose processes have other
//! numbers than those of the keeper is followed by one who stays away and does not run the last command.

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags};
use rustix::thread::move_into_link_name_space;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::Command;

/// Of /proc/self/ns, in the order in which they are entered: who is in a user namespace may lack the right to the others.
const NAMESPACES: [&str; 7] = ["pid", "net", "ipc", "uts", "cgroup", "mnt", "user"];
const ROOT: &str = "root";
/// What is looked for there is the host's own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Leaves the caller's environment behind: there are secrets in it, and what is started here outlives him.
pub(crate) fn without_environment(command: &mut Command) -> &mut Command {
    command.env_clear().env("PATH", PATH)
}

/// See the top of this file.
#[derive(Debug, Default)]
pub(super) struct Place {
    parts: Vec<(String, OwnedFd)>,
}

impl Place {
    /// Where this process is.
    pub(super) fn here() -> io::Result<Place> {
        let mut parts = Vec::with_capacity(NAMESPACES.len() + 1);
        let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        parts.push((ROOT.to_owned(), rustix::fs::open("/", root, Mode::empty())?));
        for kind in NAMESPACES {
            if let Some(fd) = own(kind)? {
                parts.push((kind.to_owned(), fd));
            }
        }
        Ok(Place { parts })
    }

    pub(super) fn of(kinds: Vec<String>, descriptors: Vec<OwnedFd>) -> Place {
        Place { parts: kinds.into_iter().zip(descriptors).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.parts.iter().map(|(kind, _)| kind.clone()).collect()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.parts.iter().map(|(_, fd)| fd.as_fd())
    }

    /// Goes there; the calling process must have one thread.
    ///
    /// # Errors
    /// `Unsupported` for another namespace of processes; what setns(2) and chroot(2) say. Some of it may be done then.
    pub(super) fn enter(&self) -> io::Result<()> {
        let mut others = Vec::new();
        for (kind, fd) in self.parts.iter().filter(|(kind, _)| kind != ROOT) {
            let is_ours = match own(kind)? {
                Some(own) => identity(own.as_fd())? == identity(fd.as_fd())?,
                None => false,
            };
            match is_ours {
                true => {}
                false if kind == "pid" => return Err(io::ErrorKind::Unsupported.into()),
                false => others.push(fd),
            }
        }
        for fd in others {
            move_into_link_name_space(fd.as_fd(), None)?;
        }
        let root = self.parts.iter().find(|(kind, _)| kind == ROOT);
        let Some((_, root)) = root else { return Ok(()) };
        let present = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        if identity(root.as_fd())? != identity(present.as_fd())? {
            rustix::process::fchdir(root)?;
            rustix::process::chroot(".")?;
        }
        Ok(rustix::process::chdir("/")?)
    }
}

/// None: this kernel has none of that kind.
fn own(kind: &str) -> io::Result<Option<OwnedFd>> {
    match rustix::fs::open(format!("/proc/self/ns/{kind}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Which file that is, and by which mount.
pub(crate) type Identity = (u32, u32, u64, u64);

/// Two descriptors of the same identity, as long as they are open, are of the same namespace or directory.
pub(crate) fn identity(fd: BorrowedFd<'_>) -> io::Result<Identity> {
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let Statx { stx_dev_major, stx_dev_minor, stx_ino, stx_mnt_id, .. } =
        rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, wanted)?;
    Ok((stx_dev_major, stx_dev_minor, stx_ino, stx_mnt_id))
}
