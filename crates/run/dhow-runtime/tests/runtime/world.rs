//! What the first process sees: namespaces, mounts, devices, rights, limits.

use crate::bench::{alone, ours};
use oci_spec::runtime::LinuxNamespaceType;
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn namespaces_are_its_own_or_shared_as_the_spec_says() {
    alone(|mut bench| {
        let kinds = ["mnt", "pid", "net", "ipc", "uts", "cgroup"];
        let script = "for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done";
        let output = bench.output(script);
        for (kind, theirs) in kinds.iter().zip(output.lines()) {
            assert_ne!(ours(kind), theirs, "{kind}");
        }
        bench.share("network").share("ipc");
        let output = bench.output(script);
        for (kind, theirs) in kinds.iter().zip(output.lines()) {
            assert_eq!(ours(kind) == theirs, matches!(*kind, "net" | "ipc"), "{kind}");
        }
    });
}

#[test]
fn namespaces_of_another_container_are_joined() {
    alone(|mut bench| {
        let other = bench.sleeping();
        let join = [
            (LinuxNamespaceType::Network, other.namespace("net")),
            (LinuxNamespaceType::Pid, other.namespace("pid")),
            (LinuxNamespaceType::Ipc, other.namespace("ipc")),
        ];
        let links =
            |pid: &str| ["net", "pid", "ipc", "mnt"].map(|n| fs::read_link(format!("/proc/{pid}/ns/{n}")).unwrap());
        bench.share("network").share("pid").share("ipc");
        bench.script("for n in net pid ipc mnt; do readlink /proc/self/ns/$n; done; cat /proc/1/cmdline");
        let ended = bench.run_joined(&join).unwrap();
        let theirs = links(&other.running.pid.to_string());
        let lines: Vec<&str> = ended.output.lines().collect();
        for n in 0..3 {
            assert_eq!(lines[n], theirs[n].to_str().unwrap());
        }
        assert_ne!(lines[3], theirs[3].to_str().unwrap());
        assert_eq!(lines[4], "/bin/sh\0-c\0read x\0", "its first process is the other container's");
        assert_eq!(ended.status, 0);
    });
}

#[test]
fn names_network_and_arguments() {
    alone(|mut bench| {
        bench.set("/domainname", json!("nis"));
        let output = bench.output("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; cat /sys/class/net/lo/operstate; ls /sys/class/net; echo $A; pwd; echo $$");
        assert_eq!(output, "inside\nnis\nunknown\nlo\nb c\n/\n1\n");
        let ours = rustix::system::uname();
        assert_ne!(ours.nodename().to_str().unwrap(), "inside");
    });
}

#[test]
fn nothing_of_ours_is_open_or_mounted() {
    alone(|mut bench| {
        let stray = rustix::io::fcntl_dupfd_cloexec(std::fs::File::open("/etc").unwrap(), 200).unwrap();
        rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty()).unwrap();
        // The fourth is the directory that ls reads.
        assert_eq!(bench.output("ls /proc/self/fd"), "0\n1\n2\n3\n");
        let mounts = bench.output("cat /proc/self/mountinfo");
        let places: Vec<&str> = mounts.lines().map(|line| line.split(' ').nth(4).unwrap()).collect();
        let expected = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"];
        assert!(expected.iter().all(|place| places.contains(place)), "{mounts}");
        assert!(
            places.iter().all(|place| *place == "/" || ["/proc", "/dev", "/sys"].iter().any(|p| place.starts_with(p))),
            "{mounts}"
        );
        assert!(!mounts.contains("shared:") && !mounts.contains("master:"), "{mounts}");
    });
}

