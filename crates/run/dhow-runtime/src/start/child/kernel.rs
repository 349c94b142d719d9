//! What is told to the kernel about the container: names, parameters, labels, the score of the out-of-memory killer.
//!
//! Nothing is written by a path like `/proc/self/attr/exec`: whoever controls what is mounted there would have it
//! written elsewhere (CVE-2019-16884, CVE-2025-52881). It is written through a procfs that was mounted for this alone
//! and is attached nowhere.

use super::Child;
use super::failure::{Context, Failure};
use crate::start::plan::process::Label;
use dhow_sys::mount::{FsContext, MountAttrFlags};
use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Host name and NIS domain name.
pub(super) fn names(child: &mut Child<'_>) -> Result<(), Failure> {
    if let Some(name) = &child.container.hostname {
        rustix::system::sethostname(name.as_bytes()).context(|| format!("cannot set the host name {name:?}"))?;
    }
    if let Some(name) = &child.container.domainname {
        rustix::system::setdomainname(name.as_bytes()).context(|| format!("cannot set the domain name {name:?}"))?;
    }
    Ok(())
}

/// `linux.sysctl`; the plan has only what belongs to namespaces of the container.
pub(super) fn parameters(child: &mut Child<'_>) -> Result<(), Failure> {
    let container = child.container;
    for (name, value) in &container.sysctls {
        let procfs = procfs(child)?;
        write(procfs, &Path::new("sys").join(name), value)
            .context(|| format!("cannot write {value:?} to /proc/sys/{}", name.display()))?;
    }
    Ok(())
}

/// The label of the security module; it takes effect at the exec.
pub(super) fn label(child: &mut Child<'_>) -> Result<(), Failure> {
    let program = child.program;
    let Some(label) = &program.label else { return Ok(()) };
    let procfs = procfs(child)?;
    let written = match label {
        Label::AppArmor(profile) => {
            let text = format!("exec {profile}");
            match write(procfs, Path::new("self/attr/apparmor/exec"), &text) {
                Err(Errno::NOENT) => write(procfs, Path::new("self/attr/exec"), &text),
                other => other,
            }
        }
        Label::SeLinux(context) => write(procfs, Path::new("self/attr/exec"), context),
    };
    written.map_err(|errno| Failure::Step {
        message: match label {
            Label::AppArmor(profile) => refused_profile(profile, errno),
            Label::SeLinux(context) => refused_context(context, errno),
        },
        errno: Some(errno.raw_os_error()),
    })
}

/// The kernel has a word for each of these, and they are not about labels.
fn refused_profile(profile: &str, errno: Errno) -> String {
    let why = match errno {
        Errno::INVAL => "AppArmor is not in use on this host".to_owned(),
        Errno::NOENT => "no profile of that name is loaded".to_owned(),
        other => other.to_string(),
    };
    format!("cannot use the AppArmor profile {profile:?}: {why}")
}

fn refused_context(context: &str, errno: Errno) -> String {
    let why = match errno {
        Errno::INVAL => "SELinux is not in use on this host, or its policy has no such context".to_owned(),
        other => other.to_string(),
    };
    format!("cannot use the SELinux context {context:?}: {why}")
}

/// Before entering a container, with the caller's rights; at a start the caller does it.
pub(super) fn oom_score(child: &mut Child<'_>) -> Result<(), Failure> {
    let Some(score) = child.program.oom_score_adj.filter(|score| own_oom_score() != Some(*score)) else {
        return Ok(());
    };
    let procfs = procfs(child)?;
    write(procfs, Path::new("self/oom_score_adj"), &score.to_string())
        .context(|| format!("cannot set the oom score to {score}"))
}

/// The score that a new process begins with: its maker's. Mounting a procfs to write the same once more costs as much as
/// ten mounts of a container, because the kernel waits for all its CPUs as such a mount goes.
pub(in crate::start) fn own_oom_score() -> Option<i32> {
    dhow_sys::procfs::read_text("/proc/self/oom_score_adj").ok()?.trim().parse().ok()
}

/// A detached procfs of the pid namespace that we are in.
pub(super) fn procfs<'c>(child: &'c mut Child<'_>) -> Result<BorrowedFd<'c>, Failure> {
    if child.procfs.is_none() {
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let mounted = FsContext::open("proc").and_then(|context| context.mount(attributes));
        child.procfs = Some(mounted.context(|| "cannot mount a procfs".to_owned())?);
    }
    Ok(child.procfs.as_ref().expect("it was just made").as_fd())
}

/// Writes to a file of procfs, and of nothing else.
pub(super) fn write(procfs: BorrowedFd<'_>, path: &Path, value: &str) -> Result<(), Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file: OwnedFd = rustix::fs::openat2(procfs, path, flags, Mode::empty(), resolve)?;
    if rustix::fs::fstatfs(&file)?.f_type != PROC_SUPER_MAGIC {
        return Err(Errno::XDEV);
    }
    let written = rustix::io::write(&file, value.as_bytes())?;
    if written == value.len() { Ok(()) } else { Err(Errno::IO) }
}

/// As [`write`], for callers outside of the new process.
pub(in crate::start) fn write_file(procfs: BorrowedFd<'_>, path: &Path, value: &str) -> io::Result<()> {
    Ok(write(procfs, path, value)?)
}
