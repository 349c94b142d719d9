//! Supervisors and keepers killed at any moment: nothing that a container says, hears or leaves is lost.

use crate::container::{ALL, Container, NONE, attach, program, until};
use dhow_supervisor::client::{Adoption, Connection, End, Upgraded, adopt, upgrade};
use dhow_supervisor::keeper;
use dhow_supervisor::plan::{Byte, KeeperPlan, Stdin};
use dhow_sys::process::ProcessIdentity;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn kept(mut container: Container) -> Container {
    let dir = container.scratch.0.join("kept");
    fs::create_dir_all(&dir).unwrap();
    container.plan.keeper = Some(KeeperPlan {
        dir,
        supervise: vec!["supervisor".into()],
        keep: vec!["keeper".into(), "keep".into()],
        networks: None,
        share: None,
    });
    container
}

pub(crate) fn dir(container: &Container) -> &Path {
    &container.plan.keeper.as_ref().unwrap().dir
}

/// As other programs see it: whether somebody shares that byte of a file.
fn is_shared(byte: &Byte) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let file = format!(":{} {} {}", fs::metadata(&byte.path).unwrap().ino(), byte.offset, byte.offset);
    fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains(" READ ") && line.ends_with(&file))
}

/// Processes of that name that have the file open.
pub(crate) fn holders(name: &str, file: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == name) {
            let Ok(fds) = fs::read_dir(entry.path().join("fd")) else { continue };
            if fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == file)) {
                found.push(pid);
            }
        }
    }
    found
}

pub(crate) fn supervisor(container: &Container) -> Option<u32> {
    holders("dhow-supervisor", &container.plan.run_dir.join("supervisor.lock")).first().copied()
}

pub(crate) fn keeper(container: &Container) -> Option<u32> {
    holders("dhow-keeper", &dir(container).join("keeper.lock")).first().copied()
}

pub(crate) fn kill(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
}

/// A number that differs from turn to turn, below `most`.
fn random(most: u64) -> u64 {
    static STATE: AtomicU32 = AtomicU32::new(0x1234_5678);
    let mut x = STATE.load(Ordering::Relaxed) ^ Instant::now().elapsed().subsec_nanos() ^ std::process::id();
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    STATE.store(x, Ordering::Relaxed);
    u64::from(x) % most
}

pub(crate) fn text(lines: u32) -> String {
    (1..=lines).map(|n| format!("{n}\n")).collect()
}

/// Kills what `victim` finds, over and over, as long as `work` runs. How often it did.
fn while_killing<T: Send>(
    victim: impl Fn() -> Option<u32> + Sync,
    pause: u64,
    work: impl FnOnce() -> T + Send,
) -> (T, u32) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(random(pause * 1000)));
                count += u32::from(victim().is_some_and(kill));
                // Who dies again and again is not followed any more.
                std::thread::sleep(Duration::from_millis(if count % 4 == 0 { 2500 } else { 60 }));
            }
            count
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        (result, killer.join().unwrap())
    })
}

/// Numbers in bursts, for about `seconds`.
fn counting(lines: u32, seconds: u32) -> String {
    let bursts = seconds * 20;
    let each = lines / bursts;
    format!(
        "i=0; while [ $i -lt {bursts} ]; do seq $((i * {each} + 1)) $((i * {each} + {each})); i=$((i + 1)); sleep 0.04; \
         done; exit 7"
    )
}

pub(crate) fn ended(end: &End, code: i32) -> bool {
    matches!(end, End::Exited(record) if record.code == Some(code))
}

#[test]
fn a_supervisor_killed_again_and_again_loses_and_repeats_nothing() {
    let mut container = kept(Container::new("again", &counting(360_000, 6)));
    let own = format!("dhow-test-{}/kept", std::process::id());
    container.plan.supervisor_cgroup = Some(own.into());
    let connection = container.start(ALL);
    let ((end, out, _), kills) = while_killing(|| supervisor(&container), 40, || attach(connection, b"", true));
    println!("{kills} supervisors killed");
    assert!(kills > 3 && ended(&end, 7), "{kills} {end:?}");
    let expected = text(360_000);
    assert_same(&container.log(), &expected, "the log");
    assert_same(&out, &expected, "what the client saw");
    container.assert_nothing_left();
    assert_eq!(container.record().code, Some(7));
    until("the keeper to end", || keeper(&container).is_none());
    assert!(!dir(&container).join("keeper.sock").exists());
    // Which was the last in it.
    let hierarchies = dhow_runtime::cgroup::Hierarchies::detect().unwrap();
    let group = container.plan.supervisor_cgroup.as_ref().unwrap();
    assert!(dhow_runtime::cgroup::Cgroup::open(&hierarchies, group).is_err());
}

