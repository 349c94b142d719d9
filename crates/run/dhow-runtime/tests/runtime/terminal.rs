//! Terminals.

use crate::bench::{Bench, alone};
use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::Entry;
use dhow_runtime::start::{Running, Start, Stdio, Target, enter, start};
use dhow_sys::mount::{Depth, open_tree_at};
use dhow_sys::pidfd;
use oci_spec::runtime::LinuxNamespaceType;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;

fn begin(bench: &Bench) -> Result<Running, RuntimeError> {
    begin_joined(bench, &[])
}

fn begin_joined(bench: &Bench, join: &[(LinuxNamespaceType, OwnedFd)]) -> Result<Running, RuntimeError> {
    let root = open_tree_at(&bench.root(), Depth::One).unwrap();
    let spec = bench.parsed();
    let start = start(Start {
        spec: &spec,
        root: root.as_fd(),
        stdio: Stdio::Terminal { size: (33, 77) },
        cgroup: Entry::None,
        seccomp: None,
        join,
        subject: None,
    });
    start?.release()
}

/// Everything until the last who has the terminal is gone, which a master hears of as an error.
fn rest(master: &mut File) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(n) = master.read(&mut piece) {
        bytes.extend_from_slice(&piece[..n]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn it_is_the_controlling_one_with_a_size_and_a_console() {
    alone(|mut bench| {
        bench.set("/process/user/uid", json!(12));
        bench.script("tty; stty size; stat -c '%u %t:%T' /dev/pts/0; stat -c '%t:%T' /dev/console; cat /proc/self/stat | grep -c ' 34816 '; ls -1 /proc/self/fd; echo x > /dev/tty");
        let running = begin(&bench).unwrap();
        let output = rest(&mut running.terminal.unwrap().into());
        assert_eq!(output.replace('\r', ""), "/dev/pts/0\n33 77\n12 88:0\n88:0\n1\n0\n1\n2\n3\nx\n");
        assert_eq!(pidfd::wait(running.pidfd.as_fd()).unwrap().status(), 0);
    });
}

#[test]
fn it_is_also_that_of_who_joins_a_pid_namespace() {
    alone(|mut bench| {
        let other = bench.sleeping();
        let join = [(LinuxNamespaceType::Pid, other.namespace("pid"))];
        bench.share("pid").set("/process/user/uid", json!(12)).set("/process/noNewPrivileges", json!(true));
        bench.set("/linux/maskedPaths", json!(["/proc/cpuinfo"])).set("/linux/readonlyPaths", json!(["/proc/sys"]));
        bench.script("tty; stty size; cat /proc/1/cmdline; cat /proc/cpuinfo; echo x > /dev/tty; test $$ -gt 1; echo $?; echo 1 > /proc/sys/vm/swappiness");
        let running = begin_joined(&bench, &join).unwrap();
        let output = rest(&mut running.terminal.unwrap().into()).replace('\r', "");
        // First, as the other one cannot end while this one is there.
        let status = pidfd::wait(running.pidfd.as_fd()).unwrap().status();
        let expected = "/dev/pts/0\n33 77\n/bin/sh\0-c\0read x\0x\n0\n/bin/sh: can't create /proc/sys/vm/swappiness: Read-only file system\n";
        assert_eq!(output, expected);
        assert_eq!(status, 1);
    });
}

#[test]
fn keys_become_signals_and_its_end_a_hang_up() {
    alone(|mut bench| {
        bench.script("trap 'echo got; exit 3' INT; echo ready; while true; do sleep 1; done");
        let running = begin(&bench).unwrap();
        let mut master: File = running.terminal.unwrap().into();
        let mut seen = [0; 5];
        master.read_exact(&mut seen).unwrap();
        master.write_all(b"\x03").unwrap();
        assert!(rest(&mut master).contains("got"));
        assert_eq!(pidfd::wait(running.pidfd.as_fd()).unwrap().status(), 3);

        bench.script("trap 'exit 5' HUP; echo ready; while true; do sleep 1; done");
        let running = begin(&bench).unwrap();
        let mut master: File = running.terminal.unwrap().into();
        master.read_exact(&mut seen).unwrap();
        drop(master);
        assert_eq!(pidfd::wait(running.pidfd.as_fd()).unwrap().status(), 5);
    });
}

#[test]
fn who_enters_may_have_one_too() {
    alone(|mut bench| {
        let container = bench.sleeping();
        let target = Target {
            pidfd: container.running.pidfd.as_fd(),
            cgroup: Entry::None,
            seccomp: None,
            spec: &container.spec,
        };
        let process = json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sh", "-c", "tty; stty size"]});
        let process = serde_json::from_value(process).unwrap();
        let running = enter(&target, &process, Stdio::Terminal { size: (10, 20) }).unwrap();
        let output = rest(&mut running.terminal.unwrap().into());
        assert_eq!(output.replace('\r', ""), "/dev/pts/0\n10 20\n");
        assert_eq!(pidfd::wait(running.pidfd.as_fd()).unwrap().status(), 0);
    });
}

/// A rootfs whose console, or terminal multiplexer, is something else.
#[test]
fn cve_2025_52565_console_and_multiplexer_are_what_they_seem() {
    alone(|mut bench| {
        let host = bench.host("victim").join("file");
        fs::write(&host, "untouched").unwrap();
        let dev = bench.root().join("dev");
        fs::create_dir(&dev).unwrap();
        bench.spec["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != "/dev");
        bench.script("true");
        let refused = |bench: &Bench, expected: &str| match begin(bench) {
            Err(RuntimeError::Step { step, message, .. }) => {
                assert_eq!(step, "terminal");
                assert!(message.contains(expected), "{message}");
            }
            other => panic!("{other:?}"),
        };
        symlink(&host, dev.join("console")).unwrap();
        refused(&bench, "cannot make /dev/console: Too many levels of symbolic links");
        fs::remove_file(dev.join("console")).unwrap();

        bench.spec["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != "/dev/pts");
        symlink("/dev/ptmx", dev.join("pts/ptmx")).unwrap();
        refused(&bench, "cannot open /dev/pts/ptmx: Too many levels of symbolic links");
        fs::remove_file(dev.join("pts/ptmx")).unwrap();
        fs::write(dev.join("pts/ptmx"), "").unwrap();
        refused(&bench, "is not the terminal multiplexer");
        assert_eq!(fs::read_to_string(&host).unwrap(), "untouched");
    });
}
