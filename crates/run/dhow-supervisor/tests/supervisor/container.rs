//! A container of busybox, a supervisor of its own program, and what is to be cleaned up after both.

use crate::log::Scratch;
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_supervisor::client::{Connection, End, Streams, Terminal, Waiting, launch};
use dhow_supervisor::log::{Query, Stream, read};
use dhow_supervisor::plan::{ExitRecord, LogPlan, Plan, Stdin, VERSION};
use serde_json::json;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };
pub(crate) const NONE: Streams = Streams { stdin: false, stdout: false, stderr: false };

/// One container, not started yet. Its control group and files go away with it.
pub(crate) struct Container {
    pub(crate) plan: Plan,
    pub(crate) scratch: Scratch,
}

/// The program of `tests/program`.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_dhow-supervisor-program"))
}

fn groups() -> PathBuf {
    PathBuf::from(format!("dhow-test-{}", std::process::id()))
}

impl Container {
    /// Runs a line of shell.
    pub(crate) fn new(name: &str, script: &str) -> Container {
        Container::of(name, &["sh", "-c", script])
    }

    pub(crate) fn of(name: &str, arguments: &[&str]) -> Container {
        let scratch = Scratch::new(name);
        make_root(&scratch.0.join("root"));
        let run_dir = scratch.0.join("run");
        fs::create_dir_all(&run_dir).unwrap();
        let plan = Plan {
            version: VERSION,
            id: name.to_owned(),
            spec: serde_json::from_value(spec(arguments)).unwrap(),
            cgroup: Some(groups().join(name)),
            docker_filter: None,
            supervisor_cgroup: Some(groups().join("supervisors")),
            log: Some(LogPlan { path: scratch.0.join("c-json.log"), max_size: None, max_files: 1 }),
            terminal: None,
            stdin: Stdin::Closed,
            join: Vec::new(),
            exited: vec!["/usr/bin/touch".into(), scratch.0.join("exited").into()],
            exited_always: false,
            keeper: None,
            run_dir,
        };
        Container { plan, scratch }
    }

    pub(crate) fn with_terminal(mut self) -> Container {
        self.plan.terminal = Some((24, 80));
        self.plan.stdin = Stdin::Open;
        let mut process = self.plan.spec.process().clone().unwrap();
        process.set_terminal(Some(true));
        self.plan.spec.set_process(Some(process));
        self
    }

    pub(crate) fn launch(&self, attach: Streams) -> Result<Waiting, dhow_supervisor::client::ClientError> {
        let root = dhow_sys::mount::clone_tree(&self.scratch.0.join("root")).unwrap();
        launch(&program(), &[], &self.plan, vec![root], attach)
    }

    pub(crate) fn start(&self, attach: Streams) -> Connection {
        self.launch(attach).unwrap().open().unwrap()
    }

    pub(crate) fn connect(&self, streams: Streams) -> Connection {
        Connection::open(&self.plan.run_dir, streams).unwrap()
    }

    pub(crate) fn record(&self) -> ExitRecord {
        ExitRecord::read(&self.plan.run_dir).unwrap().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        let mut text = Vec::new();
        read(&self.plan.log.as_ref().unwrap().path, &Query::default(), &mut || true, &mut |entry| {
            text.extend_from_slice(entry.bytes);
            Ok(true)
        })
        .unwrap();
        String::from_utf8(text).unwrap()
    }

    pub(crate) fn log_of(&self, wanted: Stream) -> String {
        let mut text = Vec::new();
        read(&self.plan.log.as_ref().unwrap().path, &Query::default(), &mut || true, &mut |entry| {
            if entry.stream == wanted {
                text.extend_from_slice(entry.bytes);
            }
            Ok(true)
        })
        .unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Whether somebody supervises it.
    pub(crate) fn is_supervised(&self) -> bool {
        use dhow_sys::lock::{Locked, Share, Wait};
        fs::File::open(self.plan.run_dir.join("supervisor.lock"))
            .is_ok_and(|file| Locked::acquire(file.as_fd(), Share::Exclusive, Wait::No).unwrap().is_none())
    }

    pub(crate) fn has_exited_run(&self) -> bool {
        self.scratch.0.join("exited").exists()
    }

    pub(crate) fn group(&self) -> Option<Cgroup> {
        Cgroup::open(&Hierarchies::detect().unwrap(), self.plan.cgroup.as_ref().unwrap()).ok()
    }

    /// Everything that the start made is gone again.
    pub(crate) fn assert_nothing_left(&self) {
        until("the supervisor to end", || !self.is_supervised());
        until("the group to go", || self.group().is_none());
        assert!(!self.plan.run_dir.join("supervisor.sock").exists());
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(group) = self.group() {
            let _ = group.kill();
            let _ = group.remove();
        }
        // The last to leave; with somebody in it, or below it, it stays.
        until("the supervisor to end", || !self.is_supervised());
        std::thread::sleep(Duration::from_millis(10));
        let _ = remove_empty(&groups().join("supervisors"));
        let _ = remove_empty(&groups());
    }
}

/// The directories of a group in all hierarchies, if nothing is below them.
fn remove_empty(path: &Path) -> std::io::Result<()> {
    for hierarchy in fs::read_dir("/sys/fs/cgroup")? {
        let _ = fs::remove_dir(hierarchy?.path().join(path));
    }
    Ok(())
}

/// Waits for a condition: three times as long as a supervisor takes its time anywhere.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What came out of an attached client: how it ended, stdout, stderr.
pub(crate) fn attach(connection: Connection, input: &[u8], records: bool) -> (End, String, String) {
    let (stdin, mut typed) = std::io::pipe().unwrap();
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let (mut complaints, stderr) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            let terminal = Terminal {
                stdin: Some(stdin.as_fd()),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
                tty: false,
                detach_keys: Vec::new(),
                on_signal: None,
            };
            connection.stream(terminal, records).unwrap()
        });
        let writer = scope.spawn(move || typed.write_all(input));
        let errors = scope.spawn(move || {
            let mut text = String::new();
            complaints.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        shown.read_to_string(&mut text).unwrap();
        let _ = writer.join().unwrap();
        (client.join().unwrap(), text, errors.join().unwrap())
    })
}

fn make_root(root: &Path) {
    for directory in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "ls", "sleep", "head", "tr", "yes", "stty", "grep", "seq", "true", "dd", "tail", "chmod"]
    {
        let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(name));
    }
}

fn spec(arguments: &[&str]) -> serde_json::Value {
    let capabilities = ["CAP_KILL", "CAP_CHOWN"];
    json!({
        "ociVersion": "1.0.2",
        "root": { "path": "rootfs" },
        "hostname": "test",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": arguments,
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "noNewPrivileges": true,
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        ],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }],
            "resources": {},
        },
    })
}
