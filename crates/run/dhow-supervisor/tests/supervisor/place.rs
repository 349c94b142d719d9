//! Whoever takes the place of a supervisor is where that one was, and not where the first caller of all was.

use crate::container::{Container, program, until};
use crate::keeper::{dir, keeper, kept, kill, supervisor};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAMESPACES: [&str; 5] = ["mnt", "net", "uts", "ipc", "cgroup"];

/// Starts it by a launcher that was started with this before it.
pub(crate) fn start(container: &Container, before: &str) {
    assert!(starts(container, before));
}

/// Whether it comes as far as its gate; if so it is started.
pub(crate) fn starts(container: &Container, before: &str) -> bool {
    let plan = container.scratch.0.join("plan");
    fs::write(&plan, serde_json::to_vec(&container.plan).unwrap()).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} \"$@\""), "sh"]).arg(program());
    command.arg("launch").arg(plan).arg(container.scratch.0.join("root"));
    let command = command.env("DHOW_TEST_SECRET", "token").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_waiting = lines.next().is_some_and(|line| line.unwrap().starts_with("waiting "));
    if is_waiting {
        child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "started");
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    is_waiting
}

/// One whose last command writes down where it was run, and what it finds in `mounted`.
fn telling(name: &str, script: &str, mounted: &Path) -> (Container, PathBuf) {
    let mut container = kept(Container::new(name, script));
    let (aside, said) = (container.scratch.0.join("aside"), container.scratch.0.join("said"));
    let links: String = NAMESPACES.iter().map(|kind| format!(" /proc/self/ns/{kind}")).collect();
    let command = format!(
        "exec > {0}; for link in{links}; do readlink $link; done; cat {1}/f; umask; env; mv {0} {2}",
        aside.display(),
        mounted.display(),
        said.display()
    );
    container.plan.exited = ["/bin/sh", "-c", &command].map(Into::into).into();
    (container, said)
}

fn namespaces(pid: u32) -> Vec<String> {
    let link = |kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().into_os_string().into_string().unwrap();
    NAMESPACES.map(link).into()
}

fn mounted(name: &str) -> crate::log::Scratch {
    let scratch = crate::log::Scratch::new(name);
    fs::write(scratch.0.join("f"), "host\n").unwrap();
    scratch
}

/// With namespaces of its own, and a file system where others see a directory.
fn elsewhere(mounted: &Path) -> String {
    let script = format!("mount -t tmpfs none {0} && echo private > {0}/f && exec \"$@\"", mounted.display());
    format!("umask 077; exec nice -n 5 unshare -m -n -u -i -C -- sh -c '{script}' sh")
}

fn check(first: &str, second: &str, expected: &str) {
    let name = format!("place-{expected}");
    let mounted = mounted(&name);
    let of = |side: &str| if side == "private" { elsewhere(&mounted.0) } else { "exec".to_owned() };
    let (one, _) = telling(&format!("{name}-one"), "sleep 1000", &mounted.0);
    start(&one, &of(first));
    until("the keeper", || keeper(&one).is_some());
    let (mut two, said) = telling(&format!("{name}-two"), "sleep 2; exit 1", &mounted.0);
    two.plan.keeper.clone_from(&one.plan.keeper);
    start(&two, &of(second));
    let old = supervisor(&two).unwrap();
    let there = namespaces(old);
    assert_ne!(there, namespaces(keeper(&one).unwrap()));
    until("the keeper to know", || {
        fs::read_dir(format!("/proc/{}/fd", keeper(&one).unwrap()))
            .unwrap()
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == two.plan.run_dir.join("supervisor.lock")))
    });
    assert!(kill(old));
    until("the command", || said.exists());
    let text = fs::read_to_string(said).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (links, rest) = lines.split_at(NAMESPACES.len());
    assert_eq!(links, there);
    assert_eq!(rest[..2], [expected, "0022"], "{text}");
    assert!(!text.contains("DHOW_TEST_SECRET"), "{text}");
    two.assert_nothing_left();
}

#[test]
fn a_successor_leaves_what_the_first_caller_had_for_himself() {
    check("private", "host", "host");
}

#[test]
fn a_successor_enters_what_its_own_caller_had_for_himself() {
    check("host", "private", "private");
}

