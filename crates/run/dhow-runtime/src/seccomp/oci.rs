//! From `linux.seccomp` of an OCI `config.json` to a policy. Refuses what makes no sense, naming rule and field.

use super::calls::{Abi, Call};
use super::policy::{Action, Condition, Policy, Test};
use super::{invalid, too_large};
use crate::error::RuntimeError;
use dhow_sys::seccomp::Options;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};

/// What follows from a profile.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) policy: Policy,
    pub(super) options: Options,
    /// A rule wants a listener to be asked.
    pub(super) notifies: bool,
}

pub(super) fn lower(profile: &LinuxSeccomp) -> Result<Lowered, RuntimeError> {
    if profile.listener_path().is_some() {
        return Err(invalid("listenerPath", "seccomp listeners are not supported"));
    }
    let default = action(profile.default_action(), profile.default_errno_ret(), &"defaultErrnoRet")?;
    if default == Action::NOTIFY {
        return Err(invalid("defaultAction", "SCMP_ACT_NOTIFY cannot be the default action"));
    }
    let options = options(profile.flags().as_deref());
    let mut policy = Policy::new(default, &interfaces(profile.architectures().as_deref()));
    let mut notifies = false;
    for (at, rule) in profile.syscalls().iter().flatten().enumerate() {
        notifies |= rule.action() == LinuxSeccompAction::ScmpActNotify;
        add(&mut policy, at, rule)?;
    }
    Ok(Lowered { policy, options, notifies })
}

fn add(policy: &mut Policy, at: usize, rule: &LinuxSyscall) -> Result<(), RuntimeError> {
    let action = action(rule.action(), rule.errno_ret(), &format_args!("syscalls[{at}].errnoRet"))?;
    let args = rule.args().as_deref().unwrap_or_default();
    let mut conditions = Vec::with_capacity(args.len());
    for (n, arg) in args.iter().enumerate() {
        conditions.push(condition(arg).ok_or_else(|| {
            invalid(&format_args!("syscalls[{at}].args[{n}].index"), &format_args!("{} is not 0 to 5", arg.index()))
        })?);
    }
    for (n, name) in rule.names().iter().enumerate() {
        let field = || format!("syscalls[{at}].names[{n}]");
        if name.is_empty() {
            return Err(invalid(&field(), "a system call without a name"));
        }
        if action == Action::NOTIFY && name == "write" {
            return Err(invalid(&field(), "SCMP_ACT_NOTIFY cannot be used for write: starting needs it"));
        }
        if let Some(call) = Call::by_name(name) {
            policy.add(call, action, &conditions).map_err(|_| too_large())?;
        }
    }
    Ok(())
}

/// The native interface is always there: the container's first program comes through it. Those of other machines are left
/// out, for no process here can be of them.
fn interfaces(architectures: Option<&[Arch]>) -> Vec<Abi> {
    let others = architectures.unwrap_or_default().iter().filter_map(|arch| match arch {
        Arch::ScmpArchX86 => Some(Abi::I386),
        Arch::ScmpArchX32 => Some(Abi::X32),
        _ => None,
    });
    std::iter::once(Abi::X86_64).chain(others).collect()
}

/// Without `flags`, not even an empty list of them, runc goes on speculating; so do we.
fn options(flags: Option<&[LinuxSeccompFilterFlag]>) -> Options {
    let Some(flags) = flags else { return super::DEFAULT_OPTIONS };
    Options {
        all_threads: flags.contains(&LinuxSeccompFilterFlag::SeccompFilterFlagTsync),
        log: flags.contains(&LinuxSeccompFilterFlag::SeccompFilterFlagLog),
        allow_speculation: flags.contains(&LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow),
        killable_wait: flags.contains(&LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv),
    }
}

/// The errno of an action that has none is ignored, as by runc.
fn action(
    action: LinuxSeccompAction,
    errno: Option<u32>,
    field: &dyn std::fmt::Display,
) -> Result<Action, RuntimeError> {
    /// The largest errno that the kernel hands on: `MAX_ERRNO`.
    const MAX_ERRNO: u16 = 4095;
    let at_most = |most: u16| {
        let errno = errno.unwrap_or(1);
        u16::try_from(errno)
            .ok()
            .filter(|errno| *errno <= most)
            .ok_or_else(|| invalid(field, &format_args!("{errno} is greater than {most}")))
    };
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => Action::KILL_THREAD,
        LinuxSeccompAction::ScmpActKillProcess => Action::KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => Action::TRAP,
        LinuxSeccompAction::ScmpActErrno => Action::errno(at_most(MAX_ERRNO)?),
        LinuxSeccompAction::ScmpActNotify => Action::NOTIFY,
        LinuxSeccompAction::ScmpActTrace => Action::trace(at_most(u16::MAX)?),
        LinuxSeccompAction::ScmpActLog => Action::LOG,
        LinuxSeccompAction::ScmpActAllow => Action::ALLOW,
    })
}

fn condition(arg: &LinuxSeccompArg) -> Option<Condition> {
    let argument = u8::try_from(arg.index()).ok().filter(|index| *index < 6)?;
    let (test, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (Test::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (Test::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (Test::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (Test::Equal { mask: u64::MAX }, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (Test::GreaterOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (Test::Greater, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (Test::Equal { mask: arg.value() }, arg.value_two().unwrap_or_default())
        }
    };
    Some(Condition { argument, test, value })
}
