//! What makes no sense, cannot be, or does not do as it is told: a clear word, docker's exit status, nothing half made.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Containers, Disk, eventually, path};

#[test]
fn users_that_are_not_there() {
    let box_ = Containers::new();
    let failing = |user: &str| box_.dhow(&["run", "--rm", "-u", user, "box", "true"]);
    failing("nobody-here").fails_with(125, &["nobody-here", "passwd"]);
    failing("root:nobody-here").fails_with(125, &["nobody-here", "group"]);
    failing("-1").fails_with(125, &["uids and gids must be in range"]);
    failing("4294967296").fails_with(125, &["uids and gids must be in range"]);
    box_.dhow(&["run", "--rm", "--group-add", "nobody-here", "box", "true"]).fails_with(125, &["nobody-here"]);
    box_.detached("on", "sleep 1000");
    box_.dhow(&["exec", "-u", "nobody-here", "on", "true"]).fails(&["nobody-here"]);
    box_.dhow(&["rm", "-f", "on"]).ok();
    box_.assert_nothing_left();
}

/// The header of an ELF file for another machine, with nothing behind it.
fn foreign_program() -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    // ET_EXEC, for a machine that is neither ours nor one that it emulates: s390.
    header.extend([2, 0, 22, 0, 1, 0, 0, 0]);
    header.resize(64, 0);
    header
}

