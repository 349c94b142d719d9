//! Getting out of the caller's world and into the container's: signals, control group, namespaces, session.

use super::failure::{Context, Failure};
use super::kernel;
use super::{Child, Entered, LinuxNamespaceType};
use crate::rlimits;
use crate::start::plan::flag;
use dhow_sys::clone::Namespaces;
use dhow_sys::{exec, inherited, namespace};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::DumpableBehavior;
use rustix::thread::{Gid, LinkNameSpaceType, Uid};
use std::os::fd::AsFd;
use std::path::Path;

/// What the caller has set for himself, or his shell for him: a container is the same whoever starts it. Not dumpable: processes of a container that is joined must not read our memory
/// or reach our program file and descriptors by `/proc/<pid>` (CVE-2016-9962, CVE-2019-5736).
pub(super) fn leave_the_caller(_: &mut Child<'_>) -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context(|| "cannot hide from other processes".to_owned())?;
    exec::default_signals().context(|| "cannot reset signals".to_owned())?;
    inherited::leave_behind();
    rlimits::lift();
    // Modes are given in full from here on; the program's own mask is set at the end.
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// Version 1: by writing to each hierarchy, while we have one thread. In version 2 the process was made in its group.
pub(super) fn enter_cgroup(child: &mut Child<'_>) -> Result<(), Failure> {
    for file in child.cgroup.write_to() {
        rustix::io::write(file, b"0").context(|| "cannot enter the control group".to_owned())?;
    }
    Ok(())
}

/// A time namespace of its own: ours is left as it is, and the process that goes on in our place begins in the new one.
pub(super) fn clocks(child: &mut Child<'_>) -> Result<(), Failure> {
    let container = child.container;
    let Some(offsets) = &container.clocks else { return Ok(()) };
    namespace::unshare(Namespaces::TIME).context(|| "cannot make a time namespace".to_owned())?;
    if offsets.is_empty() {
        return Ok(());
    }
    let procfs = kernel::procfs(child)?;
    kernel::write(procfs, Path::new("self/timens_offsets"), offsets)
        .context(|| format!("cannot set the clocks ({})", offsets.trim().replace('\n', ", ")))
}

/// Joins the namespaces of others. A user namespace last: until then the caller's rights count, which are more.
pub(super) fn join(child: &mut Child<'_>) -> Result<(), Failure> {
    join_some(child, |_| true)
}

/// The same, without pid namespaces.
pub(super) fn join_but_for_pids(child: &mut Child<'_>) -> Result<(), Failure> {
    join_some(child, |kind| kind != LinuxNamespaceType::Pid)
}

/// Those alone: where our children will be.
pub(super) fn join_pids(child: &mut Child<'_>) -> Result<(), Failure> {
    join_some(child, |kind| kind == LinuxNamespaceType::Pid)
}

/// Makes those of the container. Of clocks and control groups there is a step each.
pub(super) fn unshare(child: &mut Child<'_>) -> Result<(), Failure> {
    let made = child.container.namespaces.unwrap_or(Namespaces::empty()) - Namespaces::TIME;
    namespace::unshare(made).context(|| "cannot make namespaces".to_owned())
}

fn join_some(child: &Child<'_>, wanted: impl Fn(LinuxNamespaceType) -> bool) -> Result<(), Failure> {
    let is_user = |kind: LinuxNamespaceType| kind == LinuxNamespaceType::User;
    let last = child.join.iter().filter(|(kind, _)| is_user(*kind));
    let all = child.join.iter().filter(|(kind, _)| !is_user(*kind)).chain(last);
    for (kind, descriptor) in all.filter(|(kind, _)| wanted(*kind)) {
        rustix::thread::move_into_link_name_space(descriptor.as_fd(), Some(link(*kind)))
            .context(|| format!("cannot join the {kind} namespace"))?;
    }
    Ok(())
}

fn link(kind: LinuxNamespaceType) -> LinkNameSpaceType {
    match kind {
        LinuxNamespaceType::Mount => LinkNameSpaceType::Mount,
        LinuxNamespaceType::Cgroup => LinkNameSpaceType::ControlGroup,
        LinuxNamespaceType::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        LinuxNamespaceType::Ipc => LinkNameSpaceType::InterProcessCommunication,
        LinuxNamespaceType::User => LinkNameSpaceType::User,
        LinuxNamespaceType::Pid => LinkNameSpaceType::ProcessID,
        LinuxNamespaceType::Network => LinkNameSpaceType::Network,
        LinuxNamespaceType::Time => LinkNameSpaceType::Time,
    }
}

/// Enters all namespaces of a running container in one call, so that no half of it can change in between.
pub(super) fn enter(child: &mut Child<'_>) -> Result<(), Failure> {
    let Some(Entered { pidfd: Some(pidfd), namespaces }) = child.enter else { return Ok(()) };
    rustix::thread::move_into_thread_name_spaces(pidfd, namespaces)
        .context(|| "cannot enter the namespaces of the container".to_owned())?;
    if namespaces.contains(Namespaces::USER) { become_user_zero() } else { Ok(()) }
}

/// In a user namespace: waits until the ids are mapped, and becomes its root.
pub(super) fn become_root(child: &mut Child<'_>) -> Result<(), Failure> {
    if child.container.maps_users() {
        let mapped = child.channel.ask_for_ids().context(|| "cannot ask for ids".to_owned())?;
        if !mapped {
            return Err(Failure::GateClosed);
        }
    }
    if child.container.in_user_namespace { become_user_zero() } else { Ok(()) }
}

fn become_user_zero() -> Result<(), Failure> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| "cannot become group 0".to_owned())?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| "cannot become user 0".to_owned())?;
    // Where setgroups(2) is denied in the user namespace there is nothing to be done about it.
    let _ = rustix::thread::set_thread_groups(&[]);
    Ok(())
}

/// A session and a session keyring of its own.
pub(super) fn session(_: &mut Child<'_>) -> Result<(), Failure> {
    rustix::process::setsid().context(|| "cannot begin a session".to_owned())?;
    match exec::new_session_keyring() {
        // A kernel without keyrings has none to hide; a seccomp filter around all of us may refuse the call.
        Err(e) if matches!(Errno::from_io_error(&e), Some(Errno::NOSYS | Errno::PERM)) => Ok(()),
        other => other.context(|| "cannot make a session keyring".to_owned()),
    }
}

/// After the control group was entered: it becomes the root of what is seen.
pub(super) fn unshare_cgroup(child: &mut Child<'_>) -> Result<(), Failure> {
    if !child.container.cgroup_namespace {
        return Ok(());
    }
    namespace::unshare(Namespaces::CONTROL_GROUP).context(|| "cannot make a control group namespace".to_owned())
}

/// The interface `lo` of a new network namespace.
pub(super) fn loopback(child: &mut Child<'_>) -> Result<(), Failure> {
    let made = child.container.namespaces.unwrap_or(Namespaces::empty());
    if !made.contains(flag(LinuxNamespaceType::Network)) {
        return Ok(());
    }
    namespace::loopback_up().context(|| "cannot bring up lo".to_owned())
}
