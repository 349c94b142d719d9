//! Carrying a plan out: one function per rung, and the step down when the kernel does not understand one.

use super::method::short_name;
use super::{Attempt, MountMethod, MountPlan, MountPlanError, OverlayPlan, Writable};
use dhow_sys::mount::{
    Aside, FsContext, MountAttrFlags, MountError, MountFlags, STRING_MAX, aside, clone_tree, mount_classic,
    set_attributes,
};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How one rung ended without a mount.
enum Failure {
    Kernel(MountError),
    Final(MountPlanError),
}

impl From<MountError> for Failure {
    fn from(error: MountError) -> Failure {
        Failure::Kernel(error)
    }
}

impl MountPlan {
    /// Makes the mount. It is detached: nobody else can see it, and it is gone when the fd is closed, unless it was
    /// attached somewhere before.
    ///
    /// # Errors
    /// [`MountPlanError::Refused`] with what the kernel said to each method, or that a directory cannot be opened.
    pub fn mount(&self) -> Result<OwnedFd, MountPlanError> {
        match self {
            MountPlan::Bind { dir, read_only } => {
                bind(dir, *read_only).map_err(|error| MountPlanError::Refused(vec![Attempt { method: "bind", error }]))
            }
            MountPlan::Overlay(plan) => overlay(plan),
        }
    }
}

fn bind(dir: &Path, read_only: bool) -> Result<OwnedFd, MountError> {
    let mount = clone_tree(dir)?;
    if read_only {
        set_attributes(mount.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY, MountAttrFlags::empty())?;
    }
    Ok(mount)
}

fn overlay(plan: &OverlayPlan) -> Result<OwnedFd, MountPlanError> {
    let mut attempts = Vec::new();
    for &method in &plan.methods {
        let result = match method {
            MountMethod::Fds => by_fds(plan),
            MountMethod::Strings => by_strings(plan),
            MountMethod::OneString => aside(Aside::WorkingDirectory, || by_one_string(plan)),
            MountMethod::Page => aside(Aside::Mounts, || by_page(plan)),
        };
        let error = match result {
            Ok(mount) => return Ok(mount),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Kernel(error)) => error,
        };
        // An unknown parameter and a call that this kernel lacks. A directory that no overlay can be made of says EINVAL
        // too: then the other methods fail alike, and the first message, the best informed, is the one shown first.
        let next = matches!(error.errno(), Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP));
        attempts.push(Attempt { method: method.name(), error });
        if !next {
            break;
        }
    }
    Err(MountPlanError::Refused(attempts))
}

fn by_fds(plan: &OverlayPlan) -> Result<OwnedFd, Failure> {
    let context = FsContext::open("overlay")?;
    // One fd at a time: the context keeps the directory, not the fd.
    for dir in &plan.lower {
        context.set_fd("lowerdir+", open(dir)?.as_fd())?;
    }
    if let Some(Writable { upper, work }) = &plan.writable {
        context.set_fd("upperdir", open(upper)?.as_fd())?;
        context.set_fd("workdir", open(work)?.as_fd())?;
    }
    finish(context, plan)
}

fn by_strings(plan: &OverlayPlan) -> Result<OwnedFd, Failure> {
    let context = FsContext::open("overlay")?;
    for dir in &plan.lower {
        set_path(&context, "lowerdir+", dir)?;
    }
    if let Some(Writable { upper, work }) = &plan.writable {
        set_path(&context, "upperdir", upper)?;
        set_path(&context, "workdir", work)?;
    }
    finish(context, plan)
}

/// Sets the path itself, which people see in the mount table; through an fd where it is too long, or holds what some
/// kernel takes for an escape.
fn set_path(context: &FsContext, key: &str, dir: &Path) -> Result<(), Failure> {
    let path = dir.as_os_str();
    let plain = path.len() <= STRING_MAX && !path.as_bytes().iter().any(|byte| matches!(byte, b'\\' | b':' | b','));
    if plain {
        return Ok(context.set_string(key, path)?);
    }
    let dir = open(dir)?;
    Ok(context.set_string(key, OsStr::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())))?)
}

/// On a thread with a working directory of its own.
fn by_one_string(plan: &OverlayPlan) -> Result<OwnedFd, Failure> {
    let names = ShortNames::enter(plan)?;
    let context = FsContext::open("overlay")?;
    for (key, value) in names.parameters() {
        context.set_string(key, OsStr::new(&value))?;
    }
    finish(context, plan)
}

/// On a thread with a mount namespace of its own. The layers must be opened in it: the kernel makes no overlay of
/// directories on another namespace's mounts, and the symbolic links see to that.
fn by_page(plan: &OverlayPlan) -> Result<OwnedFd, Failure> {
    let names = ShortNames::enter(plan)?;
    let directories = names.parameters().into_iter().map(|(key, value)| format!("{key}={value}"));
    let options: Vec<String> = directories.chain(plan.options.iter().map(ToString::to_string)).collect();
    let flags = if plan.writable.is_none() { MountFlags::RDONLY } else { MountFlags::empty() };
    // A place is needed, one that surely exists: the top layer's directory, in this namespace only.
    let place = PathBuf::from(short_name(0));
    mount_classic("overlay", &place, flags, OsStr::new(&options.join(",")))?;
    Ok(clone_tree(&place)?)
}

fn finish(context: FsContext, plan: &OverlayPlan) -> Result<OwnedFd, Failure> {
    for option in &plan.options {
        match option.value {
            Some(value) => context.set_string(option.key, OsStr::new(value))?,
            None => context.set_flag(option.key)?,
        }
    }
    let read_only = plan.writable.is_none();
    Ok(context.mount(if read_only { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() })?)
}

fn open(dir: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, dir, flags, Mode::empty())
        .map_err(|e| Failure::Final(MountPlanError::Directory { path: dir.into(), source: e.into() }))
}

/// A working directory that holds a symbolic link of a short name to each directory of a plan. It is a tmpfs that is
/// mounted nowhere, and is gone with this value and the thread.
struct ShortNames<'a> {
    plan: &'a OverlayPlan,
    _directory: OwnedFd,
}

impl ShortNames<'_> {
    fn enter(plan: &OverlayPlan) -> Result<ShortNames<'_>, Failure> {
        let tmpfs = FsContext::open("tmpfs")?;
        tmpfs.set_string("mode", OsStr::new("0700"))?;
        let directory = tmpfs.mount(MountAttrFlags::empty())?;
        let fail = |path: &Path, e: Errno| {
            Failure::Final(MountPlanError::Directory { path: path.to_owned(), source: e.into() })
        };
        let link =
            |target: &Path, name: &str| rustix::fs::symlinkat(target, &directory, name).map_err(|e| fail(target, e));
        for (n, dir) in plan.lower.iter().enumerate() {
            link(dir, &short_name(n))?;
        }
        if let Some(Writable { upper, work }) = &plan.writable {
            link(upper, "upper")?;
            link(work, "work")?;
        }
        rustix::process::fchdir(&directory).map_err(|e| fail(Path::new("."), e))?;
        Ok(ShortNames { plan, _directory: directory })
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let lower: Vec<String> = (0..self.plan.lower.len()).map(short_name).collect();
        let mut parameters = vec![("lowerdir", lower.join(":"))];
        if self.plan.writable.is_some() {
            parameters.push(("upperdir", "upper".into()));
            parameters.push(("workdir", "work".into()));
        }
        parameters
    }
}
