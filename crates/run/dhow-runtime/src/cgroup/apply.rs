//! Carrying out limits and device rules on a group that is there.

use super::devices::{Lines, Policy, program, transition};
use super::directory::{failed, open_file, read, read_number, refused, write, write_to};
use super::hierarchy::{Hierarchies, Version};
use super::limits::{self, Present, Setting};
use super::{Cgroup, Member};
use crate::error::RuntimeError;
use oci_spec::runtime::LinuxResources;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

/// What is to be done, checked against itself and against what the host has.
pub(super) struct Plan<'r> {
    resources: &'r LinuxResources,
    /// Absent: the device rules are not touched.
    devices: Option<Policy>,
}

impl<'r> Plan<'r> {
    /// Checks all there is to be checked without a group.
    pub(super) fn new(on: &Hierarchies, resources: &'r LinuxResources) -> Result<Plan<'r>, RuntimeError> {
        limits::check(resources)?;
        for setting in settings(on, resources, &Present::default())? {
            let controller = setting.controller.as_str();
            // What begins with `cgroup.` is every group's.
            if !on.all.iter().any(|h| h.has(controller)) && controller != "cgroup" {
                return Err(limits::lacking(&setting.limit, &format!("this host has no controller {controller}")));
            }
        }
        let rules = resources.devices().as_deref().filter(|rules| !rules.is_empty());
        let devices = rules.map(Policy::new).transpose()?;
        if let Some(policy) = &devices {
            if on.all.iter().any(|h| h.version == Version::V1 && h.has("devices")) {
                Lines::new(policy)?;
            } else if !on.is_unified() {
                return Err(limits::lacking("devices", "this host has no controller devices"));
            }
        }
        Ok(Plan { resources, devices })
    }

    /// Writes it all. `fresh`: to a group that was just made.
    pub(super) fn carry_out(&self, cgroup: &Cgroup, fresh: bool) -> Result<(), RuntimeError> {
        let mut present = Present::default();
        if !fresh {
            if limits::needs_cpu_max(self.resources) {
                present.cpu_max = cgroup.unified().and_then(|m| read(m.directory.as_fd(), "cpu.max").ok());
            }
            check_usage(cgroup, self.resources)?;
        }
        // Values that the kernel compares with each other: those refused at first are tried again after the others.
        let mut again = Vec::new();
        for setting in settings(&cgroup.on, self.resources, &present)? {
            match set(cgroup, &setting)? {
                Ok(()) => {}
                Err((file, value, Errno::INVAL)) => again.push((setting, file, value)),
                Err((file, value, errno)) => return Err(cannot_set(cgroup, &setting, &file, &value, errno)),
            }
        }
        for (setting, ..) in again {
            if let Err((file, value, errno)) = set(cgroup, &setting)? {
                return Err(cannot_set(cgroup, &setting, &file, &value, errno));
            }
        }
        self.devices.as_ref().map_or(Ok(()), |policy| set_devices(cgroup, policy, fresh))
    }
}

fn settings(on: &Hierarchies, resources: &LinuxResources, present: &Present) -> Result<Vec<Setting>, RuntimeError> {
    if on.is_unified() { limits::v2(resources, present) } else { limits::v1(resources) }
}

/// File, value and error of a setting that the kernel refused.
type Refusal = (String, String, Errno);

fn set(cgroup: &Cgroup, setting: &Setting) -> Result<Result<(), Refusal>, RuntimeError> {
    let member =
        if setting.controller == "cgroup" { cgroup.unified() } else { cgroup.controlled_by(&setting.controller) };
    let lacking = |what: &str| limits::lacking(&setting.limit, what);
    let Some(member) = member else {
        return Err(lacking(&format!("{} is not in a hierarchy of {}", cgroup.name(), setting.controller)));
    };
    for (file, value) in &setting.ways {
        match write(member.directory.as_fd(), file, value) {
            Ok(()) => return Ok(Ok(())),
            // No file, or none of this name may be made: the same to us.
            Err(Errno::NOENT) => {}
            Err(errno) => return Ok(Err((file.clone(), value.clone(), errno))),
        }
    }
    if setting.may_lack {
        return Ok(Ok(()));
    }
    let handed_on = read(member.directory.as_fd(), "cgroup.controllers");
    if handed_on.is_ok_and(|on| !on.split_ascii_whitespace().any(|on| on == setting.controller)) {
        let (name, controller) = (cgroup.name(), &setting.controller);
        return Err(lacking(&format!(
            "{controller} is not handed on to {name}: has a group above it processes of its own? Inside a container, move \
             them into a group of theirs first"
        )));
    }
    let files: Vec<&str> = setting.ways.iter().map(|(file, _)| file.as_str()).collect();
    Err(lacking(&format!("no {} in {}", files.join(" or "), cgroup.name())))
}

fn cannot_set(cgroup: &Cgroup, setting: &Setting, file: &str, value: &str, errno: Errno) -> RuntimeError {
    let directory = cgroup.controlled_by(&setting.controller).map(|m| m.directory.as_fd());
    let number = |file: &str| directory.and_then(|d| read_number(d, file).ok());
    let more = match (file, errno) {
        ("memory.limit_in_bytes" | "memory.memsw.limit_in_bytes", Errno::BUSY) => {
            number("memory.usage_in_bytes").map(|used| format!(" while {used} are in use"))
        }
        ("memory.limit_in_bytes", Errno::INVAL) => number("memory.memsw.limit_in_bytes")
            .map(|both| format!(" while memory and swap together are limited to {both}")),
        _ => None,
    };
    let name = cgroup.name();
    failed(format_args!("cannot set {file} of {name} to {value:?}{}", more.unwrap_or_default()), errno)
}

/// `memory.checkBeforeUpdate`: refuses a limit below what is used, which under version 2 would kill.
fn check_usage(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), RuntimeError> {
    let Some(memory) = resources.memory().filter(|m| m.check_before_update() == Some(true)) else {
        return Ok(());
    };
    let Some(limit) = memory.limit().and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0) else {
        return Ok(());
    };
    let Some(member) = cgroup.controlled_by("memory") else { return Ok(()) };
    let file = if cgroup.on.is_unified() { "memory.current" } else { "memory.usage_in_bytes" };
    let used = read_number(member.directory.as_fd(), file)
        .map_err(|e| failed(format_args!("cannot read {file} of {}", cgroup.name()), e))?;
    if used > limit {
        return Err(refused(format!("cannot limit memory of {} to {limit}: {used} are in use", cgroup.name())));
    }
    Ok(())
}

