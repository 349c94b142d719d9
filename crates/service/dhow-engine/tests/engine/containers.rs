//! Made, started, stopped, looked into, removed.

use crate::Test;
use crate::place::{Place, request, until};
use dhow_engine::EngineError;
use dhow_engine::container::request::{HostConfig, Namespace, RestartPolicy};
use dhow_engine::container::{self, Until};
use dhow_runtime::status::Status;
use dhow_spec::{Classify as _, Kind};
use dhow_supervisor::client::Streams;
use dhow_supervisor::log::Query;
use std::time::{Duration, Instant};

pub(crate) const TESTS: &[Test] = &[
    ("containers::runs_to_its_end", runs_to_its_end),
    ("containers::removes_itself", removes_itself),
    ("containers::names_and_ids", names_and_ids),
    ("containers::stops_when_asked", stops_when_asked),
    ("containers::stops_when_killed", stops_when_killed),
    ("containers::kill_sends_any_signal", kill_sends_any_signal),
    ("containers::pauses_and_goes_on", pauses_and_goes_on),
    ("containers::failures_have_dockers_status", failures_have_dockers_status),
    ("containers::starts_again_by_policy", starts_again_by_policy),
    ("containers::restarts", restarts),
    ("containers::many_remove_the_same", many_remove_the_same),
    ("containers::waits", waits),
    ("containers::logs_are_read_and_followed", logs_are_read_and_followed),
    ("containers::joins_the_namespaces_of_another", joins_the_namespaces_of_another),
    ("containers::shows_processes", shows_processes),
    ("containers::costs_six_transactions", costs_six_transactions),
    ("containers::is_quick", is_quick),
];

fn runs_to_its_end() {
    let place = Place::new();
    let (code, output) = place.run(&request("one", &["sh", "-c", "echo out; hostname; exit 7"]));
    let one = place.inspect("one");
    assert_eq!((code, output.as_str()), (Some(7), format!("out\n{}\n", &one.id[..12]).as_str()));
    assert_eq!((one.status, one.exit_code, one.pid), (Status::Exited, Some(7), None));
    assert!(one.started < one.finished && one.created < one.started.unwrap());
    assert_eq!(place.actions(), ["create", "attach", "start", "die"]);
    let die = place.events().pop().unwrap();
    assert_eq!((die.attributes["exitCode"].as_str(), die.attributes["name"].as_str()), ("7", "one"));
    assert_eq!((die.attributes["image"].as_str(), die.attributes["execDuration"].as_str()), ("busybox", "0"));
    assert_eq!(container::exited(&place.engine, "one").unwrap(), None, "a second time does nothing");
    assert_eq!(place.actions().len(), 4);
    // What was written is there at the next start.
    let written = place.create("two", &["sh", "-c", "cat /file || echo 1 > /file"]);
    for _ in 0..2 {
        place.start(&written);
        assert_eq!(container::wait(&place.engine, &written, Until::NotRunning).unwrap(), Some(0));
    }
    container::remove(&place.engine, "one", false).unwrap();
    container::remove(&place.engine, "two", false).unwrap();
    place.is_sound();
    assert!(place.cgroups().is_empty());
}

fn removes_itself() {
    let place = Place::new();
    let mut wanted = request("gone", &["true"]);
    wanted.host.auto_remove = true;
    assert_eq!(place.run(&wanted).0, Some(0));
    assert_eq!(place.actions(), ["create", "attach", "start", "die", "destroy"]);
    assert!(container::list(&place.engine).unwrap().is_empty());
    // With nobody there who records it.
    let id = container::create(&place.engine, &wanted).unwrap().id;
    place.start(&id);
    assert_eq!(container::wait(&place.engine, &id, Until::Removed).unwrap(), Some(0));
    assert!(!place.engine.state().container_dir(&id).exists());
    place.is_sound();
    assert!(place.cgroups().is_empty());
}

