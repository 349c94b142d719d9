//! Limits of the control group: judged and filled in as docker does, then as the spec has them.
//!
//! Follows `verifyPlatformContainerResources` and `WithResources` of moby.

use super::host::{Host, number_list};
use super::{devices, invalid};
use crate::EngineError;
use crate::container::request::{Resources, Throttle};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxPids, LinuxResources, LinuxThrottleDevice,
    LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
};
use std::path::Path;

/// Less memory than this and not even the start of a program is sure to succeed.
const LEAST_MEMORY: u64 = 6 << 20;
/// Microseconds: the period that `--cpus` is counted in.
const PERIOD: u64 = 100_000;

/// Judges limits, and fills in what follows from others.
///
/// # Errors
/// [`EngineError::Invalid`] in docker's words.
pub(super) fn check(limits: &mut Resources, host: &Host, warnings: &mut Vec<String>) -> Result<(), EngineError> {
    check_memory(limits, host, warnings).map_err(invalid)?;
    check_cpu(limits, host).map_err(invalid)?;
    check_sets(limits, host).map_err(invalid)?;
    limits.blkio_weight = limits.blkio_weight.filter(|&weight| weight != 0);
    if limits.blkio_weight.is_some_and(|weight| !(10..=1000).contains(&weight)) {
        return Err(invalid("Range of blkio weight is from 10 to 1000"));
    }
    Ok(())
}

fn check_memory(limits: &mut Resources, host: &Host, warnings: &mut Vec<String>) -> Result<(), String> {
    limits.memory = limits.memory.filter(|&bytes| bytes != 0);
    limits.memory_swap = limits.memory_swap.filter(|&bytes| bytes != 0);
    limits.memory_reservation = limits.memory_reservation.filter(|&bytes| bytes != 0);
    if limits.memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err("Minimum memory limit allowed is 6MB".to_owned());
    }
    // Negative: no limit.
    let swap = limits.memory_swap.and_then(|bytes| u64::try_from(bytes).ok());
    match (limits.memory, swap) {
        (Some(memory), Some(swap)) if swap < memory => {
            return Err("Minimum memoryswap limit should be larger than memory limit, see usage".to_owned());
        }
        (None, Some(_)) => {
            return Err("You should always set the Memory limit when using Memoryswap limit, see usage".to_owned());
        }
        _ => {}
    }
    if limits.memory_swappiness.is_some() && host.unified {
        warnings.push(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory \
             swappiness discarded."
                .to_owned(),
        );
        limits.memory_swappiness = None;
    }
    if let Some(swappiness) = limits.memory_swappiness.filter(|&s| s > 100) {
        return Err(format!("Invalid value: {swappiness}, valid memory swappiness range is 0-100"));
    }
    if limits.memory_reservation.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err("Minimum memory reservation allowed is 6MB".to_owned());
    }
    if limits.memory.zip(limits.memory_reservation).is_some_and(|(memory, reserved)| memory < reserved) {
        return Err("Minimum memory limit can not be less than memory reservation limit, see usage".to_owned());
    }
    if limits.oom_kill_disable && host.unified {
        warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned());
        limits.oom_kill_disable = false;
    }
    if limits.oom_kill_disable && limits.memory.is_none() {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
             running out of resources."
                .to_owned(),
        );
    }
    // As much swap as memory, unless told otherwise.
    if let (Some(memory), None) = (limits.memory, limits.memory_swap) {
        limits.memory_swap = i64::try_from(memory.saturating_mul(2)).ok();
    }
    Ok(())
}

fn check_cpu(limits: &mut Resources, host: &Host) -> Result<(), String> {
    limits.nano_cpus = limits.nano_cpus.filter(|&n| n != 0);
    limits.cpu_period = limits.cpu_period.filter(|&n| n != 0);
    limits.cpu_quota = limits.cpu_quota.filter(|&n| n != 0);
    limits.cpu_shares = limits.cpu_shares.filter(|&n| n != 0);
    if let Some(nano) = limits.nano_cpus {
        if limits.cpu_period.is_some() {
            return Err("Conflicting options: Nano CPUs and CPU Period cannot both be set".to_owned());
        }
        if limits.cpu_quota.is_some_and(|quota| quota > 0) {
            return Err("Conflicting options: Nano CPUs and CPU Quota cannot both be set".to_owned());
        }
        let cpus = host.cpus().0.len() as u64;
        if nano > cpus * 1_000_000_000 {
            return Err(format!("range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"));
        }
    }
    if limits.cpu_period.is_some_and(|period| !(1000..=1_000_000).contains(&period)) {
        return Err("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".to_owned());
    }
    if limits.cpu_quota.is_some_and(|quota| (1..1000).contains(&quota)) {
        return Err("CPU cfs quota can not be less than 1ms (i.e. 1000)".to_owned());
    }
    Ok(())
}

