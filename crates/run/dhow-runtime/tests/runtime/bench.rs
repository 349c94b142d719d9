//! What all tests need: a root of busybox, a spec to change, and running a script in it.

use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::Entry;
use dhow_runtime::seccomp::Filter;
use dhow_runtime::start::{Running, Start, Starting, Stdio, Target, enter, start};
use dhow_sys::mount::{Depth, open_tree_at};
use dhow_sys::pidfd;
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the test that a process was started for.
const ALONE: &str = "DHOW_TEST_ALONE";

/// Runs `test` in a process of its own, whose only other thread sleeps: the runtime copies the memory of its caller, and
/// what other threads have locked there would stay locked in the copy.
pub(crate) fn alone(test: impl FnOnce(Bench)) {
    let name = std::thread::current().name().expect("the harness names threads after tests").to_owned();
    if std::env::var(ALONE).is_ok_and(|chosen| chosen == name) {
        dhow_sys::namespace::unshare(dhow_sys::clone::Namespaces::MOUNT).unwrap();
        let flags = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).unwrap();
        return test(Bench::new(&name));
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED {name}: it needs root");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([&name, "--exact", "--nocapture", "--include-ignored"])
        .env(ALONE, &name)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A root filesystem and a spec.
pub(crate) struct Bench {
    directory: PathBuf,
    pub(crate) spec: Value,
}

/// Docker's capabilities, as far as the tests care.
pub(crate) const CAPABILITIES: [&str; 5] = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"];

impl Bench {
    /// One with this name; a test has one already.
    pub(crate) fn new(name: &str) -> Bench {
        let name = name.replace("::", "-");
        let directory = std::env::temp_dir().join(format!("dhow-runtime-{}-{name}", std::process::id()));
        let bench = Bench { directory, spec: spec() };
        let root = bench.root();
        for name in ["bin", "etc", "tmp", "root"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
        for applet in [
            "sh", "cat", "ls", "id", "stat", "test", "sleep", "mount", "true", "grep", "tty", "stty", "touch", "kill",
            "chmod", "chown", "readlink", "mkdir", "cut",
        ] {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/plain"), "text").unwrap();
        bench
    }

    /// The directory that becomes the root.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// A directory of the host beside it.
    pub(crate) fn host(&self, name: &str) -> PathBuf {
        let path = self.directory.join("host").join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Replaces a value of the spec.
    pub(crate) fn set(&mut self, pointer: &str, value: Value) -> &mut Bench {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.spec.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        self
    }

    /// Adds to a list of the spec.
    pub(crate) fn add(&mut self, pointer: &str, value: Value) -> &mut Bench {
        self.spec.pointer_mut(pointer).unwrap().as_array_mut().unwrap().push(value);
        self
    }

    /// Leaves a kind of namespace out of the spec.
    pub(crate) fn share(&mut self, kind: &str) -> &mut Bench {
        self.spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|n| n["type"] != kind);
        self
    }

    /// The program is this shell script.
    pub(crate) fn script(&mut self, script: &str) -> &mut Bench {
        self.set("/process/args", json!(["/bin/sh", "-c", script]))
    }

    pub(crate) fn parsed(&self) -> Spec {
        serde_json::from_value(self.spec.clone()).unwrap()
    }

    /// As far as the gate, with output and errors on one pipe.
    pub(crate) fn start_joined(
        &self,
        join: &[(LinuxNamespaceType, OwnedFd)],
    ) -> Result<(Starting, Output), RuntimeError> {
        let root = open_tree_at(&self.root(), Depth::One).unwrap();
        let null = File::open("/dev/null").unwrap();
        let (output, writer) = pipe();
        let spec = self.parsed();
        let filter = filter(&spec);
        let started = start(Start {
            spec: &spec,
            root: root.as_fd(),
            stdio: Stdio::Files([null.as_fd(), writer.as_fd(), writer.as_fd()]),
            cgroup: Entry::None,
            seccomp: filter.as_ref(),
            join,
            subject: None,
        })?;
        Ok((started, output))
    }

    /// Runs it to its end.
    pub(crate) fn run_joined(&self, join: &[(LinuxNamespaceType, OwnedFd)]) -> Result<Ended, RuntimeError> {
        let (starting, output) = self.start_joined(join)?;
        Ok(end(starting.release()?, output))
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Result<Ended, RuntimeError> {
        self.run_joined(&[])
    }

    /// What a script in it prints.
    pub(crate) fn output(&mut self, script: &str) -> String {
        let ended = self.script(script).run().unwrap();
        assert_eq!(ended.status, 0, "{}", ended.output);
        ended.output
    }

    /// A container that waits for its input, which is closed when the result is dropped.
    pub(crate) fn sleeping(&mut self) -> Sleeping {
        self.script("read x");
        let root = open_tree_at(&self.root(), Depth::One).unwrap();
        let null = File::options().write(true).open("/dev/null").unwrap();
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let spec = self.parsed();
        let filter = filter(&spec);
        let starting = start(Start {
            spec: &spec,
            root: root.as_fd(),
            stdio: Stdio::Files([reader.as_fd(), null.as_fd(), null.as_fd()]),
            cgroup: Entry::None,
            seccomp: filter.as_ref(),
            join: &[],
            subject: None,
        });
        Sleeping { running: starting.unwrap().release().unwrap(), input: Some(writer), spec }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A container that runs until it is dropped.
pub(crate) struct Sleeping {
    pub(crate) running: Running,
    input: Option<OwnedFd>,
    pub(crate) spec: Spec,
}

impl Sleeping {
    /// A descriptor of one of its namespaces.
    pub(crate) fn namespace(&self, name: &str) -> OwnedFd {
        File::open(format!("/proc/{}/ns/{name}", self.running.pid)).unwrap().into()
    }

    /// Enters it.
    pub(crate) fn enter(&self, process: &Value) -> Result<Ended, RuntimeError> {
        let process: Process = serde_json::from_value(process.clone()).unwrap();
        let null = File::open("/dev/null").unwrap();
        let (output, writer) = pipe();
        let filter = filter(&self.spec);
        let target = Target {
            pidfd: self.running.pidfd.as_fd(),
            cgroup: Entry::None,
            seccomp: filter.as_ref(),
            spec: &self.spec,
        };
        let stdio = Stdio::Files([null.as_fd(), writer.as_fd(), writer.as_fd()]);
        let running = enter(&target, &process, stdio)?;
        drop(writer);
        Ok(end(running, output))
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = pidfd::wait(self.running.pidfd.as_fd());
    }
}

/// The reading end of a pipe.
pub(crate) struct Output(File);

fn pipe() -> (Output, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (Output(reader.into()), writer)
}

/// What a process has said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub output: String,
    pub status: i32,
}

pub(crate) fn end(running: Running, mut output: Output) -> Ended {
    let mut text = String::new();
    output.0.read_to_string(&mut text).unwrap();
    Ended { output: text, status: pidfd::wait(running.pidfd.as_fd()).unwrap().status() }
}

/// The namespace of ours.
pub(crate) fn ours(name: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_string_lossy().into_owned()
}

/// The text of a failing step.
pub(crate) fn step(result: Result<Ended, RuntimeError>) -> (String, String) {
    match result {
        Err(RuntimeError::Step { step, message, .. }) => (step, message),
        other => panic!("{other:?}"),
    }
}

/// Whether nothing was made there.
pub(crate) fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).unwrap().next().is_none()
}

fn filter(spec: &Spec) -> Option<Filter> {
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    profile.map(|profile| Filter::compile(profile).unwrap())
}

fn spec() -> Value {
    let all = json!(CAPABILITIES);
    json!({
        "ociVersion": "1.2.0",
        "hostname": "inside",
        "root": { "path": "", "readonly": false },
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/true"],
            "env": ["PATH=/bin", "A=b c"],
            "cwd": "/",
            "capabilities": { "bounding": all, "effective": all, "permitted": all },
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
              "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
            { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
              "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs",
              "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": {
            "namespaces": [
                { "type": "mount" }, { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                { "type": "uts" }, { "type": "cgroup" },
            ],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi",
                "/sys/firmware", "/not/there"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
