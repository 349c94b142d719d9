//! Control groups: everything is done to real groups of this host, each test below a name of its own.
//!
//! On a hybrid host all of it is done twice: with version 2 at hand, and as on a host that has version 1 only.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cost;
mod devices;
mod ending;
mod limiting;

use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use oci_spec::runtime::LinuxResources;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The hierarchies of this host; on a hybrid host also as if there were no version 2.
fn hosts() -> Vec<(&'static str, Hierarchies)> {
    assert!(rustix::process::geteuid().is_root(), "these tests make control groups: run them as root");
    let whole = Hierarchies::detect().unwrap();
    if whole.is_unified() {
        return vec![("v2", whole)];
    }
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let v1: String = mountinfo.lines().filter(|l| !l.contains(" - cgroup2 ")).map(|l| format!("{l}\n")).collect();
    let v1 = Hierarchies::of(&v1, &std::fs::read_to_string("/proc/self/cgroup").unwrap()).unwrap();
    vec![("hybrid", whole), ("v1", v1)]
}

/// A place for groups of one test, gone with all that is in it when the test ends, however it ends.
struct Place {
    on: Hierarchies,
    top: PathBuf,
}

impl Place {
    fn new(test: &str, (host, on): &(&str, Hierarchies)) -> Place {
        let top = PathBuf::from(format!("dhow-test-{}-{test}-{host}", std::process::id()));
        Place { on: on.clone(), top }
    }

    fn group(&self) -> PathBuf {
        self.top.join("store/one")
    }

    fn create(&self, resources: &str) -> Cgroup {
        Cgroup::create(&self.on, &self.group(), &json(resources)).unwrap()
    }

    /// A file of the group, or the directory itself.
    fn file(&self, controller: &str, file: &str) -> PathBuf {
        file_of(&self.on, controller, &self.group()).join(file)
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let file = self.file(controller, file);
        std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).trim().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(group) = Cgroup::open(&self.on, &self.top) {
            let ended = group.kill().and_then(|()| group.remove());
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

fn json(resources: &str) -> LinuxResources {
    serde_json::from_str(resources).unwrap()
}

fn file_of(on: &Hierarchies, controller: &str, path: &Path) -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    if on.is_unified() { root.join(path) } else { root.join(controller).join(path) }
}

/// A shell that enters the group by its own ways in and then runs `script`.
fn spawn(group: &Cgroup, script: &str) -> Child {
    let entry = group.entry();
    let fd = |fd: i32| format!("/proc/{}/fd/{fd}", std::process::id());
    let mut files: Vec<String> = entry.write_to().iter().map(|f| fd(f.as_raw_fd())).collect();
    files.extend(entry.clone_into().map(|directory| format!("{}/cgroup.procs", fd(directory.as_raw_fd()))));
    assert!(!files.is_empty());
    let enter: String = files.iter().map(|f| format!("echo 0 > {f} || exit 99; ")).collect();
    Command::new("sh")
        .args(["-c", &format!("{enter}{script}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits for a condition that must come.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process in the group that does nothing.
fn sleeper(group: &Cgroup) -> Child {
    let child = spawn(group, "exec sleep 1000");
    until("it sleeps", || comm(child.id()) == "sleep");
    child
}

fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
