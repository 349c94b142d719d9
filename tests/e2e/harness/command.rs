//! Commands, run to their end, with everything they said.

use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A test that waits longer than this for one command has found a hang.
const LONGEST: Duration = Duration::from_secs(240);

/// A command that has ended.
pub(crate) struct Ran {
    words: String,
    /// None when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Stdout as it came, for archives.
    pub(crate) bytes: Vec<u8>,
    pub(crate) took: Duration,
}

/// Runs it with an empty stdin.
pub(crate) fn run(command: &mut Command) -> Ran {
    run_with_input(command, b"")
}

/// Runs it with these bytes on stdin; a command that stops reading early is no error of the test's.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    let words = words(command);
    let start = Instant::now();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{words}: {e}"));
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    std::thread::spawn(move || stdin.write_all(&input));
    let (done, ended) = std::sync::mpsc::channel::<()>();
    // Kills what hangs; told in time, it does nothing. The pid stays the child's until wait_with_output has returned.
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(LONGEST) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    watch.join().unwrap();
    Ran {
        words,
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        bytes: output.stdout,
        took: start.elapsed(),
    }
}

impl Ran {
    /// It went well; else the test ends here with all it said.
    #[track_caller]
    pub(crate) fn ok(self) -> Ran {
        assert!(self.code == Some(0), "must go well: {self}");
        self
    }

    /// Its stdout without the last newline, when it went well.
    #[track_caller]
    pub(crate) fn text(self) -> String {
        self.ok().stdout.trim_end().to_owned()
    }

    /// Its lines, when it went well.
    #[track_caller]
    pub(crate) fn lines(self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Its stdout as JSON, when it went well.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let ran = self.ok();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {ran}"))
    }

    /// It failed with docker's exit code for an error, and says all of `words` (without regard to case) on stderr, and
    /// nothing that only a broken program says.
    #[track_caller]
    pub(crate) fn fails(self, words: &[&str]) -> Ran {
        self.fails_with(1, words)
    }

    #[track_caller]
    pub(crate) fn fails_with(self, code: i32, words: &[&str]) -> Ran {
        assert!(self.code == Some(code), "must fail with {code}: {self}");
        let said = self.stderr.to_lowercase();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "must say \"{word}\": {self}");
        }
        for bug in ["panicked", "rust_backtrace", "sqlite_", "unwrap()"] {
            assert!(!said.contains(bug), "must not say \"{bug}\": {self}");
        }
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("a signal".into(), |code| code.to_string());
        write!(f, "{}\nended with {code} after {:?}", self.words, self.took)?;
        write!(f, "\n--- stdout\n{}\n--- stderr\n{}\n---", shorten(&self.stdout), shorten(&self.stderr))
    }
}

/// An archive on stdout says nothing to a reader.
fn shorten(text: &str) -> &str {
    let end = text.char_indices().nth(6000).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn words(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    format!("$ {program} {}", args.join(" "))
}
