//! `cargo xtask budget`: what `dhow run --rm` costs, in counts that do not depend on what else the machine does: system
//! calls of all its processes, and where the processor counts them (in few virtual machines) instructions in user space.
//! Fails when it is more than was agreed.
//!
//! Calls are counted under ptrace(2). Instructions are counted by perf(1), for all processes together. Rejected: counting
//! instructions one by one under ptrace, which works everywhere and takes minutes in a virtual machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::failure::Failure;
use crate::project::{self, output, step};

/// What `dhow run --rm --network none IMAGE true` may take, all its processes together but for the container's own
/// program: as [`MEASURED`] and a tenth, for kernels, C libraries and the number of control group hierarchies differ. Who
/// makes it cheaper lowers this.
const CALLS: u64 = 1_980;

/// Ditto, the container's own program included, which is busybox: not measured yet on a machine that counts them, but by
/// steps under ptrace, which count each turn of a `rep` instruction.
const INSTRUCTIONS: u64 = 10_000_000;

/// When, and what it was then (nine hierarchies of version 1 and an empty version 2, a store in memory).
const MEASURED: &str = "2026-11-21: 1,800 calls, the keeper there already";

const IMAGE: &str = "localhost/budget:1";

/// Runs it all in a store of its own, prints a table, and fails above the budget.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let dhow = match args {
        [] => {
            step(project::cargo().args(["build", "--release", "--locked", "--package", "dhow"]))?;
            project::built(&project::metadata()?, "release", "dhow")?
        }
        [flag, path] if flag == "--dhow" => path.into(),
        _ => return Err(Failure::usage("usage: cargo xtask budget [--dhow PATH]")),
    };
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("containers are started by root: run this as root"));
    }
    let place = std::env::temp_dir().join(format!("dhow-budget-{}", std::process::id()));
    std::fs::create_dir(&place).map_err(Failure::at(&place))?;
    let counted = count(&dhow, &place);
    std::fs::remove_dir_all(&place).map_err(Failure::at(&place))?;
    let (calls, instructions) = counted?;
    if calls.is_empty() {
        eprintln!("xtask: SKIPPED: what a run costs was not counted, because ptrace(2) is not permitted here");
        return Ok(());
    }
    let sum = print(&calls);
    match instructions {
        Some(instructions) => println!("  instructions: {instructions}, at most {INSTRUCTIONS}"),
        None => eprintln!("xtask: SKIPPED: instructions, because perf(1) is not there or the processor does not count"),
    }
    if sum > CALLS || instructions.is_some_and(|instructions| instructions > INSTRUCTIONS) {
        return Err(Failure::new(format!(
            "`dhow run --rm` has become dearer than its budget of {CALLS} system calls and {INSTRUCTIONS} instructions \
             ({MEASURED}): find out what costs so much, or raise the budget in xtask/src/budget.rs and say why"
        )));
    }
    Ok(())
}

/// The table; its sum, without the container's own program.
fn print(counted: &[(&str, u64)]) -> u64 {
    println!("dhow run --rm --network none IMAGE true\n\n  {:32} {:>8}", "process", "calls");
    for (name, calls) in counted {
        println!("  {name:32} {calls:>8}");
    }
    let sum = counted.iter().filter(|(name, _)| *name != CONTAINER).map(|(_, calls)| calls).sum();
    println!("  {:32} {sum:>8}\n  {:32} {CALLS:>8}", "all but the container", "budget");
    sum
}

