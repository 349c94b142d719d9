//! A new dhow takes over what an older one has started: the commit before this one (`DHOW_PREVIOUS`, which `cargo xtask
//! test` builds), and a copy of this one, which is another file.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Containers, Terminal, eventually, run};

/// The same call of another dhow.
fn by(program: &Path, command: &Command) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args()).env_remove("DHOW_ROOT").env_remove("DHOW_RUNROOT").env("LC_ALL", "C");
    other
}

const COUNT: &str = "i=0; while [ ! -e /end ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 6";

/// The numbers of all lines, in order and without a gap.
#[track_caller]
fn assert_whole(log: &str) {
    for (n, line) in log.lines().enumerate() {
        assert_eq!(line, format!("line {n}"), "{log}");
    }
}

/// Runs containers under `old`, has them go on as the dhow under test, and manages them with it. `is_new`: everything old
/// can be upgraded in place.
fn taken_over(old: &Path, is_new: bool) {
    let box_ = Containers::made_by(old);
    let old_dhow = |words: &[&str]| run(&mut by(old, &box_.command(words)));
    old_dhow(&["run", "-d", "--name", "counts", "box", "sh", "-c", COUNT]).ok();
    old_dhow(&["run", "-dit", "--name", "shell", "box", "sh"]).ok();
    old_dhow(&["run", "-d", "--name", "idle", "--restart", "on-failure:1", "box", "sleep", "1000"]).ok();
    old_dhow(&["create", "--name", "later", "box", "true"]).ok();
    let client = by(old, &box_.command(&["run", "--name", "seen", "box", "sh", "-c", COUNT]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    box_.says("seen", "line 3");
    let pids = |names: &[&str]| names.iter().map(|name| box_.shown(name, "{{.State.Pid}}")).collect::<Vec<_>>();
    let all = ["counts", "shell", "idle", "seen"];
    let before = pids(&all);

    // Managed as it is.
    assert_eq!(box_.dhow(&["ps", "-q"]).lines().len(), 4);
    box_.dhow(&["exec", "counts", "true"]).ok();
    box_.dhow(&["pause", "counts"]).ok();
    box_.dhow(&["unpause", "counts"]).ok();
    let follower = box_.command(&["logs", "-f", "counts"]).stdout(Stdio::piped()).spawn().unwrap();

    let said = box_.dhow(&["system", "upgrade"]).ok();
    let results = said.stdout.lines().skip(1).map(|line| {
        ["upgraded", "too old to be upgraded in place: goes on as it is", "not running"]
            .into_iter()
            .find(|result| line.ends_with(result))
            .unwrap_or_else(|| panic!("{said}"))
    });
    let results: Vec<&str> = results.collect();
    assert_eq!(results.len(), 5, "{said}");
    assert!(!is_new || results.iter().all(|result| *result == "upgraded"), "{said}");
    assert_eq!(pids(&all), before, "the containers are the same");
    if is_new {
        let file = |path: PathBuf| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).unwrap();
        let program = file(box_.command::<&str>(&[]).get_program().into());
        for watcher in box_.watchers("supervise").into_iter().chain(box_.watchers("keep")) {
            assert_eq!(file(format!("/proc/{watcher}/exe").into()), program, "it runs the new program");
        }
        assert_eq!(box_.dhow(&["system", "upgrade"]).ok().stdout.matches("runs this program already").count(), 5);
    }

    // Used and ended.
    let mut terminal = Terminal::new(&box_.command(&["attach", "shell"]), (24, 80));
    terminal.send("echo typed-$((6*7)); exit 4\n");
    terminal.expect("typed-42");
    assert_eq!(terminal.wait(), Some(4));
    // Its end may take who asked for it along.
    let end = |name: &str| {
        let ran = box_.dhow(&["exec", name, "touch", "/end"]);
        assert!(matches!(ran.code, Some(0 | 137)), "{ran}");
    };
    end("counts");
    assert_eq!(box_.dhow(&["wait", "counts"]).text(), "6");
    let log = box_.dhow(&["logs", "counts"]).ok().stdout;
    assert_whole(&log);
    let followed = follower.wait_with_output().unwrap();
    assert_eq!((followed.status.code(), String::from_utf8_lossy(&followed.stdout)), (Some(0), log.into()));
    end("seen");
    let client = client.wait_with_output().unwrap();
    let seen = box_.dhow(&["logs", "seen"]).ok().stdout;
    assert_whole(&seen);
    assert_eq!((client.status.code(), String::from_utf8_lossy(&client.stdout)), (Some(6), seen.into()));
    box_.dhow(&["kill", "idle"]).ok();
    box_.dhow(&["start", "later"]).ok();
    eventually("it has run", || box_.shown("later", "{{.State.Status}}") == "exited");
    box_.dhow(&["rm", "-f", "counts", "shell", "idle", "later", "seen"]).ok();
    box_.assert_nothing_left();
}

#[test]
fn containers_of_the_previous_commit_are_taken_over() {
    match std::env::var_os("DHOW_PREVIOUS") {
        Some(previous) => taken_over(Path::new(&previous), false),
        None => eprintln!("SKIPPED: no dhow of an earlier commit; cargo xtask test builds it from the history"),
    }
}

#[test]
fn containers_of_another_file_are_taken_over() {
    let folder = crate::harness::Folder::new("old");
    let old = folder.join("dhow");
    std::fs::copy(Containers::new().command::<&str>(&[]).get_program(), &old).unwrap();
    taken_over(&old, true);
}
