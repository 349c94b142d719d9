//! Device rules, on nodes made for the purpose.

use super::{Place, hosts, json, spawn};
use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::Cgroup;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with nodes for null (1:3), zero (1:5), full (1:7) and the first loop device (7:0).
struct Nodes {
    directory: PathBuf,
}

impl Nodes {
    fn new(name: &str) -> Nodes {
        let directory = std::env::temp_dir().join(format!("dhow-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let nodes = Nodes { directory };
        for (name, kind, major, minor) in [("null", "c", 1, 3), ("zero", "c", 1, 5), ("full", "c", 1, 7)] {
            let made = Command::new("mknod")
                .arg(nodes.directory.join(name))
                .args([kind, &major.to_string(), &minor.to_string()])
                .status();
            assert!(made.unwrap().success());
        }
        nodes
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Whether a process of the group can do that with the node.
    fn can(&self, group: &Cgroup, what: &str, name: &str) -> bool {
        let path = self.path(name);
        let script = match what {
            "r" => format!("exec 3< {path}"),
            "w" => format!("exec 3> {path}"),
            "rw" => format!("exec 3<> {path}"),
            "m" => {
                format!("mknod {path}.made c 1 $(stat -c %T {path} | sed s/^/0x/ | xargs printf %d) && rm {path}.made")
            }
            what => panic!("{what}"),
        };
        let status = spawn(group, &script).wait().unwrap();
        assert_ne!(status.code(), Some(99), "it did not get in");
        status.success()
    }

    fn check(&self, group: &Cgroup, name: &str, expected: [bool; 4], when: &str) {
        let can = ["r", "w", "rw", "m"].map(|what| self.can(group, what, name));
        assert_eq!(can, expected, "{when}: {name}: read, write, both, make");
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const ALL: [bool; 4] = [true; 4];
const NONE: [bool; 4] = [false; 4];

/// Rules as `allow c 1:3 rwm`, separated by `; `.
fn rules(text: &str) -> String {
    let rule = |rule: &str| {
        let words: Vec<&str> = rule.split(' ').collect();
        let (major, minor) = words[2].split_once(':').unwrap();
        let number = |n: &str| n.replace('*', "-1");
        format!(
            r#"{{"allow":{},"type":"{}","major":{},"minor":{},"access":"{}"}}"#,
            words[0] == "allow",
            words[1],
            number(major),
            number(minor),
            words[3]
        )
    };
    let rules: Vec<String> = text.split("; ").map(rule).collect();
    format!(r#"{{"devices":[{}]}}"#, rules.join(","))
}

#[test]
fn devices_are_denied_and_allowed() {
    for host in hosts() {
        let place = Place::new("devices", &host);
        let nodes = Nodes::new(&format!("nodes-{}", host.0));
        // A shell needs /dev/null (1:3) for nothing here, so every device can be denied.
        let group = place.create(&rules("deny a *:* rwm; allow c 1:3 rwm; allow c *:* m; allow c 1:7 r"));
        let when = format!("{}, created", host.0);
        nodes.check(&group, "null", ALL, &when);
        nodes.check(&group, "zero", [false, false, false, true], &when);
        nodes.check(&group, "full", [true, false, false, true], &when);

        for (update, null, zero) in [
            ("deny a *:* rwm; allow c 1:5 rw", NONE, [true, true, true, false]),
            (
                "deny a *:* rwm; allow c 1:* r; allow c 1:3 wm",
                [true, true, host.0 == "v2", true],
                [true, false, false, false],
            ),
            ("allow a *:* rwm; deny c 1:5 w", ALL, [true, false, false, true]),
            ("allow a *:* rwm", ALL, ALL),
            ("deny a *:* rwm", NONE, NONE),
            ("allow c 1:3 rwm", ALL, NONE),
        ] {
            group.update(&json(&rules(update))).unwrap();
            let when = format!("{}, {update}", host.0);
            nodes.check(&group, "null", null, &when);
            nodes.check(&group, "zero", zero, &when);
            if let Some(directory) = group.entry().clone_into().filter(|_| place.on.is_unified()) {
                assert_eq!(dhow_sys::bpf::device_programs(directory).unwrap().len(), 1, "{when}");
            }
        }
        // What has nothing to do with devices leaves them alone, and so does an empty list.
        for other in [r#"{"pids":{"limit":50}}"#, r#"{"devices":[]}"#] {
            group.update(&json(other)).unwrap();
            nodes.check(&group, "zero", NONE, other);
        }
    }
}

#[test]
fn groups_below_get_no_more() {
    for host in hosts() {
        let place = Place::new("devices-below", &host);
        let nodes = Nodes::new(&format!("below-{}", host.0));
        let outer = place.create(&rules("deny a *:* rwm; allow c 1:3 rwm"));
        nodes.check(&outer, "zero", NONE, host.0);
        let below = place.group().join("below");
        let inner = Cgroup::create(&place.on, &below, &json(&rules("allow a *:* rwm"))).unwrap();
        nodes.check(&inner, "null", ALL, host.0);
        nodes.check(&inner, "zero", NONE, host.0);
        let more = json(&rules("allow c 1:5 rwm"));
        let refused = inner.update(&more);
        assert_eq!(refused.is_ok(), place.on.is_unified(), "version 1 says so, version 2 keeps to it silently");
        nodes.check(&inner, "zero", NONE, host.0);
    }
}

#[test]
fn what_version_1_cannot_say_is_refused_before_anything_is_made() {
    for host in hosts() {
        let place = Place::new("devices-refused", &host);
        let exception = json(&rules("deny a *:* rwm; allow c 1:* rwm; deny c 1:5 rwm"));
        let made = Cgroup::create(&place.on, &place.group(), &exception);
        if place.on.is_unified() {
            let nodes = Nodes::new("exception");
            let group = made.unwrap();
            nodes.check(&group, "null", ALL, "exception");
            nodes.check(&group, "zero", NONE, "exception");
        } else {
            assert!(matches!(made, Err(RuntimeError::Invalid { .. })), "{made:?}");
            assert!(!Path::new("/sys/fs/cgroup/devices").join(&place.top).exists());
        }
    }
}
