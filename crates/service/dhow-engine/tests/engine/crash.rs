//! Somebody is killed: the client, the supervisor, both.

use crate::Test;
use crate::place::{Place, request, until};
use dhow_engine::container::request::RestartPolicy;
use dhow_engine::container::{self, Until};
use dhow_runtime::status::Status;
use dhow_state::{ContainerState, Durability};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("crash::a_container_outlives_its_supervisor", a_container_outlives_its_supervisor),
    ("crash::a_client_that_is_killed_leaves_all_or_nothing", a_client_that_is_killed_leaves_all_or_nothing),
    ("crash::a_removal_that_is_killed_is_carried_on", a_removal_that_is_killed_is_carried_on),
    (
        "crash::a_supervisor_that_is_killed_at_any_moment_loses_no_container",
        a_supervisor_that_is_killed_at_any_moment_loses_no_container,
    ),
    ("crash::a_restart_outlives_who_waits_for_it", a_restart_outlives_who_waits_for_it),
    ("crash::the_lock_of_a_killed_client_goes_with_its_container", the_lock_of_a_killed_client_goes_with_its_container),
    ("crash::groups_go_with_the_last_container", groups_go_with_the_last_container),
    ("crash::an_end_that_nobody_recorded_is_found", an_end_that_nobody_recorded_is_found),
];

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// The parent of a container's first process.
fn supervisor(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn a_container_outlives_its_supervisor() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let pid = place.inspect(&id).pid.unwrap();
    let old = supervisor(pid);
    kill(old);
    until("it has another parent", || supervisor(pid) != old);
    assert_eq!(place.inspect(&id).status, Status::Running, "it goes on");
    container::kill(&place.engine, &id, 15).unwrap();
    container::stop(&place.engine, &id, Some(Duration::ZERO), None).unwrap();
    let one = place.inspect(&id);
    // Its successor is not the parent; older kernels tell him nothing.
    let told = (one.status, one.exit_code, one.error.as_str());
    assert!(matches!(told, (Status::Exited, Some(137), "") | (Status::Exited, None, "exit status lost")), "{told:?}");
    place.start(&id);
    container::remove(&place.engine, &id, true).unwrap();
    assert!(place.cgroups().iter().all(|path| path.to_string_lossy().contains("supervisors")), "{:?}", place.cgroups());
    place.is_sound();
}

fn a_client_that_is_killed_leaves_all_or_nothing() {
    let place = Place::new();
    let mut running = 0;
    for micros in (0..40).map(|n| n * 3000) {
        let id = place.create("one", &["sleep", "1000"]);
        let mut client = place.client(&["client", "start", &id]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        client.kill().unwrap();
        client.wait().unwrap();
        let one = place.inspect(&id);
        match one.status {
            Status::Running => running += 1,
            // It may be started now.
            _ => {
                place.start(&id);
                assert_eq!(place.inspect(&id).status, Status::Running);
            }
        }
        container::remove(&place.engine, &id, true).unwrap();
    }
    println!("{running} of 40 were running when their client was killed");
    place.is_sound();
    assert!(place.cgroups().iter().all(|path| path.to_string_lossy().contains("supervisors")), "{:?}", place.cgroups());
}

fn a_removal_that_is_killed_is_carried_on() {
    let place = Place::new();
    let mut gone = 0;
    for micros in (0..30).map(|n| n * 4000) {
        let id = place.running("one", &["sleep", "1000"]);
        let mut client = place.client(&["client", "rm", &id]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(micros));
        client.kill().unwrap();
        client.wait().unwrap();
        gone += u32::from(container::list(&place.engine).unwrap().is_empty());
        match container::remove(&place.engine, &id, true) {
            Ok(_) | Err(dhow_engine::EngineError::NoSuchContainer(_)) => {}
            Err(e) => panic!("{e}"),
        }
        assert!(!place.engine.state().container_dir(&id).exists());
        assert!(!place.engine.state().container_run_dir(&id).exists());
    }
    println!("{gone} of 30 were gone when their client was killed");
    assert_eq!(place.engine.state().read(|r| r.operations()).unwrap(), []);
    place.is_sound();
    assert!(place.cgroups().is_empty());
}

fn an_end_that_nobody_recorded_is_found() {
    let place = Place::new();
    let mut wanted = request("one", &["sleep", "1000"]);
    wanted.host.auto_remove = true;
    let id = container::create(&place.engine, &wanted).unwrap().id;
    place.start(&id);
    let pid = place.inspect(&id).pid.unwrap();
    kill(supervisor(pid));
    kill(pid);
    // Its successor has it recorded, and so removed; an older kernel does not tell him how it ended.
    let code = container::wait(&place.reader(), &id, Until::NotRunning).unwrap();
    assert!(matches!(code, Some(137) | None), "{code:?}");
    until("it has gone", || container::list(&place.engine).unwrap().is_empty());
    assert!(place.actions().contains(&"destroy".to_owned()));
    place.is_sound();
}

/// Makes a container wait two seconds for its restart, and kills who waits.
fn waits_for_nobody(place: &Place, name: &str) -> String {
    let mut wanted = request(name, &["sleep", "1000"]);
    wanted.host.restart = RestartPolicy::Always;
    let id = container::create(&place.engine, &wanted).unwrap().id;
    place.start(&id);
    let row = || place.engine.state().read(|r| r.container(&id)).unwrap().unwrap();
    let before = row();
    let state = ContainerState { backoff: 1_000_000_000, ..before.state };
    let changed = place.engine.state().write(Durability::Crash, |w| w.change_container(&id, before.generation, &state));
    assert!(changed.unwrap());
    kill(state.process.unwrap().pid);
    until("it waits for its restart", || row().state.status == Status::Restarting.name());
    let waiting = row().state.process.unwrap().pid;
    let command = std::fs::read_to_string(format!("/proc/{waiting}/cmdline")).unwrap();
    assert!(command.contains("exited") && command.contains(&id), "{command}");
    kill(waiting);
    until("it is dead", || !std::fs::read_to_string(format!("/proc/{waiting}/cmdline")).is_ok_and(|c| !c.is_empty()));
    id
}

fn a_restart_outlives_who_waits_for_it() {
    let place = Place::new();
    let id = waits_for_nobody(&place, "goes-on");
    assert_eq!(container::inspect(&place.reader(), &id).unwrap().status, Status::Restarting);
    // Any number of commands that meet it send one.
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| container::remove(&place.engine, &id, false).unwrap_err());
        }
    });
    assert_eq!(place.inspect(&id).status, Status::Restarting);
    until("it runs again", || place.inspect(&id).status == Status::Running);
    assert_eq!((place.inspect(&id).restart_count, place.inspect(&id).error.as_str()), (1, ""));
    assert_eq!(place.actions().iter().filter(|action| *action == "start").count(), 2);

    for by_stop in [true, false] {
        let id = waits_for_nobody(&place, "stays-so");
        match by_stop {
            true => container::stop(&place.engine, &id, None, None).unwrap(),
            false => container::kill(&place.engine, &id, 9).unwrap(),
        }
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(place.inspect(&id).status, Status::Exited, "stopped by hand, it stays so");
        container::remove(&place.engine, &id, false).unwrap();
    }
    let id = waits_for_nobody(&place, "starts-at-once");
    place.start(&id);
    assert_eq!(place.inspect(&id).status, Status::Running);
    container::remove(&place.engine, &id, true).unwrap();
    let id = waits_for_nobody(&place, "goes");
    container::remove(&place.engine, &id, true).unwrap();
    place.is_sound();
}