pub(crate) fn assert_same(found: &str, expected: &str, what: &str) {
    if found != expected {
        let differs =
            found.bytes().zip(expected.bytes()).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
        let around = |text: &str| text[differs.saturating_sub(40)..text.len().min(differs + 40)].to_owned();
        panic!(
            "{what} differs at {differs} of {} ({}): {:?} for {:?}",
            expected.len(),
            found.len(),
            around(found),
            around(expected)
        );
    }
}

#[test]
fn a_terminal_outlives_its_supervisor() {
    let mut container = kept(Container::new("terminal", &counting(40_000, 4)).with_terminal());
    container.plan.stdin = Stdin::Open;
    let connection = container.start(ALL);
    let ((end, out, _), kills) = while_killing(|| supervisor(&container), 40, || attach(connection, b"", true));
    assert!(kills > 1 && ended(&end, 7), "{kills} {end:?}");
    let expected = text(40_000).replace('\n', "\r\n");
    assert_same(&container.log(), &expected, "the log");
    assert_same(&out, &expected, "what the client saw");
    container.assert_nothing_left();
}

#[test]
fn input_flows_on_over_supervisors_that_are_killed() {
    let mut container = kept(Container::new("kept-input", "cat; exit 5"));
    container.plan.stdin = Stdin::Once;
    let connection = container.start(ALL);
    let expected = text(60_000);
    let (stdin, mut typed) = std::io::pipe().unwrap();
    let input = &expected;
    let ((end, out), kills) = while_killing(
        || supervisor(&container),
        40,
        || {
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    for piece in input.as_bytes().chunks(input.len() / 100) {
                        typed.write_all(piece).unwrap();
                        std::thread::sleep(Duration::from_millis(40));
                    }
                });
                crate::life::attach_with(connection, stdin)
            })
        },
    );
    assert!(kills > 1 && ended(&end, 5), "{kills} {end:?}");
    assert_same(&out, &expected, "what the client saw");
    assert_same(&container.log(), &expected, "the log");
    container.assert_nothing_left();
}

#[test]
fn a_keeper_that_is_killed_is_replaced_and_knows_as_much() {
    let container = kept(Container::new("keepers", &counting(100_000, 5)));
    let connection = container.start(ALL);
    let ((end, out, _), kills) = while_killing(
        || if random(2) == 0 { keeper(&container) } else { supervisor(&container) },
        40,
        || attach(connection, b"", true),
    );
    assert!(kills > 3 && ended(&end, 7), "{kills} {end:?}");
    assert_same(&container.log(), &text(100_000), "the log");
    assert_same(&out, &text(100_000), "what the client saw");
    container.assert_nothing_left();
    until("the keeper to end", || keeper(&container).is_none());
}

#[test]
fn a_byte_is_shared_as_long_as_there_is_a_keeper() {
    let mut container = kept(Container::new("byte", "read line"));
    let byte = Byte { path: container.scratch.0.join("index"), offset: 128 };
    fs::write(&byte.path, [0; 200]).unwrap();
    container.plan.keeper.as_mut().unwrap().share = Some(byte.clone());
    container.plan.stdin = Stdin::Once;
    let connection = container.start(ALL);
    until("the keeper to share it", || is_shared(&byte));
    let first = keeper(&container).unwrap();
    kill(first);
    until("another keeper", || keeper(&container).is_some_and(|other| other != first));
    until("that one to share it", || is_shared(&byte));
    let (end, ..) = attach(connection, b"\n", false);
    assert!(ended(&end, 0));
    container.assert_nothing_left();
    until("the keeper to end", || !is_shared(&byte));
}

