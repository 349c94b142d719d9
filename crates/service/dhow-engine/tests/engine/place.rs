//! A store of its own for each test, with an image of busybox, and nothing left of it at the end.

use dhow_engine::container::request::{Config, CreateRequest, HostConfig, RootSource};
use dhow_engine::container::{self, view::Container};
use dhow_engine::image::import::ImportRequest;
use dhow_engine::{Cancel, Engine, Silent};
use dhow_spec::Reference;
use dhow_state::{Access, Places};
use dhow_supervisor::client::{Connection, Streams, Terminal};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub(crate) const IMAGE: &str = "busybox";

pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

pub(crate) fn open(root: &Path, run_root: &Path) -> Engine {
    let places = Places { root: root.to_owned(), run_root: run_root.to_owned() };
    Engine::open(&places, Access::ReadWrite, now, Cancel::default()).unwrap()
}

/// A store.
pub(crate) struct Place {
    directory: PathBuf,
    pub(crate) engine: Engine,
}

impl Place {
    /// With the image.
    pub(crate) fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("engine-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let engine = open(&directory.join("root"), &directory.join("run"));
        let place = Place { directory, engine };
        place.import();
        place
    }

    fn import(&self) {
        let request = ImportRequest {
            input: Box::new(std::io::Cursor::new(root())),
            source: "test".to_owned(),
            name: Some(Reference::parse(IMAGE).unwrap()),
            changes: vec!["ENV PATH=/bin".to_owned(), "CMD [\"sh\"]".to_owned()],
            message: String::new(),
            platform: None,
        };
        self.engine.import(request, &Silent).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn reader(&self) -> Engine {
        let places = Places { root: self.path("root"), run_root: self.path("run") };
        Engine::open(&places, Access::ReadOnly, now, Cancel::default()).unwrap()
    }

    /// Another opening of the store, for a thread that may outlive the test.
    pub(crate) fn writer(&self) -> Engine {
        open(&self.path("root"), &self.path("run"))
    }

    /// Makes a container of this command.
    pub(crate) fn create(&self, name: &str, command: &[&str]) -> String {
        container::create(&self.engine, &request(name, command)).unwrap().id
    }

    /// Starts it with nobody connected.
    pub(crate) fn start(&self, container: &str) {
        container::start(&self.engine, container, Streams::default(), (0, 0)).unwrap();
    }

    pub(crate) fn running(&self, name: &str, command: &[&str]) -> String {
        let id = self.create(name, command);
        self.start(&id);
        id
    }

    pub(crate) fn inspect(&self, container: &str) -> Container {
        container::inspect(&self.engine, container).unwrap()
    }

    /// Runs it to its end, as `dhow run` does: its exit status and its output.
    pub(crate) fn run(&self, request: &CreateRequest) -> (Option<i32>, String) {
        let id = container::create(&self.engine, request).unwrap().id;
        let streams = Streams { stdin: false, stdout: true, stderr: true };
        let connection = container::start(&self.engine, &id, streams, (0, 0)).unwrap().unwrap();
        self.attend(&id, connection)
    }

    pub(crate) fn attend(&self, id: &str, mut connection: Connection) -> (Option<i32>, String) {
        let mut output = self.scratch();
        let terminal = Terminal {
            stdin: None,
            stdout: output.as_fd(),
            stderr: output.as_fd(),
            tty: false,
            detach_keys: Vec::new(),
            on_signal: None,
        };
        let end = connection.attend(terminal).unwrap();
        let dhow_supervisor::client::End::Exited(record) = end else { panic!("{end:?}") };
        container::exited(&self.engine, id).unwrap();
        connection.recorded();
        (record.code, read(&mut output))
    }

    /// A file to write to and read back.
    pub(crate) fn scratch(&self) -> File {
        let path = self.path("scratch");
        let file = File::options().read(true).append(true).create(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file
    }

    /// The actions of the journal about containers, in order.
    pub(crate) fn events(&self) -> Vec<dhow_state::Event> {
        let all = self.engine.state().read(|r| r.events(dhow_state::EventSeq::START, 10_000)).unwrap();
        all.into_iter().filter(|event| event.kind == "container").collect()
    }

    pub(crate) fn actions(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.action).collect()
    }

    /// A program of this binary that works on the same store.
    pub(crate) fn client(&self, words: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new("/proc/self/exe");
        command.arg("--root").arg(self.path("root")).arg("--runroot").arg(self.path("run")).args(words);
        command
    }

    /// Nothing is found that should not be there.
    pub(crate) fn is_sound(&self) {
        let options = dhow_state::CheckOptions { repair: false, verify_blobs: false };
        let mut report = self.engine.state().check(&options, now()).unwrap();
        report.findings.retain(|f| f.kind != dhow_state::FindingKind::StaleLock);
        assert!(report.findings.is_empty(), "{report:?}");
    }

    /// The topmost control groups of this store, in all hierarchies.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let below = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|hierarchy| hierarchy.path());
        let all = below.chain([PathBuf::from("/sys/fs/cgroup")]);
        all.map(|root| root.join("dhow").join(self.engine.state().store_id())).filter(|group| group.exists()).collect()
    }

