//! Escapes that others have had, as far as they concern starting and entering: one test each, with its name.
//!
//! The root is what an attacker has prepared; a directory of the host beside it is what he must not reach.

use crate::bench::{Bench, alone, is_empty, step};
use dhow_runtime::RuntimeError;
use oci_spec::runtime::LinuxNamespaceType;
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde_json::json;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};

fn without(bench: &mut Bench, destination: &str) {
    bench.spec["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != destination);
}

/// `/proc` of the image is a link: what is masked and written below it would be elsewhere.
#[test]
fn cve_2019_19921_proc_is_a_link() {
    alone(|bench| {
        let victim = bench.host("victim");
        for target in [victim.to_str().unwrap(), "/etc", "../../../../../../etc", "/missing"] {
            symlink(target, bench.root().join("proc")).unwrap();
            let (step, message) = step(bench.run());
            assert_eq!(
                (step.as_str(), message.as_str()),
                ("mounts", "/proc must be an ordinary directory"),
                "{target}"
            );
            fs::remove_file(bench.root().join("proc")).unwrap();
        }
        assert!(is_empty(&victim));
    });
}

/// The same again, after a fix had been undone.
#[test]
fn cve_2023_27561_proc_is_a_link_into_the_root() {
    alone(|bench| {
        fs::create_dir(bench.root().join("elsewhere")).unwrap();
        symlink("elsewhere", bench.root().join("proc")).unwrap();
        assert_eq!(step(bench.run()).1, "/proc must be an ordinary directory");
        assert!(is_empty(&bench.root().join("elsewhere")));
    });
}

/// And by way of `/sys`, or a link inside of `/proc`'s path.
#[test]
fn cve_2023_28642_sys_is_a_link() {
    alone(|mut bench| {
        symlink("/etc", bench.root().join("sys")).unwrap();
        assert_eq!(step(bench.run()).1, "/sys must be an ordinary directory");
        without(&mut bench, "/sys");
        without(&mut bench, "/proc");
        symlink("etc", bench.root().join("link")).unwrap();
        bench.add("/mounts", json!({"destination": "/link/proc", "type": "proc", "source": "proc"}));
        assert_eq!(step(bench.run()).1, "/link/proc must be an ordinary directory");
    });
}

/// Mount targets that lead out of the root, and directories that turn into links while we mount.
#[test]
fn cve_2021_30465_mount_targets_are_links() {
    alone(|mut bench| {
        let victim = bench.host("victim");
        let data = bench.host("data");
        fs::write(data.join("file"), "data").unwrap();
        symlink(&victim, bench.root().join("absolute")).unwrap();
        symlink(format!("../../../../../../..{}", victim.display()), bench.root().join("up")).unwrap();
        for target in ["/absolute", "/up", "/absolute/x", "/up/x/y"] {
            bench.add("/mounts", json!({"destination": target, "type": "bind", "source": data, "options": ["bind"]}));
        }
        bench.add("/mounts", json!({"destination": "/absolute/tmpfs", "type": "tmpfs", "source": "tmpfs"}));
        let inside = victim.display();
        let output =
            bench.output(&format!("cat {inside}/file; stat -f -c %T {inside}/tmpfs; cat /proc/self/mountinfo"));
        assert!(
            output.starts_with("datatmpfs\n"),
            "what is mounted is there where the links lead from inside: {output}"
        );
        assert_eq!(output.matches(&format!(" {inside}")).count(), 5, "all of it is: {output}");
        assert!(is_empty(&victim), "nothing was made on the host");
        // It is all in the root, where the links lead from inside.
        assert!(bench.root().join(victim.strip_prefix("/").unwrap()).is_dir());
    });
}

/// As above, with somebody who exchanges a directory and a link all the time, as another container with the same volume
/// can.
#[test]
fn cve_2021_30465_mount_targets_become_links_meanwhile() {
    alone(|mut bench| {
        let victim = bench.host("victim");
        let volume = bench.host("volume");
        let data = bench.host("data");
        fs::create_dir_all(volume.join("place")).unwrap();
        symlink(&victim, volume.join("link")).unwrap();
        let exchange = dhow_sys::clone::clone(&dhow_sys::clone::Relation::CHILD, || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
            loop {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let (a, b) = (volume.join("place"), volume.join("link"));
                rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &b, flags).unwrap();
            }
        });
        let exchange = exchange.unwrap();
        bench.add("/mounts", json!({"destination": "/volume", "type": "bind", "source": volume, "options": ["bind"]}));
        let common = bench.spec["mounts"].clone();
        let bind = |to: String| json!({"destination": to, "type": "bind", "source": data, "options": ["bind"]});
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for n in 0..120 {
            bench.set("/mounts", common.clone());
            // A place that is there, one in a new file system, and one that is to be made: where, is what it is about.
            if n % 2 == 0 {
                bench.add("/mounts", json!({"destination": "/volume/place", "type": "tmpfs", "source": "x"}));
            }
            bench.add("/mounts", bind(format!("/volume/place/{n}/x")));
            // Whether it starts depends on when which was there.
            let _ = bench.run();
            assert!(is_empty(&victim), "{n}");
        }
        dhow_sys::pidfd::signal(exchange.pidfd.as_fd(), rustix::process::Signal::KILL).unwrap();
        dhow_sys::pidfd::wait(exchange.pidfd.as_fd()).unwrap();
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    });
}