#[test]
fn programs_that_cannot_be_executed() {
    let box_ = Containers::new();
    let data = box_.folder().join("data");
    fs::create_dir(&data).unwrap();
    let program = |name: &str, bytes: &[u8], mode: u32| {
        let file = data.join(name);
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    program("foreign", &foreign_program(), 0o755);
    program("empty", b"", 0o755);
    program("closed", b"#!/bin/sh\n", 0o644);
    program("lost", b"#!/no/such/interpreter\n", 0o755);
    let volume = format!("{}:/data", path(&data));
    box_.dhow(&["run", "-d", "--name", "on", "-v", &volume, "box", "sleep", "1000"]).ok();
    for (name, code, word) in [
        ("foreign", 126, "exec format error"),
        ("empty", 126, "exec format error"),
        ("closed", 126, "permission denied"),
        ("lost", 127, "no such file or directory"),
        ("absent", 127, "no such file or directory"),
    ] {
        let file = format!("/data/{name}");
        box_.dhow(&["run", "--rm", "-v", &volume, "box", &file]).fails_with(code, &[&file, word]);
        box_.dhow(&["exec", "on", &file]).fails_with(code, &[&file, word]);
    }
    box_.dhow(&["run", "--rm", "box", ""]).fails_with(127, &[]);
    box_.dhow(&["rm", "-f", "on"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn flags_that_are_wrong_or_exclude_each_other() {
    let box_ = Containers::new();
    let failing = |words: &[&str]| box_.dhow(&[&["run"], words, &["box", "true"]].concat());
    for (words, said) in [
        (&["--rm", "--restart", "always"][..], "cannot specify both --restart and --rm"),
        (&["--restart", "sometimes"], "sometimes"),
        (&["--restart", "on-failure:x"], "must be an integer"),
        (&["--network", "host", "-h", "name", "--uts", "host"], "conflicting options"),
        (&["--network", "container:absent"], "absent"),
        (&["--pid", "container:absent"], "absent"),
        (&["--pid", "nonsense"], "pid"),
        (&["--cpus", "1", "--cpu-quota", "5"], "Conflicting options"),
        (&["-m", "1k"], "memory limit"),
        (&["--cpuset-cpus", "100000"], "cpu"),
        (&["--ulimit", "nofile=9:5"], "nofile"),
        (&["--cap-add", "EVERYTHING"], "EVERYTHING"),
        (&["--device", "/dev/absent"], "/dev/absent"),
        (&["--security-opt", "seccomp=/absent"], "/absent"),
        (&["--sysctl", "nonsense"], "nonsense"),
        (&["--log-driver", "carrier-pigeon"], "carrier-pigeon"),
        (&["--log-opt", "max-size=large"], "large"),
        (&["--stop-signal", "SIGNONSENSE"], "SIGNONSENSE"),
        (&["--env-file", "/absent"], "/absent"),
        (&["-e", "=x"], "environment"),
        (&["--oom-score-adj", "2000"], "2000"),
        (&["--shm-size", "-1"], "-1"),
    ] {
        let ran = failing(words);
        assert!(ran.code == Some(125), "{ran}");
        ran.fails_with(125, &[said]);
        // As with docker, one that could be made and not be started is there.
        for name in box_.names() {
            assert_eq!(box_.shown(&name, "{{.State.Status}}"), "created", "{words:?}");
            box_.dhow(&["rm", &name]).ok();
        }
    }
    box_.assert_nothing_left();
}

#[test]
fn mounts_over_mounts() {
    let box_ = Containers::new();
    let made = |name: &str| {
        let folder = box_.folder().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("name"), name).unwrap();
        path(&folder).to_owned()
    };
    let (outer, inner) = (made("outer"), made("inner"));
    fs::create_dir(format!("{outer}/in")).unwrap();
    // In whatever order they are asked for, the inner one is in the outer one.
    for [one, other] in [[0, 1], [1, 0]] {
        let both = [format!("{outer}:/data"), format!("{inner}:/data/in")];
        let words = ["run", "--rm", "-v", &both[one], "-v", &both[other], "box", "cat", "/data/name", "/data/in/name"];
        assert_eq!(box_.dhow(&words).text(), "outerinner");
    }
    let words = ["run", "--rm", "-v", &format!("{outer}:/data"), "--tmpfs", "/data/in", "box", "ls", "/data/in"];
    assert_eq!(box_.dhow(&words).text(), "");
    let twice = ["run", "-v", &format!("{outer}:/data"), "-v", &format!("{inner}:/data"), "box", "true"];
    box_.dhow(&twice).fails_with(125, &["Duplicate mount point: /data"]);
    let root = ["run", "--rm", "-v", &format!("{outer}:/"), "box", "true"];
    box_.dhow(&root).fails_with(125, &["/"]);
    // A file is no directory, nor the other way round.
    let file = format!("{outer}/name:/tmp");
    let ran = box_.dhow(&["run", "--rm", "-v", &file, "box", "true"]);
    assert!(matches!(ran.code, Some(125..=127)) && ran.stderr.contains("/tmp"), "{ran}");
    let folder = format!("{outer}:/etc/passwd");
    let ran = box_.dhow(&["run", "--rm", "-v", &folder, "box", "true"]);
    assert!(matches!(ran.code, Some(125..=127)) && ran.stderr.contains("/etc/passwd"), "{ran}");
    box_.assert_nothing_left();
}

#[test]
fn a_container_that_does_not_obey() {
    let box_ = Containers::new();
    box_.detached("stubborn", "trap '' TERM INT HUP; echo up; while :; do sleep 0.1; done");
    box_.says("stubborn", "up");
    box_.dhow(&["kill", "-s", "TERM", "stubborn"]).ok();
    let begun = Instant::now();
    box_.dhow(&["stop", "-t", "1", "stubborn"]).ok();
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was given its time");
    assert_eq!(box_.shown("stubborn", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    // Frozen, it obeys even less.
    box_.dhow(&["start", "stubborn"]).ok();
    box_.dhow(&["pause", "stubborn"]).ok();
    box_.dhow(&["stop", "-t", "1", "stubborn"]).ok();
    assert_eq!(box_.shown("stubborn", "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    box_.dhow(&["rm", "stubborn"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn a_log_whose_disk_is_full_does_not_stop_its_container() {
    let disk = Disk::tmpfs(40);
    let box_ = Containers::in_store(crate::harness::Store::with_root(&disk.path().join("root")));
    let script = "i=0; while [ ! -e /dev/shm/end ]; do echo line $i; i=$((i+1)); echo $i > /dev/shm/at; sleep 0.01; done; exit 4";
    box_.detached("on", script);
    box_.says("on", "line 3");
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    for size in [1 << 20, 4096, 1] {
        let block = vec![1u8; size];
        while std::io::Write::write_all(&mut filler, &block).is_ok() {}
    }
    let at = || box_.dhow(&["exec", "on", "cat", "/dev/shm/at"]).stdout.trim().parse::<u32>().unwrap_or(0);
    let before = at();
    eventually("it goes on all the same", || at() > before + 50);
    drop(filler);
    fs::remove_file(disk.path().join("filler")).unwrap();
    // With room again, the log goes on, and says what it had to leave out if it had to.
    let now = at();
    eventually("its log goes on", || {
        let log = box_.dhow(&["logs", "--tail", "1", "on"]).stdout;
        log.trim().strip_prefix("line ").and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n > now)
    });
    // Its end may take who asked for it along.
    let asked = box_.dhow(&["exec", "on", "touch", "/dev/shm/end"]);
    assert!(matches!(asked.code, Some(0 | 137)), "{asked}");
    assert_eq!(box_.dhow(&["wait", "on"]).text(), "4");
    box_.dhow(&["rm", "on"]).ok();
    box_.assert_nothing_left();
}
