//! Version 2: the kernel's `Documentation/admin-guide/cgroup-v2.rst`.

use super::{Present, Setting, asked, invalid, lacking, rdma, throttles};
use crate::error::RuntimeError;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

type Added = Result<(), RuntimeError>;

pub(super) fn settings(resources: &LinuxResources, present: &Present) -> Result<Vec<Setting>, RuntimeError> {
    let mut settings = Vec::new();
    if let Some(cpu) = resources.cpu() {
        cpu_settings(cpu, present, &mut settings)?;
    }
    if let Some(memory) = resources.memory() {
        memory_settings(memory, &mut settings)?;
    }
    if let Some(limit) = resources.pids().as_ref().and_then(|pids| asked(Some(pids.limit()))) {
        settings.push(Setting::new("pids.limit", "pids", "pids.max", amount(limit)));
    }
    if let Some(io) = resources.block_io() {
        block_io_settings(io, &mut settings)?;
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        let size = huge.page_size();
        settings.push(Setting::new("hugepageLimits", "hugetlb", format!("hugetlb.{size}.max"), amount(huge.limit())));
        // What is reserved by mmap() counts apart, in kernels since 5.7.
        let reserved = format!("hugetlb.{size}.rsvd.max");
        let setting = Setting::new("hugepageLimits", "hugetlb", reserved, amount(huge.limit()));
        settings.push(setting.unless_lacking(true));
    }
    if let Some(network) = resources.network() {
        if asked(network.class_id()).is_some() {
            return Err(lacking("network.classID", "net_cls"));
        }
        if network.priorities().as_ref().is_some_and(|p| !p.is_empty()) {
            return Err(lacking("network.priorities", "net_prio"));
        }
    }
    settings.extend(rdma(resources));
    unified_settings(resources, &mut settings);
    Ok(settings)
}

/// A negative limit of version 1 is none.
fn amount(number: i64) -> String {
    if number < 0 { "max".to_owned() } else { number.to_string() }
}

fn cpu_settings(cpu: &LinuxCpu, present: &Present, settings: &mut Vec<Setting>) -> Added {
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new("cpu.idle", "cpu", "cpu.idle", idle));
    }
    if let Some(shares) = asked(cpu.shares()) {
        settings.push(Setting::new("cpu.shares", "cpu", "cpu.weight", weight_of_shares(shares)));
    }
    let quota = asked(cpu.quota()).map(amount);
    match (quota, asked(cpu.period())) {
        (None, None) => {}
        // A quota alone leaves the period as it is.
        (Some(quota), None) => settings.push(Setting::new("cpu.quota", "cpu", "cpu.max", quota)),
        (quota, Some(period)) => {
            let present = present.cpu_max.as_deref().and_then(|line| line.split_ascii_whitespace().next());
            let quota = quota.unwrap_or_else(|| present.unwrap_or("max").to_owned());
            settings.push(Setting::new("cpu.period", "cpu", "cpu.max", format!("{quota} {period}")));
        }
    }
    if let Some(burst) = cpu.burst() {
        settings.push(Setting::new("cpu.burst", "cpu", "cpu.max.burst", burst));
    }
    if asked(cpu.realtime_period()).is_some() {
        return Err(lacking("cpu.realtimePeriod", "cpu; version 2 has none"));
    }
    if asked(cpu.realtime_runtime()).is_some() {
        return Err(lacking("cpu.realtimeRuntime", "cpu; version 2 has none"));
    }
    for (limit, file, list) in [("cpu.cpus", "cpuset.cpus", cpu.cpus()), ("cpu.mems", "cpuset.mems", cpu.mems())] {
        if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
            settings.push(Setting::new(limit, "cpuset", file, list));
        }
    }
    Ok(())
}

