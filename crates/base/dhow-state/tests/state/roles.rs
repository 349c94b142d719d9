//! Other processes: this test binary again, told by a variable what to play.
//!
//! They speak in lines that begin with `@`, because the test harness writes to the same place.

use crate::containers;
use crate::store::{Sample, places_in};
use dhow_state::{Access, Durability, NewEvent, State, StateError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const ROLE: &str = "DHOW_STATE_TEST_ROLE";
const DIRECTORY: &str = "DHOW_STATE_TEST_DIRECTORY";

/// A process that plays a role; killed and reaped on drop.
pub(crate) struct Player {
    pub(crate) child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts a process that plays a role.
pub(crate) fn play(role: &str, directory: &Path) -> Player {
    spawn(Command::new(std::env::current_exe().unwrap()), role, directory)
}

/// Starts one in a mount namespace of its own, after a line of shell that may mount things.
pub(crate) fn play_after(shell: &str, role: &str, directory: &Path) -> Player {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", &format!("{shell}\nexec \"$0\" \"$@\"")]);
    command.arg(std::env::current_exe().unwrap());
    spawn(command, role, directory)
}

fn spawn(mut command: Command, role: &str, directory: &Path) -> Player {
    command.args(["roles::role", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(DIRECTORY, directory);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
    Player { child, input, output }
}

impl Player {
    /// What it says next.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the other process went silent");
            // The harness writes the name of the test without a line end before it.
            if let Some((_, said)) = line.split_once('@') {
                return said.trim_end().to_owned();
            }
        }
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn finish(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(line: impl std::fmt::Display) {
    println!("@{line}");
    std::io::stdout().flush().unwrap();
}

fn listen() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap());
    let open = |access| State::open(&places_in(&directory), access);
    match role.as_str() {
        "load" | "remove" | "make" | "unmake" => {
            let state = open(Access::ReadWrite).unwrap();
            say(rustix::thread::gettid().as_raw_nonzero());
            listen();
            match role.as_str() {
                "load" => Sample::new(1).load(&state).unwrap(),
                "make" => containers::make(&state, 1, None).unwrap(),
                "unmake" => assert!(containers::remove(&state, 1).unwrap()),
                _ => assert!(Sample::new(1).remove(&state).unwrap()),
            }
            say("done");
        }
        "hold" => {
            // Published, not committed, and waiting for its end.
            let state = open(Access::ReadWrite).unwrap();
            let operation = state.begin("load", 1).unwrap();
            let sample = Sample::new(1);
            sample.bring(&state, &operation).unwrap();
            say("holding");
            listen();
            operation.sync_published().unwrap();
            operation.commit(Durability::PowerCut, |w| sample.record(w)).unwrap();
            say("done");
        }
        "lock" => {
            let state = open(Access::ReadWrite).unwrap();
            let lock = state.lock(dhow_state::ObjectKind::Image, "busy").unwrap();
            say("locked");
            listen();
            drop(lock);
            say("free");
            listen();
        }
        "crowd" => crowd(&open(Access::ReadWrite).unwrap(), listen().parse().unwrap()),
        "events" => {
            let state = open(Access::ReadWrite).unwrap();
            say("ready");
            while let Ok(count) = listen().parse::<u32>() {
                (0..count).for_each(|n| record(&state, n).unwrap());
            }
        }
        "list" => say(match open(Access::ReadOnly) {
            Ok(state) => state.read(|r| r.list_images()).map_or_else(|e| e.to_string(), |all| all.len().to_string()),
            Err(e) => e.to_string(),
        }),
        "open" => say(match open(Access::ReadWrite) {
            Ok(_) => "opened".to_owned(),
            Err(e) => {
                use dhow_spec::Classify as _;
                format!("{:?}: {e}; {}", e.kind(), e.hint().unwrap_or_default())
            }
        }),
        "fill" => fill(&open(Access::ReadWrite).unwrap(), &directory),
        other => panic!("no role {other}"),
    }
}

pub(crate) fn record(state: &State, n: u32) -> Result<(), StateError> {
    let (actor, attributes) = (n.to_string(), BTreeMap::new());
    let event = NewEvent { time: i64::from(n), kind: "image", action: "tag".into(), actor, attributes };
    state.write(Durability::Crash, |w| w.record_event(&event).map(drop))
}

/// Loads and removes images that others load and remove as well; at the end one stays.
fn crowd(state: &State, seed: u32) {
    for round in 0..20 {
        let sample = Sample::new((seed + round) % 4);
        sample.load(state).unwrap();
        let _ = sample.remove(state).unwrap();
    }
    Sample::new(100 + seed).load(state).unwrap();
    say("done");
}

/// Runs out of space, makes room, and goes on.
fn fill(state: &State, directory: &Path) {
    use dhow_spec::{Classify as _, Kind};
    Sample::new(0).load(state).unwrap();
    let ballast = directory.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let full = (1..10_000).find_map(|n| Sample::new(n).load_in_ledger_only(state).err()).unwrap();
    assert_eq!(full.kind(), Kind::Unavailable, "{full}");
    assert!(full.to_string().contains("no space left on"), "{full}");
    // Space comes back with the last descriptor.
    drop(file);
    std::fs::remove_file(ballast).unwrap();
    Sample::new(50_000).load(state).unwrap();
    let report = state.check(&dhow_state::CheckOptions { repair: false, verify_blobs: true }, 0).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    say("survived");
}

impl Sample {
    /// Grows the ledger alone.
    fn load_in_ledger_only(&self, state: &State) -> Result<(), StateError> {
        let event = NewEvent {
            time: 0,
            kind: "image",
            action: "load".into(),
            actor: self.name.clone(),
            attributes: BTreeMap::from([("filler".to_owned(), "x".repeat(8000))]),
        };
        state.write(Durability::PowerCut, |w| w.record_event(&event).map(drop))
    }
}