fn set_devices(cgroup: &Cgroup, policy: &Policy, fresh: bool) -> Result<(), RuntimeError> {
    // A new group may do what the one above it may, and never more.
    if fresh && policy.allows_all() {
        return Ok(());
    }
    if let Some(member) = cgroup.in_v1("devices") {
        return set_lines(cgroup, member, &Lines::new(policy)?, fresh);
    }
    let Some(member) = cgroup.unified() else {
        return Err(limits::lacking("devices", "this host has no controller devices"));
    };
    set_program(member, policy, fresh).map_err(|(what, error)| {
        let errno = Errno::from_io_error(&error);
        let message = format!("cannot set the device rules of {}: {what}: {error}", cgroup.name());
        RuntimeError::Step { step: "cgroup".to_owned(), message, errno: errno.map(Errno::raw_os_error) }
    })
}

fn set_lines(cgroup: &Cgroup, member: &Member, to: &Lines, fresh: bool) -> Result<(), RuntimeError> {
    let directory = member.directory.as_fd();
    let cannot = |file: &str, line: &str, errno| {
        failed(format_args!("cannot write {line:?} to {file} of {}", cgroup.name()), errno)
    };
    let from = if fresh {
        None
    } else {
        Lines::parse(&read(directory, "devices.list").map_err(|e| cannot("devices.list", "", e))?)
    };
    let mut files = [None, None];
    for (allow, line) in transition(from.as_ref(), to) {
        let name = if allow { "devices.allow" } else { "devices.deny" };
        let slot = &mut files[usize::from(allow)];
        let file = match slot {
            Some(file) => file,
            None => slot.insert(open_file(directory, name, OFlags::WRONLY).map_err(|e| cannot(name, &line, e))?),
        };
        write_to(file.as_fd(), &line).map_err(|e| cannot(name, &line, e))?;
    }
    Ok(())
}

fn set_program(member: &Member, policy: &Policy, fresh: bool) -> Result<(), (&'static str, io::Error)> {
    use dhow_sys::bpf;
    let group = member.directory.as_fd();
    let program = bpf::load_device_program("dhow_devices", &program(policy))
        .map_err(|e| ("loading an eBPF program", io::Error::new(e.source.kind(), e)))?;
    let attached = if fresh { Vec::new() } else { bpf::device_programs(group).map_err(|e| ("BPF_PROG_QUERY", e))? };
    let mut before = Vec::with_capacity(attached.len());
    for id in attached {
        before.push(bpf::open_program(id).map_err(|e| ("BPF_PROG_GET_FD_BY_ID", e))?);
    }
    // The new one in the place of the first, in one step; others, which nobody but an update that was broken off can
    // have left, go.
    let replaced = before.first().map(AsFd::as_fd);
    bpf::attach_device_program(group, program.as_fd(), replaced).map_err(|e| ("BPF_PROG_ATTACH", e))?;
    for more in before.iter().skip(1) {
        bpf::detach_device_program(group, more.as_fd()).map_err(|e| ("BPF_PROG_DETACH", e))?;
    }
    Ok(())
}
