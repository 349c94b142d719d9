//! A bundle: a root with nothing but the checking program in it, and a spec that any runtime takes.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Docker's capabilities.
pub(crate) const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A directory that is removed with the value.
pub(crate) struct Bundle {
    top: PathBuf,
}

impl Bundle {
    /// A root that holds the checking program as `/check`, and the usual directories.
    pub(crate) fn new(name: &str) -> Bundle {
        let name = name.replace([':', '/'], "-");
        let top = std::env::temp_dir().join(format!("dhow-oci-{}-{name}", std::process::id()));
        let bundle = Bundle { top };
        for name in ["etc", "tmp", "proc", "sys", "dev"] {
            fs::create_dir_all(bundle.root().join(name)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_dhow-oci-check");
        let inside = bundle.root().join("check");
        if fs::hard_link(program, &inside).is_err() {
            fs::copy(program, &inside).unwrap();
        }
        fs::create_dir_all(bundle.top.join("state")).unwrap();
        bundle
    }

    /// Where config.json is.
    pub(crate) fn path(&self) -> PathBuf {
        self.top.join("bundle")
    }

    /// The root file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    /// A directory of the host beside it.
    pub(crate) fn host(&self, name: &str) -> PathBuf {
        let path = self.top.join("host").join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes spec and expectations.
    pub(crate) fn write(&self, spec: &Value, expected: &Value) {
        fs::write(self.path().join("config.json"), serde_json::to_vec_pretty(spec).unwrap()).unwrap();
        fs::write(self.root().join("expected.json"), serde_json::to_vec_pretty(expected).unwrap()).unwrap();
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

/// The group of a case in each hierarchy, for the runtimes that make one; removed with the value.
pub(crate) struct Group {
    name: String,
}

impl Group {
    pub(crate) fn new(name: &str) -> Group {
        Group { name: format!("dhow-test-{}-{}", std::process::id(), name.replace([':', '/'], "-")) }
    }

    /// As the spec has it.
    pub(crate) fn path(&self) -> String {
        format!("/{}/container", self.name)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let top = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
        for directory in hierarchies.chain([top.to_owned()]) {
            let above = directory.join(&self.name);
            let _ = fs::remove_dir(above.join("container"));
            let _ = fs::remove_dir(above);
        }
    }
}

/// What docker would make, without what a case is about.
pub(crate) fn spec(group: &str) -> Value {
    let all = json!(CAPABILITIES);
    let device = |kind: &str, major: i64, minor: Value| json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": "rwm"});
    json!({
        "ociVersion": "1.0.2",
        "hostname": "inside",
        "root": {"path": "rootfs", "readonly": false},
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/check", "/expected.json"],
            "env": ["PATH=/bin", "A=b c"],
            "cwd": "/",
            "capabilities": {"bounding": all, "effective": all, "permitted": all},
            "noNewPrivileges": false,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "cgroupsPath": group,
            "namespaces": [
                {"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "cgroup"},
            ],
            "resources": {"devices": [
                {"allow": false, "access": "rwm"},
                device("c", 1, json!(3)), device("c", 1, json!(5)), device("c", 1, json!(7)), device("c", 1, json!(8)),
                device("c", 1, json!(9)), device("c", 5, json!(0)), device("c", 5, json!(1)), device("c", 5, json!(2)),
                {"allow": true, "type": "c", "major": 136, "access": "rwm"},
                {"allow": true, "type": "c", "access": "m"}, {"allow": true, "type": "b", "access": "m"},
            ]},
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
