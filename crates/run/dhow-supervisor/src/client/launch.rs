//! Starting a supervisor, and through it a container as far as its gate.

use super::back::Back;
use super::talk::{Cause, Said, Talk};
use super::{ClientError, Connection, Streams, failed};
use crate::plan::Plan;
use crate::supervise::without_environment;
use crate::wire::{Inbox, Message, PLAN_MAX};
use dhow_sys::mount;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A container that waits at the gate. Dropped: the container ends, and nothing of it is left but what the caller made.
#[derive(Debug)]
pub struct Waiting {
    /// Its first process, in our pid namespace.
    pub pid: u32,
    /// Clock ticks since boot, as [`dhow_sys::process::ProcessIdentity`] has it.
    pub start_time: u64,
    id: String,
    back: Option<Back>,
    /// None once the gate was opened.
    talk: Option<Talk>,
}

/// A supervisor that has been told nothing yet. Dropped: it ends.
///
/// Executing a program takes as long as all the rest of a supervisor's start. Who knows early that he will start a
/// container makes one ready, and works out meanwhile what is to be started.
#[derive(Debug)]
pub struct Launcher {
    /// None once it was told what to start.
    talk: Option<Talk>,
}

/// Starts a supervisor with this plan, and waits until the container waits at its gate: [`Launcher::ready`] and
/// [`Launcher::launch`] in one.
///
/// # Errors
/// Why the container cannot be started.
pub fn launch(
    program: &Path,
    arguments: &[&OsStr],
    plan: &Plan,
    descriptors: Vec<OwnedFd>,
    attach: Streams,
) -> Result<Waiting, ClientError> {
    Launcher::ready(program, arguments)?.launch(plan, descriptors, attach)
}

impl Launcher {
    /// Executes a supervisor. `program` is this very binary, called as `<program> <arguments..>`.
    ///
    /// The program is executed from a read-only mount of its own, so that a container that gets hold of it through
    /// `/proc/<pid>/exe` cannot write to it (CVE-2019-5736); where such a mount is refused, from its path.
    ///
    /// The supervisor is a child of the calling process. One that lives on for long after the container has ended has to
    /// reap it.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub fn ready(program: &Path, arguments: &[&OsStr]) -> Result<Launcher, ClientError> {
        let (ours, theirs) = pair().map_err(failed("make a socket"))?;
        let child = spawn(program, arguments, theirs).map_err(failed("start a supervisor"))?;
        Ok(Launcher { talk: Some(Talk { socket: ours, inbox: Inbox::default(), child: Some(child), back: None }) })
    }

    /// Hands it the plan, and waits until the container waits at its gate; `attach` connects the caller before the first byte
    /// of output.
    ///
    /// # Errors
    /// Why the container cannot be started.
    pub fn launch(mut self, plan: &Plan, descriptors: Vec<OwnedFd>, attach: Streams) -> Result<Waiting, ClientError> {
        let json = serde_json::to_vec(plan).map_err(|e| failed("write the plan")(e.into()))?;
        if json.len() > PLAN_MAX {
            return Err(failed("write the plan")(io::ErrorKind::FileTooLarge.into()));
        }
        let mut talk = self.talk.take().expect("only launching takes it, and uses this up");
        let mut speaks = 1;
        let waiting = talk.present(&json, &descriptors, attach).and_then(|()| {
            drop(descriptors);
            loop {
                match talk.hear()? {
                    Said::Waiting { pid, start_time } => return Ok((pid, start_time)),
                    Said::Failed(failure) => return Err(Cause::Failure(failure)),
                    Said::Welcome(version) => speaks = version,
                    Said::Other => {}
                }
            }
        });
        match waiting {
            Ok((pid, start_time)) => {
                let back = Back::new(&plan.run_dir, attach.bits()).since_the_start(pid, start_time);
                Ok(Waiting {
                    pid,
                    start_time,
                    id: plan.id.clone(),
                    back: (speaks >= 2).then_some(back),
                    talk: Some(talk),
                })
            }
            Err(cause) => Err(talk.explain(cause, &plan.id)),
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        if let Some(talk) = self.talk.take() {
            // It ends when nobody is at the other end any more.
            let Talk { socket, child, .. } = talk;
            drop(socket);
            if let Some(mut child) = child {
                let _ = child.wait();
            }
        }
    }
}

pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

pub(super) fn spawn(program: &Path, arguments: &[&OsStr], socket: OwnedFd) -> io::Result<Child> {
    // Kept until the program has been executed.
    let mount = read_only(program).ok();
    let path = mount
        .as_ref()
        .map_or_else(|| program.to_owned(), |mount| PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd())));
    let mut command = Command::new(path);
    without_environment(&mut command)
        .arg0(program)
        .args(arguments)
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn()
}

fn read_only(program: &Path) -> Result<OwnedFd, mount::MountError> {
    let mount = mount::clone_tree(program)?;
    let attributes = mount::MountAttrFlags::MOUNT_ATTR_RDONLY | mount::MountAttrFlags::MOUNT_ATTR_NODEV;
    mount::set_attributes(mount.as_fd(), attributes, mount::MountAttrFlags::empty())?;
    Ok(mount)
}

impl Waiting {
    /// Opens the gate; to be called once the pid is written down. Returns after the exec.
    ///
    /// # Errors
    /// [`RuntimeError::Exec`] among others: the container has ended then.
    pub fn open(mut self) -> Result<Connection, ClientError> {
        let mut talk = self.talk.take().expect("only opening takes it, and uses this up");
        talk.back = self.back.take();
        let outcome = talk.tell(Message::Go).map_err(Cause::from).and_then(|()| match talk.hear()? {
            Said::Failed(failure) => Err(Cause::Failure(failure)),
            Said::Waiting { .. } | Said::Welcome(_) | Said::Other => Ok(()),
        });
        match outcome {
            Ok(()) => Ok(Connection { talk }),
            // It was killed after it had opened the gate, and there is another: the container runs.
            Err(Cause::BrokenOff) if talk.come_back() => Ok(Connection { talk }),
            Err(cause) => Err(talk.explain(cause, &self.id)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(mut talk) = self.talk.take() {
            let _ = rustix::net::shutdown(&talk.socket, Shutdown::Write);
            // It closes its end when nothing is left.
            let _ = talk.last_words();
            talk.reap();
        }
    }
}
