//! A resolver with containers that are network namespaces, each held by a thread.

use dhow_network::resolver::control::{Begin, Control, Join, NOBODY_ELSE, PerFamily, Request, Sockets, VERSION};
use dhow_network::resolver::resolv_conf::{Place, Upstream};
use dhow_network::resolver::zone::{Document, Endpoint, publish};
use dhow_sys::clone::Namespaces;
use rustix::fs::{Mode, OFlags};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

/// A directory of this test's own, gone at its end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("dhow-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn open(&self) -> OwnedFd {
        open_directory(&self.0)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn open_directory(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Starts a resolver that stays for so many milliseconds with nothing to do.
pub(crate) fn launch(linger: Option<u64>) -> (Control, Child) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dhow-resolver-program"));
    let (control, child) = Control::launch(&mut command).unwrap();
    let begin = Begin { version: VERSION, user: NOBODY_ELSE, linger, group: None };
    control.ask(&Request::Begin(begin), &[]).unwrap();
    (control, child)
}

/// A resolver's process, killed at the end.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) control: Control,
}

impl Process {
    /// One that stays until it is killed.
    pub(crate) fn start() -> Process {
        let (control, child) = launch(None);
        Process { child, control }
    }

    pub(crate) fn network(&self, id: &str, directory: &Directory) {
        let network = id.to_owned();
        self.control.ask(&Request::Network { network }, &[directory.open().as_fd()]).unwrap();
    }

    /// Kilobytes of memory of its own.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Clock ticks of processor time that a process has had.
pub(crate) fn ticks(child: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // Behind the name: 11 and 12 are user and system time.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn endpoint(id: &str, names: &[&str], addresses: &[&str]) -> Endpoint {
    Endpoint {
        id: id.to_owned(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

/// Writes a document for this network.
pub(crate) fn write(directory: &Directory, network: &str, endpoints: Vec<Endpoint>) {
    let document = Document { endpoints, ..Document::new(network) };
    publish(directory.open().as_fd(), &document).unwrap();
}

pub(crate) fn join(id: &str, networks: &[&str], upstreams: &[Upstream]) -> Join {
    Join {
        id: id.to_owned(),
        networks: networks.iter().map(|&id| id.to_owned()).collect(),
        upstreams: upstreams.to_vec(),
        ndots: false,
        listeners: 0,
        container: 0,
        host: 0,
        process: false,
        keeps: false,
    }
}

pub(crate) fn upstream(address: SocketAddr, place: Place) -> Upstream {
    Upstream { address, place }
}

/// Runs this in a network namespace of its own, with `lo` up: a container's, or another host's.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread: ScopedJoinHandle<'_, T> = scope.spawn(|| {
            dhow_sys::namespace::unshare(Namespaces::NETWORK).unwrap();
            dhow_sys::namespace::loopback_up().unwrap();
            work()
        });
        match thread.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Sockets for a container whose namespace this thread is in; also where it listens.
pub(crate) fn sockets(upstreams: &[Upstream]) -> (Sockets, SocketAddr) {
    let mut sockets = Sockets::default();
    let port = sockets.listen().unwrap();
    for place in [Place::Container, Place::Host] {
        sockets.ask_from(place, upstreams, PerFamily { datagram: 8, stream: 2 }).unwrap();
    }
    (sockets, SocketAddrV4::new([127, 0, 0, 11].into(), port).into())
}
