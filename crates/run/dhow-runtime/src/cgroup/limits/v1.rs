//! Version 1: the kernel's `Documentation/admin-guide/cgroup-v1`.

use super::{Setting, asked, rdma, throttles};
use crate::error::RuntimeError;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

pub(super) fn settings(resources: &LinuxResources) -> Result<Vec<Setting>, RuntimeError> {
    let mut settings = Vec::new();
    if let Some(cpu) = resources.cpu() {
        cpu_settings(cpu, &mut settings);
    }
    if let Some(memory) = resources.memory() {
        memory_settings(memory, &mut settings)?;
    }
    if let Some(limit) = resources.pids().as_ref().and_then(|pids| asked(Some(pids.limit()))) {
        let value = if limit < 0 { "max".to_owned() } else { limit.to_string() };
        settings.push(Setting::new("pids.limit", "pids", "pids.max", value));
    }
    if let Some(io) = resources.block_io() {
        block_io_settings(io, &mut settings);
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        let size = huge.page_size();
        let file = format!("hugetlb.{size}.limit_in_bytes");
        settings.push(Setting::new("hugepageLimits", "hugetlb", file, huge.limit()));
        // What is reserved by mmap() counts apart, in kernels since 5.7.
        let file = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        settings.push(Setting::new("hugepageLimits", "hugetlb", file, huge.limit()).unless_lacking(true));
    }
    if let Some(network) = resources.network() {
        if let Some(class) = network.class_id() {
            settings.push(Setting::new("network.classID", "net_cls", "net_cls.classid", class));
        }
        for interface in network.priorities().iter().flatten() {
            let value = format!("{} {}", interface.name(), interface.priority());
            settings.push(Setting::new("network.priorities", "net_prio", "net_prio.ifpriomap", value));
        }
    }
    settings.extend(rdma(resources));
    Ok(settings)
}

fn cpu_settings(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    let mut add = |limit: &str, controller: &str, file: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.push(Setting::new(limit, controller, file, value));
        }
    };
    let number = |n: Option<u64>| asked(n).map(|n| n.to_string());
    let signed = |n: Option<i64>| asked(n).map(|n| n.max(-1).to_string());
    add("cpu.shares", "cpu", "cpu.shares", number(cpu.shares()));
    add("cpu.period", "cpu", "cpu.cfs_period_us", number(cpu.period()));
    add("cpu.quota", "cpu", "cpu.cfs_quota_us", signed(cpu.quota()));
    add("cpu.burst", "cpu", "cpu.cfs_burst_us", cpu.burst().map(|b| b.to_string()));
    add("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", number(cpu.realtime_period()));
    add("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", signed(cpu.realtime_runtime()));
    add("cpu.idle", "cpu", "cpu.idle", cpu.idle().map(|i| i.to_string()));
    let list = |l: &Option<String>| l.clone().filter(|l| !l.is_empty());
    add("cpu.cpus", "cpuset", "cpuset.cpus", list(cpu.cpus()));
    add("cpu.mems", "cpuset", "cpuset.mems", list(cpu.mems()));
}

fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), RuntimeError> {
    if asked(memory.kernel()).is_some_and(|k| k > 0) {
        return Err(super::lacking("memory.kernel", "memory; no supported kernel has it"));
    }
    let mut add = |limit: &str, file: &str, value: i64, may_lack: bool| {
        settings.push(Setting::new(limit, "memory", file, value).unless_lacking(may_lack));
    };
    let (limit, swap) = (asked(memory.limit()), asked(memory.swap()));
    // Limit first: a new group has none for both together. When both are raised the kernel refuses that order, and the
    // limit is written again at the end.
    if let Some(limit) = limit {
        add("memory.limit", "memory.limit_in_bytes", limit, false);
    }
    match (limit, swap) {
        // No limit on memory, and nothing said about swap: none on both, as runc has it.
        (Some(-1), None) => add("memory.swap", "memory.memsw.limit_in_bytes", -1, true),
        (_, Some(swap)) => add("memory.swap", "memory.memsw.limit_in_bytes", swap, swap == -1),
        (_, None) => {}
    }
    if let Some(bytes) = asked(memory.reservation()) {
        add("memory.reservation", "memory.soft_limit_in_bytes", bytes, false);
    }
    if let Some(bytes) = asked(memory.kernel_tcp()) {
        add("memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", bytes, false);
    }
    if let Some(swappiness) = memory.swappiness() {
        settings.push(Setting::new("memory.swappiness", "memory", "memory.swappiness", swappiness));
    }
    if let Some(disabled) = memory.disable_oom_killer() {
        let setting = Setting::new("memory.disableOOMKiller", "memory", "memory.oom_control", u8::from(disabled));
        // Newest kernels can be built without: then it is never disabled.
        settings.push(setting.unless_lacking(!disabled));
    }
    Ok(())
}

fn block_io_settings(io: &LinuxBlockIo, settings: &mut Vec<Setting>) {
    let mut add = |setting| settings.push(setting);
    // Which file it is depends on the kernel's scheduler for block devices: CFQ until 4.20, BFQ as a module since.
    if let Some(weight) = asked(io.weight()) {
        add(Setting::new("blockIO.weight", "blkio", "blkio.weight", weight).or("blkio.bfq.weight", weight));
    }
    if let Some(weight) = asked(io.leaf_weight()) {
        add(Setting::new("blockIO.leafWeight", "blkio", "blkio.leaf_weight", weight));
    }
    for device in io.weight_device().iter().flatten() {
        let (major, minor) = (device.major(), device.minor());
        if let Some(weight) = asked(device.weight()) {
            let value = format!("{major}:{minor} {weight}");
            let setting = Setting::new("blockIO.weightDevice", "blkio", "blkio.weight_device", &value);
            add(setting.or("blkio.bfq.weight_device", value));
        }
        if let Some(weight) = asked(device.leaf_weight()) {
            let value = format!("{major}:{minor} {weight}");
            add(Setting::new("blockIO.weightDevice.leafWeight", "blkio", "blkio.leaf_weight_device", value));
        }
    }
    let files = ["read_bps", "write_bps", "read_iops", "write_iops"];
    for ((limit, devices), file) in throttles(io).into_iter().zip(files) {
        for device in devices {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            add(Setting::new(limit, "blkio", format!("blkio.throttle.{file}_device"), value));
        }
    }
}
