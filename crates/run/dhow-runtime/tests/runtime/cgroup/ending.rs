//! Making, entering, freezing, killing and removing.

use super::{Place, comm, hosts, json, sleeper, spawn, until};
use dhow_runtime::RuntimeError;
use dhow_runtime::cgroup::{Cgroup, Hierarchies, warm};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn a_process_is_in_every_hierarchy() {
    for host in hosts() {
        let place = Place::new("entry", &host);
        let group = place.create("{}");
        let mut child = sleeper(&group);
        let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
        let inside = cgroup.lines().filter(|l| l.ends_with(&format!(":/{}", place.group().display()))).count();
        // As version 1 only, version 2 is left alone.
        let not = usize::from(host.0 == "v1");
        assert_eq!(inside, cgroup.lines().count() - not, "{cgroup}");
        assert_eq!(group.processes().unwrap(), [child.id()]);
        let opened = Cgroup::open(&place.on, &place.group()).unwrap();
        assert_eq!(opened.processes().unwrap(), [child.id()]);
        opened.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}

#[test]
fn frozen_is_frozen_until_thawed_or_killed() {
    for host in hosts() {
        let place = Place::new("freeze", &host);
        let group = place.create("{}");
        let mut child = spawn(&group, "while :; do :; done");
        let cpu = || group.stats().unwrap().cpu;
        let runs = |since: u64| until("it runs", || cpu() > since + 1_000_000);
        runs(0);
        for _ in 0..2 {
            group.freeze(true).unwrap();
            group.freeze(true).unwrap();
            let at = cpu();
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(cpu(), at, "{}", host.0);
            group.freeze(false).unwrap();
            runs(at);
        }
        group.freeze(true).unwrap();
        group.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        group.freeze(false).unwrap();
        group.freeze(true).unwrap();
    }
}

/// Forks as fast as it can, up to the limit; some end at once, and those who cannot fork try again.
const FORKS: &str = "exec perl -e 'while (1) { my $p = fork; exit if defined $p && !$p && $$ % 4 == 0; \
                     select(undef, undef, undef, 0.001) unless defined $p; 1 while waitpid(-1, 1) > 0 }'";

#[test]
fn what_forks_is_frozen_and_killed_to_the_last() {
    for host in hosts() {
        let place = Place::new("storm", &host);
        for round in 0..6 {
            // Anew each time: orphans count until init has reaped them, and that may take it a while.
            let group = place.create(r#"{"pids":{"limit":40}}"#);
            let mut child = spawn(&group, FORKS);
            until("there are many", || group.processes().unwrap().len() > 20);
            if round % 2 == 0 {
                group.freeze(true).unwrap();
                let frozen = group.processes().unwrap();
                std::thread::sleep(Duration::from_millis(20));
                assert_eq!(group.processes().unwrap(), frozen, "{}", host.0);
            }
            group.kill().unwrap();
            assert!(group.processes().unwrap().is_empty());
            group.freeze(false).unwrap();
            child.wait().unwrap();
            group.remove().unwrap();
            let begin = Instant::now();
            group.kill().unwrap();
            assert!(begin.elapsed() < Duration::from_secs(1));
        }
    }
}

/// Every directory of the group.
fn directories(place: &Place) -> Vec<std::path::PathBuf> {
    let all = ["unified", "systemd", "pids", "memory", "cpuset", "freezer"];
    let mut directories: Vec<_> = all.iter().map(|c| place.file(c, "")).filter(|d| d.exists()).collect();
    directories.dedup();
    directories
}

#[test]
fn groups_that_a_container_made_go_too() {
    for host in hosts() {
        let place = Place::new("nested", &host);
        let group = place.create("{}");
        let odd = ["-rf", "a b", "..x", "*", "\u{e4}", "init.scope"];
        let mut deep = String::new();
        for level in 0..70 {
            deep.push_str(&format!("d{level}/"));
        }
        for directory in directories(&place) {
            for name in odd {
                std::fs::create_dir_all(directory.join(name).join("below/it")).unwrap();
            }
            std::fs::create_dir_all(directory.join(&deep)).unwrap();
        }
        // A process in one of them, far down.
        let mut child = sleeper(&group);
        for directory in directories(&place).iter().filter(|d| !d.join("cpuset.cpus").exists() || place.on.is_unified())
        {
            std::fs::write(directory.join(&deep).join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        assert_eq!(group.processes().unwrap(), [child.id()]);
        if place.on.is_unified() {
            let beside = Cgroup::beside(&place.on, &place.group(), child.id()).unwrap();
            assert!(beside.path() == place.group().join(deep.trim_end_matches('/')));
            assert_eq!(beside.processes().unwrap(), [child.id()]);
            let mut second = sleeper(&beside);
            assert_eq!(group.processes().unwrap().len(), 2);
            second.kill().unwrap();
            second.wait().unwrap();
            let other = Cgroup::beside(&place.on, &place.group(), std::process::id()).unwrap_err();
            assert!(other.to_string().contains("and not in"), "{other}");
        }
        // Frozen from above, too.
        group.freeze(true).unwrap();
        group.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        group.remove().unwrap();
        assert_eq!(directories(&place), Vec::<std::path::PathBuf>::new());
        group.remove().unwrap();
        assert!(group.processes().unwrap().is_empty());
        group.kill().unwrap();
    }
}

#[test]
fn a_group_in_use_is_not_removed_and_one_that_is_being_left_is() {
    for host in hosts() {
        let place = Place::new("in-use", &host);
        let group = place.create("{}");
        let mut child = sleeper(&group);
        let error = group.remove().unwrap_err().to_string();
        assert!(error.contains("cannot remove dhow-test-") && error.contains("busy"), "{error}");
        assert_eq!(comm(child.id()), "sleep");
        let error = Cgroup::create(&place.on, &place.group(), &json("{}")).unwrap_err().to_string();
        assert!(error.contains("which has processes in it"), "{error}");
        // It ends while the group is being removed.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        group.remove().unwrap();
        killer.join().unwrap();
        assert_eq!(directories(&place), Vec::<std::path::PathBuf>::new());
        let gone = Cgroup::open(&place.on, &place.group()).unwrap_err();
        assert!(matches!(gone, RuntimeError::Step { errno: Some(2), .. }), "{gone}");
    }
}

#[test]
fn a_leftover_is_taken_over_and_nothing_of_it_stays() {
    for host in hosts() {
        let place = Place::new("leftover", &host);
        let group = place.create(r#"{"pids":{"limit":7},"memory":{"limit":16777216}}"#);
        for directory in directories(&place) {
            std::fs::create_dir_all(directory.join("x/y")).unwrap();
        }
        group.freeze(true).unwrap();
        drop(group);
        // Killed in the middle of making or removing it: some hierarchies have it, some have not.
        let part = place.file("pids", "x/y");
        std::fs::remove_dir(&part).unwrap();
        std::fs::remove_dir(part.parent().unwrap()).unwrap();
        let group = place.create("{}");
        assert_eq!(place.read("pids", "pids.max"), "max");
        assert_eq!(group.stats().unwrap().memory_limit, u64::MAX);
        assert!(directories(&place).iter().all(|d| !d.join("x").exists()));
        let mut child = spawn(&group, "exit 0");
        assert!(child.wait().unwrap().success(), "it is not frozen any more");
    }
}

#[test]
fn what_is_half_there_is_killed_and_removed() {
    for host in hosts().into_iter().filter(|(host, _)| *host != "v2") {
        let place = Place::new("half", &host);
        drop(place.create("{}"));
        for controller in ["pids", "memory"] {
            std::fs::remove_dir(place.file(controller, "")).unwrap();
        }
        let half = Cgroup::open(&place.on, &place.group()).unwrap();
        let mut child = sleeper(&half);
        half.kill().unwrap();
        child.wait().unwrap();
        half.remove().unwrap();
        assert!(Cgroup::open(&place.on, &place.group()).is_err());
    }
}

#[test]
fn many_at_once_below_a_place_that_comes_and_goes() {
    for host in hosts() {
        let place = Place::new("many", &host);
        let store = place.top.join("store");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (on, path, store) = (&place.on, store.join(number.to_string()), &store);
                scope.spawn(move || {
                    for _ in 0..10 {
                        let group = Cgroup::create(on, &path, &json(r#"{"pids":{"limit":9}}"#)).unwrap();
                        let mut child = spawn(&group, "exit 0");
                        assert!(child.wait().unwrap().success());
                        group.remove().unwrap();
                        Cgroup::prune(on, store).unwrap();
                        drop(Cgroup::shared(on, &store.join("all")).unwrap());
                        Cgroup::prune(on, &store.join("all")).unwrap();
                    }
                });
            }
        });
        assert!(Cgroup::open(&place.on, &place.top).is_err(), "nothing is left");
    }
}

#[test]
fn what_is_in_use_is_not_pruned() {
    for host in hosts() {
        let place = Place::new("prune", &host);
        let group = Cgroup::shared(&place.on, &place.group()).unwrap();
        let mut child = sleeper(&group);
        Cgroup::prune(&place.on, &place.group()).unwrap();
        assert_eq!(Cgroup::shared(&place.on, &place.group()).unwrap().processes().unwrap(), [child.id()]);
        group.kill().unwrap();
        child.wait().unwrap();
        Cgroup::prune(&place.on, &place.group()).unwrap();
        Cgroup::prune(&place.on, &place.group()).unwrap();
        assert!(Cgroup::open(&place.on, &place.top).is_err());
    }
}

#[test]
fn a_process_moves_itself() {
    for host in hosts() {
        let place = Place::new("join", &host);
        let group = Cgroup::shared(&place.on, &place.group()).unwrap();
        let mut other = sleeper(&group);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cgroup::ending::moves_itself", "--ignored", "--nocapture"])
            .env("DHOW_TEST_GROUP", group.path())
            .env("DHOW_TEST_HOST", host.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        assert_eq!(group.processes().unwrap(), [other.id()]);
        group.kill().unwrap();
        other.wait().unwrap();
        group.remove().unwrap();
    }
}

/// Run by [`a_process_moves_itself`], in a process of its own.
#[test]
#[ignore = "run by another test"]
fn moves_itself() {
    let path = std::env::var("DHOW_TEST_GROUP").unwrap();
    let host = std::env::var("DHOW_TEST_HOST").unwrap();
    let (_, on) = hosts().into_iter().find(|(name, _)| *name == host).unwrap();
    let group = Cgroup::shared(&on, Path::new(&path)).unwrap();
    let is_in = || group.processes().unwrap().contains(&std::process::id());
    // A test is a second thread, which must not go alone.
    assert!(group.join_at_once().unwrap());
    assert!(!is_in());
    assert!(!std::fs::read_to_string("/proc/thread-self/cgroup").unwrap().contains(&path));
    group.join().unwrap();
    assert!(is_in());
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let cgroup = std::fs::read_to_string(thread.unwrap().path().join("cgroup")).unwrap();
        let inside = cgroup.lines().filter(|l| l.contains(&path)).count();
        assert_eq!(inside, cgroup.lines().count() - usize::from(host == "v1"), "{cgroup}");
    }
}

#[test]
fn warming_up_changes_nothing() {
    for (_, on) in hosts() {
        let before = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        warm(&on).unwrap();
        assert_eq!(std::fs::read_to_string("/proc/self/cgroup").unwrap(), before);
    }
    let _ = Hierarchies::detect().unwrap();
}

#[test]
fn a_group_of_threads_hides_nobody() {
    for host in hosts().into_iter().filter(|(host, _)| *host != "v1") {
        let place = Place::new("threads", &host);
        let group = place.create("{}");
        let unified = place.file("unified", "");
        std::fs::create_dir(unified.join("t")).unwrap();
        std::fs::write(unified.join("t/cgroup.type"), "threaded").unwrap();
        let mut child = sleeper(&group);
        std::fs::write(unified.join("t/cgroup.threads"), child.id().to_string()).unwrap();
        assert!(std::fs::read_to_string(unified.join("t/cgroup.procs")).is_err());
        assert_eq!(group.processes().unwrap(), [child.id()]);
        group.freeze(true).unwrap();
        group.kill().unwrap();
        child.wait().unwrap();
        group.remove().unwrap();
    }
}

/// The hierarchies as they look in a container which sees no more than the group `outer` of them.
fn inside(outer: &Path) -> Hierarchies {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let move_in = |line: &str| {
        let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
        fields[3] = format!("/{}", outer.display());
        fields[4] = format!("{}/{}", fields[4], outer.display());
        fields.join(" ") + "\n"
    };
    let mounts: String =
        read("/proc/self/mountinfo").lines().filter(|l| l.contains(" - cgroup")).map(move_in).collect();
    Hierarchies::of(&mounts, &read("/proc/self/cgroup")).unwrap()
}

#[test]
fn all_of_it_works_inside_a_container() {
    for host in hosts().into_iter().filter(|(host, _)| *host != "v1") {
        let place = Place::new("inside", &host);
        let outer = place.create("{}");
        let on = inside(outer.path());
        let path = Path::new("dhow/store/one");
        let inner = Cgroup::create(&on, path, &json(r#"{"pids":{"limit":9}}"#)).unwrap();
        assert_eq!(place.read("pids", "dhow/store/one/pids.max"), "9");
        let mut child = sleeper(&inner);
        assert_eq!(Cgroup::beside(&on, path, child.id()).unwrap().processes().unwrap(), [child.id()]);
        assert_eq!(outer.processes().unwrap(), [child.id()]);
        inner.kill().unwrap();
        child.wait().unwrap();
        inner.remove().unwrap();
        // This process is elsewhere: nothing to warm up by.
        warm(&on).unwrap();
    }
}

#[test]
fn processes_in_the_way_of_limits_are_named() {
    for host in hosts().into_iter().filter(|(host, _)| *host == "v2") {
        let place = Place::new("in-the-way", &host);
        let outer = place.create("{}");
        let mut child = sleeper(&outer);
        let below = place.group().join("below");
        let error = Cgroup::create(&place.on, &below, &json(r#"{"pids":{"limit":9}}"#)).unwrap_err().to_string();
        assert!(error.contains("pids is not handed on to dhow-test-"), "{error}");
        assert!(!place.file("", "below").exists());
        // Without limits there is nothing to object to.
        let group = Cgroup::create(&place.on, &below, &json("{}")).unwrap();
        let mut second = sleeper(&group);
        group.kill().unwrap();
        second.wait().unwrap();
        assert_eq!(place.read("", "cgroup.type"), "domain");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
