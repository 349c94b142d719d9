//! User namespaces, and control groups as they are seen from inside.

use crate::bench::{Bench, alone};
use dhow_runtime::cgroup::{Cgroup, Hierarchies};
use dhow_runtime::start::{Start, Stdio, Target, enter, start};
use dhow_sys::mount::{Depth, open_tree_at};
use oci_spec::runtime::{LinuxNamespaceType, LinuxResources};
use serde_json::json;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

fn map_users(bench: &mut Bench) {
    let root = bench.root();
    for name in ["proc", "dev", "sys"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["", "tmp", "etc"] {
        chown(root.join(name), Some(100_000), Some(100_000)).unwrap();
    }
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    bench.add("/linux/namespaces", json!({"type": "user"}));
    bench.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
}

#[test]
fn ids_are_mapped_and_all_else_works_as_ever() {
    alone(|mut bench| {
        map_users(&mut bench);
        let data = bench.host("data");
        fs::write(data.join("file"), "bound").unwrap();
        // Nobody but root of the host gets there by the path.
        fs::set_permissions(data.parent().unwrap(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        bench.add(
            "/mounts",
            json!({"destination": "/data", "type": "bind", "source": data, "options": ["rbind", "ro"]}),
        );
        bench.set("/process/oomScoreAdj", json!(500)).set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        let script = "id -u; cat /proc/self/uid_map; touch /tmp/x; cat /data/file; echo; echo y > /dev/null; \
            stat -c '%n %t:%T' /dev/null /dev/tty; readlink /dev/fd; cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; \
            grep CapEff /proc/self/status; ls /sys/class/net; ls /etc/plain/x 2>&1; true";
        let output = bench.output(script);
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "0", "{output}");
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["0", "100000", "1000"]);
        assert_eq!(
            lines[2..9],
            ["bound", "/dev/null 1:3", "/dev/tty 5:0", "/proc/self/fd", "1", "500", "CapEff:\t00000000000000e3"]
        );
        assert_eq!(lines[9], "lo");
        let made = fs::metadata(bench.root().join("tmp/x")).unwrap();
        assert_eq!((made.uid(), made.gid()), (100_000, 100_000));
    });
}

#[test]
fn with_namespaces_of_another_container_and_entered() {
    alone(|mut bench| {
        let other = bench.sleeping();
        let join = [(LinuxNamespaceType::Network, other.namespace("net"))];
        map_users(&mut bench);
        bench.share("network");
        // The network is not its own, so neither is sysfs: it gets the host's, read-only.
        bench.script("id -u; readlink /proc/self/ns/net; ls /sys/class > /dev/null && touch /sys/x 2>&1; true");
        let ended = bench.run_joined(&join).unwrap();
        let net = fs::read_link(format!("/proc/{}/ns/net", other.running.pid)).unwrap();
        let expected = format!("0\n{}\ntouch: /sys/x: Read-only file system\n", net.display());
        assert_eq!(ended.output, expected);
        drop(other);

        bench.add("/linux/namespaces", json!({"type": "network"}));
        let container = bench.sleeping();
        let process = json!({"user": {"uid": 5, "gid": 6}, "cwd": "/", "args": ["/bin/id"],
            "env": ["PATH=/bin"], "oomScoreAdj": 300});
        assert_eq!(container.enter(&process).unwrap().output, "uid=5 gid=6\n");
    });
}

#[test]
fn the_user_namespace_of_another_container_is_joined() {
    alone(|mut bench| {
        map_users(&mut bench);
        let other = bench.sleeping();
        let join = [
            (LinuxNamespaceType::User, other.namespace("user")),
            (LinuxNamespaceType::Network, other.namespace("net")),
        ];
        bench.share("user").share("network");
        bench.script("id -u; cat /proc/self/uid_map");
        let output = bench.run_joined(&join).unwrap().output;
        assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["0", "0", "100000", "1000"], "{output}");
    });
}

#[test]
fn control_groups_are_its_own_and_no_others() {
    alone(|mut bench| {
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]});
        bench.add("/mounts", mount);
        let ours = fs::read_to_string("/proc/self/cgroup").unwrap();
        for own in [true, false] {
            if !own {
                bench.share("cgroup");
            }
            let output = bench.output("cat /proc/self/mountinfo; touch /sys/fs/cgroup/x 2>&1; ls /sys/fs/cgroup; true");
            if ours.lines().count() == 1 {
                assert!(output.contains(" /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 "), "{output}");
                continue;
            }
            for line in ours.lines() {
                let mut fields = line.splitn(3, ':').skip(1);
                let (name, path) = (fields.next().unwrap(), fields.next().unwrap());
                let directory = if name.is_empty() { "unified" } else { name.trim_start_matches("name=") };
                let root = if own { "/" } else { path };
                let mounted =
                    output.lines().find(|l| l.split(' ').nth(4) == Some(&format!("/sys/fs/cgroup/{directory}")));
                let mounted = mounted.unwrap_or_else(|| panic!("{directory}: {output}"));
                assert_eq!(mounted.split(' ').nth(3), Some(root), "{mounted}");
                assert!(mounted.contains(" ro,nosuid,nodev,noexec,relatime - cgroup"), "{mounted}");
            }
            assert!(output.contains("/sys/fs/cgroup/x: Read-only"), "{output}");
        }
    });
}

#[test]
fn the_first_process_and_who_enters_are_in_the_group() {
    alone(|mut bench| {
        let hierarchies = Hierarchies::detect().unwrap();
        let above = PathBuf::from(format!("dhow-test-{}", std::process::id()));
        let group = Cgroup::create(&hierarchies, &above.join("start"), &LinuxResources::default()).unwrap();
        let root = open_tree_at(&bench.root(), Depth::One).unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let files = [null.as_fd(), null.as_fd(), null.as_fd()];
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let spec = bench.script("read x").parsed();
        let starting = start(Start {
            spec: &spec,
            root: root.as_fd(),
            stdio: Stdio::Files([reader.as_fd(), null.as_fd(), null.as_fd()]),
            cgroup: group.entry(),
            seccomp: None,
            join: &[],
            subject: None,
        });
        let running = starting.unwrap().release().unwrap();
        let target = Target { pidfd: running.pidfd.as_fd(), cgroup: group.entry(), seccomp: None, spec: &spec };
        let process = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sleep", "1000"]});
        let entered = enter(&target, &serde_json::from_value(process).unwrap(), Stdio::Files(files)).unwrap();
        let mut inside = group.processes().unwrap();
        inside.sort_unstable();
        let mut expected = vec![running.pid, entered.pid];
        expected.sort_unstable();
        assert_eq!(inside, expected);
        // Its namespace begins at its group.
        let seen = fs::read_to_string(format!("/proc/{}/cgroup", running.pid)).unwrap();
        assert!(seen.lines().any(|line| line.ends_with("/start")), "{seen}");
        dhow_sys::pidfd::signal(entered.pidfd.as_fd(), rustix::process::Signal::KILL).unwrap();
        dhow_sys::pidfd::wait(entered.pidfd.as_fd()).unwrap();
        drop(writer);
        dhow_sys::pidfd::wait(running.pidfd.as_fd()).unwrap();
        group.remove().unwrap();
        Cgroup::open(&hierarchies, &above).unwrap().remove().unwrap();
    });
}
