//! The same supervisor in a fresh memory: the program is executed anew, with the same pid, children, descriptors, locks.
//!
//! What it has to know goes along as a file in memory, the descriptors over a socket to itself that becomes its standard
//! input (`SCM_RIGHTS`), just as a plan comes from a launcher. So all of them stay close-on-exec: when the execution
//! fails half way, nothing has leaked anywhere. The order of the descriptors is that of [`hand_over`].

use super::clients::Client;
use super::input::Input;
use super::watch::{Brief, Source, Watch};
use crate::log::{Stream, Writer};
use crate::plan::VERSION;
use crate::wire::{Inbox, Message};
use dhow_sys::passing;
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// All that a supervisor knows, but for its descriptors.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    brief: Brief,
    /// Whether each source is stderr.
    sources: Vec<bool>,
    input: bool,
    /// Whether there is a terminal, whose other end is held.
    peer: bool,
    clients: Vec<Acquaintance>,
    /// Begun lines of the log.
    begun: [Vec<u8>; 2],
}

#[derive(Debug, Serialize, Deserialize)]
struct Acquaintance {
    streams: Option<u8>,
    /// What he said and was not a whole message yet.
    said: Vec<u8>,
}

/// Executes the program anew. Returns only when that failed; nothing has changed then.
pub(super) fn execute_anew(watch: &mut Watch) -> io::Result<()> {
    let memory = Memory {
        brief: watch.brief.clone(),
        sources: watch.sources.iter().map(|source| source.stream == Stream::Stderr).collect(),
        input: watch.input.is_some(),
        peer: watch.peer.is_some(),
        clients: watch
            .clients
            .iter()
            .map(|client| Acquaintance { streams: client.streams, said: client.inbox.rest().to_vec() })
            .collect(),
        begun: watch.log.as_ref().map(|log| log.begun().map(<[u8]>::to_vec)).unwrap_or_default(),
    };
    let file = rustix::fs::memfd_create(c"dhow-supervisor", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(&serde_json::to_vec(&memory)?)?;
    file.rewind()?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let descriptors = hand_over(watch, file.as_fd());
    passing::send(ours.as_fd(), &Message::Resume { version: VERSION }.to_bytes(), &descriptors)?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).stdin(theirs).exec())
}

fn hand_over<'w>(watch: &'w Watch, memory: BorrowedFd<'w>) -> Vec<BorrowedFd<'w>> {
    let mut all = vec![memory, watch.pidfd.as_fd(), watch.listener.as_fd()];
    all.extend(watch.lock.iter().map(AsFd::as_fd));
    all.extend(watch.sources.iter().map(|source| source.fd.as_fd()));
    all.extend(watch.input.iter().map(|input| input.fd.as_fd()));
    all.extend(watch.peer.iter().map(AsFd::as_fd));
    all.extend(watch.clients.iter().map(|client| client.socket.as_fd()));
    all.extend(watch.kept.iter().map(AsFd::as_fd));
    all
}

/// Takes up where the other left off.
pub(super) fn take_up(descriptors: Vec<OwnedFd>) -> io::Result<Watch> {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    let mut bytes = Vec::new();
    File::from(next()?).read_to_end(&mut bytes)?;
    let memory: Memory = serde_json::from_slice(&bytes)?;
    drop(bytes);
    let (pidfd, listener, lock) = (next()?, next()?, next()?);
    let mut sources = Vec::new();
    for is_stderr in memory.sources {
        let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
        sources.push(Source { fd: next()?, stream });
    }
    let input = if memory.input { Some(Input::new(next()?)) } else { None };
    let peer = if memory.peer { Some(next()?) } else { None };
    let mut clients = Vec::new();
    for Acquaintance { streams, said } in memory.clients {
        let mut inbox = Inbox::default();
        inbox.push(&said);
        clients.push(Client::known(next()?, inbox, streams));
    }
    // Without its log the container goes on: better unlogged than unwatched.
    let log = memory.brief.log.as_ref().and_then(|plan| Writer::take_up(plan, memory.begun).ok());
    Ok(Watch {
        brief: memory.brief,
        pidfd,
        sources,
        input,
        peer,
        listener,
        clients,
        log,
        lock: Some(lock),
        kept: descriptors.collect(),
        lean: true,
        group: None,
        still_to_join: None,
        recorded: false,
        buffer: Vec::new(),
    })
}
