//! Starting a supervisor in the place of one that died, and another keeper in the place of this one.

use super::serve::{Entry, Keeper};
use super::{Order, Post, this_program};
use crate::supervise::{Talk, without_environment};
use crate::wire::{Message, WIRE};
use dhow_sys::passing;
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Room for all that a keeper tells the next before that is there to hear it: about 2 KiB for each container.
const ROOM: usize = 256 * 1024 * 1024;

fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Starts a supervisor with these descriptors; the connection to it.
pub(super) fn start(order: &Order, descriptors: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let (ours, theirs) = pair()?;
    passing::send(ours.as_fd(), &Message::Succeed { version: WIRE }.to_bytes(), descriptors)?;
    // Reaped with all others.
    drop(this_program(&order.supervise).stdin(theirs).spawn()?);
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok(ours)
}

/// Executes that program in the place of this one, with everything that is kept; the one who asked for it, by his place
/// among the entries, hears of it from the new one. Returns only when that failed; nothing has changed then.
pub(super) fn execute(keeper: &Keeper, asked: usize, program: BorrowedFd<'_>) -> io::Error {
    prepare(keeper, asked, program).map_or_else(|e| e, |mut command| command.exec())
}

fn prepare(keeper: &Keeper, asked: usize, program: BorrowedFd<'_>) -> io::Result<Command> {
    let (ours, theirs) = pair()?;
    set_socket_send_buffer_size_force(&ours, ROOM)?;
    // Nobody reads yet: what does not fit must not block.
    rustix::io::ioctl_fionbio(&ours, true)?;
    let tell = |message: Message<'_>, descriptors: &[BorrowedFd<'_>]| {
        let bytes = message.to_bytes();
        match passing::send(ours.as_fd(), &bytes, descriptors)? {
            sent if sent == bytes.len() => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::WriteZero)),
        }
    };
    tell(Message::Resume { version: WIRE }, &[])?;
    let post = serde_json::to_vec(&keeper.post)?;
    tell(Message::Keep(&post), &[keeper.lock.as_fd(), keeper.listener.as_fd()])?;
    for (n, entry) in keeper.entries.iter().enumerate() {
        let mut descriptors: Vec<BorrowedFd<'_>> = entry.connection.iter().map(AsFd::as_fd).collect();
        descriptors.extend(entry.kept());
        let connected = entry.connection.is_some();
        match &entry.order {
            Some(order) => {
                let order = Order { connected, descriptors: descriptors.len(), ..order.clone() };
                tell(Message::Keep(&serde_json::to_vec(&order)?), &descriptors)?;
            }
            None if !connected => {}
            // Who only asks for this.
            None if n == asked => tell(Message::Upgrade, &descriptors)?,
            // Who asks for the same, or has said nothing yet.
            None => {
                descriptors.extend(entry.upgrade.iter().map(AsFd::as_fd));
                let order = Order::nothing(descriptors.len(), entry.upgrade.is_some());
                tell(Message::Keep(&serde_json::to_vec(&order)?), &descriptors)?;
            }
        }
    }
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    let mut arguments = std::env::args_os();
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    without_environment(&mut command).args(arguments).stdin(theirs);
    Ok(command)
}

/// Goes on with what another keeper held: up to the end of the conversation.
pub(super) fn take_up(mut talk: Talk) -> io::Result<Keeper> {
    let mut keeper: Option<Keeper> = None;
    loop {
        match talk.wait() {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(e) => return Err(e),
        }
        // Those of the message after it may have come already.
        let take = |count: usize, from: &mut Vec<OwnedFd>| -> io::Result<std::vec::IntoIter<OwnedFd>> {
            if count > from.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(from.drain(..count).collect::<Vec<_>>().into_iter())
        };
        match (talk.inbox.next()?, &mut keeper) {
            (Some(Message::Keep(bytes)), None) => {
                let post: Post = super::read(bytes)?;
                let mut came = take(2, &mut talk.descriptors)?;
                let (lock, listener) = came.next().zip(came.next()).ok_or(io::ErrorKind::InvalidData)?;
                keeper = Some(Keeper::new(post, lock, listener)?);
            }
            (Some(Message::Keep(bytes)), Some(keeper)) => {
                let order: Order = super::read(bytes)?;
                let mut came = take(order.descriptors, &mut talk.descriptors)?;
                let connection = if order.connected { came.next() } else { None };
                let kept: Vec<OwnedFd> = came.collect();
                let order = Order { connected: false, descriptors: kept.len(), ..order };
                keeper.enter(connection, order, kept)?;
            }
            (Some(Message::Upgrade), Some(keeper)) => {
                let connection = take(1, &mut talk.descriptors)?.next().ok_or(io::ErrorKind::InvalidData)?;
                passing::send(connection.as_fd(), &Message::Welcome { version: WIRE }.to_bytes(), &[])?;
                keeper.entries.push(Entry::new(Some(connection)));
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    keeper.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