#[test]
fn one_keeper_serves_many_and_each_successor_gets_its_own() {
    let first = kept(Container::new("many-a", "sleep 3; echo a; exit 3"));
    let mut second = kept(Container::new("many-b", "sleep 3; echo b; exit 4"));
    second.plan.keeper.clone_from(&first.plan.keeper);
    let (a, b) = (first.start(NONE), second.start(NONE));
    assert_eq!(keeper(&first), keeper(&second));
    until("both to be lean", || supervisor(&first).is_some() && supervisor(&second).is_some());
    assert!(kill(supervisor(&first).unwrap()) && kill(supervisor(&second).unwrap()));
    assert!(ended(&a.wait(true).unwrap(), 3) && ended(&b.wait(true).unwrap(), 4));
    assert_eq!((first.log().as_str(), second.log().as_str()), ("a\n", "b\n"));
    assert!(!first.has_exited_run() && !second.has_exited_run());
}

#[test]
fn the_end_is_told_although_nobody_who_was_there_lives() {
    let container = kept(Container::new("unseen", "sleep 1; exit 9"));
    drop(container.start(NONE));
    until("the keeper", || keeper(&container).is_some());
    let old = supervisor(&container).unwrap();
    assert!(kill(old));
    until("another", || supervisor(&container).is_some_and(|new| new != old));
    until("the command", || container.has_exited_run());
    assert_eq!(container.record().code, Some(9));
    container.assert_nothing_left();
}

fn kill_both(container: &Container) {
    let (supervisor, keeper) = (supervisor(container).unwrap(), keeper(container).unwrap());
    let stop = |pid: u32| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    };
    // At once: neither gets to notice.
    stop(keeper);
    stop(supervisor);
    assert!(kill(keeper) && kill(supervisor));
    until("both to be gone", || !container.is_supervised());
}

fn adoption(container: &Container, pid: u32) -> Adoption {
    Adoption { plan: container.plan.clone(), process: ProcessIdentity::of(pid).unwrap(), started: 77 }
}

#[test]
fn what_a_container_says_while_nobody_is_there_is_not_lost() {
    let container = kept(Container::new("adopted", "echo before; sleep 2; seq 1 100000; exit 6"));
    let waiting = container.launch(NONE).unwrap();
    let pid = waiting.pid;
    drop(waiting.open().unwrap());
    until("the first line", || container.log() == "before\n");
    kill_both(&container);
    let adoption = adoption(&container, pid);
    // It has begun to speak, and waits.
    std::thread::sleep(Duration::from_millis(2500));
    let error = Connection::open(&container.plan.run_dir, NONE).unwrap_err();
    assert!(matches!(error, dhow_supervisor::client::ClientError::NotRunning), "{error}");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| adopt(&program(), &[], &adoption, &[]))).collect();
        // Several at once: one gets it.
        let outcomes: Vec<_> = all.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(outcomes.iter().any(Result::is_ok), "{outcomes:?}");
    });
    until("the end", || container.has_exited_run());
    let record = container.record();
    assert_eq!((record.code, record.started), (Some(6), 77));
    assert_same(&container.log(), &format!("before\n{}", text(100_000)), "the log");
    container.assert_nothing_left();
    assert!(adopt(&program(), &[], &adoption, &[]).is_err());
    assert!(!container.is_supervised());
}

/// Another file with the same program.
pub(crate) fn copy_of_program(container: &Container) -> PathBuf {
    let copy = container.scratch.0.join("program");
    fs::copy(program(), &copy).unwrap();
    copy
}

fn exe(pid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino()
}

