//! The loop and the end around plain child processes, with the real client at the other end of the socket. Containers
//! come in the integration tests.

use super::input::Input;
use super::pump::Transit;
use super::slate::Slate;
use super::start::listen;
use super::watch::{Brief, Source, Watch};
use crate::client::{Connection, End, Streams, Terminal};
use crate::log::{Query, Stream, Writer, read};
use crate::plan::{ExitRecord, LogPlan, Stdin};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };

struct Plain {
    directory: PathBuf,
    watch: JoinHandle<()>,
    _child: Child,
}

fn non_blocking(fd: impl Into<OwnedFd>) -> OwnedFd {
    let fd = fd.into();
    rustix::io::ioctl_fionbio(&fd, true).unwrap();
    fd
}

/// A shell in place of a container. What runs once it has ended leaves a file `exited`.
fn supervise(name: &str, script: &str, stdin: Stdin) -> Plain {
    let directory = std::env::temp_dir().join(format!("dhow-watch-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let log = LogPlan { path: directory.join("log"), max_size: None, max_files: 1 };
    let watch = Watch {
        brief: Brief {
            run_dir: directory.clone(),
            log: Some(log.clone()),
            cgroup: None,
            stdin,
            exited: ["touch".into(), directory.join("exited").into()].into(),
            exited_always: false,
            started: 0,
            oom_score: 0,
            process: None,
            supervisor_cgroup: None,
            keeper: None,
            by_itself: false,
        },
        pidfd,
        away: None,
        sources: vec![
            Source { fd: non_blocking(child.stdout.take().unwrap()), stream: Stream::Stdout },
            Source { fd: non_blocking(child.stderr.take().unwrap()), stream: Stream::Stderr },
        ],
        input: Some(Input::new(non_blocking(child.stdin.take().unwrap())).unwrap()),
        peer: None,
        listener: listen(&directory).unwrap(),
        full_until: None,
        clients: Vec::new(),
        log: Some(Writer::open(&log).unwrap()),
        lock: None,
        kept: Vec::new(),
        // The program of this process is no supervisor.
        lean: true,
        group: None,
        still_to_join: None,
        recorded: false,
        took: 0,
        slate: Slate::new().unwrap(),
        transit: Transit::new().unwrap(),
        keeping: None,
        expected: 0,
        grace: std::time::Instant::now(),
    };
    watch.slate.start(5);
    Plain { directory, watch: std::thread::spawn(|| watch.run()), _child: child }
}

impl Plain {
    fn connect(&self, streams: Streams) -> Connection {
        Connection::open(&self.directory, streams).unwrap()
    }

    fn finish(self) -> (ExitRecord, bool, String) {
        self.watch.join().unwrap();
        let record = ExitRecord::read(&self.directory).unwrap().unwrap();
        // Nobody waits for it.
        let exited = (0..50).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(4));
            self.directory.join("exited").exists()
        });
        let log = log(&self.directory);
        std::fs::remove_dir_all(&self.directory).unwrap();
        (record, exited, log)
    }
}

fn log(directory: &Path) -> String {
    let mut text = Vec::new();
    read(&directory.join("log"), &Query::default(), &mut || true, &mut |entry| {
        text.extend_from_slice(entry.bytes);
        Ok(true)
    })
    .unwrap();
    String::from_utf8(text).unwrap()
}

/// Attaches with pipes for all three; what came out of each.
fn attach(connection: Connection, input: &[u8], records: bool) -> (End, String, String) {
    let (stdin, mut typed) = std::io::pipe().unwrap();
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let (mut complaints, stderr) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            let terminal = Terminal {
                stdin: Some(stdin.as_fd()),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
                tty: false,
                detach_keys: Vec::new(),
                on_signal: None,
            };
            connection.stream(terminal, records).unwrap()
        });
        let writer = scope.spawn(move || typed.write_all(input));
        let errors = scope.spawn(move || {
            let mut text = String::new();
            complaints.read_to_string(&mut text).unwrap();
            text
        });
        let mut text = String::new();
        shown.read_to_string(&mut text).unwrap();
        writer.join().unwrap().unwrap();
        (client.join().unwrap(), text, errors.join().unwrap())
    })
}

#[test]
fn both_streams_input_and_status_come_through() {
    let plain = supervise("through", "cat; echo problem >&2; exit 7", Stdin::Once);
    let connection = plain.connect(ALL);
    let input = "a line of input\n".repeat(50_000);
    let (end, out, err) = attach(connection, input.as_bytes(), true);
    let End::Exited(record) = end else { panic!("{end:?}") };
    assert_eq!((record.code, record.started, record.oom_killed), (Some(7), 5, false));
    assert!(out == input && err == "problem\n", "{} {err:?}", out.len());
    let (written, exited, log) = plain.finish();
    assert_eq!((written, exited), (record, false));
    assert_eq!(log.len(), input.len() + 8);
}

#[test]
fn a_signal_is_128_and_more_and_nobody_who_records_means_the_command_runs() {
    let plain = supervise("signal", "echo said; read line; kill -9 $$", Stdin::Open);
    let (first, second) = (plain.connect(Streams::default()), plain.connect(ALL));
    let waiting = std::thread::spawn(|| first.wait(false).unwrap());
    // It stays open although the second has no more input, so the third may end it.
    drop(second);
    attach_and_type(plain.connect(ALL));
    let End::Exited(record) = waiting.join().unwrap() else { panic!() };
    assert_eq!(record.code, Some(137));
    let (_, exited, log) = plain.finish();
    assert!(exited);
    assert_eq!(log, "said\n");
}