/// Empty files and directories made on the host, where a mount's place was missing.
#[test]
fn cve_2024_45310_missing_places_are_made_inside() {
    alone(|mut bench| {
        let victim = bench.host("victim");
        let data = bench.host("data");
        fs::write(data.join("file"), "data").unwrap();
        symlink(victim.join("new"), bench.root().join("dangling")).unwrap();
        symlink(&victim, bench.root().join("directory")).unwrap();
        let bind = |to: &str, from: &str| json!({"destination": to, "type": "bind", "source": data.join(from), "options": ["bind"]});
        bench.add("/mounts", bind("/dangling", "file"));
        bench.add("/mounts", bind("/directory/file", "file"));
        bench.add("/mounts", bind("/directory/a/b", ""));
        assert_eq!(bench.output("cat /dangling"), "data");
        assert!(is_empty(&victim));
    });
}

/// A working directory, or a program, reached through a descriptor of the host that was left open.
#[test]
fn cve_2024_21626_leaked_descriptors() {
    alone(|mut bench| {
        let _leaked: Vec<_> = (0..20)
            .map(|_| {
                let fd = rustix::io::dup(fs::File::open("/").unwrap()).unwrap();
                rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::empty()).unwrap();
                fd
            })
            .collect();
        for n in 0..40 {
            bench.set("/process/cwd", json!(format!("/proc/self/fd/{n}")));
            let (step, message) = step(bench.script("pwd; ls").run());
            assert_eq!(step, "working directory", "{message}");
        }
        bench.set("/process/cwd", json!("/"));
        for n in 3..40 {
            bench.set("/process/args", json!([format!("/proc/self/fd/{n}/usr/bin/busybox"), "true"]));
            assert!(matches!(bench.run(), Err(RuntimeError::Exec { .. })), "{n}");
        }
        let container = bench.sleeping();
        for n in 0..40 {
            let process =
                json!({"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": format!("/proc/self/fd/{n}")});
            assert_eq!(step(container.enter(&process)).0, "working directory");
        }
    });
}

/// Inheritable capabilities that nobody asked for, at a start and when entering.
#[test]
fn cve_2022_24769_and_cve_2022_29162_no_inheritable_capabilities() {
    alone(|mut bench| {
        let ours = rustix::thread::capabilities(None).unwrap();
        let sets = CapabilitySets { inheritable: ours.permitted, ..ours };
        rustix::thread::set_capabilities(None, sets).unwrap();
        rustix::thread::configure_capability_in_ambient_set(CapabilitySet::CHOWN, true).unwrap();
        bench.set("/process/user/uid", json!(7));
        let script = "grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status";
        let none = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";
        assert_eq!(bench.output(script), none);
        let container = bench.sleeping();
        let mut process = bench.spec["process"].clone();
        process["args"] = json!(["/bin/sh", "-c", script]);
        assert_eq!(container.enter(&process).unwrap().output, none);
    });
}

