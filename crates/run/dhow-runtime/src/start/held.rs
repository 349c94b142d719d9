//! The caller's side: a new process as long as it is not certain that it will live, and what it says meanwhile.

use super::child::kernel::write_file;
use super::conversation::{Channel, Message};
use super::plan::Plan;
use crate::error::RuntimeError;
use crate::hooks::Moment;
use dhow_sys::clone::Cloned;
use dhow_sys::mount::{FsContext, MountAttrFlags, MountError};
use dhow_sys::pidfd::{self, Exit};
use oci_spec::runtime::LinuxIdMapping;
use rustix::process::Signal;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// A process that ends, and is reaped, unless it is kept.
#[derive(Debug)]
pub(super) struct Held {
    process: Option<Cloned>,
}

impl Held {
    pub(super) fn new(process: Cloned) -> Held {
        Held { process: Some(process) }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it is only taken by what consumes us").pid
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.as_ref().expect("it is only taken by what consumes us").pidfd.as_fd()
    }

    /// Lets it live.
    pub(super) fn keep(mut self) -> Cloned {
        self.process.take().expect("it is only taken by what consumes us")
    }

    /// Waits for its end.
    pub(super) fn reap(mut self) -> io::Result<Exit> {
        let process = self.process.take().expect("it is only taken by what consumes us");
        pidfd::wait(process.pidfd.as_fd())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // Both fail only when it has ended and was reaped by somebody else.
            let _ = pidfd::signal(process.pidfd.as_fd(), Signal::KILL);
            let _ = pidfd::wait(process.pidfd.as_fd());
        }
    }
}

/// A new process that has come as far as it gets by itself.
#[derive(Debug)]
pub(super) struct SetUp {
    pub(super) process: Held,
    pub(super) channel: Channel,
    pub(super) terminal: Option<OwnedFd>,
}

/// How far it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It waits at the gate.
    Gate,
    /// It has closed its end, by an exec or by its end.
    End,
}

/// An error of the caller's side.
pub(super) fn failed(step: &str, what: &str, error: &io::Error) -> RuntimeError {
    RuntimeError::Step { step: step.to_owned(), message: format!("{what}: {error}"), errno: error.raw_os_error() }
}

/// Listens to a new process, and does for it what it asks for.
pub(super) fn listen(process: Cloned, channel: Channel, plan: &Plan) -> Result<(SetUp, Reached), RuntimeError> {
    converse(SetUp { process: Held::new(process), channel, terminal: None }, VecDeque::new(), plan)
}

/// The same, of a process that makes another one in its place and ends. It never waits for us, so it is reaped first:
/// then what it had to say has been said, though perhaps not before the other one began to speak.
pub(super) fn listen_past(process: Cloned, channel: Channel, plan: &Plan) -> Result<(SetUp, Reached), RuntimeError> {
    let hear = |e: io::Error| failed("start", "cannot hear of the new process", &e);
    let exit = Held::new(process).reap().map_err(|e| failed("start", "cannot reap the process in between", &e))?;
    if exit != Exit::Code(0) {
        return Err(broken_off(&channel).unwrap_or_else(|| did_not_come_up(exit)));
    }
    let mut early = VecDeque::new();
    let pid = loop {
        match channel.next().map_err(hear)? {
            Some(Message::Sibling(pid)) => break pid,
            Some(other) => early.push_back(other),
            None => return Err(did_not_come_up(exit)),
        }
    };
    // It is our child and has not been reaped: the number cannot be anybody else's.
    let pidfd = pidfd::open(pid).map_err(|e| failed("start", "cannot hold the new process", &e))?;
    converse(SetUp { process: Held::new(Cloned { pid, pidfd }), channel, terminal: None }, early, plan)
}

/// What the process in between had to say, when it did not get to its end. It is not waited for: if that was killed, the
/// other one may be there, and waits for us; it ends here, then.
fn broken_off(channel: &Channel) -> Option<RuntimeError> {
    let mut complaint = None;
    while let Ok(Some(message)) = channel.next_at_once() {
        match message {
            Message::Failed(error) => complaint = Some(error),
            Message::Sibling(pid) => drop(pidfd::open(pid).map(|pidfd| Held::new(Cloned { pid, pidfd }))),
            Message::MapIds | Message::Terminal(_) | Message::Descriptor(_) | Message::Hooks | Message::Ready => {}
        }
    }
    complaint
}

fn converse(mut set_up: SetUp, mut early: VecDeque<Message>, plan: &Plan) -> Result<(SetUp, Reached), RuntimeError> {
    loop {
        let message = match early.pop_front() {
            Some(message) => Some(message),
            None => set_up.channel.next().map_err(|e| failed("start", "cannot hear of the new process", &e))?,
        };
        match message {
            Some(Message::MapIds) => {
                map_ids(set_up.process.pid(), plan)?;
                set_up.channel.go().map_err(|e| failed("user namespace", "cannot go on", &e))?;
            }
            Some(Message::Hooks) => {
                let (hooks, pid) = (&plan.container.hooks, set_up.process.pid());
                hooks.run(Moment::Prestart, Some(pid))?;
                hooks.run(Moment::CreateRuntime, Some(pid))?;
                set_up.channel.go().map_err(|e| failed("createRuntime hooks", "cannot go on", &e))?;
            }
            Some(Message::Terminal(master)) => set_up.terminal = Some(master),
            Some(Message::Ready) => return Ok((set_up, Reached::Gate)),
            Some(Message::Failed(error)) => return Err(error),
            Some(Message::Sibling(_) | Message::Descriptor(_)) => {
                return Err(failed("start", "it says", &io::ErrorKind::InvalidData.into()));
            }
            None => return Ok((set_up, Reached::End)),
        }
    }
}

/// Before the gate nothing ends without saying why, unless it is killed.
pub(super) fn did_not_come_up(exit: Exit) -> RuntimeError {
    let message = format!("the new process did not come up: it ended with status {}", exit.status());
    RuntimeError::Step { step: "start".to_owned(), message, errno: None }
}

/// Writes the maps of a new user namespace (user_namespaces(7)).
fn map_ids(pid: u32, plan: &Plan) -> Result<(), RuntimeError> {
    write_maps(pid, &plan.container.uids, &plan.container.gids)
}

/// The same with these.
pub(super) fn write_maps(pid: u32, uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<(), RuntimeError> {
    write_of_process(pid, "uid_map", &lines(uids))?;
    write_of_process(pid, "gid_map", &lines(gids))
}

fn lines(mappings: &[LinuxIdMapping]) -> String {
    let mut text = String::new();
    for mapping in mappings {
        let _ = writeln!(text, "{} {} {}", mapping.container_id(), mapping.host_id(), mapping.size());
    }
    text
}

/// A procfs that is attached nowhere.
pub(super) fn procfs() -> Result<OwnedFd, MountError> {
    FsContext::open("proc")?.mount(MountAttrFlags::empty())
}

/// Writes to a file of `/proc/<pid>`, through a procfs that nobody has mounted anything in.
pub(super) fn write_of_process(pid: u32, name: &str, value: &str) -> Result<(), RuntimeError> {
    let fail = |e: &io::Error| failed("process", &format!("cannot write {value:?} to /proc/{pid}/{name}"), e);
    let procfs = procfs().map_err(|e| fail(&e.source))?;
    let path = PathBuf::from(pid.to_string()).join(name);
    write_file(procfs.as_fd(), &path, value).map_err(|e| fail(&e))
}