#[test]
fn devices_and_links() {
    alone(|mut bench| {
        bench.set(
            "/linux/devices",
            json!([
                {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 7, "gid": 8},
                {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200},
            ]),
        );
        let output = bench.output("cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty fuse net/tun; for l in ptmx fd stdin stdout stderr; do readlink $l; done; echo x > /dev/null; cat /dev/null");
        let expected = "null character special file 1:3 666 0:0
zero character special file 1:5 666 0:0
full character special file 1:7 666 0:0
random character special file 1:8 666 0:0
urandom character special file 1:9 666 0:0
tty character special file 5:0 666 0:0
fuse character special file a:e5 600 7:8
net/tun character special file a:c8 666 0:0
pts/ptmx
/proc/self/fd
/proc/self/fd/0
/proc/self/fd/1
/proc/self/fd/2
";
        assert_eq!(output, expected);
    });
}

#[test]
fn masked_paths_read_as_nothing_and_read_only_ones_cannot_be_written() {
    alone(|mut bench| {
        fs::write(bench.root().join("etc/secret"), "secret").unwrap();
        fs::create_dir(bench.root().join("etc/secrets")).unwrap();
        fs::write(bench.root().join("etc/secrets/key"), "secret").unwrap();
        let masked =
            ["/proc/cpuinfo", "/etc/secret", "/etc/secrets", "/proc/irq", "/sys/kernel", "/not/there", "/etc/plain/x"];
        bench.set("/linux/maskedPaths", json!(masked));
        bench.set("/linux/readonlyPaths", json!(["/proc/sys", "/etc/plain", "/tmp", "/not/there"]));
        let script = "cat /proc/cpuinfo /etc/secret; ls /etc/secrets /proc/irq /sys/kernel
            for f in /proc/sys/kernel/domainname /etc/plain /tmp/x /proc/irq/x; do (echo h > $f) 2>&1; done
            stat -c '%n %F %t:%T' /proc/cpuinfo /etc/secret; true";
        let expected = "/etc/secrets:

/proc/irq:

/sys/kernel:
/bin/sh: can't create /proc/sys/kernel/domainname: Read-only file system
/bin/sh: can't create /etc/plain: Read-only file system
/bin/sh: can't create /tmp/x: Read-only file system
/bin/sh: can't create /proc/irq/x: Read-only file system
/proc/cpuinfo character special file 1:3
/etc/secret character special file 1:3
";
        assert_eq!(bench.output(script), expected);
    });
}

#[test]
fn mounts_get_the_attributes_they_were_given() {
    alone(|mut bench| {
        let data = bench.host("data");
        fs::write(data.join("file"), "host").unwrap();
        let beneath = bench.host("data/beneath");
        let tmpfs = dhow_sys::mount::FsContext::open("tmpfs").unwrap();
        let tmpfs = tmpfs.mount(dhow_sys::mount::MountAttrFlags::empty()).unwrap();
        dhow_sys::mount::attach(std::os::fd::AsFd::as_fd(&tmpfs), &beneath).unwrap();
        let bind =
            |to: &str, options: &[&str]| json!({"destination": to, "type": "bind", "source": data, "options": options});
        bench
            .add("/mounts", bind("/one", &["bind", "ro", "nosuid"]))
            .add("/mounts", bind("/all", &["rbind", "ro"]))
            .add("/mounts", bind("/deep", &["rbind", "rro", "noatime"]))
            .add("/mounts", json!({"destination": "/etc/file", "type": "bind", "source": data.join("file"), "options": ["bind"]}))
            .add("/mounts", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "noexec", "size=1m", "mode=1770"]}));
        let output = bench.output("cat /etc/file; cat /proc/self/mountinfo; (echo x > /all/file) 2>&1; touch /all/beneath/ok; touch /deep/beneath/no 2>&1; stat -c %a /tmp");
        let line = |place: &str| {
            output.lines().find(|l| l.split(' ').nth(4) == Some(place)).unwrap_or_else(|| panic!("{place}: {output}"))
        };
        let attributes = |place: &str| line(place).split(' ').nth(5).unwrap().to_owned();
        assert_eq!(attributes("/one"), "ro,nosuid,relatime");
        assert!(!output.contains("/one/beneath"));
        assert_eq!(attributes("/all"), "ro,relatime");
        assert_eq!(attributes("/all/beneath"), "rw,relatime");
        assert_eq!(attributes("/deep"), "ro,noatime");
        assert_eq!(attributes("/deep/beneath"), "ro,relatime");
        assert!(attributes("/tmp").starts_with("ro,noexec"));
        assert!(line("/tmp").contains("size=1024k"));
        assert!(
            output.starts_with("host")
                && output.contains("/all/file: Read-only")
                && output.contains("/deep/beneath/no: Read-only"),
            "{output}"
        );
        assert!(output.ends_with("1770\n"), "{output}");
        assert!(beneath.join("ok").exists());
        // Else the directories could not be removed.
        dhow_sys::mount::unmount(&beneath).unwrap();
    });
}