/// The null device of the image is something else, and with it what hides masked paths.
#[test]
fn cve_2025_31133_masks_are_of_the_real_null_device() {
    alone(|mut bench| {
        let dev = bench.host("dev");
        fs::write(bench.root().join("etc/hidden"), "hidden").unwrap();
        fs::write(bench.root().join("etc/bait"), "bait").unwrap();
        symlink("/etc/bait", dev.join("null")).unwrap();
        bench.set("/linux/maskedPaths", json!(["/etc/hidden"]));
        for name in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            without(&mut bench, name);
        }
        bench.add("/mounts", json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"]}));
        assert_eq!(bench.output("cat /etc/hidden; stat -c %t:%T /etc/hidden"), "1:3\n");
        without(&mut bench, "/dev");
        // In a /dev of the image's own a false node is not taken for a true one.
        fs::create_dir_all(bench.root().join("dev")).unwrap();
        symlink("/etc/bait", bench.root().join("dev/null")).unwrap();
        let (step, message) = step(bench.run());
        assert_eq!(step, "devices");
        assert!(message.contains("/dev/null: File exists"), "{message}");
    });
}

/// What is written to procfs must not go to what somebody has put in its place.
#[test]
fn cve_2025_52881_kernel_parameters_are_written_to_procfs_alone() {
    alone(|mut bench| {
        let fake = bench.host("proc");
        fs::create_dir_all(fake.join("sys/kernel")).unwrap();
        fs::write(fake.join("sys/kernel/shmmni"), "untouched").unwrap();
        without(&mut bench, "/proc");
        bench.add("/mounts", json!({"destination": "/real", "type": "proc", "source": "proc"}));
        bench.add("/mounts", json!({"destination": "/proc", "type": "bind", "source": fake, "options": ["bind"]}));
        bench.set("/linux/sysctl", json!({"kernel.shmmni": "99"}));
        assert_eq!(bench.output("cat /real/sys/kernel/shmmni /proc/sys/kernel/shmmni"), "99\nuntouched");
    });
}

/// Nothing of the host is bound over files of procfs that something relies on.
#[test]
fn cve_2019_16884_mounts_inside_of_proc() {
    alone(|mut bench| {
        let data = bench.host("data");
        fs::write(data.join("file"), "1 2").unwrap();
        let bind = |to: &str, from: &str| json!({"destination": to, "type": "bind", "source": data.join(from), "options": ["bind"]});
        bench.add("/mounts", bind("/proc/uptime", "file"));
        assert_eq!(bench.output("cat /proc/uptime"), "1 2");
        symlink("/proc/self", bench.root().join("link")).unwrap();
        for target in ["/proc/self/attr", "/link/attr", "/proc"] {
            bench.add("/mounts", bind(target, ""));
            let (step, message) = step(bench.run());
            assert_eq!(step, "mounts");
            assert!(message.contains("inside of /proc"), "{message}");
            bench.spec["mounts"].as_array_mut().unwrap().pop();
        }
        bench.add("/mounts", json!({"destination": "/proc/self/attr", "type": "tmpfs", "source": "tmpfs"}));
        assert!(step(bench.run()).1.contains("inside of /proc"));
    });
}