#[test]
fn a_keeper_shows_nothing_of_the_first_caller() {
    let container = kept(Container::new("place-keeper", "sleep 1000"));
    start(&container, "umask 077; exec nice -n 5");
    until("the keeper", || keeper(&container).is_some());
    let supervisor = supervisor(&container).unwrap();
    let keeper = keeper(&container).unwrap();
    let read = |pid: u32, name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    for pid in [keeper, supervisor] {
        let environment = read(pid, "environ");
        assert!(environment.starts_with("PATH=/") && environment.matches('=').count() == 1, "{environment}");
    }
    let status = read(keeper, "status");
    assert!(status.contains("\nUmask:\t0022\n") && status.contains("\nSigBlk:\t0000000000000000\n"), "{status}");
    let stat = read(keeper, "stat");
    assert_eq!(stat.rsplit(')').next().unwrap().split_whitespace().nth(16), Some("0"), "{stat}");
    assert_eq!(fs::read_link(format!("/proc/{keeper}/cwd")).unwrap(), Path::new("/"));
    assert!(dir(&container).join("keeper.sock").exists());
}

/// Those of all containers are the same, mostly.
#[test]
fn namespaces_are_held_once() {
    let first = kept(Container::new("place-once-a", "sleep 1000"));
    let mut second = kept(Container::new("place-once-b", "sleep 1000"));
    second.plan.keeper.clone_from(&first.plan.keeper);
    let connections = (first.start(crate::container::NONE), second.start(crate::container::NONE));
    let keeper = keeper(&first).unwrap();
    let held = || {
        let of_mounts =
            |fd: fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("mnt:"));
        fs::read_dir(format!("/proc/{keeper}/fd"))
            .unwrap()
            .flatten()
            .filter_map(|fd| of_mounts(fd).then_some(()))
            .count()
    };
    let locks = || crate::keeper::holders("dhow-keeper", &second.plan.run_dir.join("supervisor.lock")).len();
    until("both to be kept", || locks() == 1);
    assert_eq!(held(), 1);
    drop(connections);
}

/// With a run directory of 64 KiB that nobody else sees.
fn with_little_room(container: &Container) -> String {
    format!("mount -t tmpfs -o size=64k none {}", container.plan.run_dir.display())
}

#[test]
fn a_full_run_directory_loses_no_exit_status() {
    let mut container = Container::new("full-later", "while ! [ -e /tmp/on ]; do sleep 0.1; done; exit 7");
    let record = container.scratch.0.join("record");
    let command = format!("cp {}/exit {}", container.plan.run_dir.display(), record.display());
    container.plan.exited = ["/bin/sh", "-c", &command].map(Into::into).into();
    start(&container, &format!("exec unshare -m sh -c '{} && exec \"$@\"' sh", with_little_room(&container)));
    let lock = container.plan.run_dir.join("supervisor.lock");
    let of_container = |pid: &u32| {
        let path = container.plan.run_dir.strip_prefix("/").unwrap();
        Path::new(&format!("/proc/{pid}/root")).join(path).join("supervisor.sock").exists()
    };
    let pid = crate::keeper::holders("dhow-supervisor", &lock).into_iter().find(of_container).unwrap();
    let inside = format!("/proc/{pid}/root{}", container.plan.run_dir.display());
    let mut filling = fs::File::create(Path::new(&inside).join("filling")).unwrap();
    while filling.write_all(&[1; 4096]).is_ok() {}
    assert_eq!(fs::write(Path::new(&inside).join("more"), "x").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    fs::write(container.scratch.0.join("root/tmp/on"), "").unwrap();
    until("the command", || record.exists());
    let text = fs::read_to_string(&record).unwrap();
    assert!(text.starts_with(r#"{"version":1,"code":7,"#), "{text}");
}

#[test]
fn where_there_is_no_room_for_an_exit_status_nothing_starts() {
    let container = Container::new("full-before", "true");
    let fill = format!("head -c 100000 /dev/zero > {}/filling 2> /dev/null", container.plan.run_dir.display());
    let before = format!("exec unshare -m sh -c '{}; {fill}; exec \"$@\"' sh", with_little_room(&container));
    assert!(!starts(&container, &format!("exec 2> {}/said; {before}", container.scratch.0.display())));
    let said = fs::read_to_string(container.scratch.0.join("said")).unwrap();
    assert!(said.contains("make room for the exit record") && said.contains("No space left"), "{said}");
    assert!(container.group().is_none());
}