fn names_and_ids() {
    let place = Place::new();
    let id = place.create("web", &["true"]);
    let taken = container::create(&place.engine, &request("web", &["true"])).unwrap_err();
    assert_eq!(
        taken.to_string(),
        format!(
            "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or \
             rename) that container to be able to reuse that name."
        )
    );
    let made_up = place.create("", &["true"]);
    let name = place.inspect(&made_up).name;
    assert!(name.contains('_'), "{name}");
    for text in [id.as_str(), &id[..5], "web", "/web"] {
        assert_eq!(place.inspect(text).id, id, "{text}");
    }
    assert!(matches!(container::inspect(&place.engine, "nobody"), Err(EngineError::NoSuchContainer(_))));
    container::rename(&place.engine, "web", "shop").unwrap();
    assert_eq!(place.inspect("shop").id, id);
    let ids: Vec<_> = container::list(&place.engine).unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(ids, [made_up, id], "the newest first");
    let bad = container::create(&place.engine, &request("-x", &["true"])).unwrap_err();
    assert_eq!(bad.kind(), Kind::Invalid);
    let mut unknown = request("", &["true"]);
    unknown.root = dhow_engine::container::request::RootSource::Image("nothing".to_owned());
    assert!(matches!(container::create(&place.engine, &unknown), Err(EngineError::NoSuchImage(_))));
    place.is_sound();
}

const OBEYS: [&str; 3] = ["sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"];
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"];

/// Until the traps are set.
fn ready(place: &Place, container: &str) {
    until("it is ready", || log(place, container).contains("ready"));
}

fn log(place: &Place, container: &str) -> String {
    let mut text = String::new();
    let mut each = |entry: dhow_supervisor::log::Entry<'_>| {
        text.push_str(&String::from_utf8_lossy(entry.bytes));
        Ok(true)
    };
    container::logs(&place.engine, container, &Query::default(), &mut each).unwrap();
    text
}

fn stops_when_asked() {
    let place = Place::new();
    let id = place.running("one", &OBEYS);
    ready(&place, &id);
    container::stop(&place.engine, &id, None, None).unwrap();
    let one = place.inspect(&id);
    assert_eq!((one.status, one.exit_code), (Status::Exited, Some(3)));
    assert_eq!(place.actions(), ["create", "start", "kill", "die", "stop"]);
    container::stop(&place.engine, &id, None, None).unwrap();
    assert_eq!(place.actions().len(), 5, "stopping what has ended is fine");
}

fn stops_when_killed() {
    let place = Place::new();
    let id = place.running("one", &STUBBORN);
    ready(&place, &id);
    let begun = Instant::now();
    container::stop(&place.engine, &id, Some(Duration::from_millis(200)), None).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(place.inspect(&id).exit_code, Some(137));
    let signals: Vec<_> = place.events().into_iter().filter_map(|e| e.attributes.get("signal").cloned()).collect();
    assert_eq!(signals, ["15", "9"]);
    // A client that is killed meanwhile does not undo it.
    place.start(&id);
    until("it is ready again", || log(&place, &id).matches("ready").count() == 2);
    let mut client = place.client(&["client", "stop", &id, "700"]).spawn().unwrap();
    until("the signal is sent", || place.actions().iter().filter(|action| *action == "kill").count() == 3);
    std::thread::sleep(Duration::from_millis(100));
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(place.inspect(&id).status, Status::Running);
    assert_eq!(container::wait(&place.engine, &id, Until::NotRunning).unwrap(), Some(137));
}

fn kill_sends_any_signal() {
    let place = Place::new();
    let id = place.running("one", &["sh", "-c", "trap 'echo got' 37; echo ready; while :; do sleep 0.01; done"]);
    ready(&place, &id);
    container::kill(&place.engine, &id, 37).unwrap();
    until("the signal came", || log(&place, &id).contains("got"));
    container::kill(&place.engine, &id, 9).unwrap();
    assert_eq!(place.inspect(&id).exit_code, Some(137), "it is waited for");
    let late = container::kill(&place.engine, "one", 9).unwrap_err();
    assert_eq!(late.to_string(), format!("cannot kill container: one: container {id} is not running"));
}

