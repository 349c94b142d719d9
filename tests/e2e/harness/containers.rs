//! A store with an image of one static program, and containers that are gone with their test.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::archive::Layer;
use super::command::{Ran, run};
use super::store::Store;

/// A store of a test's own with the image `box`: busybox under each of its names, a few users.
pub(crate) struct Containers(Store);

impl Containers {
    pub(crate) fn new() -> Containers {
        Containers::in_store(Store::new())
    }

    /// In a store that lies where the test wants it.
    pub(crate) fn in_store(store: Store) -> Containers {
        Containers::made(store, |command| command)
    }

    /// In a store that another dhow has made.
    pub(crate) fn made_by(program: &Path) -> Containers {
        Containers::made(Store::new(), |command| {
            let mut other = Command::new(program);
            other.args(command.get_args());
            other
        })
    }

    fn made(store: Store, by: impl Fn(Command) -> Command) -> Containers {
        let rootfs = store.folder().file("box.tar", tar());
        let words = ["import", "-c", "CMD [\"sh\"]", "-c", "ENV PATH=/bin FROM=image", super::path(&rootfs), "box"];
        run(&mut by(store.command(&words))).ok();
        Containers(store)
    }

    /// `run --rm` of a shell script in the box.
    pub(crate) fn script(&self, script: &str) -> Ran {
        self.dhow(&["run", "--rm", "box", "sh", "-c", script])
    }

    /// `run -d` of a shell script under a name; its id.
    #[track_caller]
    pub(crate) fn detached(&self, name: &str, script: &str) -> String {
        self.dhow(&["run", "-d", "--name", name, "box", "sh", "-c", script]).text()
    }

    /// What `inspect` says of one container.
    #[track_caller]
    pub(crate) fn container(&self, name: &str) -> Value {
        self.dhow(&["container", "inspect", name]).json()[0].take()
    }

    /// One value of it.
    #[track_caller]
    pub(crate) fn shown(&self, name: &str, template: &str) -> String {
        self.dhow(&["container", "inspect", "-f", template, name]).text()
    }

    /// Ids or names of all containers, newest first.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        self.dhow(&["ps", "-a", "--format", "{{.Names}}"]).lines()
    }

    /// Waits until its log has this text.
    #[track_caller]
    pub(crate) fn says(&self, name: &str, text: &str) {
        eventually(&format!("{name} says {text:?}"), || self.dhow(&["logs", name]).stdout.contains(text));
    }

    /// Nothing is left of any container: no row, directory, control group.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.names(), Vec::<String>::new(), "containers are left");
        let id = self.dhow(&["info", "--format", "{{.ID}}"]).text();
        let run_root = self.folder().join("run").join(id).join("containers");
        eventually("directories are gone", || {
            [self.root().join("containers"), run_root.clone()].iter().all(|dir| entries(dir).is_empty())
        });
        let group = |path: &PathBuf| !path.is_dir() || is_supervisors(path);
        eventually("control groups are gone", || {
            self.groups().iter().flat_map(|g| entries(g)).all(|path| group(&path))
        });
        self.assert_sound();
    }
}

/// The group of all supervisors, when there are none: it stays.
fn is_supervisors(path: &Path) -> bool {
    path.ends_with("supervisors")
        && entries(path).iter().all(|entry| !entry.is_dir())
        && fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|procs| procs.is_empty())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

impl Deref for Containers {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0
    }
}

/// Waits for a condition; a test that waits too long has found that it never comes.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The root filesystem of the box.
fn tar() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(|| {
        let busybox = fs::read("/usr/bin/busybox").expect("busybox-static is installed");
        let mut layer = Layer::new().dir("bin", 0o755).entry("bin/busybox", b'0', "", &busybox, |h| h.set_mode(0o755));
        for name in
            "sh ash cat echo ls id env pwd true false sleep kill ps stty tty wc head tail seq dd hostname mount touch rm mkdir \
             yes grep sed test stat chmod date nproc df umount sync od readlink printf tr cut sort dmesg ulimit mknod ip"
                .split_whitespace()
        {
            layer = layer.symlink(&format!("bin/{name}"), "busybox");
        }
        layer
            .dir("etc", 0o755)
            .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
            .file("etc/group", "root:x:0:\nalice:x:1000:\naudio:x:29:alice\n")
            .dir("root", 0o700)
            .dir("home", 0o755)
            .entry("home/alice", b'5', "", b"", |h| {
                h.set_mode(0o755);
                h.set_uid(1000);
                h.set_gid(1000);
            })
            .entry("tmp", b'5', "", b"", |h| h.set_mode(0o1777))
            .dir("proc", 0o755)
            .dir("sys", 0o755)
            .dir("dev", 0o755)
            .file("bin/data", "this is no program")
            .entry("bin/text", b'0', "", b"this is no program either", |h| h.set_mode(0o755))
            .tar()
    })
}
