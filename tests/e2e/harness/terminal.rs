//! A command on a terminal: somebody who types and looks.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};

/// Longest wait for an answer.
const LONGEST: Duration = Duration::from_secs(30);

/// The master's side of a pseudo terminal, and what runs on the other.
pub(crate) struct Terminal {
    master: File,
    child: Child,
    seen: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl Terminal {
    /// Runs it as the leader of a session with this terminal, as a shell's window does.
    pub(crate) fn new(command: &Command, (rows, columns): (u16, u16)) -> Terminal {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut outer = Command::new("setsid");
        outer.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        let end = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        let master = File::from(master);
        set_size(&master, rows, columns);
        let child = outer.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(outer);
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let (mut reader, shared) = (master.try_clone().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Ends with EIO once nobody has the other side open.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                shared.0.lock().unwrap().extend_from_slice(&buffer[..count]);
                shared.1.notify_all();
            }
        });
        Terminal { master, child, seen }
    }

    /// Waits until this text has come since the last such call, and returns all up to its end.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + LONGEST;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            let found = seen.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let rest = seen.split_off(at + text.len());
                let before = std::mem::replace(&mut *seen, rest);
                return String::from_utf8_lossy(&before).into_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} did not come: {:?}", String::from_utf8_lossy(&seen));
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        set_size(&self.master, rows, columns);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end: its exit code.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + LONGEST;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            let seen = || String::from_utf8_lossy(&self.seen.0.lock().unwrap()).into_owned();
            assert!(Instant::now() < end, "it does not end: {:?}", seen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It mostly has ended; a failed test's must not stay.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(master: &File, rows: u16, columns: u16) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}