fn pauses_and_goes_on() {
    let place = Place::new();
    let id = place.running("one", &["sh", "-c", "while :; do echo x; sleep 0.01; done"]);
    until("it writes", || log(&place, &id).len() > 4);
    container::pause(&place.engine, &id).unwrap();
    assert_eq!(place.inspect(&id).status, Status::Paused);
    std::thread::sleep(Duration::from_millis(50));
    let before = log(&place, &id).len();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(log(&place, &id).len(), before);
    let twice = container::pause(&place.engine, "one").unwrap_err();
    assert_eq!(twice.to_string(), format!("Container {id} is already paused"));
    let refused = container::remove(&place.engine, &id, false).unwrap_err();
    assert!(refused.to_string().contains("is paused and must be unpaused first"), "{refused}");
    container::unpause(&place.engine, &id).unwrap();
    until("it writes again", || log(&place, &id).len() > before);
    assert!(container::unpause(&place.engine, &id).is_err());
    container::pause(&place.engine, &id).unwrap();
    container::remove(&place.engine, &id, true).unwrap();
    assert!(place.cgroups().is_empty());
}

fn failures_have_dockers_status() {
    let place = Place::new();
    let status = |command: &[&str], host: HostConfig| {
        let mut wanted = request("", command);
        wanted.host = host;
        let id = container::create(&place.engine, &wanted).unwrap().id;
        let error = container::start(&place.engine, &id, Streams::default(), (0, 0)).unwrap_err();
        let EngineError::Start { status, message } = error else { panic!("{error:?}") };
        (status, message, container::inspect(&place.engine, &id).ok())
    };
    let (code, message, left) = status(&["nosuch"], HostConfig::default());
    assert_eq!((code, message.as_str()), (127, "exec: \"nosuch\": executable file not found in $PATH"));
    let left = left.unwrap();
    assert_eq!((left.status, left.exit_code, left.error), (Status::Exited, Some(127), message));
    assert_eq!(left.started, None, "it never ran");
    assert_eq!(status(&["/etc/passwd"], HostConfig::default()).0, 126);
    assert_eq!(status(&["/etc"], HostConfig::default()).0, 126);
    assert_eq!(status(&["/bin/broken"], HostConfig::default()).0, 126);
    let (code, _, left) = status(&["nosuch"], HostConfig { auto_remove: true, ..HostConfig::default() });
    assert_eq!((code, left), (127, None), "it is removed");
    let mut nobody = request("", &["true"]);
    nobody.config.user = Some("nobody-here".to_owned());
    let id = container::create(&place.engine, &nobody).unwrap().id;
    let error = container::start(&place.engine, &id, Streams::default(), (0, 0)).unwrap_err();
    assert!(error.to_string().contains("unable to find user nobody-here"), "{error}");
    assert_eq!(place.inspect(&id).exit_code, Some(128));
    assert!(place.cgroups().is_empty());
    place.is_sound();
}

fn starts_again_by_policy() {
    let place = Place::new();
    let mut wanted = request("fails", &["sh", "-c", "echo run; exit 4"]);
    wanted.host.restart = RestartPolicy::OnFailure(2);
    let id = container::create(&place.engine, &wanted).unwrap().id;
    let begun = Instant::now();
    place.start(&id);
    assert_eq!(container::wait(&place.engine, &id, Until::NextExit).unwrap(), Some(4));
    until("it is given up", || place.inspect(&id).status == Status::Exited);
    assert!(begun.elapsed() >= Duration::from_millis(300), "it waited 100 ms, then 200");
    let one = place.inspect(&id);
    assert_eq!((one.status, one.restart_count), (Status::Exited, 2));
    assert_eq!(log(&place, &id), "run\nrun\nrun\n");

    let mut always = request("always", &OBEYS);
    always.host.restart = RestartPolicy::Always;
    let id = container::create(&place.engine, &always).unwrap().id;
    place.start(&id);
    ready(&place, &id);
    // Ended by itself, as far as anybody knows.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(place.inspect(&id).pid.unwrap().cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    until("it runs again", || place.inspect(&id).restart_count == 1 && place.inspect(&id).status == Status::Running);
    container::stop(&place.engine, &id, None, None).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(place.inspect(&id).status, Status::Exited, "stopped by hand, it stays so");
}

