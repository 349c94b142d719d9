//! Parameters of the kernel's network that have to be other than they are: read first, written only when needed, and told.
//!
//! A parameter is of a network namespace: the one that the thread which opens its file is in. Files are opened below a
//! /proc that was looked at: a procfs, its root, and nothing mounted or linked on the way (CVE-2025-52881).

use crate::NetworkError;
use crate::netns::Netns;
use crate::subnet::Family;
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What a parameter should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Below `/proc/sys/net`: `ipv4/ip_forward`. The name of a link in there may have dots, so this is no dotted key.
    path: String,
    value: String,
}

impl Setting {
    /// Packets go from link to link. Of IPv6 this ends what the host learned from router advertisements, unless
    /// [`Setting::router_advertisements`] was set for the link before.
    pub fn forwarding(family: Family) -> Setting {
        let path = match family {
            Family::V4 => "ipv4/ip_forward",
            Family::V6 => "ipv6/conf/all/forwarding",
        };
        Setting { path: path.to_owned(), value: "1".to_owned() }
    }

    /// What comes from 127/8 may go out by this link, which 127.0.0.1:port needs. Our table keeps out who abuses it.
    pub fn route_localnet(link: &str) -> Setting {
        Setting::of_link("ipv4", link, "route_localnet", "1")
    }

    /// Whether IPv6 is off on this link.
    pub fn disable_ipv6(link: &str, disabled: bool) -> Setting {
        Setting::of_link("ipv6", link, "disable_ipv6", if disabled { "1" } else { "0" })
    }

    /// A link's own IPv6 address (`fe80::…`) is usable at once. Else, for some two seconds after a bridge has got its first
    /// container, the host does not ask for neighbours on it, and what is sent to that container from outside is lost.
    /// To be set before the link carries anything.
    pub fn no_duplicate_detection(link: &str) -> Setting {
        Setting::of_link("ipv6", link, "accept_dad", "0")
    }

    /// Router advertisements: 0 not heard, 1 heard by who does not forward, 2 heard.
    pub fn router_advertisements(link: &str, heard: u8) -> Setting {
        Setting::of_link("ipv6", link, "accept_ra", &heard.to_string())
    }

    /// Nobody on this link can tell the host of a better way to somewhere.
    pub fn no_redirects(family: Family, link: &str) -> Setting {
        let family = if family == Family::V4 { "ipv4" } else { "ipv6" };
        Setting::of_link(family, link, "accept_redirects", "0")
    }

    fn of_link(family: &str, link: &str, name: &str, value: &str) -> Setting {
        Setting { path: format!("{family}/conf/{link}/{name}"), value: value.to_owned() }
    }
}

/// A parameter that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As a path below `/proc/sys`.
    pub parameter: String,
    /// What it was.
    pub was: String,
    /// What it is now.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is now {} (was {})", self.parameter, self.now, self.was)
    }
}

/// Sets what is not so already, in a network namespace, and tells what was changed.
///
/// # Errors
/// `System`, naming the parameter: `ENOENT` when there is no such link or family, `EROFS` where /proc/sys is read only,
/// `EXDEV` when /proc is not what it should be. What was changed before stays so.
pub fn ensure(netns: &Netns, settings: &[Setting]) -> Result<Vec<Change>, NetworkError> {
    netns.with(|| Ok::<_, io::Error>(ensure_here(settings)))?
}

/// As [`ensure`], in the network namespace of the calling thread.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_here(settings: &[Setting]) -> Result<Vec<Change>, NetworkError> {
    let procfs = procfs().map_err(NetworkError::system("open", "/proc"))?;
    let mut changes = Vec::new();
    for setting in settings {
        let parameter = format!("net/{}", setting.path);
        let path = Path::new("sys").join(&parameter);
        let was = read(&procfs, &path).map_err(NetworkError::system("read", format!("/proc/sys/{parameter}")))?;
        if was == setting.value {
            continue;
        }
        write(&procfs, &path, &setting.value)
            .map_err(NetworkError::system("write", format!("/proc/sys/{parameter}")))?;
        changes.push(Change { parameter, was, now: setting.value.clone() });
    }
    Ok(changes)
}

