//! Runs a program under ptrace, counts its steps (calls.rs), and kills its thread group at a chosen one.
//!
//! The start is a hand-shake in three: the harness starts itself as `launch`, which asks to be traced and stops; the tracer
//! sets its options; `launch` puts the filter on itself and becomes the program. So no code has to run between fork and
//! exec. The tracer is one *thread* of the harness, and waits for its own children only, so that several may work at once.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls::{self, Counts};
use crate::failure::Failure;
use crate::process::Watchdog;

/// Before the step happened, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// At the entry: the call never happens.
    Before,
    /// At the exit: the call has happened, its caller never hears of it.
    After,
}

/// Where to kill: the step's number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) number: u64,
    pub(crate) side: Side,
}

/// How a traced run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was killed at the wanted step, which was this call.
    Killed { call: String },
    /// It came to its own end after so many steps.
    Finished { success: bool, steps: u64 },
    /// It neither ended nor reached the step in time.
    Hung,
}

/// The `launch` side: never returns unless something is wrong.
pub(crate) fn launch(command: &[OsString]) -> Failure {
    let start = || -> Result<Failure, Failure> {
        let (program, arguments) = command.split_first().ok_or_else(|| Failure::Usage("launch: no program".into()))?;
        let filter = calls::filter().map_err(|error| Failure::Usage(format!("seccomp filter: {error}")))?;
        ptrace::traceme().map_err(Failure::kernel("PTRACE_TRACEME"))?;
        raise(Signal::SIGSTOP).map_err(Failure::kernel("raise"))?;
        seccompiler::apply_filter(&filter).map_err(|error| Failure::Usage(format!("seccomp: {error}")))?;
        let error = Command::new(program).args(arguments).exec();
        Ok(Failure::Io { what: "start", path: program.into(), source: error })
    };
    start().unwrap_or_else(|failure| failure)
}

/// The `swallow` side: `CALL PROGRAM ARGUMENTS…` becomes the program, whose flushes of that kind do nothing.
pub(crate) fn swallow(words: &[OsString]) -> Failure {
    let start = || -> Result<Failure, Failure> {
        let [call, program, arguments @ ..] = words else {
            return Err(Failure::Usage("swallow: CALL PROGRAM".into()));
        };
        let filter = calls::swallowing(&call.to_string_lossy())
            .ok_or_else(|| Failure::Usage(format!("{}: fsync, fdatasync, syncfs or all", call.display())))?;
        let filter = filter.map_err(|error| Failure::Usage(format!("seccomp filter: {error}")))?;
        seccompiler::apply_filter(&filter).map_err(|error| Failure::Usage(format!("seccomp: {error}")))?;
        let error = Command::new(program).args(arguments).exec();
        Ok(Failure::Io { what: "start", path: program.into(), source: error })
    };
    start().unwrap_or_else(|failure| failure)
}

/// Runs `program arguments…` and kills it at `stop`, or never. Only descriptors of files below `watched` count.
/// What it prints goes to `output`.
pub(crate) fn run(
    program: &Path,
    arguments: &[String],
    stop: Option<Step>,
    watched: &Path,
    output: &Path,
    watchdog: &Watchdog,
) -> Result<Ended, Failure> {
    let file = fs::File::create(output).map_err(Failure::io("create", output))?;
    let errors = file.try_clone().map_err(Failure::io("duplicate", output))?;
    let own = Path::new("/proc/self/exe");
    let child = Command::new(own)
        .arg("launch")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(Failure::io("start", own))?;
    // The process is reaped by the loop below, through waitpid; std's handle is only its number.
    let leader = Pid::from_raw(child.id().cast_signed());
    let guard = watchdog.watch(child.id());
    let mut tracer =
        Tracer { leader, stop, watched, steps: 0, started: false, seen: HashSet::new(), ended: None, call: None };
    tracer.begin()?;
    let finished = tracer.follow()?;
    if guard.expired() {
        return Ok(Ended::Hung);
    }
    Ok(match (tracer.call, finished) {
        (Some(call), _) => Ended::Killed { call },
        (None, success) => Ended::Finished { success, steps: tracer.steps },
    })
}

struct Tracer<'a> {
    leader: Pid,
    stop: Option<Step>,
    watched: &'a Path,
    steps: u64,
    /// Whether `launch` has become the program.
    started: bool,
    seen: HashSet<Pid>,
    /// The thread whose exit from the wanted call is awaited, and the call.
    ended: Option<(Pid, String)>,
    /// The call at which the program was killed.
    call: Option<String>,
}