#[test]
fn another_program_goes_on_and_nobody_notices() {
    use std::os::unix::fs::MetadataExt as _;
    let container = kept(Container::new("upgrade", &counting(200_000, 4)));
    let connection = container.start(ALL);
    let copy = copy_of_program(&container);
    let new = dhow_sys::mount::clone_tree(&copy).unwrap();
    let same = dhow_sys::mount::clone_tree(&program()).unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| attach(connection, b"", true));
        let run_dir = &container.plan.run_dir;
        until("the keeper", || keeper(&container).is_some());
        let pids = (supervisor(&container).unwrap(), keeper(&container).unwrap());
        assert_eq!(upgrade(run_dir, same.as_fd()).unwrap(), Upgraded::Same);
        assert_eq!(keeper::upgrade(dir(&container), same.as_fd()).unwrap(), Upgraded::Same);
        // What is no program changes nothing.
        let text = fs::File::open(container.scratch.0.join("c-json.log")).unwrap();
        assert!(upgrade(run_dir, text.as_fd()).is_err());
        assert!(keeper::upgrade(dir(&container), text.as_fd()).is_err());
        assert_eq!(upgrade(run_dir, new.as_fd()).unwrap(), Upgraded::Done);
        assert_eq!(keeper::upgrade(dir(&container), new.as_fd()).unwrap(), Upgraded::Done);
        let inode = fs::metadata(&copy).unwrap().ino();
        assert_eq!((supervisor(&container).unwrap(), keeper(&container).unwrap()), pids);
        assert_eq!((exe(pids.0), exe(pids.1)), (inode, inode));
        assert_eq!(upgrade(run_dir, new.as_fd()).unwrap(), Upgraded::Same);
        // The new keeper knows what the old one knew.
        assert!(kill(pids.0));
        until("another", || supervisor(&container).is_some_and(|new| new != pids.0));
        assert_eq!(exe(supervisor(&container).unwrap()), inode);
        let (end, out, _) = client.join().unwrap();
        assert!(ended(&end, 7), "{end:?}");
        assert_same(&out, &self::text(200_000), "what the client saw");
    });
    assert_same(&container.log(), &text(200_000), "the log");
    container.assert_nothing_left();
    assert_eq!(upgrade(&container.plan.run_dir, new.as_fd()).unwrap(), Upgraded::NotRunning);
    until("the keeper to end", || keeper(&container).is_none());
    assert_eq!(keeper::upgrade(dir(&container), new.as_fd()).unwrap(), Upgraded::NotRunning);
}

#[test]
fn one_who_was_killed_before_the_gate_leaves_nothing() {
    let container = kept(Container::new("kept-gate", "echo never"));
    let waiting = container.launch(NONE).unwrap();
    // Before that, cleaning up is the business of who launched it.
    let lock = container.plan.run_dir.join("supervisor.lock");
    until("the keeper to have copies", || !holders("dhow-keeper", &lock).is_empty());
    let first = ProcessIdentity::of(waiting.pid).unwrap();
    assert!(kill(supervisor(&container).unwrap()));
    until("the container to end", || !dhow_sys::process::is_alive(&first).unwrap());
    assert!(waiting.open().is_err());
    container.assert_nothing_left();
    assert!(!container.has_exited_run());
    assert!(dhow_supervisor::plan::ExitRecord::read(&container.plan.run_dir).unwrap().is_none());
    until("the keeper to end", || keeper(&container).is_none());
}

#[test]
fn a_suspended_client_does_not_delay_the_end() {
    let mut container = Container::new("suspended", "read line");
    container.plan.stdin = Stdin::Once;
    drop(container.start(NONE));
    // It never says anything again.
    let asleep = container.connect(NONE);
    let begun = Instant::now();
    drop(container.connect(ALL));
    until("the command", || container.has_exited_run());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(ended(&asleep.wait(false).unwrap(), 1));
    container.assert_nothing_left();
}

/// A supervisor of the first version, as far as a client meets it: it understands nothing that is newer.
fn of_the_first_version(run_dir: &Path, said: &'static [u8]) -> std::thread::JoinHandle<Vec<u8>> {
    let listener = std::os::unix::net::UnixListener::bind(run_dir.join("supervisor.sock")).unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut hello = [0; 10];
        std::io::Read::read_exact(&mut socket, &mut hello).unwrap();
        assert_eq!(&hello[..9], b"H\x05\0\0\0\x01\0\0\0", "a length and a version that it knows");
        socket.write_all(said).unwrap();
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut socket, &mut rest).unwrap();
        rest
    })
}

