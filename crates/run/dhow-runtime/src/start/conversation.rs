//! What the process that sets itself up and the one that made it say to each other.
//!
//! Over a pair of `SOCK_SEQPACKET` sockets, so that a message is whole or not there, either end notices that the other
//! is gone, and a descriptor can go along. Close-on-exec: the end of the conversation without a complaint is the exec.

use super::child::failure::Failure;
use crate::error::RuntimeError;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longest text of a message in bytes; what is longer is cut.
const TEXT_MAX: usize = 4096;

/// What the new process says.
#[derive(Debug)]
pub(super) enum Message {
    /// It is in a new user namespace and waits for its ids to be mapped.
    MapIds,
    /// It has made the process that goes on in its place, a child of the same parent.
    Sibling(u32),
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// A descriptor that was asked for.
    Descriptor(OwnedFd),
    /// It waits for the hooks that the caller is to run.
    Hooks,
    /// It waits at the gate.
    Ready,
    /// It has given up.
    Failed(RuntimeError),
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) socket: OwnedFd,
}

/// Both ends: first the one of who makes the process.
pub(super) fn channel() -> io::Result<(Channel, Channel)> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((Channel { socket: ours }, Channel { socket: theirs }))
}

impl Channel {
    /// The next message; none when the other end is gone, by an exec or by its end.
    pub(super) fn next(&self) -> io::Result<Option<Message>> {
        self.receive(RecvFlags::CMSG_CLOEXEC)
    }

    /// The same, `WouldBlock` when there is no message now.
    pub(super) fn next_at_once(&self) -> io::Result<Option<Message>> {
        self.receive(RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    fn receive(&self, flags: RecvFlags) -> io::Result<Option<Message>> {
        let mut bytes = [0; TEXT_MAX + 300];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&self.socket, &mut buffers, &mut control, flags)
        });
        let length = match received {
            Ok(received) => received.bytes,
            // It died with something of ours unread.
            Err(Errno::CONNRESET) => 0,
            Err(e) => return Err(e.into()),
        };
        let mut descriptor = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                descriptor = descriptors.next();
            }
        }
        if length == 0 {
            return Ok(None);
        }
        parse(&bytes[..length], descriptor).map(Some).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Says something that has no descriptor with it. write(2), as [`wait`](Self::wait) reads; when nobody listens any
    /// more its signal ends the new process, as it should.
    pub(super) fn say(&self, message: &[u8]) -> io::Result<()> {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.socket, message))?;
        Ok(())
    }

    /// Asks for the ids to be mapped, and waits until they are.
    pub(super) fn ask_for_ids(&self) -> io::Result<bool> {
        self.say(b"M")?;
        Ok(self.wait())
    }

    /// Asks for the hooks of the caller's namespaces to be run, and waits until they were.
    pub(super) fn ask_for_hooks(&self) -> io::Result<bool> {
        self.say(b"H")?;
        Ok(self.wait())
    }

    /// Tells of the process that goes on.
    pub(super) fn tell_sibling(&self, pid: u32) -> io::Result<()> {
        let mut message = [b'P', 0, 0, 0, 0];
        message[1..].copy_from_slice(&pid.to_le_bytes());
        self.say(&message)
    }

    /// Hands over the master of the terminal.
    pub(super) fn hand_over_terminal(&self, master: OwnedFd) -> io::Result<()> {
        self.hand_over(b"T", master.as_fd())
    }

    /// Hands over a descriptor.
    pub(super) fn hand_over(&self, message: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        rustix::net::sendmsg(&self.socket, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Tells why it cannot go on. Nobody is left to be told when that fails, too.
    pub(super) fn complain(&self, step: &str, failure: &Failure) {
        let _ = self.say(&complaint(step, failure));
    }

    /// Waits for leave to go on; false when the other end is gone. read(2) and not recv(2): the seccomp filter may be
    /// in force already, and there is hardly a profile without that call.
    pub(super) fn wait(&self) -> bool {
        let mut byte = [0];
        matches!(rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut byte)), Ok(1))
    }

    /// Gives leave to go on.
    pub(super) fn go(&self) -> io::Result<()> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, b"G", SendFlags::NOSIGNAL))?;
        Ok(())
    }
}