/// `cpu.shares` (2 to 262144, usually 1024) as `cpu.weight` (1 to 10000, usually 100): runc's formula since 1.3.2, a curve
/// through the three pairs of ends and middles. The older straight line made 39 of 1024.
fn weight_of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    // At most 18 bits: exact in a float, and so is what comes out.
    #[expect(clippy::cast_precision_loss, reason = "at most 18 bits")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000")]
    let weight = 10f64.powf(exponent).ceil() as u64;
    weight
}

fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Added {
    let unknown = [
        ("memory.kernel", asked(memory.kernel()).is_some_and(|k| k > 0)),
        ("memory.kernelTCP", asked(memory.kernel_tcp()).is_some_and(|k| k > 0)),
        ("memory.swappiness", memory.swappiness().is_some()),
        ("memory.disableOOMKiller", memory.disable_oom_killer() == Some(true)),
    ];
    if let Some((limit, _)) = unknown.into_iter().find(|(_, is_asked)| *is_asked) {
        return Err(lacking(limit, "memory; version 2 has none"));
    }
    let limit = asked(memory.limit());
    // Version 1 counts memory and swap together, version 2 each alone.
    let swap = match (limit, asked(memory.swap())) {
        (Some(-1), None) => Some(-1),
        (_, None) => None,
        (_, Some(-1)) => Some(-1),
        (Some(limit), Some(swap)) if limit > 0 && swap >= limit => Some(swap - limit),
        _ => return Err(invalid("memory.swap", "needs a memory.limit that is not above it")),
    };
    if let Some(swap) = swap {
        // Without swap accounting nothing is swapped on behalf of a limit, or as much as there is: as asked for.
        let setting = Setting::new("memory.swap", "memory", "memory.swap.max", amount(swap));
        settings.push(setting.unless_lacking(swap <= 0));
    }
    if let Some(limit) = limit {
        settings.push(Setting::new("memory.limit", "memory", "memory.max", amount(limit)));
    }
    if let Some(bytes) = asked(memory.reservation()) {
        settings.push(Setting::new("memory.reservation", "memory", "memory.low", amount(bytes)));
    }
    Ok(())
}

fn block_io_settings(io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Added {
    if asked(io.leaf_weight()).is_some() {
        return Err(lacking("blockIO.leafWeight", "io; version 2 has none"));
    }
    // BFQ has version 1's range; the kernel's own io.weight goes from 1 to 10000.
    if let Some(weight) = asked(io.weight()) {
        let setting = Setting::new("blockIO.weight", "io", "io.bfq.weight", weight);
        settings.push(setting.or("io.weight", io_weight(weight)));
    }
    for device in io.weight_device().iter().flatten() {
        if asked(device.leaf_weight()).is_some() {
            return Err(lacking("blockIO.weightDevice.leafWeight", "io; version 2 has none"));
        }
        if let Some(weight) = asked(device.weight()) {
            let number = format!("{}:{}", device.major(), device.minor());
            let setting = Setting::new("blockIO.weightDevice", "io", "io.bfq.weight", format!("{number} {weight}"));
            settings.push(setting.or("io.weight", format!("{number} {}", io_weight(weight))));
        }
    }
    for ((limit, devices), key) in throttles(io).into_iter().zip(["rbps", "wbps", "riops", "wiops"]) {
        for device in devices {
            // In version 1 a rate of 0 takes the throttle away.
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            let value = format!("{}:{} {key}={rate}", device.major(), device.minor());
            settings.push(Setting::new(limit, "io", "io.max", value));
        }
    }
    Ok(())
}

/// `blkio.weight` (10 to 1000) as `io.weight` (1 to 10000): runc's straight line.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9_999 / 990
}

/// The last, so that they have the last word; in the order of their names, so that it is always the same.
fn unified_settings(resources: &LinuxResources, settings: &mut Vec<Setting>) {
    let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
    unified.sort();
    for (file, value) in unified {
        let controller = file.split_once('.').map_or(file.as_str(), |(controller, _)| controller);
        settings.push(Setting::new(&format!("unified.{file}"), controller, file, value));
    }
}
