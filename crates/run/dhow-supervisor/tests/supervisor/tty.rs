//! Containers with a terminal, used through a terminal.

use crate::container::{ALL, Container, until};
use dhow_supervisor::client::{Connection, End, Terminal, parse_detach_keys};
use dhow_sys::terminal;
use rustix::termios::LocalModes;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A person at a terminal: what he types goes in at the master, what he sees comes out there.
struct Person {
    master: File,
    peer: OwnedFd,
    seen: Arc<Mutex<String>>,
    client: Option<JoinHandle<End>>,
    _alone: MutexGuard<'static, ()>,
}

/// A process has one terminal in raw mode at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl Person {
    fn new() -> Person {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (master, peer) = terminal::open_pair().unwrap();
        terminal::resize(master.as_fd(), 30, 100).unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut output, sight) = (File::from(master.try_clone().unwrap()), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                sight.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Person { master: master.into(), peer, seen, client: None, _alone: alone }
    }

    fn attach(&mut self, mut connection: Connection) {
        let peer = self.peer.try_clone().unwrap();
        self.client = Some(std::thread::spawn(move || {
            let terminal = Terminal {
                stdin: Some(peer.as_fd()),
                stdout: peer.as_fd(),
                stderr: peer.as_fd(),
                tty: true,
                detach_keys: parse_detach_keys("ctrl-p,ctrl-q").unwrap(),
                on_signal: None,
            };
            let end = connection.attend(terminal).unwrap();
            connection.recorded();
            end
        }));
    }

    fn sees(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.seen.lock().unwrap().contains(text) {
            assert!(Instant::now() < deadline, "never saw {text:?}, but {:?}", self.seen.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn types(&mut self, keys: &str) {
        self.seen.lock().unwrap().clear();
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !rustix::termios::tcgetattr(&self.peer).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    fn end(&mut self) -> End {
        self.client.take().unwrap().join().unwrap()
    }
}

#[test]
fn a_shell_is_used_left_and_come_back_to() {
    let container = Container::of("shell", &["sh", "-i"]).with_terminal();
    let mut person = Person::new();
    person.attach(container.start(ALL));
    person.sees("# ");
    assert!(person.is_raw());
    person.types("stty size; echo $((6*7))\r");
    person.sees("30 100\r\n42\r\n");

    // Its window changes, and it is told.
    terminal::resize(person.master.as_fd(), 41, 111).unwrap();
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::WINCH).unwrap();
    person.types("sleep 0.05; stty size\r");
    person.sees("41 111\r\n");

    // Ctrl-C ends what runs in the foreground, and not us.
    person.types("sleep 1000; echo status $?\r");
    person.sees("status $?\r\n");
    std::thread::sleep(Duration::from_millis(50));
    person.types("\x03");
    person.sees("# ");
    person.types("echo still $((20+3)) here\r");
    person.sees("still 23 here");

    // Detach, in two reads; the terminal is as it was before.
    person.types("\x10");
    std::thread::sleep(Duration::from_millis(20));
    person.types("\x11");
    assert_eq!(person.end(), End::Detached);
    assert!(!person.is_raw());
    assert!(container.is_supervised());

    // After half a second it is the same supervisor in a fresh memory.
    std::thread::sleep(Duration::from_millis(700));
    person.attach(container.connect(ALL));
    person.types("echo back $((4*25))\r");
    person.sees("back 100\r\n");
    person.types("stty size\r");
    person.sees("41 111\r\n");
    person.types("exit 9\r");
    let End::Exited(record) = person.end() else { panic!() };
    assert_eq!(record.code, Some(9));
    assert!(!person.is_raw());
    assert!(container.log().contains("back 100\r\n"));
    container.assert_nothing_left();
}

#[test]
fn all_output_of_a_terminal_comes_before_its_end() {
    let container = Container::new("last", "seq 1 20000; echo the last; exit 5").with_terminal();
    let mut person = Person::new();
    person.attach(container.start(ALL));
    let End::Exited(record) = person.end() else { panic!() };
    assert_eq!(record.code, Some(5));
    person.sees("20000\r\nthe last\r\n");
    assert!(container.log().ends_with("20000\r\nthe last\r\n"));
    container.assert_nothing_left();
}

#[test]
fn a_terminal_lets_go_when_the_supervisor_is_gone() {
    let container = Container::new("lost", "trap '' HUP; sleep 100").with_terminal();
    let waiting = container.launch(ALL).unwrap();
    let supervisor = crate::life::parent_of(waiting.pid);
    let mut person = Person::new();
    person.attach(waiting.open().unwrap());
    until("raw mode", || person.is_raw());
    let pid = rustix::process::Pid::from_raw(supervisor.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(person.end(), End::Lost);
    assert!(!person.is_raw());
}

#[test]
fn signals_that_end_a_client_leave_the_terminal_as_it_was() {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt as _;
    let container = Container::new("restored", "sleep 1000").with_terminal();
    let _first = container.start(crate::container::NONE);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let person = Person::new();
        let mut command = std::process::Command::new(crate::container::program());
        let end = || std::process::Stdio::from(person.peer.try_clone().unwrap());
        command.arg("attach").arg(&container.plan.run_dir).stdin(end()).stdout(end()).stderr(end());
        let mut client = command.spawn().unwrap();
        person.sees("attached");
        until("raw mode", || person.is_raw());
        let pid = rustix::process::Pid::from_child(&client);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(client.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(!person.is_raw(), "{signal:?}");
    }
    assert!(container.is_supervised());
}