/// Calls of each process, and instructions of all.
type Counted = (Vec<(&'static str, u64)>, Option<u64>);

fn count(dhow: &Path, place: &Path) -> Result<Counted, Failure> {
    let archive = place.join("box.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).map_err(Failure::at(&archive))?);
    let busybox = Path::new("/bin/busybox");
    tar.append_path_with_name(busybox, "bin/true").map_err(Failure::at(busybox))?;
    tar.finish().map_err(Failure::at(&archive))?;
    let command = || {
        let mut command = Command::new(dhow);
        command.arg("--root").arg(place.join("root")).arg("--runroot").arg(place.join("run"));
        command
    };
    output(command().arg("import").arg(&archive).arg(IMAGE))?;
    const RUN: [&str; 6] = ["run", "--rm", "--network", "none", IMAGE, "true"];
    // What is made once in a boot is made, and the ledger's log is neither empty nor about to be copied.
    for _ in 0..2 {
        output(command().args(RUN))?;
    }
    Ok((Tracer::follow(command().args(RUN))?, instructions(command().args(RUN))))
}

/// Instructions of a command and all that it starts, in user space; none where they are not counted.
fn instructions(command: &Command) -> Option<u64> {
    let mut perf = Command::new("perf");
    perf.args(["stat", "--field-separator", ",", "--event", "instructions:u", "--"]);
    let said = perf.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    said.lines().find(|line| line.contains("instructions:u"))?.split(',').next()?.parse().ok()
}

const CONTAINER: &str = "the container's program";
const NAMES: [&str; 5] = ["dhow run", "dhow, becoming a supervisor", "supervisor", "the container's set-up", CONTAINER];

/// Who is traced, by what it has been so far.
#[derive(Clone, Copy)]
struct Traced {
    /// Index into [`NAMES`].
    is: usize,
    /// Whether the stop that begins it has been seen.
    began: bool,
    /// Between the entry to a call and the exit from it.
    inside: bool,
    calls: u64,
}

struct Tracer {
    leader: Pid,
    traced: BTreeMap<Pid, Traced>,
    counted: [u64; NAMES.len()],
}

impl Tracer {
    /// Runs a command and all it starts to the very end; calls of each process. None where that is not permitted.
    fn follow(command: &Command) -> Result<Vec<(&'static str, u64)>, Failure> {
        let own = std::env::current_exe().map_err(|e| Failure::new(format!("this program: {e}")))?;
        let child = Command::new(own)
            .arg("traced")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| Failure::new(format!("start a traced program: {e}")))?;
        // Reaped by the loop below; std's handle is only its number.
        let leader = Pid::from_raw(child.id().cast_signed());
        match waitpid(leader, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) => {}
            // It says why.
            Ok(WaitStatus::Exited(..)) => return Ok(Vec::new()),
            other => return Err(Failure::new(format!("ptrace: {other:?} instead of a stop"))),
        }
        let options = Options::PTRACE_O_EXITKILL
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::setoptions(leader, options).map_err(|e| Failure::new(format!("ptrace: {e}")))?;
        let mut tracer = Tracer { leader, traced: BTreeMap::new(), counted: [0; NAMES.len()] };
        tracer.traced.insert(leader, Traced { is: 0, began: true, inside: false, calls: 0 });
        ptrace::cont(leader, None).map_err(|e| Failure::new(format!("ptrace: {e}")))?;
        tracer.serve()?;
        Ok(NAMES.into_iter().zip(tracer.counted).filter(|(_, n)| *n > 0).collect())
    }

    fn serve(&mut self) -> Result<(), Failure> {
        let mut code = None;
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(pid, with)) => {
                    self.ended(pid);
                    code = if pid == self.leader { Some(with) } else { code };
                }
                Ok(WaitStatus::Signaled(pid, ..)) => self.ended(pid),
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => self.event(pid, event)?,
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    let traced = self.of(pid);
                    traced.inside = !traced.inside;
                    traced.calls += u64::from(traced.inside);
                    self.go_on(pid, None)?;
                }
                Ok(WaitStatus::Stopped(pid, signal)) => self.stopped(pid, signal)?,
                Ok(_) => {}
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) if code == Some(0) => return Ok(()),
                Err(Errno::ECHILD) => return Err(Failure::new(format!("the traced run ended with {code:?}"))),
                Err(e) => return Err(Failure::new(format!("waitpid: {e}"))),
            }
        }
    }

    /// Who is new was made by who became a supervisor, or by the command.
    fn of(&mut self, pid: Pid) -> &mut Traced {
        let first_of = |is: usize| self.traced.values().all(|traced| traced.is < is);
        let is = if first_of(1) { 1 } else { 3 };
        self.traced.entry(pid).or_insert(Traced { is, began: false, inside: false, calls: 0 })
    }

    fn ended(&mut self, pid: Pid) {
        if let Some(traced) = self.traced.get_mut(&pid) {
            self.counted[traced.is] += std::mem::take(&mut traced.calls);
        }
    }

    fn event(&mut self, pid: Pid, event: i32) -> Result<(), Failure> {
        if event == Event::PTRACE_EVENT_EXEC as i32 {
            self.ended(pid);
            let leader = self.leader;
            let traced = self.of(pid);
            // The call that it came by is not left the usual way.
            traced.inside = false;
            traced.is = match traced.is {
                0 if pid == leader => 0,
                1 => 2,
                _ => 4,
            };
        }
        self.go_on(pid, None)
    }

    fn stopped(&mut self, pid: Pid, signal: Signal) -> Result<(), Failure> {
        let traced = self.of(pid);
        if !traced.began && signal == Signal::SIGSTOP {
            traced.began = true;
            return self.go_on(pid, None);
        }
        self.go_on(pid, Some(signal))
    }

    fn go_on(&self, pid: Pid, signal: Option<Signal>) -> Result<(), Failure> {
        match ptrace::syscall(pid, signal) {
            // It died between its stop and our answer.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(Failure::new(format!("ptrace: {e}"))),
        }
    }
}

/// The other side: waits to be traced, and becomes the program.
pub(crate) fn traced(args: &[String]) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;
    let Some((program, args)) = args.split_first() else { return Err(Failure::new("traced: no command")) };
    ptrace::traceme().map_err(|e| Failure::new(format!("PTRACE_TRACEME: {e}")))?;
    raise(Signal::SIGSTOP).map_err(|e| Failure::new(format!("raise: {e}")))?;
    Err(Failure::new(format!("{program}: {}", Command::new(program).args(args).exec())))
}
