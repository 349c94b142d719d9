//! `mounts`: kinds, options, order, places.

use crate::case::case;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

#[test]
fn the_usual_ones_have_their_options() {
    let Some(mut case) = case() else { return };
    case.expect(
        "mounts",
        json!({
            "/proc": {"type": "proc", "options": ["rw", "nosuid", "nodev", "noexec"], "propagation": []},
            "/dev": {"type": "tmpfs", "options": ["rw", "nosuid"], "without": ["relatime", "noatime", "noexec", "nodev"],
                "file_system": ["mode=755", "size=65536k"]},
            "/dev/pts": {"type": "devpts", "options": ["nosuid", "noexec"], "file_system": ["gid=5", "mode=620", "ptmxmode=666"]},
            "/dev/shm": {"type": "tmpfs", "options": ["nosuid", "nodev", "noexec"], "file_system": ["size=65536k"]},
            "/dev/mqueue": {"type": "mqueue", "options": ["nosuid", "nodev", "noexec"]},
            "/sys": {"type": "sysfs", "options": ["ro", "nosuid", "nodev", "noexec"]},
            "/": {"propagation": []},
        }),
    );
    case.expect("mounts_are_only", json!(["/", "/proc/", "/dev/", "/sys/"]));
    case.expect("modes", json!({"/dev/shm": "1777", "/dev": "755"}));
    case.expect("writable", json!(["/tmp", "/dev/shm"]));
    case.run();
}

#[test]
fn options_of_binds() {
    let Some(mut case) = case() else { return };
    let data = case.bundle.host("data");
    fs::write(data.join("file"), "of the host").unwrap();
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("/plain", &[], &["rw", "relatime"]),
        ("/ro", &["ro"], &["ro"]),
        ("/all", &["ro", "nosuid", "nodev", "noexec"], &["ro", "nosuid", "nodev", "noexec"]),
        ("/back", &["ro", "nosuid", "rw", "suid"], &["rw"]),
        ("/noatime", &["noatime"], &["noatime"]),
        ("/nodiratime", &["nodiratime"], &["nodiratime"]),
        ("/strict", &["strictatime"], &["rw"]),
        ("/private", &["private"], &["rw"]),
    ];
    for (place, options, found) in cases {
        let options: Vec<&str> = ["bind"].iter().chain(options).copied().collect();
        case.add("/mounts", json!({"destination": place, "type": "bind", "source": data, "options": options}));
        case.expected["mounts"][place] = json!({"options": found});
    }
    case.expected["mounts"]["/back"]["without"] = json!(["ro", "nosuid"]);
    case.expect("read_only", json!(["/ro", "/all", "/ro/file"]))
        .expect("writable", json!(["/plain", "/back", "/noatime"]));
    case.expect("contents", json!({"/plain/file": "of the host", "/all/file": "of the host"}));
    for what in ["mounts./back", "writable./back"] {
        case.differs("crun", what, "a flag that was set stays set, whatever comes behind it");
    }
    case.run();
}

#[test]
fn a_file_is_bound_on_a_file_that_is_made_for_it() {
    let Some(mut case) = case() else { return };
    let file = case.bundle.host("").join("file");
    fs::write(&file, "of the host").unwrap();
    for place in ["/etc/new", "/deep/er/new"] {
        case.add("/mounts", json!({"destination": place, "type": "bind", "source": file, "options": ["rbind", "ro"]}));
    }
    case.expect("contents", json!({"/etc/new": "of the host", "/deep/er/new": "of the host"}));
    case.expect("read_only", json!(["/etc/new"])).expect("modes", json!({"/deep": "755", "/deep/er": "755"}));
    case.run();
}