/// A container whose pid namespace we join or enter must not reach our program by `/proc/<pid>/exe`, nor our memory.
#[test]
fn cve_2019_5736_and_cve_2016_9962_we_are_not_to_be_looked_into() {
    alone(|mut bench| {
        let other = bench.sleeping();
        let join = [(LinuxNamespaceType::Pid, other.namespace("pid"))];
        bench.share("pid").script("true");
        let (starting, _output) = bench.start_joined(&join).unwrap();
        let script = "for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 -o $p = $$ ] && continue
            echo other; for f in exe root cwd fd/1; do readlink /proc/$p/$f || echo no; done; cat /proc/$p/environ 2>&1; done; true";
        let process = json!({"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"],
            "capabilities": bench.spec["process"]["capabilities"]});
        let output = other.enter(&process).unwrap().output;
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!((lines[0], lines.len()), ("other", 6), "{output}");
        assert!(lines[1..5] == ["no"; 4] && lines[5].ends_with("Permission denied"), "{output}");
        drop(starting);
    });
}

/// The host's null device is in the container over masked files, and as standard input where there is no other; it must not be
/// the container's to change.
#[test]
fn the_null_device_of_the_host_cannot_be_changed() {
    alone(|mut bench| {
        bench.set("/linux/maskedPaths", json!(["/proc/cpuinfo"]));
        let change = |file: &str| {
            format!("f={file}; chmod 600 $f 2>&1; chown 1 $f 2>&1; touch $f 2>&1; echo x > $f && cat $f; ")
        };
        let both = change("/proc/cpuinfo") + &change("/proc/self/fd/0");
        let before = fs::metadata("/dev/null").unwrap();
        // A /dev of the host has no null device but that one.
        let mut bound = Bench::new("bound");
        for name in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            without(&mut bound, name);
        }
        bound.set("/linux/maskedPaths", json!(["/proc/cpuinfo"]));
        bound.add("/mounts", json!({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}));
        let output = bound.output(&both);
        let container = bound.sleeping();
        let mut process = bound.spec["process"].clone();
        process["args"] = json!(["/bin/sh", "-c", both]);
        for output in [output, container.enter(&process).unwrap().output] {
            let lines: Vec<&str> = output.lines().collect();
            assert!(lines.len() == 6 && lines.iter().all(|line| line.contains("Read-only file system")), "{output}");
        }
        // A null device of its own is its own to change.
        let own = change("/proc/cpuinfo") + "readlink /proc/self/fd/0; chmod 600 /proc/self/fd/0; stat -c %a /dev/null";
        let output = bench.output(&own);
        let container = bench.sleeping();
        process["args"] = json!(["/bin/sh", "-c", own]);
        for output in [output, container.enter(&process).unwrap().output] {
            let lines: Vec<&str> = output.lines().collect();
            assert!(lines[..3].iter().all(|line| line.contains("Read-only file system")), "{output}");
            assert_eq!(lines[3..], ["/dev/null", "600"], "{output}");
        }
        let after = fs::metadata("/dev/null").unwrap();
        assert_eq!((before.ctime_nsec(), before.mode()), (after.ctime_nsec(), after.mode()));
    });
}

/// What looks like the null device of the container is something else: it is not opened, or not kept.
#[test]
fn standard_input_is_never_what_the_root_has_in_the_place_of_the_null_device() {
    alone(|mut bench| {
        for name in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            without(&mut bench, name);
        }
        let dev = bench.root().join("dev");
        fs::create_dir_all(&dev).unwrap();
        let container = bench.sleeping();
        let mut process = bench.spec["process"].clone();
        process["args"] = json!(["/bin/sh", "-c", "stat -L -c %t:%T /proc/self/fd/0; readlink /proc/self/fd/0"]);
        assert_eq!(container.enter(&process).unwrap().output, "1:3\n/dev/null\n");
        fs::remove_file(dev.join("null")).unwrap();
        fs::write(bench.root().join("bait"), "bait").unwrap();
        let bait: [&dyn Fn(&std::path::Path); 3] =
            [&|null| symlink("/bait", null).unwrap(), &|null| fs::write(null, "bait").unwrap(), &|null| {
                rustix::fs::mknodat(rustix::fs::CWD, null, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap()
            }];
        for make in bait {
            make(&dev.join("null"));
            assert_eq!(container.enter(&process).unwrap().output, "1:3\n/\n");
            fs::remove_file(dev.join("null")).unwrap();
        }
    });
}
