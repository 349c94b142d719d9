//! Starting a container, and entering one that runs.
//!
//! The spec is worked out into a plan first ([`plan`]); the caller opens what belongs to the host ([`sources`]) and
//! makes a process, which sets itself up ([`child`]: the steps, from top to bottom) and talks to the caller meanwhile
//! ([`conversation`], [`held`]).
//!
//! Follows the OCI runtime specification 1.2. Must not know where the root, the namespaces and the streams come from.

mod child;
mod conversation;
mod held;
mod idmaps;
mod plan;
mod sources;
mod streams;

use crate::cgroup::Entry;
use crate::error::RuntimeError;
use crate::hooks::Subject;
use crate::seccomp::Filter;
use child::kernel::own_oom_score;
use child::{Child, Entered};
use conversation::{Channel, channel};
use dhow_sys::clone::{Cloned, Namespaces, Relation, clone};
use held::{Reached, SetUp, did_not_come_up, failed, listen, listen_past};
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use plan::{Container, Plan, process::Program};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the process gets as 0, 1 and 2.
#[derive(Debug)]
pub enum Stdio<'a> {
    /// These three, dup'ed. Pipes are given to the container's user (fchown), so that `/dev/stdout` can be opened again.
    Files([BorrowedFd<'a>; 3]),
    /// A pseudo terminal of the container's own devpts, also as /dev/console; its master comes back in [`Starting`].
    Terminal {
        /// Rows and columns at first.
        size: (u16, u16),
    },
}

/// Everything a start needs.
#[derive(Debug)]
pub struct Start<'a> {
    /// What to make. `root.path` is ignored, `linux.cgroupsPath` and `linux.seccomp` too: they come as below.
    pub spec: &'a Spec,
    /// The root filesystem: a detached mount, used up.
    pub root: BorrowedFd<'a>,
    /// 0, 1, 2.
    pub stdio: Stdio<'a>,
    /// The control group.
    pub cgroup: Entry<'a>,
    /// The seccomp filter, compiled.
    pub seccomp: Option<&'a Filter>,
    /// Namespaces to join instead of making, opened and verified by the caller: these take the place of `path` in
    /// `linux.namespaces`. A type that is neither here nor there is shared with the host.
    pub join: &'a [(LinuxNamespaceType, OwnedFd)],
    /// What hooks are told; a spec with hooks is refused without it. Those after the start are the caller's to run
    /// ([`hooks`](crate::hooks)).
    pub subject: Option<Subject<'a>>,
}

/// A container's first process, set up and waiting at the gate. Dropped: it ends, and is reaped.
#[derive(Debug)]
pub struct Starting {
    set_up: SetUp,
}

/// A process of a container, after its exec. It is a child of the caller, who reaps it.
#[derive(Debug)]
pub struct Running {
    /// Its pid in the caller's pid namespace.
    pub pid: u32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
    /// The master of its terminal, non-blocking no, close-on-exec yes.
    pub terminal: Option<OwnedFd>,
}

/// Makes the container and sets it up as far as the gate. The calling process must be small and have one thread: it is
/// cloned with its memory.
///
/// # Errors
/// [`RuntimeError::Invalid`] for a spec that makes no sense; [`RuntimeError::Step`] names the step that failed;
/// [`RuntimeError::Exec`] when there is no such program. Nothing is left behind.
pub fn start(start: Start<'_>) -> Result<Starting, RuntimeError> {
    let plan = Plan::read(start.spec, start.join, start.subject)?;
    let sources = sources::open(&plan.container)?;
    let null = streams::null_in_place_of_ours(&start.stdio)?;
    let stdio = streams::without_our_null(&start.stdio, null.as_ref());
    streams::give_away_pipes(&stdio, plan.container.outer_uid(plan.program.uid.as_raw()))?;
    let root = rustix::io::fcntl_dupfd_cloexec(start.root, 3)
        .map_err(|e| failed("root", "cannot hold the root", &e.into()))?;
    let before = child::needs_sibling(start.join, &plan.container);
    let namespaces = if before { None } else { plan.container.namespaces };
    let mut root = Some(root);
    let (process, channel) = make(namespaces.unwrap_or(Namespaces::empty()), &start.cgroup, |channel| {
        let child = Child {
            program: &plan.program,
            container: &plan.container,
            channel,
            stdio: &stdio,
            null: null.as_ref().map(AsFd::as_fd),
            cgroup: &start.cgroup,
            seccomp: start.seccomp,
            join: start.join,
            enter: None,
            root: root.take(),
            sources: &sources,
            read_only_later: Vec::new(),
            procfs: None,
            path: CString::default(),
        };
        child.start()
    })?;
    let reached = if before { listen_past(process, channel, &plan) } else { listen(process, channel, &plan) };
    match reached? {
        (set_up, Reached::Gate) => {
            if let Some(score) = plan.program.oom_score_adj.filter(|score| own_oom_score() != Some(*score)) {
                held::write_of_process(set_up.process.pid(), "oom_score_adj", &score.to_string())?;
            }
            Ok(Starting { set_up })
        }
        (set_up, Reached::End) => {
            let exit = set_up.process.reap().map_err(|e| failed("start", "cannot reap the new process", &e))?;
            Err(did_not_come_up(exit))
        }
    }
}

