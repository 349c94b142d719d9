//! The directory of zones and control sockets, and how a resolver is started.

use super::zone;
use crate::{Engine, EngineError};
use dhow_network::resolver::control::{Begin, Control, Request};
use dhow_network::resolver::zone::publish;
use dhow_sys::lock::{Locked, Share, Wait};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Its name in the run directory of the store; the keeper knows it, too.
pub(super) const NAME: &str = "networks";
const LOCK: &str = "lock";
const CHANGE: &str = "change";
/// The words that make this program a resolver.
pub(crate) const RESOLVE: [&str; 2] = ["internal", "resolve"];
/// Commands that may wait for a resolver to listen to them.
const BACKLOG: i32 = 128;
/// How long one that is there may take for an easy answer.
const MOMENT: Duration = Duration::from_secs(1);
/// How directories are opened.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// See the top of `names.rs`.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// The directory of a store, made where there is none.
    pub(super) fn make(run_dir: &Path) -> Result<Directory, EngineError> {
        if let Some(directory) = Directory::open(run_dir)? {
            return Ok(directory);
        }
        let path = run_dir.join(NAME);
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(EngineError::io("make", path.display(), e.into())),
        }
        Directory::open(run_dir)?.ok_or_else(|| EngineError::io("open", path.display(), io::ErrorKind::NotFound.into()))
    }

    /// None: there is none.
    pub(super) fn open(run_dir: &Path) -> Result<Option<Directory>, EngineError> {
        let path = run_dir.join(NAME);
        match rustix::fs::open(&path, OPEN, Mode::empty()) {
            Ok(fd) => Ok(Some(Directory { path, fd })),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(EngineError::io("open", path.display(), e.into())),
        }
    }

    fn failed(&self, operation: &'static str, name: &str) -> impl Fn(Errno) -> EngineError + use<> {
        let path = self.path.join(name);
        move |e| EngineError::io(operation, path.display(), e.into())
    }

    /// Runs this while nobody else writes zones or starts a resolver.
    fn locked<T>(&self, work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
        self.under(LOCK, work)
    }

    /// Runs this while nobody else has a running container served anew.
    pub(super) fn changing<T>(&self, work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
        self.under(CHANGE, work)
    }

    fn under<T>(&self, lock: &str, work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.fd, lock, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(self.failed("open", lock))?;
        let _held = Locked::acquire(file.as_fd(), Share::Exclusive, Wait::Block)
            .map_err(|e| EngineError::io("lock", self.path.join(lock).display(), e))?;
        work()
    }

    /// The directory of a network's zone, which a resolver can be handed.
    pub(super) fn zone(&self, network: &str) -> Result<OwnedFd, EngineError> {
        rustix::fs::openat(&self.fd, network, OPEN, Mode::empty()).map_err(self.failed("open", network))
    }

    /// The same, made where there is none.
    fn make_zone(&self, network: &str) -> Result<OwnedFd, EngineError> {
        // Whatever the umask is: the resolver is nobody, and cannot be let in by a directory that is root's alone.
        let mode = Mode::from_raw_mode(0o755);
        match rustix::fs::mkdirat(&self.fd, network, mode) {
            Ok(()) => {
                rustix::fs::chmodat(&self.fd, network, mode, AtFlags::empty()).map_err(self.failed("open", network))?
            }
            Err(Errno::EXIST) => {}
            Err(e) => return Err(self.failed("make", network)(e)),
        }
        self.zone(network)
    }

    /// Writes the zones of these networks. Under the lock, so that what was read last is written last.
    pub(super) fn publish(&self, engine: &Engine, networks: &[String]) -> Result<(), EngineError> {
        self.locked(|| networks.iter().try_for_each(|network| self.write(engine, network, &self.make_zone(network)?)))
    }

    /// The same of those that have a zone.
    pub(super) fn publish_again(&self, engine: &Engine, networks: &[String]) -> Result<(), EngineError> {
        let there: Vec<_> = networks
            .iter()
            .filter_map(|network| {
                Some((network, rustix::fs::openat(&self.fd, network.as_str(), OPEN, Mode::empty()).ok()?))
            })
            .collect();
        if there.is_empty() {
            return Ok(());
        }
        self.locked(|| there.iter().try_for_each(|(network, zone)| self.write(engine, network, zone)))
    }

    fn write(&self, engine: &Engine, network: &str, zone: &OwnedFd) -> Result<(), EngineError> {
        let document = engine.state.read(|r| zone::document(r, network))?;
        let Some(document) = document else { return Ok(()) };
        publish(zone.as_fd(), &document)
            .map_err(|e| EngineError::io("write the names of", self.path.join(network).display(), e))
    }

    /// The control socket of a network's resolver, by a path that is short enough for the address of a socket.
    fn socket(&self, network: &str, end: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{network}.sock{end}", self.fd.as_raw_fd()).into()
    }

    /// A connection with a network's resolver, if there is one.
    pub(super) fn connect(&self, network: &str) -> Result<Option<Control>, EngineError> {
        Control::connect(&self.socket(network, ""))
            .map_err(|e| EngineError::io("connect to the resolver of", network, e))
    }

    /// A connection with a network's resolver, which is started where there is none; whether it was.
    pub(super) fn reach(&self, network: &str) -> Result<(Control, bool), EngineError> {
        if let Some(control) = self.connect(network)? {
            return Ok((control, false));
        }
        self.locked(|| match self.connect(network)? {
            Some(control) => Ok((control, false)),
            None => self.start(network).map(|control| (control, true)),
        })
    }

    fn start(&self, network: &str) -> Result<Control, EngineError> {
        // What a careless caller left open for us is not for a process that outlives us.
        dhow_sys::passing::keep_back().map_err(|e| EngineError::io("keep back", "descriptors", e))?;
        let mut command = Command::new(crate::container::PROGRAM);
        command.arg0("dhow").args(RESOLVE).env_clear().current_dir("/");
        let failed = |e| EngineError::io("start the resolver of", network, e);
        let (control, child) = Control::launch(&mut command).map_err(failed)?;
        // Whoever comes after us reaps it: it outlives us, or has ended by then.
        drop(child);
        // <run root>/<store id>/networks
        let store = self.path.parent().and_then(Path::file_name).and_then(|store| store.to_str());
        let group = store.map(crate::container::supervisors_group);
        control.ask(&Request::Begin(Begin { group, ..Begin::usual() }), &[])?;
        let listener = self.listen(network).map_err(|e| EngineError::io("listen for", network, e.into()))?;
        control.ask(&Request::Listen, &[listener.as_fd()])?;
        let (begun, name) = (format!("{network}.sock.begun"), format!("{network}.sock"));
        rustix::fs::renameat(&self.fd, &begun, &self.fd, &name).map_err(self.failed("rename", &begun))?;
        Ok(control)
    }

    fn listen(&self, network: &str) -> rustix::io::Result<OwnedFd> {
        let begun = format!("{network}.sock.begun");
        let _ = rustix::fs::unlinkat(&self.fd, &begun, AtFlags::empty());
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(self.socket(network, ".begun"))?)?;
        rustix::fs::chmodat(&self.fd, &begun, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    }

    /// Takes the place from a resolver that does not answer: the next who needs one starts another. Should it ever go on, it
    /// has nobody left to serve, and ends.
    pub(super) fn give_up(&self, network: &str) -> Result<(), EngineError> {
        self.locked(|| {
            // Another who waited in vain may have been faster.
            let answers = self
                .connect(network)?
                .is_some_and(|control| control.set_patience(MOMENT).is_ok() && control.status().is_ok());
            if !answers {
                let _ = rustix::fs::unlinkat(&self.fd, format!("{network}.sock"), AtFlags::empty());
            }
            Ok(())
        })
    }

    /// Has the keeper start another resolver in the place of each, with the same sockets: the program that it is itself. One
    /// that nobody follows, or that does not answer, goes on as it is.
    pub(super) fn renew(&self) -> Result<(), EngineError> {
        let entries = rustix::fs::Dir::read_from(&self.fd).map_err(self.failed("read", ""))?;
        for entry in entries.flatten() {
            let network = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(".sock"));
            if let Some(Ok(Some(control))) = network.map(|network| self.connect(network))
                && control.set_patience(MOMENT).is_ok()
            {
                let deadline = Instant::now() + MOMENT;
                let followed = || control.status().is_ok_and(|status| status.followers > 0);
                while !followed() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5));
                }
                if followed() {
                    let _ = control.ask(&Request::Stop, &[]);
                }
            }
        }
        Ok(())
    }

    /// Removes the sockets that nobody listens at.
    pub(super) fn tidy(&self) -> Result<(), EngineError> {
        self.locked(|| {
            let entries = rustix::fs::Dir::read_from(&self.fd).map_err(self.failed("read", ""))?;
            for entry in entries.flatten() {
                let network = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(".sock"));
                if let Some(network) = network
                    && matches!(self.connect(network), Ok(None))
                {
                    let _ = rustix::fs::unlinkat(&self.fd, entry.file_name(), AtFlags::empty());
                }
            }
            Ok(())
        })
    }

    /// Tells a network's resolver that a container has left; one that is not there serves nobody.
    pub(super) fn let_go(&self, network: &str, container: &str) {
        if let Ok(Some(control)) = self.connect(network) {
            let _ = control.ask(&Request::Leave { id: container.to_owned() }, &[]);
        }
    }

    /// Removes a network's zone and resolver.
    pub(super) fn forget(&self, network: &str) -> Result<(), EngineError> {
        self.locked(|| {
            if let Some(control) = self.connect(network)? {
                // It may be on its way to its end already.
                let _ = control.ask(&Request::Stop, &[]);
            }
            let _ = rustix::fs::unlinkat(&self.fd, format!("{network}.sock"), AtFlags::empty());
            match std::fs::remove_dir_all(self.path.join(network)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    Err(EngineError::io("remove", self.path.join(network).display(), e))
                }
                _ => Ok(()),
            }
        })
    }
}
