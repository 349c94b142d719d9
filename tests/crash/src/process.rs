//! Starts dhow as a black box: where its program and its store are, how a command line of a scenario becomes arguments,
//! and a watchdog, because a command that hangs after a crash is a finding too.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::failure::{Failure, violated};

/// No command on these small images takes a tenth of this, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills what runs for longer than [`PATIENCE`].
#[derive(Debug, Clone)]
pub(crate) struct Watchdog(Arc<Mutex<HashMap<u32, (Instant, bool)>>>);

/// Watches one process as long as it lives.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    watchdog: &'a Watchdog,
    process: u32,
}

impl Watchdog {
    /// Starts the thread; it ends with the last clone.
    pub(crate) fn new() -> Watchdog {
        let watchdog = Watchdog(Arc::default());
        let watched: Weak<Mutex<HashMap<u32, (Instant, bool)>>> = Arc::downgrade(&watchdog.0);
        thread::spawn(move || {
            while let Some(watched) = watched.upgrade() {
                let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
                for (process, (deadline, expired)) in watched.iter_mut() {
                    if *deadline < Instant::now() && !*expired {
                        *expired = true;
                        // An error means that it has just ended, which is what is wanted.
                        let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
                    }
                }
                drop(watched);
                thread::sleep(Duration::from_millis(250));
            }
        });
        watchdog
    }

    /// From now on.
    pub(crate) fn watch(&self, process: u32) -> Watched<'_> {
        self.lock().insert(process, (Instant::now() + PATIENCE, false));
        Watched { watchdog: self, process }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, (Instant, bool)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched<'_> {
    /// Whether it had to be killed.
    pub(crate) fn expired(&self) -> bool {
        self.watchdog.lock().get(&self.process).is_some_and(|(_, expired)| *expired)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.watchdog.lock().remove(&self.process);
    }
}

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) line: String,
    pub(crate) success: bool,
    pub(crate) how: String,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Done {
    /// The command had to succeed: dhow's fault when it did not.
    pub(crate) fn or_violated(self, when: &str) -> Result<Done, Failure> {
        if self.success {
            return Ok(self);
        }
        violated(format!("{when}: `{}` {}: {}{}", self.line, self.how, self.output, self.errors))
    }

    /// The command had to succeed before anything was killed: the set-up does not fit dhow.
    pub(crate) fn or_failed(self) -> Result<Done, Failure> {
        if self.success {
            return Ok(self);
        }
        Err(Failure::Command { command: self.line, how: self.how, output: self.output + &self.errors })
    }
}

/// dhow with one store.
#[derive(Debug, Clone)]
pub(crate) struct Dhow {
    pub(crate) program: PathBuf,
    /// Holds `root`, `run` and `out`: all that is copied, restored and kept together.
    pub(crate) live: PathBuf,
    /// The run root; outside `live` where a power cut has to empty it.
    pub(crate) run_root: PathBuf,
    /// The input archives.
    pub(crate) inputs: PathBuf,
    pub(crate) watchdog: Watchdog,
    /// The flushes that do nothing, for runs without ptrace.
    pub(crate) swallow: Option<String>,
}

impl Dhow {
    /// dhow's data root.
    pub(crate) fn root(&self) -> PathBuf {
        self.live.join("root")
    }

    /// Where `save` writes.
    pub(crate) fn out(&self) -> PathBuf {
        self.live.join("out")
    }

    /// A line of a scenario (`load -q -i {in}/app.tar`) as the arguments of the program.
    pub(crate) fn arguments(&self, line: &str) -> Vec<String> {
        let mut arguments = vec![
            "--root".to_owned(),
            self.root().display().to_string(),
            "--runroot".to_owned(),
            self.run_root.display().to_string(),
        ];
        arguments.extend(line.split_whitespace().map(|word| {
            word.replace("{in}", &self.inputs.display().to_string()).replace("{out}", &self.out().display().to_string())
        }));
        arguments
    }

    /// Runs one line to its end.
    pub(crate) fn run(&self, line: &str) -> Result<Done, Failure> {
        let child = self.spawn(line, Stdio::piped)?;
        self.finish(line, child)
    }

    /// Starts one line.
    pub(crate) fn spawn(&self, line: &str, output: fn() -> Stdio) -> Result<Child, Failure> {
        let mut command = match &self.swallow {
            None => Command::new(&self.program),
            Some(call) => {
                let mut command = Command::new("/proc/self/exe");
                command.args(["swallow", call]).arg(&self.program);
                command
            }
        };
        command
            .args(self.arguments(line))
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .map_err(Failure::io("start", &self.program))
    }

    /// Waits for what [`Dhow::spawn`] started. A hang is a violation.
    pub(crate) fn finish(&self, line: &str, child: Child) -> Result<Done, Failure> {
        let guard = self.watchdog.watch(child.id());
        let output = child.wait_with_output().map_err(Failure::io("wait for", &self.program))?;
        if guard.expired() {
            return violated(format!("`{line}` did not end within {} s", PATIENCE.as_secs()));
        }
        Ok(Done {
            line: line.to_owned(),
            success: output.status.success(),
            how: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Runs a tool of the system (`cp`, `mount`, …) that the harness itself needs.
pub(crate) fn tool(command: &mut Command) -> Result<(), Failure> {
    let name = Path::new(command.get_program()).to_owned();
    let output = command.stdin(Stdio::null()).output().map_err(Failure::io("start", &name))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::Command {
        command: format!("{command:?}"),
        how: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