fn attach_and_type(connection: Connection) {
    let (end, ..) = attach(connection, b"go\n", false);
    assert!(matches!(end, End::Exited(_)));
}

#[test]
fn a_slow_client_gets_all_and_one_who_is_gone_holds_nothing_up() {
    let plain = supervise("slow", "read line; head -c 10485760 /dev/zero | tr '\\0' x; echo", Stdin::Open);
    let (slow, gone) = (plain.connect(ALL), plain.connect(ALL));
    let (stdin, mut typed) = std::io::pipe().unwrap();
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let client = std::thread::spawn(move || {
        let null = File::open("/dev/null").unwrap();
        let terminal = Terminal {
            stdin: Some(stdin.as_fd()),
            stdout: stdout.as_fd(),
            stderr: null.as_fd(),
            tty: false,
            detach_keys: Vec::new(),
            on_signal: None,
        };
        slow.stream(terminal, true).unwrap()
    });
    typed.write_all(b"go\n").unwrap();
    // The other takes nothing at all, until he goes.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let so_far = log(&plain.directory).len();
    assert!(so_far < 2_000_000, "the container waits for him: {so_far}");
    drop(gone);
    let mut total = 0;
    let mut piece = [0; 65_536];
    loop {
        match shown.read(&mut piece).unwrap() {
            0 => break,
            n => total += n,
        }
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    assert_eq!(total, 10_485_761);
    assert!(matches!(client.join().unwrap(), End::Exited(_)));
    let (_, exited, log) = plain.finish();
    assert!(!exited);
    assert_eq!(log.len(), total);
}

#[test]
fn output_that_descendants_hold_open_ends_after_a_while() {
    let plain = supervise("held", "(sleep 30; echo late)& echo soon", Stdin::Closed);
    let begun = std::time::Instant::now();
    let (record, _, log) = plain.finish();
    assert_eq!((record.code, log.as_str()), (Some(0), "soon\n"));
    let took = begun.elapsed().as_millis();
    assert!((1000..3000).contains(&took), "{took}");
}

#[test]
fn who_talks_nonsense_is_dropped() {
    let plain = supervise("nonsense", "read line", Stdin::Once);
    let path = plain.directory.join(super::start::SOCKET);
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"H\x05\0\0\0\x09\0\0\0\x07", b"G\0\0\0\0", b"i\x01\0\0\0x"] {
        let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
        socket.write_all(nonsense).unwrap();
        let mut answer = Vec::new();
        // Closed with bytes unread is a reset.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
    }
    // A hello in pieces is one all the same.
    let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
    for byte in b"H\x05\0\0\0\x01\0\0\0\x07" {
        socket.write_all(&[*byte]).unwrap();
    }
    let mut welcome = [0; 9];
    socket.read_exact(&mut welcome).unwrap();
    assert_eq!(&welcome, b"V\x04\0\0\0\x01\0\0\0");
    drop(socket);
    // He brought input, and is gone: the end of input.
    assert_eq!(plain.finish().0.code, Some(1));
}

#[test]
fn afterwards_there_is_nobody_to_connect_to() {
    let plain = supervise("gone", "true", Stdin::Closed);
    let directory = plain.directory.clone();
    while ExitRecord::read(&directory).unwrap().is_none() || directory.join(super::start::SOCKET).exists() {
        std::thread::yield_now();
    }
    let error = Connection::open(&directory, ALL).unwrap_err();
    assert!(matches!(error, crate::client::ClientError::NotRunning), "{error}");
    plain.finish();
    let error = Connection::open(&directory, ALL).unwrap_err();
    assert!(matches!(error, crate::client::ClientError::NotRunning), "{error}");
}

/// What the first version handed over to itself, which had no version, no slate and no keeper.
#[test]
#[expect(clippy::zombie_processes, reason = "waited for by its pidfd")]
fn the_state_of_the_first_version_is_taken_up() {
    let directory = std::env::temp_dir().join(format!("dhow-watch-{}-first", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let memory = serde_json::json!({
        "brief": { "run_dir": directory, "log": { "path": directory.join("log"), "max_size": null, "max_files": 1 },
            "cgroup": null, "stdin": "Closed", "exited": [], "started": 5, "oom_score": 0 },
        "sources": [false], "input": false, "peer": false, "begun": [[104, 105], []],
        "clients": [{ "streams": 7, "said": [] }],
    });
    let mut child = Command::new("sh").args(["-c", "echo ' there'; exit 3"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut file = File::from(rustix::fs::memfd_create(c"first", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.write_all(&serde_json::to_vec(&memory).unwrap()).unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let descriptors: Vec<OwnedFd> = vec![
        file.into(),
        dhow_sys::pidfd::open(child.id()).unwrap(),
        listen(&directory).unwrap(),
        File::create(directory.join("lock")).unwrap().into(),
        non_blocking(child.stdout.take().unwrap()),
        non_blocking(theirs),
    ];
    super::resume::take_up(descriptors, None).unwrap().run();
    let record = ExitRecord::read(&directory).unwrap().unwrap();
    assert_eq!((record.code, record.started), (Some(3), 5));
    assert_eq!(log(&directory), "hi there\n");
    let mut said = Vec::new();
    (&ours).read_to_end(&mut said).unwrap();
    assert!(said.starts_with(b"o\x07\0\0\0 there\nX"), "{said:?}");
    std::fs::remove_dir_all(&directory).unwrap();
}