#[test]
fn later_mounts_lie_on_earlier_ones() {
    let Some(mut case) = case() else { return };
    let (one, two) = (case.bundle.host("one"), case.bundle.host("two"));
    fs::create_dir(one.join("inside")).unwrap();
    fs::write(two.join("name"), "two").unwrap();
    case.add("/mounts", json!({"destination": "/data", "type": "bind", "source": one, "options": ["bind"]}));
    case.add("/mounts", json!({"destination": "/data/inside", "type": "bind", "source": two, "options": ["bind"]}));
    case.add("/mounts", json!({"destination": "/data/inside/made", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=0711"]}));
    case.expect("contents", json!({"/data/inside/name": "two"}));
    case.expect("modes", json!({"/data/inside/made": "711"}));
    case.differs("runc", "modes", "before 1.2 a tmpfs got the mode of the directory below");
    case.expect("mounts", json!({"/data/inside/made": {"type": "tmpfs", "file_system": ["size=1024k"]}}));
    case.run();
}

#[test]
fn recursive_and_not() {
    let Some(mut case) = case() else { return };
    // Something mounted beneath, which the test itself must not do in anybody's sight: procfs has it all the time.
    let beneath = "/sys/fs/cgroup";
    let first = fs::read_to_string("/proc/self/mountinfo").unwrap();
    if !first.lines().any(|line| line.split(' ').nth(4) == Some(beneath)) {
        eprintln!("SKIPPED: nothing is mounted on {beneath}");
        return;
    }
    let bind = |place: &str, options: &[&str]| json!({"destination": place, "type": "bind", "source": "/sys", "options": options});
    case.add("/mounts", bind("/one", &["bind", "ro"])).add("/mounts", bind("/all", &["rbind", "ro"]));
    case.expect(
        "mounts",
        json!({"/one": {"options": ["ro"]}, "/one/fs/cgroup": null, "/all/fs/cgroup": {"options": []}}),
    );
    case.run();
}

#[test]
fn recursive_attributes() {
    let Some(mut case) = case() else { return };
    let bind = |place: &str, options: &[&str]| json!({"destination": place, "type": "bind", "source": "/sys", "options": options});
    case.add("/mounts", bind("/deep", &["rbind", "rro", "rnosuid"]));
    let wanted = json!({"options": ["ro", "nosuid"]});
    case.expect("mounts", json!({"/deep": wanted, "/deep/fs/cgroup": wanted}));
    case.run();
}

#[test]
fn propagation() {
    for (word, found) in [("rprivate", json!([])), ("rslave", json!(["master"])), ("rshared", json!(["shared"]))] {
        let Some(mut case) = case() else { return };
        let data = case.bundle.host("data");
        case.add(
            "/mounts",
            json!({"destination": "/data", "type": "bind", "source": data, "options": ["rbind", word]}),
        );
        // A mount that has no peers is nobody's slave, so there is nothing to see of that one here.
        let found = if word == "rslave" { json!([]) } else { found };
        case.expect("mounts", json!({"/data": {"propagation": found}}));
        case.differs("crun", "mounts./data.propagation", "the propagation of the root comes later, and counts for all");
        case.run();
    }
}

#[test]
fn links_in_the_root_lead_nowhere_else() {
    let Some(mut case) = case() else { return };
    let (data, victim) = (case.bundle.host("data"), case.bundle.host("victim"));
    fs::write(data.join("file"), "data").unwrap();
    symlink(&victim, case.bundle.root().join("absolute")).unwrap();
    symlink("../../../../../../../../../etc", case.bundle.root().join("up")).unwrap();
    for place in ["/absolute/a", "/up/b"] {
        case.add("/mounts", json!({"destination": place, "type": "bind", "source": data, "options": ["bind"]}));
    }
    case.expect("contents", json!({"/etc/b/file": "data", format!("{}/a/file", victim.display()): "data"}));
    case.run_and(|runtime, _| {
        assert!(fs::read_dir(&victim).unwrap().next().is_none(), "{}", runtime.name);
        vec![]
    });
    assert!(!Path::new("/etc/b").exists());
}

#[test]
fn control_groups_of_its_own() {
    let Some(mut case) = case() else { return };
    case.add(
        "/mounts",
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}),
    );
    if fs::symlink_metadata("/sys/fs/cgroup/memory").is_ok() {
        case.expect("mounts", json!({"/sys/fs/cgroup/memory": {"type": "cgroup", "root": "/", "options": ["ro", "nosuid", "nodev", "noexec"]}}));
    } else {
        case.expect(
            "mounts",
            json!({"/sys/fs/cgroup": {"type": "cgroup2", "root": "/", "options": ["ro", "nosuid", "nodev", "noexec"]}}),
        );
    }
    case.expect("cgroup", json!({"rooted": true}));
    case.run();
}

#[test]
fn ids_of_a_mount_are_mapped() {
    let Some(mut case) = case() else { return };
    let data = case.bundle.host("data");
    fs::write(data.join("root"), "").unwrap();
    fs::write(data.join("user"), "").unwrap();
    std::os::unix::fs::chown(data.join("user"), Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let map = json!([{"containerID": 0, "hostID": 50_000, "size": 2000}]);
    case.add(
        "/mounts",
        json!({"destination": "/data", "type": "bind", "source": data, "options": ["bind"],
        "uidMappings": map, "gidMappings": map}),
    );
    case.expect("owners", json!({"/data/root": "50000:50000", "/data/user": "51000:51000"}));
    case.differs("runc", "start", "since 1.2, and only with a user namespace of the container's own before");
    case.differs("runc", "owners", "1.1 takes no notice of the field");
    case.differs("crun", "owners", "without the option idmap it takes no notice of the field");
    case.run();
}

#[test]
fn odd_mounts_are_refused() {
    let odd = [
        (json!({"destination": "/x", "type": "bind", "source": "/not/there", "options": ["bind"]}), "/not/there"),
        (json!({"destination": "/x", "type": "nosuchfs", "source": "x"}), "nosuchfs"),
        (json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": ["no-such-option"]}), "no-such-option"),
        (json!({"destination": "/proc/self/attr", "type": "tmpfs", "source": "x"}), "inside of /proc"),
    ];
    for (mount, text) in odd {
        let Some(mut case) = case() else { return };
        case.add("/mounts", mount);
        case.differs("crun", "refused", "it mounts inside of /proc, but for links");
        case.differs("runc", "refused", "before 1.2 it mounted a tmpfs inside of /proc");
        case.is_refused(text);
    }
}