fn check_sets(limits: &mut Resources, host: &Host) -> Result<(), String> {
    limits.cpuset_cpus = limits.cpuset_cpus.take().filter(|set| !set.is_empty());
    limits.cpuset_mems = limits.cpuset_mems.take().filter(|set| !set.is_empty());
    if let Some(text) = &limits.cpuset_cpus {
        let set = number_list(text).ok_or(format!("Invalid value {text} for cpuset cpus: invalid format: {text}"))?;
        let (there, available) = host.cpus();
        if !set.is_subset(&there) {
            return Err(format!("Requested CPUs are not available - requested {text}, available: {available}"));
        }
    }
    if let Some(text) = &limits.cpuset_mems {
        let set = number_list(text).ok_or(format!("Invalid value {text} for cpuset mems: invalid format: {text}"))?;
        let (there, available) = host.memory_nodes();
        if !set.is_subset(&there) {
            return Err(format!("Requested memory nodes are not available - requested {text}, available: {available}"));
        }
    }
    Ok(())
}

/// The limits as the spec has them.
///
/// # Errors
/// [`EngineError::Io`] when a block device is not there.
pub(super) fn of(limits: &Resources, rules: Vec<LinuxDeviceCgroup>) -> Result<LinuxResources, EngineError> {
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(rules));
    let memory = memory(limits);
    if memory != LinuxMemory::default() {
        resources.set_memory(Some(memory));
    }
    let cpu = cpu(limits);
    if cpu != LinuxCpu::default() {
        resources.set_cpu(Some(cpu));
    }
    let block = block(limits)?;
    if block != LinuxBlockIo::default() {
        resources.set_block_io(Some(block));
    }
    if let Some(most) = limits.pids.filter(|&n| n != 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(most.max(-1));
        resources.set_pids(Some(pids));
    }
    Ok(resources)
}

fn memory(limits: &Resources) -> LinuxMemory {
    let signed = |bytes: Option<u64>| bytes.map(|b| i64::try_from(b).unwrap_or(i64::MAX));
    let mut memory = LinuxMemory::default();
    memory.set_limit(signed(limits.memory));
    memory.set_reservation(signed(limits.memory_reservation));
    memory.set_swap(limits.memory_swap.filter(|&bytes| bytes > 0));
    memory.set_swappiness(limits.memory_swappiness);
    memory.set_disable_oom_killer(limits.oom_kill_disable.then_some(true));
    memory
}

fn cpu(limits: &Resources) -> LinuxCpu {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(limits.cpu_shares);
    match limits.nano_cpus {
        Some(nano) => {
            let quota = u128::from(nano) * u128::from(PERIOD) / 1_000_000_000;
            cpu.set_period(Some(PERIOD)).set_quota(i64::try_from(quota).ok());
        }
        None => {
            cpu.set_period(limits.cpu_period).set_quota(limits.cpu_quota);
        }
    }
    cpu.set_cpus(limits.cpuset_cpus.clone());
    cpu.set_mems(limits.cpuset_mems.clone());
    cpu
}

fn block(limits: &Resources) -> Result<LinuxBlockIo, EngineError> {
    let mut block = LinuxBlockIo::default();
    block.set_weight(limits.blkio_weight);
    let weight = |t: &Throttle| {
        let (major, minor) = number(&t.device)?;
        let weight = u16::try_from(t.rate).unwrap_or(u16::MAX);
        let device = LinuxWeightDeviceBuilder::default().major(major).minor(minor).weight(weight);
        Ok(device.build().expect("no field is required"))
    };
    let some = |list: Vec<LinuxThrottleDevice>| (!list.is_empty()).then_some(list);
    let weights: Vec<_> = limits.blkio_weight_device.iter().map(weight).collect::<Result<_, EngineError>>()?;
    block.set_weight_device((!weights.is_empty()).then_some(weights));
    block.set_throttle_read_bps_device(some(throttles(&limits.device_read_bps)?));
    block.set_throttle_write_bps_device(some(throttles(&limits.device_write_bps)?));
    block.set_throttle_read_iops_device(some(throttles(&limits.device_read_iops)?));
    block.set_throttle_write_iops_device(some(throttles(&limits.device_write_iops)?));
    Ok(block)
}

fn throttles(list: &[Throttle]) -> Result<Vec<LinuxThrottleDevice>, EngineError> {
    let one = |t: &Throttle| {
        let (major, minor) = number(&t.device)?;
        let device = LinuxThrottleDeviceBuilder::default().major(major).minor(minor).rate(t.rate);
        Ok(device.build().expect("no field is required"))
    };
    list.iter().map(one).collect()
}

fn number(device: &Path) -> Result<(i64, i64), EngineError> {
    let stat = rustix::fs::stat(device).map_err(|e| EngineError::io("look at", device.display(), e.into()))?;
    Ok(devices::number(stat.st_rdev))
}