impl Starting {
    /// Its pid in the caller's pid namespace.
    pub fn pid(&self) -> u32 {
        self.set_up.process.pid()
    }

    /// Its pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.set_up.process.pidfd()
    }

    /// Takes the master of its terminal, which [`release`](Starting::release) would give.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.set_up.terminal.take()
    }

    /// Opens the gate, and returns once the program of the container has been executed.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`] when it could not be; it has been reaped then.
    pub fn release(self) -> Result<Running, RuntimeError> {
        let SetUp { process, channel, terminal, .. } = self.set_up;
        channel.go().map_err(|e| failed("gate", "the process at the gate is gone", &e))?;
        match channel.next().map_err(|e| failed("gate", "cannot hear of the process", &e))? {
            None => {}
            Some(conversation::Message::Failed(error)) => return Err(error),
            Some(_) => return Err(failed("gate", "the process says", &io::ErrorKind::InvalidData.into())),
        }
        let Cloned { pid, pidfd } = process.keep();
        Ok(Running { pid, pidfd, terminal })
    }
}

/// A container to enter.
#[derive(Debug)]
pub struct Target<'a> {
    /// pidfd of its first process.
    pub pidfd: BorrowedFd<'a>,
    /// Its control group.
    pub cgroup: Entry<'a>,
    /// Its seccomp filter.
    pub seccomp: Option<&'a Filter>,
    /// The spec it was started with: whether it has a user namespace of its own. All others are entered, whether they
    /// are its own or not.
    pub spec: &'a Spec,
}

/// Starts another process in a running container: all its namespaces, its root, its control group. It is a child of the
/// caller, though a process in between, which does the entering, has made it. Returns once the program has been executed.
///
/// # Errors
/// As [`start`]; [`RuntimeError::Exec`].
pub fn enter(target: &Target<'_>, process: &Process, stdio: Stdio<'_>) -> Result<Running, RuntimeError> {
    let program = Program { personality: plan::personality(target.spec)?, ..Program::read(process)? };
    let container = Container { own_dev: plan::has_own_dev(target.spec), ..Container::default() };
    let plan = Plan { program, container };
    let namespaces = plan::namespaces_to_enter(target.spec);
    let null = streams::null_in_place_of_ours(&stdio)?;
    let stdio = streams::without_our_null(&stdio, null.as_ref());
    streams::give_away_pipes(&stdio, plan::outer_uid(target.spec, plan.program.uid.as_raw()))?;
    let (process, channel) = make(Namespaces::empty(), &target.cgroup, |channel| {
        let child = Child {
            program: &plan.program,
            container: &plan.container,
            channel,
            stdio: &stdio,
            null: null.as_ref().map(AsFd::as_fd),
            cgroup: &target.cgroup,
            seccomp: target.seccomp,
            join: &[],
            enter: Some(Entered { pidfd: Some(target.pidfd), namespaces }),
            root: None,
            sources: &[],
            read_only_later: Vec::new(),
            procfs: None,
            path: CString::default(),
        };
        child.enter()
    })?;
    match listen_past(process, channel, &plan)? {
        (SetUp { process, terminal, .. }, Reached::End) => {
            let Cloned { pid, pidfd } = process.keep();
            Ok(Running { pid, pidfd, terminal })
        }
        (_, Reached::Gate) => Err(failed("exec", "the process says", &io::ErrorKind::InvalidData.into())),
    }
}

/// Makes the process, which has one end of a conversation; the other comes back.
fn make(
    namespaces: Namespaces,
    cgroup: &Entry<'_>,
    run: impl FnOnce(Channel) -> u8,
) -> Result<(Cloned, Channel), RuntimeError> {
    let fail = |e: io::Error| failed("clone", "cannot make a process", &e);
    let (ours, theirs) = channel().map_err(fail)?;
    let cgroup = cgroup.clone_into();
    let mut ours = Some(ours);
    let relation = Relation { namespaces, cgroup, sibling: false };
    let process = clone(&relation, || {
        // With our end open it would never notice that we are gone.
        ours = None;
        run(theirs)
    });
    let channel = ours.take().expect("only the new process gave up its copy");
    Ok((process.map_err(fail)?, channel))
}
