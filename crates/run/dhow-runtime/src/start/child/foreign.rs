//! A procfs of a pid namespace that we are not in.
//!
//! A procfs shows the pid namespace of whoever begins to configure it, so somebody has to be in that namespace for as long as
//! one system call takes, and seen there by processes that may do with him what they like (CAP_SYS_PTRACE). So that one has
//! nothing: no rights outside of a user namespace of his own, no descriptors but the conversation with us, no directory but
//! the container's root, and no part in anything else.

use super::Child;
use super::failure::{Context, Failure};
use super::root::root;
use crate::start::conversation::{Channel, Message, channel};
use dhow_sys::clone::{Namespaces, Relation, clone};
use dhow_sys::mount::FsContext;
use dhow_sys::{exec, pidfd};
use oci_spec::runtime::LinuxNamespaceType;
use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Begins to configure it. What comes out in the end is to be looked at: it has been in hands that are not ours.
pub(super) fn procfs(child: &Child<'_>) -> Result<FsContext, Failure> {
    let what = || "cannot configure a procfs of the pid namespace to join".to_owned();
    let joined = child.join.iter().find(|(kind, _)| *kind == LinuxNamespaceType::Pid);
    let namespace = joined.expect("it is only called for who joins one").1.as_fd();
    let (ours, theirs) = channel().context(what)?;
    let mut ours = Some(ours);
    let between = clone(&Relation::CHILD, || {
        ours = None;
        ended(leave_everything(root(child), namespace, &theirs).and_then(|()| in_the_namespace(&theirs)))
    });
    let between = between.context(what)?;
    drop(theirs);
    let heard = ours.expect("only the new process gave up its copy").next();
    pidfd::wait(between.pidfd.as_fd()).context(what)?;
    match heard.context(what)? {
        Some(Message::Descriptor(context)) => Ok(FsContext::from(context)),
        _ => Err(Failure::because(what())),
    }
}

/// Still unseen: the container's root, no descriptors, and the pid namespace for children.
fn leave_everything(root: BorrowedFd<'_>, namespace: BorrowedFd<'_>, channel: &Channel) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")?;
    exec::close_all_but(&[namespace, channel.socket.as_fd()])?;
    rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::ProcessID))?;
    exec::close_all_but(&[channel.socket.as_fd()])
}

/// The one who is seen. Where the kernel lets nobody make a user namespace he has our rights for that moment.
fn in_the_namespace(channel: &Channel) -> io::Result<()> {
    let configure = || ended(configure(channel));
    let namespaces = Namespaces::USER | Namespaces::MOUNT;
    let seen = match clone(&Relation { namespaces, ..Relation::CHILD }, configure) {
        Err(e)
            if matches!(Errno::from_io_error(&e), Some(Errno::PERM | Errno::NOSPC | Errno::INVAL | Errno::USERS)) =>
        {
            clone(&Relation::CHILD, configure)?
        }
        other => other?,
    };
    pidfd::wait(seen.pidfd.as_fd()).map(drop)
}

fn configure(channel: &Channel) -> io::Result<()> {
    let context = FsContext::open("proc").map_err(|e| e.source)?;
    channel.hand_over(b"D", context.as_fd())
}

fn ended(result: io::Result<()>) -> u8 {
    u8::from(result.is_err())
}