fn restarts() {
    let place = Place::new();
    let mut wanted = request("one", &OBEYS);
    wanted.host.auto_remove = true;
    let id = container::create(&place.engine, &wanted).unwrap().id;
    place.start(&id);
    ready(&place, &id);
    let first = place.inspect(&id).pid;
    container::restart(&place.engine, &id, None, None).unwrap();
    let one = place.inspect(&id);
    assert!(one.status == Status::Running && one.pid != first, "it is not removed in between");
    assert_eq!(place.actions(), ["create", "start", "kill", "die", "stop", "start", "restart"]);
    container::stop(&place.engine, &id, Some(Duration::ZERO), None).unwrap();
    until("it is removed at its end", || container::list(&place.engine).unwrap().is_empty());
    // Forced, that is waited for.
    for n in 0..10 {
        wanted.name = Some(format!("n{n}"));
        let id = container::create(&place.engine, &wanted).unwrap().id;
        place.start(&id);
        container::remove(&place.engine, &id, true).unwrap();
        assert!(container::list(&place.engine).unwrap().is_empty());
    }
}

fn many_remove_the_same() {
    let place = Place::new();
    for n in 0..5 {
        let id = place.running(&format!("n{n}"), &["sleep", "1000"]);
        let refused = container::remove(&place.engine, &id, false).unwrap_err();
        assert!(refused.to_string().contains("container is running: stop the container before removing"), "{refused}");
        let ends: Vec<Result<String, EngineError>> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| container::remove(&place.engine, &id, true))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(ends.iter().any(Result::is_ok));
        for loser in ends.into_iter().filter_map(Result::err) {
            let told = loser.to_string();
            assert!(told.contains("is already in progress") || told.contains("No such container"), "{told}");
        }
        assert_eq!(place.create(&format!("n{n}"), &["true"]).len(), 64, "the name is free");
    }
    assert_eq!(place.actions().iter().filter(|action| *action == "destroy").count(), 5);
    place.is_sound();
    assert!(place.cgroups().is_empty());
}

fn waits() {
    let place = Place::new();
    let id = place.create("one", &["sh", "-c", "sleep 0.2; exit 5"]);
    assert_eq!(container::wait(&place.engine, &id, Until::NotRunning).unwrap(), Some(0), "it was never started");
    let reader = place.reader();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| container::wait(&reader, "one", Until::NextExit).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        place.start(&id);
        assert_eq!(next.join().unwrap(), Some(5));
        let removed = scope.spawn(|| container::wait(&reader, "one", Until::Removed).unwrap());
        std::thread::sleep(Duration::from_millis(100));
        container::remove(&place.engine, &id, false).unwrap();
        assert_eq!(removed.join().unwrap(), Some(5));
    });
    assert!(container::wait(&place.engine, &id, Until::Removed).is_err());
}

fn logs_are_read_and_followed() {
    let place = Place::new();
    let id = place.running("one", &["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"]);
    let mut text = String::new();
    let query = Query { follow: true, ..Query::default() };
    let mut each = |entry: dhow_supervisor::log::Entry<'_>| {
        text.push_str(&String::from_utf8_lossy(entry.bytes));
        Ok(true)
    };
    container::logs(&place.reader(), &id, &query, &mut each).unwrap();
    assert_eq!(text, "1\n2\n3\n");
    let mut silent = request("two", &["true"]);
    silent.host.log.driver = "none".to_owned();
    container::create(&place.engine, &silent).unwrap();
    let none = container::logs(&place.engine, "two", &query, &mut |_| Ok(true)).unwrap_err();
    assert_eq!(none.to_string(), "configured logging driver does not support reading");
}

