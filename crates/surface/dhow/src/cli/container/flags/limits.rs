//! Limits: of the control group, of each process, and kernel parameters.

use super::fault::{Fault, Flag};
use super::{Create, devices, value};
use dhow_engine::container::request::{Resources, Ulimit};
use dhow_engine::container::spec::size;
use std::collections::BTreeMap;

/// The limits of setrlimit(2) that docker knows.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The kernel parameters that belong to a namespace of IPC; those of networks are known by their first part.
const SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Limits of the control group. 0 is docker's word for none.
pub(super) fn resources(flags: &Create) -> Result<Resources, Fault> {
    let size = |shown, text: &Option<String>| {
        Flag::new(shown).size(text.as_deref()).map(|size| size.filter(|&bytes| bytes != 0))
    };
    let count = |shown, text: &Option<String>| Flag::new(shown).count(text.as_deref());
    let signed = |shown, text: &Option<String>| {
        let number = text.as_deref().map(|text| Flag::new(shown).take(text, value::integer::<i64>)).transpose();
        number.map(|number| number.filter(|&n| n != 0))
    };
    let cpus = Flag::new("--cpus");
    let weight = Flag::new("--blkio-weight");
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(Resources {
        memory: size("-m, --memory", &flags.memory)?,
        memory_swap: flags.memory_swap.as_deref().map(swap).transpose()?.filter(|&bytes| bytes != 0),
        memory_reservation: size("--memory-reservation", &flags.memory_reservation)?,
        memory_swappiness: swappiness(flags.memory_swappiness.as_deref())?,
        oom_kill_disable: flags.oom_kill_disable,
        cpu_shares: match signed("-c, --cpu-shares", &flags.cpu_shares)? {
            Some(shares) => Some(u64::try_from(shares).map_err(|_| {
                Fault::Whole(format!("invalid CPU shares ({shares}): value must be a positive integer"))
            })?),
            None => None,
        },
        cpu_period: count("--cpu-period", &flags.cpu_period)?,
        cpu_quota: signed("--cpu-quota", &flags.cpu_quota)?,
        nano_cpus: flags.cpus.as_deref().map(|text| cpus.take(text, value::cpus)).transpose()?.filter(|&n| n != 0),
        cpuset_cpus: some(&flags.cpuset_cpus),
        cpuset_mems: some(&flags.cpuset_mems),
        pids: signed("--pids-limit", &flags.pids_limit)?,
        blkio_weight: flags
            .blkio_weight
            .as_deref()
            .map(|text| weight.take(text, value::unsigned))
            .transpose()?
            .filter(|&weight: &u16| weight != 0),
        blkio_weight_device: devices::weights(&flags.blkio_weight_device)?,
        device_read_bps: devices::bytes_a_second(Flag::new("--device-read-bps"), &flags.device_read_bps)?,
        device_write_bps: devices::bytes_a_second(Flag::new("--device-write-bps"), &flags.device_write_bps)?,
        device_read_iops: devices::operations_a_second(Flag::new("--device-read-iops"), &flags.device_read_iops)?,
        device_write_iops: devices::operations_a_second(Flag::new("--device-write-iops"), &flags.device_write_iops)?,
    })
}

fn swap(text: &str) -> Result<i64, Fault> {
    if text == "-1" {
        return Ok(-1);
    }
    let flag = Flag::new("--memory-swap");
    let bytes = size::binary(text).map_err(|reason| flag.fault(text, reason))?;
    i64::try_from(bytes).map_err(|_| flag.fault(text, format!("invalid size: '{text}'")))
}

fn swappiness(text: Option<&str>) -> Result<Option<u64>, Fault> {
    let Some(text) = text else { return Ok(None) };
    match Flag::new("--memory-swappiness").take(text, value::integer::<i64>)? {
        -1 => Ok(None),
        swappiness @ 0..=100 => Ok(u64::try_from(swappiness).ok()),
        other => Err(Fault::Whole(format!("invalid value: {other}. Valid memory swappiness range is 0-100"))),
    }
}

/// `NAME=SOFT[:HARD]`; of one name the last counts, sorted by name.
pub(super) fn ulimits(list: &[String]) -> Result<Vec<Ulimit>, Fault> {
    let mut limits = BTreeMap::new();
    for text in list {
        let limit = Flag::new("--ulimit").take(text, ulimit)?;
        limits.insert(limit.name.clone(), limit);
    }
    Ok(limits.into_values().collect())
}

fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = limits.split(':').collect();
    // The hard limit is read first, as docker does.
    let (soft, hard): (i64, i64) = match parts[..] {
        [both] => {
            let soft = value::integer(both)?;
            (soft, soft)
        }
        [soft, hard] => {
            let hard = value::integer(hard)?;
            (value::integer(soft)?, hard)
        }
        _ => {
            return Err(format!("too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"));
        }
    };
    if hard != -1 {
        let order = "ulimit soft limit must be less than or equal to hard limit";
        if soft == -1 {
            return Err(format!("{order}: soft: -1 (unlimited), hard: {hard}"));
        }
        if soft > hard {
            return Err(format!("{order}: {soft} > {hard}"));
        }
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// `NAME=VALUE`, of those parameters that a namespace has.
pub(super) fn sysctls(list: &[String]) -> Result<BTreeMap<String, String>, Fault> {
    let mut sysctls = BTreeMap::new();
    for text in list {
        let flag = Flag::new("--sysctl");
        let refused = || flag.fault(text, format!("sysctl '{text}' is not allowed"));
        let (name, value) = text.split_once('=').ok_or_else(refused)?;
        if !(SYSCTLS.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")) {
            return Err(refused());
        }
        sysctls.insert(name.to_owned(), value.to_owned());
    }
    Ok(sysctls)
}
