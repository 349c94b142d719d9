//! What a process of a container with CAP_SYS_PTRACE finds in those that come into its pid namespace, before they have
//! become programs of the container: their descriptors and their rights.

use crate::bench::{Bench, CAPABILITIES, alone};
use dhow_sys::clone::{Relation, clone};
use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::MemfdFlags;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// How often a process must have been seen on its way.
const ENOUGH: usize = 40;
/// How many starts that may take.
const STARTS: usize = 600;

/// Another process, which looks at the children of this one in the pid namespace of a container as often as it can, until
/// it is told to stop. It says what it has seen: `CapPrm`, the targets of their descriptors, whether their root is the host's; one line for each.
struct Observer {
    process: dhow_sys::clone::Cloned,
    stop: Option<OwnedFd>,
    seen: fs::File,
}

impl Observer {
    fn new() -> Observer {
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (seen, mut says) = std::io::pipe().unwrap();
        let us = format!("/proc/{}/task/{}/children", std::process::id(), rustix::thread::gettid().as_raw_nonzero());
        let mut stop = Some(stop);
        let process = clone(&Relation::CHILD, || {
            stop = None;
            rustix::io::ioctl_fionbio(&stopped, true).unwrap();
            let mut byte = [0];
            // EOF when the other end is closed; EAGAIN until then.
            while rustix::io::read(&stopped, &mut byte).is_err() {
                for pid in descendants(&us) {
                    if let Some(line) = look_at(&pid) {
                        writeln!(says, "{line}").unwrap();
                    }
                }
            }
            0
        });
        Observer {
            process: process.unwrap(),
            stop: Some(stop.take().unwrap()),
            seen: fs::File::from(OwnedFd::from(seen)),
        }
    }

    fn end(mut self) -> Vec<String> {
        self.stop = None;
        let mut text = String::new();
        // Its end is the only other one that is open but for ours, which went with the call of `new`.
        self.seen.read_to_string(&mut text).unwrap();
        dhow_sys::pidfd::wait(self.process.pidfd.as_fd()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// Children, and those of children.
fn descendants(list: &str) -> Vec<String> {
    let children = |list: &str| fs::read_to_string(list).unwrap_or_default();
    let mut all: Vec<String> = children(list).split_ascii_whitespace().map(str::to_owned).collect();
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let theirs = children(&format!("/proc/{pid}/task/{pid}/children"));
        all.extend(theirs.split_ascii_whitespace().map(str::to_owned));
        next += 1;
    }
    all
}

/// A process with a pid in another namespace and the conversation still open is on its way.
fn look_at(pid: &str) -> Option<String> {
    let mut links = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()? {
        links.push(fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned());
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let inside = field("NSpid:")?.split_ascii_whitespace().count() > 1;
    let rights = u64::from_str_radix(field("CapPrm:")?.trim(), 16).ok()?;
    // Rights in a user namespace of its own are none outside of it.
    let theirs = fs::read_link(format!("/proc/{pid}/ns/user")).ok()?;
    let rights = if theirs == fs::read_link("/proc/self/ns/user").ok()? { rights } else { 0 };
    // What an attacker would reach by it: the files of the host.
    let host = std::env::current_exe().ok()?;
    let host = fs::metadata(format!("/proc/{pid}/root{}", host.display())).is_ok();
    let links = if host { [links, vec!["files-of-the-host".to_owned()]].concat() } else { links };
    let on_its_way = inside && links.iter().any(|link| link.starts_with("socket:"));
    on_its_way.then(|| format!("{rights:x} {}", links.join(" ")))
}

/// What was seen while `go` was called again and again; something must have been.
fn watched(mut go: impl FnMut()) -> Vec<String> {
    let secret = rustix::fs::memfd_create(c"secret-of-the-caller", MemfdFlags::empty()).unwrap();
    let mut seen = Vec::new();
    for _ in 0..STARTS / 20 {
        let observer = Observer::new();
        for _ in 0..20 {
            go();
        }
        seen.extend(observer.end());
        if seen.len() >= ENOUGH {
            break;
        }
    }
    drop(secret);
    assert!(seen.len() >= ENOUGH, "only {} of {STARTS} were seen in time", seen.len());
    seen
}

fn assert_nothing_of_ours(seen: &[String]) {
    for line in seen {
        for ours in [
            "files-of-the-host",
            "secret-of-the-caller",
            "pidfd",
            "/ns/",
            "net:[",
            "pid:[",
            "/sys/fs/cgroup",
            "/children",
        ] {
            assert!(!line.contains(ours), "{line}");
        }
    }
}

fn prepared(bench: &mut Bench) -> serde_json::Value {
    json!({
        "user": { "uid": 0, "gid": 0 },
        "args": ["/bin/true"],
        "env": ["PATH=/bin"],
        "cwd": bench.spec["process"]["cwd"],
        "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
    })
}

/// CVE-2016-9962, with the capability that not being dumpable is no help against.
#[test]
fn who_enters_brings_no_descriptors_and_few_rights() {
    alone(|mut bench| {
        let process = prepared(&mut bench);
        let container = bench.sleeping();
        let seen = watched(|| assert_eq!(container.enter(&process).unwrap().status, 0));
        assert_nothing_of_ours(&seen);
        assert_few_rights(&seen);
    });
}

/// Nothing that is the host's by itself, or leads there.
fn assert_few_rights(seen: &[String]) {
    const SYS_ADMIN: u64 = 1 << 21;
    const SYS_PTRACE: u64 = 1 << 19;
    const SYS_MODULE: u64 = 1 << 16;
    const MKNOD: u64 = 1 << 27;
    for line in seen {
        let rights = u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        assert_eq!(rights & (SYS_ADMIN | SYS_PTRACE | SYS_MODULE | MKNOD), 0, "{line}");
    }
}

/// The same of who joins a pid namespace at its start: all that takes the caller's rights is done where nobody sees it.
#[test]
fn who_joins_brings_no_descriptors_and_few_rights() {
    alone(|mut bench| {
        let other = bench.sleeping();
        bench.share("pid").script("true");
        let join = [(LinuxNamespaceType::Pid, other.namespace("pid"))];
        let seen = watched(|| assert_eq!(bench.run_joined(&join).unwrap().status, 0));
        assert_nothing_of_ours(&seen);
        assert_few_rights(&seen);
    });
}

/// There is no other container to see it, but what is not needed is closed all the same.
#[test]
fn the_first_process_of_a_container_holds_nothing_either() {
    alone(|mut bench| {
        bench.script("true");
        // The very first instructions are still those of the caller.
        let seen = watched(|| assert_eq!(bench.run().unwrap().status, 0));
        let ours = seen.iter().filter(|line| line.contains("secret-of-the-caller")).count();
        assert!(ours * 2 < seen.len(), "{ours} of {}", seen.len());
    });
}