fn joins_the_namespaces_of_another() {
    let place = Place::new();
    let id = place.running("one", &["sleep", "1000"]);
    let links = |host: HostConfig| {
        let mut wanted =
            request("", &["sh", "-c", "cd /proc/self/ns; readlink net; readlink pid; readlink ipc; hostname"]);
        wanted.host = host;
        place.run(&wanted).1
    };
    let pid = place.inspect(&id).pid.unwrap();
    let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string();
    let other = Namespace::Container("one".to_owned());
    let joined = links(HostConfig { network: other.clone(), pid: other.clone(), ..HostConfig::default() });
    let joined: Vec<&str> = joined.lines().collect();
    assert_eq!(joined[..2], [link("net"), link("pid")]);
    assert_ne!(joined[2], link("ipc"));
    assert_eq!(joined[3], &id[..12], "the other's name");
    let hosts = links(HostConfig { network: Namespace::Host, uts: Namespace::Host, ..HostConfig::default() });
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(hosts.lines().nth(3), Some(name.as_str()));
    let mut refused = request("", &["true"]);
    refused.host.ipc = other.clone();
    let id = container::create(&place.engine, &refused).unwrap().id;
    let error = container::start(&place.engine, &id, Streams::default(), (0, 0)).unwrap_err();
    assert!(error.to_string().contains("non-shareable IPC"), "{error}");
    container::kill(&place.engine, "one", 9).unwrap();
    let mut late = request("", &["true"]);
    late.host.network = other;
    let id = container::create(&place.engine, &late).unwrap().id;
    let error = container::start(&place.engine, &id, Streams::default(), (0, 0)).unwrap_err();
    assert!(error.to_string().contains("cannot join network namespace of a non running container"), "{error}");
}

fn shows_processes() {
    let place = Place::new();
    let id = place.running("one", &["sh", "-c", "sleep 1000 & sleep 2000"]);
    until("all of it runs", || {
        container::top(&place.engine, &id, &[], &|_| String::new()).is_ok_and(|(_, rows)| rows.len() == 2)
    });
    let (titles, rows) =
        container::top(&place.engine, &id, &["-o".to_owned(), "pid,args".to_owned(), "-e".to_owned()], &|_| {
            String::new()
        })
        .unwrap();
    assert_eq!(titles, ["PID", "COMMAND"]);
    let mut commands: Vec<_> = rows.iter().map(|row| row[1].clone()).collect();
    commands.sort();
    assert_eq!(commands, ["sleep 1000", "sleep 2000"]);
    container::stop(&place.engine, &id, Some(Duration::ZERO), None).unwrap();
    assert!(container::top(&place.engine, &id, &[], &|_| String::new()).is_err());
}

/// Commits in the write-ahead log: frames that say how large the database is after them (fileformat2, section 4.1).
fn commits(place: &Place) -> usize {
    let log = std::fs::read(place.path("root").join("ledger.db-wal")).unwrap();
    let salt = &log[16..24];
    let frames = log[32..].chunks_exact(24 + 4096);
    frames.take_while(|frame| &frame[8..16] == salt).filter(|frame| frame[4..8] != [0; 4]).count()
}

fn costs_six_transactions() {
    let place = Place::new();
    let mut wanted = request("", &["true"]);
    wanted.host.auto_remove = true;
    // The log is long enough for a few runs before it begins anew.
    let before = commits(&place);
    assert_eq!(place.run(&wanted).0, Some(0));
    assert_eq!(commits(&place) - before, 6);
}

fn is_quick() {
    let place = Place::new();
    let mut wanted = request("", &["true"]);
    wanted.host.auto_remove = true;
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(place.run(&wanted).0, Some(0));
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("run --rm true: best {:?}, median {:?}", times[0], times[times.len() / 2]);
    assert!(container::list(&place.engine).unwrap().is_empty());
}
