//! What this kernel can do, found by asking it: parameters are set on an overlay that is never mounted.
//!
//! Version numbers are not looked at: distributions carry changes back.

use super::MountMethod;
use dhow_sys::mount::FsContext;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::AsFd;

/// What a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The methods that are there, best first. Empty: no overlay can be mounted.
    pub methods: Vec<MountMethod>,
    /// Marks of the overlay are `user.overlay.*` attributes, as `trusted.*` ones are out of reach here.
    pub user_attributes: bool,
    /// Why there are no methods, for the person.
    pub missing: Option<String>,
}

/// Asks the kernel. Costs a few system calls, needs no layer and changes nothing.
///
/// It tells which parameters are understood; whether the file system of the data root can carry an overlay shows only
/// when one is mounted there.
pub fn probe() -> Capabilities {
    let user_attributes = !in_first_user_namespace();
    match methods() {
        Ok(methods) => Capabilities { methods, user_attributes, missing: None },
        Err(why) => Capabilities { methods: Vec::new(), user_attributes, missing: Some(why) },
    }
}

fn methods() -> Result<Vec<MountMethod>, String> {
    let open = || FsContext::open("overlay");
    let context = open().map_err(|e| match e.errno() {
        Some(Errno::NODEV) => "the kernel has no overlay file system".to_owned(),
        Some(Errno::PERM) => "mounting needs the capability CAP_SYS_ADMIN".to_owned(),
        Some(Errno::NOSYS) => "the kernel has no fsopen (Linux 5.2)".to_owned(),
        _ => e.to_string(),
    })?;
    let old = vec![MountMethod::OneString, MountMethod::Page];
    // Before Linux 6.5 anything is taken down unread, to be looked at when the mount is made.
    if context.set_string("dhow-no-such-parameter", OsStr::new("x")).is_ok() {
        return Ok(old);
    }
    let mut methods = Vec::new();
    let root = rustix::fs::openat(CWD, "/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    if root.is_ok_and(|root| context.set_fd("lowerdir+", root.as_fd()).is_ok()) {
        methods.push(MountMethod::Fds);
    }
    if open().and_then(|context| context.set_string("lowerdir+", OsStr::new("/"))).is_ok() {
        methods.push(MountMethod::Strings);
    }
    methods.extend(old);
    Ok(methods)
}

/// Whether user ids are what they are on the host. Only there may a process use `trusted.*` attributes.
fn in_first_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}
