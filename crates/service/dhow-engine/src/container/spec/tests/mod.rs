//! Tests of specs: requests over images, whole specs against files kept beside, users, devices, mounts.

mod build;
mod devices;
mod environment;
mod merge;
mod mounts;
mod users;

use super::Host;
use crate::container::request::{Config, CreateRequest, HostConfig, RootSource};
use crate::container::view::Container;
use dhow_runtime::status::Status;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dhow-spec-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A host that is the same wherever the tests run: four CPUs, of which two tell of heat, and all capabilities.
fn host(scratch: &Scratch, unified: bool) -> Host {
    scratch.write("sys/devices/system/cpu/online", "0-3\n");
    scratch.write("sys/devices/system/cpu/possible", "0-7\n");
    scratch.write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "0\n");
    scratch.write("sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count", "0\n");
    scratch.write("sys/devices/system/node/online", "0-1\n");
    scratch.write("proc/self/status", "Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t000001ffffffffff\n");
    scratch.write("proc/self/mountinfo", MOUNTINFO);
    scratch.write("proc/sys/kernel/hostname", "ship\n");
    scratch.write("proc/sys/net/ipv4/ping_group_range", "1\t0\n");
    scratch.write("proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n");
    fs::create_dir(scratch.join("dev")).unwrap();
    Host { unified, sys: scratch.join("sys"), proc: scratch.join("proc"), dev: scratch.join("dev") }
}

const MOUNTINFO: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw shared:5 - proc proc rw
24 22 0:6 / /sys rw master:7 - sysfs sysfs rw
25 22 0:7 / /odd\\040name rw shared:9 master:7 - tmpfs tmpfs rw
";

fn request(config: Config, host: HostConfig) -> CreateRequest {
    CreateRequest { name: None, root: RootSource::Image("busybox".to_owned()), platform: None, config, host }
}

fn container(config: Config, host: HostConfig) -> Container {
    let id = "0123456789abcdef".repeat(4);
    Container {
        name: "eager_dhow".to_owned(),
        root: RootSource::Image("busybox".to_owned()),
        image: None,
        created: 0,
        status: Status::Created,
        pid: None,
        started: None,
        finished: None,
        exit_code: None,
        oom_killed: false,
        error: String::new(),
        restart_count: 0,
        command: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
        networks: Vec::new(),
        ports: Vec::new(),
        config,
        host,
        log_path: None,
        dir: Path::new("/var/lib/dhow/containers").join(&id),
        cgroup: Path::new("dhow/s0").join(&id),
        storage: "overlay".to_owned(),
        id,
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}
