//! Rights and limits: rlimits, capabilities, user and groups, no_new_privs, the seccomp filter.
//!
//! Rights that are not the container's are given up before its program is looked for, but for one: loading a filter
//! takes either `no_new_privs` or CAP_SYS_ADMIN. With the former the filter comes last, just before the exec; else
//! CAP_SYS_ADMIN is kept until it is loaded, and the system calls behind it are capset, read and execve alone.

use super::Child;
use super::failure::{Context, Failure};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Before a process goes on inside of a running container: whoever has CAP_SYS_PTRACE there can make it do what he likes
/// until it has given up its rights, so it has few from the start. Not so at a start, where everything is still to be set up.
pub(super) fn only_what_is_needed_inside(child: &mut Child<'_>) -> Result<(), Failure> {
    let rights = child.program.capabilities;
    // Of the steps to come: terminal and working directory, limits, bounding set, user.
    let steps = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::SYS_RESOURCE
        | CapabilitySet::SETPCAP
        | CapabilitySet::SETUID
        | CapabilitySet::SETGID;
    let nice = if child.program.schedule.is_set() { CapabilitySet::SYS_NICE } else { CapabilitySet::empty() };
    let keep = rights.permitted | rights.inheritable | extra(child) | steps | nice;
    let sets = rustix::thread::capabilities(None).context(|| "cannot read capabilities".to_owned())?;
    let sets = CapabilitySets {
        effective: sets.effective & keep,
        permitted: sets.permitted & keep,
        inheritable: sets.inheritable & keep,
    };
    rustix::thread::set_capabilities(None, sets).context(|| "cannot set capabilities".to_owned())
}

/// Before the user is changed: raising a hard limit takes a capability.
pub(super) fn limits(child: &mut Child<'_>) -> Result<(), Failure> {
    for (resource, limit) in &child.program.rlimits {
        rustix::process::setrlimit(*resource, *limit).context(|| format!("cannot set the limit {resource:?}"))?;
    }
    Ok(())
}

/// What no program in the container can ever get, whatever its file says.
pub(super) fn bounding_set(child: &mut Child<'_>) -> Result<(), Failure> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if child.program.capabilities.bounding.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel knows no more of them.
            Err(Errno::INVAL) => break,
            Err(e) => return Err(e).context(|| format!("cannot drop capability {number} from the bounding set")),
        }
    }
    Ok(())
}

/// User and groups; capabilities are kept over it, they are set next.
pub(super) fn user(child: &mut Child<'_>) -> Result<(), Failure> {
    let program = child.program;
    rustix::thread::set_keep_capabilities(true).context(|| "cannot keep capabilities".to_owned())?;
    match rustix::thread::set_thread_groups(&program.groups) {
        // A user namespace may deny it; then there are none to get rid of either.
        Err(Errno::PERM) if program.groups.is_empty() => {}
        other => other.context(|| format!("cannot set the additional groups {:?}", program.groups))?,
    }
    let (uid, gid) = (program.uid, program.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| format!("cannot become group {}", gid.as_raw()))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| format!("cannot become user {}", uid.as_raw()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(program.umask));
    Ok(())
}

/// `no_new_privs`: set-id programs are ordinary ones from here on.
pub(super) fn no_new_privileges(child: &mut Child<'_>) -> Result<(), Failure> {
    if !child.program.no_new_privileges {
        return Ok(());
    }
    rustix::thread::set_no_new_privs(true).context(|| "cannot set no_new_privs".to_owned())
}

/// The four sets of the process. What we do not have ourselves cannot be handed on, and is left out.
pub(super) fn capabilities(child: &mut Child<'_>) -> Result<(), Failure> {
    let what = || "cannot set capabilities".to_owned();
    let rights = child.program.capabilities;
    let ours = rustix::thread::capabilities(None).context(what)?.permitted;
    let extra = extra(child) & ours;
    let permitted = rights.permitted & ours;
    let sets = CapabilitySets {
        effective: (rights.effective & permitted) | extra,
        permitted: permitted | extra,
        inheritable: rights.inheritable & ours,
    };
    rustix::thread::set_capabilities(None, sets).context(what)?;
    for capability in rights.ambient & permitted & rights.inheritable {
        rustix::thread::configure_capability_in_ambient_set(capability, true)
            .context(|| format!("cannot set the ambient capability {capability:?}"))?;
    }
    Ok(())
}

/// What is needed for the filter, and not the container's.
fn extra(child: &Child<'_>) -> CapabilitySet {
    let program = child.program;
    if child.seccomp.is_some() && !program.no_new_privileges {
        CapabilitySet::SYS_ADMIN
    } else {
        CapabilitySet::empty()
    }
}

/// Loads the filter with CAP_SYS_ADMIN, and gives that up.
pub(super) fn privileged_seccomp(child: &mut Child<'_>) -> Result<(), Failure> {
    if child.program.no_new_privileges {
        return Ok(());
    }
    let Some(filter) = child.seccomp else { return Ok(()) };
    let rights = child.program.capabilities;
    let sets = rustix::thread::capabilities(None).context(|| "cannot read capabilities".to_owned())?;
    load(filter)?;
    let given_up = CapabilitySet::SYS_ADMIN - (rights.permitted & rights.effective);
    if given_up.is_empty() {
        return Ok(());
    }
    let sets = CapabilitySets {
        effective: (sets.effective & rights.effective) & rights.permitted,
        permitted: sets.permitted & rights.permitted,
        inheritable: sets.inheritable,
    };
    rustix::thread::set_capabilities(None, sets).context(|| "cannot set capabilities".to_owned())
}

/// Loads the filter with `no_new_privs`.
pub(super) fn seccomp(child: &mut Child<'_>) -> Result<(), Failure> {
    match child.seccomp {
        Some(filter) if child.program.no_new_privileges => load(filter),
        _ => Ok(()),
    }
}

fn load(filter: &crate::seccomp::Filter) -> Result<(), Failure> {
    filter.load().map_err(|e| match e {
        crate::RuntimeError::Step { message, errno, .. } => Failure::Step { message, errno },
        other => Failure::because(other.to_string()),
    })
}