/// Lets links that hear router advertisements hear them although the host forwards, which without this ends what it
/// learned from them: its own IPv6 address and its way out. To be done before [`Setting::forwarding`]; links of which the
/// host is itself the router, and those that are not to hear any, stay as they are. In the network namespace of the
/// calling thread.
///
/// # Errors
/// As [`ensure`].
pub fn keep_router_advertisements(links: &[String]) -> Result<Vec<Change>, NetworkError> {
    let procfs = procfs().map_err(NetworkError::system("open", "/proc"))?;
    if !matches!(read(&procfs, Path::new("sys/net/ipv6/conf/all/forwarding")).as_deref(), Ok("0")) {
        return Ok(Vec::new());
    }
    let hears = |link: &&String| {
        let path = format!("sys/net/ipv6/conf/{link}/accept_ra");
        read(&procfs, Path::new(&path)).is_ok_and(|heard| heard == "1")
    };
    let settings: Vec<_> = links.iter().filter(hears).map(|link| Setting::router_advertisements(link, 2)).collect();
    ensure_here(&settings)
}

/// Whether a parameter is what it should be, in the network namespace of the calling thread.
///
/// # Errors
/// As [`ensure`].
pub fn is_so(setting: &Setting) -> Result<bool, NetworkError> {
    let parameter = format!("net/{}", setting.path);
    let read = procfs().and_then(|procfs| read(&procfs, &Path::new("sys").join(&parameter)));
    Ok(read.map_err(NetworkError::system("read", format!("/proc/sys/{parameter}")))? == setting.value)
}

/// Whether the kernel has IPv6, whatever it is set to.
pub fn has_ipv6() -> bool {
    procfs().and_then(|procfs| read(&procfs, Path::new("sys/net/ipv6/conf/all/forwarding"))).is_ok()
}

/// Whether packets within a bridge go through the firewall (the module br_netfilter, and its parameter).
///
/// # Errors
/// `System`, as [`ensure`].
pub fn bridges_call_the_firewall(netns: &Netns) -> Result<bool, NetworkError> {
    netns.with(|| Ok::<_, io::Error>(bridges_call_the_firewall_here()))?
}

/// As [`bridges_call_the_firewall`], in the network namespace of the calling thread.
///
/// # Errors
/// As [`ensure`].
pub fn bridges_call_the_firewall_here() -> Result<bool, NetworkError> {
    const PARAMETER: &str = "sys/net/bridge/bridge-nf-call-iptables";
    match procfs().and_then(|procfs| read(&procfs, Path::new(PARAMETER))) {
        Ok(value) => Ok(value != "0"),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(NetworkError::system("read", format!("/proc/{PARAMETER}"))(errno)),
    }
}

/// The number of the root of a procfs.
const ROOT: u64 = 1;

fn procfs() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let procfs = rustix::fs::openat(CWD, "/proc", flags, Mode::empty())?;
    let is_procfs = rustix::fs::fstatfs(&procfs)?.f_type == PROC_SUPER_MAGIC;
    let is_root = rustix::fs::fstat(&procfs)?.st_ino == ROOT;
    if is_procfs && is_root { Ok(procfs) } else { Err(Errno::XDEV) }
}

fn open(procfs: &OwnedFd, path: &Path, access: OFlags) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    dhow_sys::tree::openat2(procfs.as_fd(), path, access | OFlags::CLOEXEC, resolve)
}

fn read(procfs: &OwnedFd, path: &Path) -> Result<String, Errno> {
    let file = open(procfs, path, OFlags::RDONLY)?;
    let mut buffer = [0; 256];
    let length = rustix::io::read(&file, &mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
}

fn write(procfs: &OwnedFd, path: &Path, value: &str) -> Result<(), Errno> {
    let file = open(procfs, path, OFlags::WRONLY)?;
    let written = rustix::io::write(&file, value.as_bytes())?;
    if written == value.len() { Ok(()) } else { Err(Errno::IO) }
}