#[test]
fn the_root_can_be_read_only() {
    alone(|mut bench| {
        bench.set("/root/readonly", json!(true));
        let output = bench.output("touch /x 2>&1; touch /dev/shm/x && echo written; true");
        assert!(output.contains("/x: Read-only file system") && output.ends_with("written\n"), "{output}");
        assert!(!bench.root().join("x").exists());
    });
}

#[test]
fn user_groups_umask_rights_and_limits() {
    alone(|mut bench| {
        bench.set("/process/user", json!({"uid": 1000, "gid": 100, "additionalGids": [20, 30], "umask": 0o077}));
        bench.set("/process/noNewPrivileges", json!(true));
        bench.set(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]),
        );
        let output = bench.output(
            "id; umask; grep -E '^(Cap|NoNewPrivs|Groups)' /proc/self/status; ulimit -n; ulimit -Hn; ulimit -c",
        );
        let expected = "uid=1000 gid=100 groups=20,30
0077
Groups:\t20 30 
CapInh:\t0000000000000000
CapPrm:\t0000000000000000
CapEff:\t0000000000000000
CapBnd:\t00000000000000e3
CapAmb:\t0000000000000000
NoNewPrivs:\t1
100
200
0
";
        assert_eq!(output, expected);
    });
}

#[test]
fn root_has_the_capabilities_of_the_spec_and_ambient_ones_reach_others() {
    alone(|mut bench| {
        let output = bench.output("grep -E '^(Cap|NoNewPrivs)' /proc/self/status");
        assert_eq!(
            output,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000000000e3\nCapEff:\t00000000000000e3\nCapBnd:\t00000000000000e3\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n"
        );
        bench.set("/process/user/uid", json!(1));
        for set in ["inheritable", "ambient"] {
            bench.set(&format!("/process/capabilities/{set}"), json!(["CAP_KILL"]));
        }
        let output = bench.output("grep -E '^Cap' /proc/self/status");
        assert_eq!(
            output,
            "CapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\nCapBnd:\t00000000000000e3\nCapAmb:\t0000000000000020\n"
        );
    });
}

#[test]
fn kernel_parameters_of_its_namespaces() {
    alone(|mut bench| {
        bench.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "77"}));
        let before = fs::read_to_string("/proc/sys/kernel/shmmni").unwrap();
        assert_eq!(bench.output("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni"), "1\n77\n");
        assert_eq!(fs::read_to_string("/proc/sys/kernel/shmmni").unwrap(), before);
    });
}

#[test]
fn a_working_directory_that_is_missing_is_made() {
    alone(|mut bench| {
        bench.set("/process/cwd", json!("/srv/app"));
        assert_eq!(bench.output("pwd"), "/srv/app\n");
        assert_eq!(fs::metadata(bench.root().join("srv/app")).unwrap().mode() & 0o7777, 0o755);
    });
}

#[test]
fn signals_are_as_new() {
    alone(|mut bench| {
        // Not by a shell, which has its own ideas of some.
        bench.set("/process/args", json!(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]));
        let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n";
        assert_eq!(bench.run().unwrap().output, expected);
    });
}