impl Tracer<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        match waitpid(self.leader, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) => {}
            other => {
                return Err(Failure::Command {
                    command: "launch".into(),
                    how: format!("did not stop to be traced: {other:?}"),
                    output: String::new(),
                });
            }
        }
        self.seen.insert(self.leader);
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::setoptions(self.leader, options).map_err(Failure::kernel("PTRACE_SETOPTIONS"))?;
        go_on(ptrace::cont(self.leader, None))
    }

    /// Serves the program and all it starts to the very end; tells whether the program itself succeeded.
    fn follow(&mut self) -> Result<bool, Failure> {
        let mut success = false;
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => status,
                Err(Errno::ECHILD) => return Ok(success),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(Failure::Kernel { what: "waitpid", source: error }),
            };
            match status {
                WaitStatus::Exited(pid, code) if pid == self.leader => success = code == 0,
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {}
                WaitStatus::PtraceEvent(pid, _, event) => self.event(pid, event)?,
                WaitStatus::PtraceSyscall(pid) => self.call_ended(pid)?,
                WaitStatus::Stopped(pid, signal) => {
                    // The first stop of a new thread is the tracer's own doing; every other signal is the program's.
                    let own = signal == Signal::SIGSTOP && self.seen.insert(pid);
                    go_on(ptrace::cont(pid, (!own).then_some(signal)))?;
                }
                _ => {}
            }
        }
    }

    fn event(&mut self, pid: Pid, event: i32) -> Result<(), Failure> {
        if event == Event::PTRACE_EVENT_EXEC as i32 && pid == self.leader {
            self.started = true;
        }
        let step = event == Event::PTRACE_EVENT_SECCOMP as i32 && self.started && self.call.is_none();
        if let Some(call) = step.then(|| self.counted(pid)).flatten() {
            self.steps += 1;
            match self.stop {
                Some(stop) if stop.number == self.steps && stop.side == Side::Before => return self.kill(pid, call),
                Some(stop) if stop.number == self.steps => {
                    self.ended = Some((pid, call));
                    return go_on(ptrace::syscall(pid, None));
                }
                _ => {}
            }
        }
        go_on(ptrace::cont(pid, None))
    }

    fn call_ended(&mut self, pid: Pid) -> Result<(), Failure> {
        match self.ended.take() {
            Some((waiting, call)) if waiting == pid => self.kill(pid, call),
            other => {
                self.ended = other;
                go_on(ptrace::cont(pid, None))
            }
        }
    }

    /// SIGKILL for the whole thread group; helper processes of the program go on, as they would.
    fn kill(&mut self, pid: Pid, call: String) -> Result<(), Failure> {
        self.call = Some(call);
        let group = thread_group(pid).unwrap_or(self.leader);
        go_on(kill(group, Signal::SIGKILL))
    }

    /// The name (and the file) of the call that a thread is about to make, if it counts as a step.
    fn counted(&self, pid: Pid) -> Option<String> {
        let (number, arguments) = registers(pid)?;
        let call = calls::find(number)?;
        match call.counts {
            Counts::Always => Some(call.name.to_owned()),
            Counts::Descriptor(index) => {
                let path = fs::read_link(format!("/proc/{pid}/fd/{}", arguments[usize::from(index)])).ok()?;
                path.starts_with(self.watched).then(|| format!("{} {}", call.name, path.display()))
            }
            Counts::OpenHow => {
                let flags = ptrace::read(pid, std::ptr::with_exposed_provenance_mut(arguments[2] as usize)).ok()?;
                let creating = i64::from(libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY));
                (flags & creating != 0).then(|| call.name.to_owned())
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn registers(pid: Pid) -> Option<(i64, [u64; 4])> {
    let registers = ptrace::getregs(pid).ok()?;
    Some((registers.orig_rax.cast_signed(), [registers.rdi, registers.rsi, registers.rdx, registers.r10]))
}

#[cfg(target_arch = "aarch64")]
fn registers(pid: Pid) -> Option<(i64, [u64; 4])> {
    let registers = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid).ok()?.regs;
    Some((registers[8].cast_signed(), [registers[0], registers[1], registers[2], registers[3]]))
}

fn thread_group(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    Some(Pid::from_raw(line.trim().parse().ok()?))
}

/// A thread may die between its stop and our answer; its end is then reported by waitpid.
fn go_on(result: nix::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Failure::Kernel { what: "ptrace", source: error }),
    }
}