    /// The control groups of this store in any hierarchy that have no groups below them.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let store = self.engine.state().store_id().to_owned();
        let mut left = Vec::new();
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            leaves(&hierarchy.path().join("dhow").join(&store), &mut left);
        }
        leaves(&Path::new("/sys/fs/cgroup/dhow").join(&store), &mut left);
        left.retain(|path| path.file_name().is_some_and(|name| name.len() == 64));
        left
    }
}

fn leaves(group: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(group) else { return };
    let below: Vec<_> = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).collect();
    if below.is_empty() {
        into.push(group.to_owned());
    }
    below.iter().for_each(|entry| leaves(&entry.path(), into));
}

impl Drop for Place {
    fn drop(&mut self) {
        for one in container::list(&self.engine).unwrap_or_default() {
            let _ = container::remove(&self.engine, &one.id, true);
        }
        // The groups of this store alone; what has processes in it stays.
        let store = self.engine.state().store_id().to_owned();
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
        for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let group = hierarchy.join("dhow").join(&store);
            // The last supervisor is on its way out.
            for _ in 0..200 {
                let _ = std::fs::remove_dir(group.join("supervisors"));
                let _ = std::fs::remove_dir(&group);
                if !group.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = std::fs::remove_dir(hierarchy.join("dhow"));
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn request(name: &str, command: &[&str]) -> CreateRequest {
    CreateRequest {
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        root: RootSource::Image(IMAGE.to_owned()),
        platform: None,
        config: Config {
            cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()).filter(|c: &Vec<_>| !c.is_empty()),
            ..Config::default()
        },
        host: HostConfig::default(),
    }
}

pub(crate) fn read(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Waits until something is so, for it comes about in another process.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < deadline, "it never came about: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A root filesystem with busybox.
fn root() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    for (name, mode) in [("./", 0o755), ("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777), ("root/", 0o700)] {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(mode);
        header.set_size(0);
        tar.append_data(&mut header.clone(), name, std::io::empty()).unwrap();
    }
    let mut file = |name: &str, mode, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    file("bin/busybox", 0o755, &std::fs::read("/usr/bin/busybox").unwrap());
    file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n");
    file("etc/group", 0o644, b"root:x:0:\nme:x:1000:\nextra:x:77:me\n");
    file("bin/broken", 0o755, b"\x7fELF is cut off");
    for name in [
        "sh", "cat", "echo", "sleep", "true", "false", "id", "ls", "env", "hostname", "kill", "ps", "test", "touch",
        "head", "wc", "ln", "chmod", "chown", "trap", "mount", "grep", "pwd", "stty", "tty", "dd", "readlink",
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{name}"), "busybox").unwrap();
    }
    tar.into_inner().unwrap()
}