#[test]
fn a_supervisor_of_the_first_version_is_understood() {
    const EXITED: &[u8] = b"V\x04\0\0\0\x01\0\0\0o\x03\0\0\0hi\nX\x49\0\0\0\
        {\"version\":1,\"code\":4,\"started\":1,\"finished\":20000000,\"oom_killed\":false}";
    let container = Container::new("first-version", "true");
    let run_dir = &container.plan.run_dir;
    let server = of_the_first_version(run_dir, EXITED);
    let (end, out, _) = attach(container.connect(ALL), b"typed", true);
    assert!(ended(&end, 4) && out == "hi\n", "{end:?} {out}");
    let heard = server.join().unwrap();
    assert!(heard.ends_with(b"R\0\0\0\0"), "{heard:?}");
    assert!(heard.iter().all(|byte| *byte != b'r'), "{heard:?}");
    fs::remove_file(run_dir.join("supervisor.sock")).unwrap();
    let server = of_the_first_version(run_dir, b"V\x04\0\0\0\x01\0\0\0");
    let program = fs::File::open(program()).unwrap();
    assert_eq!(upgrade(run_dir, program.as_fd()).unwrap(), Upgraded::TooOld);
    assert_eq!(server.join().unwrap(), b"");
    fs::remove_file(run_dir.join("supervisor.sock")).unwrap();
}

#[test]
fn a_start_that_is_dropped_is_kept_no_more() {
    let container = kept(Container::new("kept-dropped", "sleep 1000"));
    let waiting = container.launch(ALL).unwrap();
    let first = ProcessIdentity::of(waiting.pid).unwrap();
    until("the keeper", || keeper(&container).is_some());
    drop(waiting);
    assert!(!dhow_sys::process::is_alive(&first).unwrap() && container.group().is_none());
    container.assert_nothing_left();
    until("the keeper to end", || keeper(&container).is_none());
    assert!(!container.has_exited_run());
}

/// Closes the keeper's connections to supervisors that live, from outside.
fn cut_connections(keeper: u32) -> usize {
    use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, sockopt};
    use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
    let pidfd = dhow_sys::pidfd::open(keeper).unwrap();
    let mut cut = 0;
    for entry in fs::read_dir(format!("/proc/{keeper}/fd")).unwrap().flatten() {
        let is_socket = fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        let Ok(socket) = pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()) else { continue };
        if !is_socket || sockopt::socket_acceptconn(&socket).unwrap() {
            continue;
        }
        let name = rustix::net::getsockname(&socket).unwrap();
        let is_ours = name.address_family() == AddressFamily::UNIX
            && SocketAddrUnix::try_from(name)
                .is_ok_and(|name| name.path_bytes().is_some_and(|path| path.ends_with(b"keeper.sock")));
        if is_ours {
            rustix::net::shutdown(&socket, Shutdown::Both).unwrap();
            cut += 1;
        }
    }
    cut
}

/// However they come to be there: one at a time acts.
#[test]
fn a_successor_waits_for_the_end_of_the_one_before() {
    let container = kept(Container::new("standby", &counting(120_000, 6)));
    let connection = container.start(ALL);
    until("the keeper", || keeper(&container).is_some());
    let lock = container.plan.run_dir.join("supervisor.lock");
    let first = supervisor(&container).unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| attach(connection, b"", true));
        // Once it is the lean one, which is another program to the kernel but the same process.
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(cut_connections(keeper(&container).unwrap()), 1);
        until("another beside it", || holders("dhow-supervisor", &lock).len() > 1);
        std::thread::sleep(Duration::from_millis(500));
        // Two are to follow it now.
        assert!(kill(first));
        until("all but one to be gone or to wait", || holders("dhow-supervisor", &lock).len() > 1);
        let (end, out, _) = client.join().unwrap();
        assert!(ended(&end, 7), "{end:?}");
        assert_same(&out, &text(120_000), "what the client saw");
    });
    assert_same(&container.log(), &text(120_000), "the log");
    container.assert_nothing_left();
    until("the keeper to end", || keeper(&container).is_none());
    assert!(holders("dhow-supervisor", &lock).is_empty());
}

