//! What can be seen to be wrong without asking the kernel, so that nothing is half-made when it is.

use super::{asked, invalid, throttles};
use crate::error::RuntimeError;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

type Checked = Result<(), RuntimeError>;

/// Checks the values of all limits, but for devices, whose rules are checked where they are understood.
pub(in crate::cgroup) fn check(resources: &LinuxResources) -> Checked {
    if let Some(memory) = resources.memory() {
        check_memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        check_cpu(cpu)?;
    }
    if let Some(io) = resources.block_io() {
        check_block_io(io)?;
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        if !is_page_size(huge.page_size()) {
            let problem = format!("{:?} is no page size such as 2MB or 1GB", huge.page_size());
            return Err(invalid("hugepageLimits.pageSize", problem));
        }
    }
    if let Some(network) = resources.network() {
        for interface in network.priorities().iter().flatten() {
            one_word("network.priorities.name", interface.name())?;
        }
    }
    for device in resources.rdma().iter().flatten().map(|(device, _)| device) {
        one_word("rdma", device)?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        check_unified(file, value)?;
    }
    Ok(())
}

/// It becomes one word of a line for the kernel.
fn one_word(field: &str, word: &str) -> Checked {
    if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c == '\0') {
        return Err(invalid(field, format!("{word:?} is no name of a device")));
    }
    Ok(())
}

fn check_memory(memory: &LinuxMemory) -> Checked {
    let amounts = [
        ("memory.limit", memory.limit()),
        ("memory.reservation", memory.reservation()),
        ("memory.swap", memory.swap()),
        ("memory.kernelTCP", memory.kernel_tcp()),
    ];
    for (field, amount) in amounts {
        if amount.is_some_and(|bytes| bytes < -1) {
            return Err(invalid(field, "must be a number of bytes, or -1 for no limit"));
        }
    }
    let (limit, swap) = (asked(memory.limit()), asked(memory.swap()));
    if let Some(swap) = swap.filter(|swap| *swap > 0) {
        let Some(limit) = limit else {
            return Err(invalid("memory.swap", "memory and swap together can only be limited along with memory.limit"));
        };
        if limit == -1 || swap < limit {
            return Err(invalid(
                "memory.swap",
                "counts memory and swap together, so it must not be below memory.limit",
            ));
        }
    }
    if memory.swappiness().is_some_and(|s| s > 100) {
        return Err(invalid("memory.swappiness", "must be between 0 and 100"));
    }
    Ok(())
}

fn check_cpu(cpu: &LinuxCpu) -> Checked {
    if asked(cpu.shares()).is_some_and(|shares| !(2..=262_144).contains(&shares)) {
        return Err(invalid("cpu.shares", "must be between 2 and 262144"));
    }
    if asked(cpu.period()).is_some_and(|period| !(1_000..=1_000_000).contains(&period)) {
        return Err(invalid("cpu.period", "must be between 1000 and 1000000 microseconds"));
    }
    if asked(cpu.quota()).is_some_and(|quota| (0..1_000).contains(&quota)) {
        return Err(invalid("cpu.quota", "must be at least 1000 microseconds, or negative for no limit"));
    }
    if asked(cpu.realtime_period()).is_some_and(|period| period > 1_000_000) {
        return Err(invalid("cpu.realtimePeriod", "must be at most 1000000 microseconds"));
    }
    if asked(cpu.realtime_runtime()).is_some_and(|runtime| runtime < -1) {
        return Err(invalid("cpu.realtimeRuntime", "must be a number of microseconds, or -1 for no limit"));
    }
    if cpu.idle().is_some_and(|idle| !(0..=1).contains(&idle)) {
        return Err(invalid("cpu.idle", "must be 0 or 1"));
    }
    for (field, list) in [("cpu.cpus", cpu.cpus()), ("cpu.mems", cpu.mems())] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            check_list(field, list)?;
        }
    }
    Ok(())
}

/// The kernel's list format: `0-3,7,16-31:2/4`. At most 65535 processors and nodes, far above what it has.
fn check_list(field: &str, list: &str) -> Checked {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let is_part = |part: &str| {
        let (range, stride) = part.split_once(':').map_or((part, None), |(range, stride)| (range, Some(stride)));
        let range = match range.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
            None => number(range).is_some() && stride.is_none(),
        };
        let stride = stride.is_none_or(|stride| {
            let used = stride.split_once('/').and_then(|(used, of)| number(used).zip(number(of)));
            used.is_some_and(|(used, of)| 0 < used && used <= of)
        });
        range && stride
    };
    if list.split(',').all(is_part) {
        return Ok(());
    }
    Err(invalid(field, format!("{list:?} is no list such as 0-3,7")))
}

fn check_block_io(io: &LinuxBlockIo) -> Checked {
    let weight = |field: &str, weight: Option<u16>| match asked(weight) {
        Some(weight) if !(10..=1_000).contains(&weight) => Err(invalid(field, "must be between 10 and 1000")),
        _ => Ok(()),
    };
    let device = |field: &str, major: i64, minor: i64| {
        if u32::try_from(major).is_ok() && u32::try_from(minor).is_ok() {
            return Ok(());
        }
        Err(invalid(field, format!("{major}:{minor} is no number of a device")))
    };
    weight("blockIO.weight", io.weight())?;
    weight("blockIO.leafWeight", io.leaf_weight())?;
    for one in io.weight_device().iter().flatten() {
        device("blockIO.weightDevice", one.major(), one.minor())?;
        weight("blockIO.weightDevice.weight", one.weight())?;
        weight("blockIO.weightDevice.leafWeight", one.leaf_weight())?;
    }
    for (field, devices) in throttles(io) {
        for one in devices {
            device(field, one.major(), one.minor())?;
        }
    }
    Ok(())
}

/// As the names of the kernel's files have it: `64KB`, `2MB`, `1GB`.
fn is_page_size(text: &str) -> bool {
    let digits = text.trim_end_matches("KB").trim_end_matches("MB").trim_end_matches("GB");
    digits.len() + 2 == text.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The files that are no limits: who writes to them acts on processes, or on what the group is.
const NO_LIMITS: [&str; 6] =
    ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type", "cgroup.subtree_control"];

fn check_unified(file: &str, value: &str) -> Checked {
    let name = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if !file.bytes().all(name) || !file.contains('.') || file.starts_with('.') || NO_LIMITS.contains(&file) {
        return Err(invalid("unified", format!("{file:?} is no file of a controller")));
    }
    if value.contains('\0') {
        return Err(invalid("unified", format!("the value of {file} has a NUL in it")));
    }
    Ok(())
}