/// `E`, errno, the length of the step's name, the name, the text; or `X`, the kind, nothing, the program, NUL, the text.
fn complaint(step: &str, failure: &Failure) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    match failure {
        Failure::Step { message: text, errno } => {
            message.push(b'E');
            message.extend(errno.unwrap_or(0).to_le_bytes());
            message.push(u8::try_from(step.len()).unwrap_or(u8::MAX));
            message.extend(step.bytes().take(255));
            message.extend(text.bytes().take(TEXT_MAX));
        }
        Failure::Exec { program, problem, found } => {
            message.push(b'X');
            message.push(u8::from(*found));
            message.extend(program.bytes().filter(|b| *b != 0).take(TEXT_MAX / 2));
            message.push(0);
            message.extend(problem.bytes().take(TEXT_MAX / 2));
        }
        // Whoever would have to be told has closed the gate himself.
        Failure::GateClosed => {}
    }
    message
}

fn parse(message: &[u8], descriptor: Option<OwnedFd>) -> Option<Message> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (kind, rest) = message.split_first()?;
    Some(match kind {
        b'M' => Message::MapIds,
        b'P' => Message::Sibling(u32::from_le_bytes(rest.try_into().ok()?)),
        b'T' => Message::Terminal(descriptor?),
        b'D' => Message::Descriptor(descriptor?),
        b'H' => Message::Hooks,
        b'R' => Message::Ready,
        b'E' => {
            let (errno, rest) = rest.split_first_chunk()?;
            let errno = i32::from_le_bytes(*errno);
            let (length, rest) = rest.split_first()?;
            let (step, message) = rest.split_at_checked(usize::from(*length))?;
            let errno = (errno != 0).then_some(errno);
            Message::Failed(RuntimeError::Step { step: text(step), message: text(message), errno })
        }
        b'X' => {
            let (found, rest) = rest.split_first()?;
            let end = rest.iter().position(|b| *b == 0)?;
            let kind = if *found == 0 { io::ErrorKind::NotFound } else { io::ErrorKind::PermissionDenied };
            let source = io::Error::new(kind, text(&rest[end + 1..]));
            Message::Failed(RuntimeError::Exec { program: text(&rest[..end]), source })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_meant() {
        let (ours, theirs) = channel().unwrap();
        theirs.tell_sibling(70_000).unwrap();
        theirs.complain("mounts", &Failure::Step { message: "no".into(), errno: Some(13) });
        theirs.complain("exec", &Failure::Exec { program: "x".into(), problem: "not found".into(), found: false });
        theirs.hand_over_terminal(std::fs::File::open("/dev/null").unwrap().into()).unwrap();
        ours.go().unwrap();
        assert!(theirs.wait());
        drop(theirs);
        assert!(matches!(ours.next().unwrap(), Some(Message::Sibling(70_000))));
        match ours.next().unwrap() {
            Some(Message::Failed(RuntimeError::Step { step, message, errno })) => {
                assert_eq!((step.as_str(), message.as_str(), errno), ("mounts", "no", Some(13)));
            }
            other => panic!("{other:?}"),
        }
        match ours.next().unwrap() {
            Some(Message::Failed(RuntimeError::Exec { program, source })) => {
                assert_eq!((program.as_str(), source.kind()), ("x", io::ErrorKind::NotFound));
                assert_eq!(source.to_string(), "not found");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(ours.next().unwrap(), Some(Message::Terminal(_))));
        assert!(ours.next().unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b""[..], b"P\0", b"E\0\0\0", b"E\0\0\0\0\x09ab", b"X", b"X\x01abc", b"T", b"?"] {
            assert!(parse(bytes, None).is_none(), "{bytes:?}");
        }
    }
}