fn the_lock_of_a_killed_client_goes_with_its_container() {
    let place = Place::new();
    let locks = || std::fs::read_dir(place.engine.state().run_dir().join("locks")).unwrap().count();
    let id = place.running("one", &["sleep", "1000"]);
    let mut client = place.client(&["client", "stop", &id, "5000"]).spawn().unwrap();
    until("it holds the lock", || locks() == 1);
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(locks(), 1);
    container::remove(&place.engine, &id, true).unwrap();
    // What it had on its network is let go of by somebody else, who holds a lock meanwhile.
    until("all locks to go", || locks() == 0);
}

fn groups_go_with_the_last_container() {
    let place = Place::new();
    let ids = ["one", "two"].map(|name| place.running(name, &["sleep", "1000"]));
    let supervisors = ids.each_ref().map(|id| supervisor(place.inspect(id).pid.unwrap()));
    assert!(!place.groups().is_empty());
    for id in &ids {
        container::stop(&place.engine, id, Some(Duration::ZERO), None).unwrap();
    }
    let gone = || supervisors.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists());
    until("the supervisors have ended", || {
        // Those that are this process's children.
        let _ = rustix::process::wait(rustix::process::WaitOptions::NOHANG);
        gone()
    });
    container::remove(&place.engine, "one", false).unwrap();
    assert!(!place.groups().is_empty(), "there is another container");
    container::remove(&place.engine, "two", false).unwrap();
    // The keeper is in them, and takes them along when nothing has come for a while.
    until("the groups have gone", || place.groups().is_empty());

    // What a supervisor kept that had not ended yet is there for a repair.
    let id = place.running("three", &["sleep", "1000"]);
    let repair = dhow_state::CheckOptions { repair: true, verify_blobs: false };
    place.engine.check(&repair).unwrap();
    assert!(!place.groups().is_empty(), "it runs");
    container::remove(&place.engine, &id, true).unwrap();
    until("all is pruned", || {
        place.engine.check(&repair).unwrap();
        place.groups().is_empty()
    });
    // And they are made anew.
    let id = place.running("four", &["true"]);
    assert_eq!(container::wait(&place.engine, &id, Until::NotRunning).unwrap(), Some(0));
}

fn a_supervisor_that_is_killed_at_any_moment_loses_no_container() {
    let place = Place::new();
    let (mut started, mut running) = (0, 0);
    for micros in (0..40).map(|n| n * 2000) {
        let id = place.create("one", &["sleep", "1000"]);
        let outcome = std::thread::scope(|scope| {
            let start = scope.spawn(|| container::start(&place.engine, &id, Default::default(), (0, 0)));
            std::thread::sleep(Duration::from_micros(micros));
            children().into_iter().for_each(kill);
            start.join().unwrap()
        });
        started += u32::from(outcome.is_ok());
        // What runs is known, and what is not known to run does not. What waits at its gate ends there in a moment.
        until("the row is true", || {
            let (one, living) = (place.inspect(&id), processes_of(&id));
            one.pid.map_or(living.is_empty(), |pid| living.contains(&pid))
        });
        running += u32::from(place.inspect(&id).status == Status::Running);
        container::remove(&place.engine, &id, true).unwrap();
        until("nothing of it is left", || processes_of(&id).is_empty());
    }
    println!("{started} of 40 starts succeeded, {running} containers ran though their supervisor was killed");
    place.is_sound();
}

/// The supervisors that this process has started.
fn children() -> Vec<u32> {
    let me = std::process::id();
    let tasks = std::fs::read_dir(format!("/proc/{me}/task")).unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// The processes in the group of a container, in whatever hierarchy.
fn processes_of(id: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let group = std::fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        // The dead who wait to be reaped are in their group still.
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let dead = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
        if group.contains(id) && !dead {
            found.push(pid);
        }
    }
    found
}