/// As on a host with systemd, where every mount is shared.
#[test]
fn nothing_shows_where_the_mounts_of_the_host_are_shared() {
    alone(|mut bench| {
        let data = bench.host("data");
        let flags = rustix::mount::MountPropagationFlags::SHARED | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).unwrap();
        let bind = |to: &str| json!({"destination": to, "type": "bind", "source": data, "options": ["rbind"]});
        bench.add("/mounts", bind("/data"));
        bench.add("/mounts", json!({"destination": "/data/beneath", "type": "tmpfs", "source": "tmpfs"}));
        let places = || {
            let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
            table.lines().map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect::<Vec<_>>()
        };
        let before = places();
        bench.script("cat /proc/self/mountinfo");
        let (starting, output) = bench.start_joined(&[]).unwrap();
        assert_eq!(places(), before, "while it waits at the gate");
        let table = crate::bench::end(starting.release().unwrap(), output).output;
        assert!(!table.contains("shared:"), "{table}");
        let of = |place: &str| table.lines().find(|l| l.split(' ').nth(4) == Some(place)).unwrap();
        assert!(!of("/").contains("master:"), "{table}");
        assert!(of("/data").contains("master:"), "{table}");
        bench.set("/linux/rootfsPropagation", json!("rslave"));
        let table = bench.output("cat /proc/self/mountinfo");
        assert!(table.lines().find(|l| l.split(' ').nth(4) == Some("/")).unwrap().contains("master:"), "{table}");
    });
}

/// With `no_new_privs` the filter comes last; else while there still is CAP_SYS_ADMIN, of which nothing must stay.
#[test]
fn the_seccomp_filter_is_in_force_and_its_capability_gone() {
    alone(|mut bench| {
        let forbidden = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77});
        bench.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [forbidden]}));
        let script = "mkdir /tmp/x 2>&1; grep -E '^(Cap(Prm|Eff)|NoNew|Seccomp:)' /proc/self/status";
        let expected = |rights: &str, no_new: u8| {
            format!(
                "mkdir: can't create directory '/tmp/x': File descriptor in bad state\nCapPrm:\t{rights}\nCapEff:\t{rights}\nNoNewPrivs:\t{no_new}\nSeccomp:\t2\n"
            )
        };
        for no_new in [0, 1] {
            bench.set("/process/noNewPrivileges", json!(no_new == 1));
            for (uid, rights) in [(0, "00000000000000e3"), (1000, "0000000000000000")] {
                bench.set("/process/user/uid", json!(uid));
                assert_eq!(bench.output(script), expected(rights, no_new));
            }
        }
        let container = bench.sleeping();
        let mut process = bench.spec["process"].clone();
        process["args"] = json!(["/bin/sh", "-c", script]);
        assert_eq!(container.enter(&process).unwrap().output, expected("0000000000000000", 1), "entered");
    });
}

/// What comes after the filter is very little: a profile with hardly more than the program needs is enough.
#[test]
fn dockers_profile_lets_a_container_start() {
    alone(|mut bench| {
        let profile = dhow_runtime::seccomp::docker_default(&std::collections::HashSet::new());
        bench.set("/linux/seccomp", serde_json::to_value(profile).unwrap());
        for no_new in [false, true] {
            bench.set("/process/noNewPrivileges", json!(no_new));
            assert_eq!(bench.output("grep Seccomp: /proc/self/status"), "Seccomp:\t2\n");
        }
        let strict = json!({"defaultAction": "SCMP_ACT_KILL_PROCESS",
            "syscalls": [{"names": ["read", "write", "capset", "execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list",
                "rseq", "prlimit64", "readlinkat", "readlink", "getrandom", "mprotect", "prctl", "getuid", "exit_group", "uname", "fstat",
                "newfstatat", "mmap"], "action": "SCMP_ACT_ALLOW"}]});
        bench.set("/linux/seccomp", strict).set("/process/args", json!(["/bin/true"]));
        for no_new in [false, true] {
            bench.set("/process/noNewPrivileges", json!(no_new));
            assert_eq!(bench.run().unwrap().status, 0, "{no_new}");
        }
    });
}