fn processor_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 1..].split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// One that cannot hold more: it is not asked all the time, and the container goes on unkept until it can.
#[test]
fn a_keeper_without_descriptors_is_not_asked_all_the_time() {
    let first = kept(Container::new("room-a", "sleep 100"));
    let mut second = kept(Container::new("room-b", "sleep 15; exit 8"));
    second.plan.keeper.clone_from(&first.plan.keeper);
    let a = first.launch(NONE).unwrap();
    let pid = a.pid;
    let a = a.open().unwrap();
    until("the keeper", || keeper(&first).is_some());
    let keeper_pid = rustix::process::Pid::from_raw(keeper(&first).unwrap().cast_signed());
    let held = fs::read_dir(format!("/proc/{}/fd", keeper(&first).unwrap())).unwrap().count() as u64;
    let limit = |now: Option<u64>| {
        let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let wanted = rustix::process::Rlimit { current: now.or(maximum), maximum };
        rustix::process::prlimit(keeper_pid, rustix::process::Resource::Nofile, wanted).unwrap();
    };
    limit(Some(held + 3));
    let b = second.start(NONE);
    std::thread::sleep(Duration::from_secs(1));
    let supervisor_pid = supervisor(&second).unwrap();
    let spent = || processor_ticks(supervisor_pid) + processor_ticks(keeper(&first).unwrap());
    // Room for a connection and not for what comes over it, then not even for that: but for no more of them than poll(2) is
    // asked about, which it refuses.
    for room in [held + 3, 5] {
        limit(Some(room));
        std::thread::sleep(Duration::from_millis(1500));
        let before = spent();
        std::thread::sleep(Duration::from_secs(1));
        // Hundredths of a second.
        assert!(spent() - before < 30, "{room}: {}", spent() - before);
    }
    limit(None);
    until("it to be kept", || holders("dhow-keeper", &second.plan.run_dir.join("supervisor.lock")).len() == 1);
    assert!(kill(supervisor_pid));
    assert!(ended(&b.wait(true).unwrap(), 8));
    assert!(kill(pid));
    assert!(ended(&a.wait(true).unwrap(), 137));
}

#[test]
fn input_under_way_goes_along_to_another_program() {
    let mut container = kept(Container::new("upgrade-input", "sleep 2; cat; exit 4"));
    container.plan.stdin = Stdin::Once;
    let connection = container.start(ALL);
    let new = dhow_sys::mount::clone_tree(&copy_of_program(&container)).unwrap();
    let input = text(300_000);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| attach(connection, input.as_bytes(), true));
        // All pipes are full.
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(upgrade(&container.plan.run_dir, new.as_fd()).unwrap(), Upgraded::Done);
        let (end, out, _) = client.join().unwrap();
        assert!(ended(&end, 4), "{end:?}");
        assert_same(&out, &input, "what the client saw");
    });
}

/// The end of input takes a second order, and there is no room for it.
#[test]
fn input_ends_although_the_keeper_has_no_room() {
    let mut container = kept(Container::new("upgrade-room", "sleep 1; cat; exit 4"));
    container.plan.stdin = Stdin::Once;
    let connection = container.start(ALL);
    until("the keeper", || !holders("dhow-keeper", &container.plan.run_dir.join("supervisor.lock")).is_empty());
    let keeper_pid = keeper(&container).unwrap();
    let held = fs::read_dir(format!("/proc/{keeper_pid}/fd")).unwrap().count() as u64;
    let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let wanted = rustix::process::Rlimit { current: Some(held + 4), maximum };
    let pid = rustix::process::Pid::from_raw(keeper_pid.cast_signed());
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, wanted).unwrap();
    let (end, out, _) = attach(connection, b"hi\n", true);
    assert!(ended(&end, 4) && out == "hi\n", "{end:?} {out}");
    container.assert_nothing_left();
    until("the keeper to end", || keeper(&container).is_none());
}

#[test]
fn several_upgrades_at_once_all_hear_of_it() {
    let container = kept(Container::new("upgrade-several", "sleep 1000"));
    drop(container.start(NONE));
    until("the keeper", || keeper(&container).is_some());
    let first = dhow_sys::mount::clone_tree(&copy_of_program(&container)).unwrap();
    let second = dhow_sys::mount::clone_tree(&program()).unwrap();
    let pid = keeper(&container).unwrap();
    for round in 0..10 {
        let program = if round % 2 == 0 { &first } else { &second };
        let outcomes: Vec<Upgraded> = std::thread::scope(|scope| {
            let ask = || keeper::upgrade(dir(&container), program.as_fd());
            let all: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
            all.into_iter().map(|one| one.join().unwrap().unwrap()).collect()
        });
        let count = |of| outcomes.iter().filter(|outcome| **outcome == of).count();
        assert_eq!((count(Upgraded::Done), count(Upgraded::Same)), (1, 5), "{outcomes:?}");
    }
    assert_eq!(keeper(&container), Some(pid));
    let old = supervisor(&container).unwrap();
    assert!(kill(old));
    until("another", || supervisor(&container).is_some_and(|new| new != old));
}
