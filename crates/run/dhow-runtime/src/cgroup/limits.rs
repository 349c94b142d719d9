//! Limits: from the `linux.resources` of a spec to the values that the kernel's files take. Pure: nothing here opens
//! anything, and the list that comes out can be looked at before it is carried out.
//!
//! Follows the OCI runtime specification (config-linux.md, "Control groups") and, where version 2 has other units,
//! the conversions of runc, so that a spec means the same under both.

mod check;
mod v1;
mod v2;

pub(super) use check::check;

use crate::error::RuntimeError;
use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};

/// One value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// What it is in the spec, below `linux.resources`.
    pub(super) limit: String,
    /// Who limits.
    pub(super) controller: String,
    /// File and value. More than one where kernels differ: the first that is there is written.
    pub(super) ways: Vec<(String, String)>,
    /// Whether it does not matter that none is there: the limit is as asked for without it.
    pub(super) may_lack: bool,
}

impl Setting {
    fn new(limit: &str, controller: &str, file: impl Into<String>, value: impl ToString) -> Setting {
        Setting {
            limit: limit.to_owned(),
            controller: controller.to_owned(),
            ways: vec![(file.into(), value.to_string())],
            may_lack: false,
        }
    }

    fn or(mut self, file: &str, value: impl ToString) -> Setting {
        self.ways.push((file.to_owned(), value.to_string()));
        self
    }

    fn unless_lacking(mut self, yes: bool) -> Setting {
        self.may_lack = yes;
        self
    }
}

/// What a group of version 2 says at present, where a new value must be joined with an old one.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// `cpu.max`.
    pub(super) cpu_max: Option<String>,
}

/// Whether [`Present::cpu_max`] is needed.
pub(super) fn needs_cpu_max(resources: &LinuxResources) -> bool {
    let cpu = resources.cpu().as_ref();
    cpu.is_some_and(|cpu| asked(cpu.period()).is_some() && asked(cpu.quota()).is_none())
}

/// What to write for version 1. Values that the kernel compares with each other are in an order that suits a new group;
/// where it refuses one (`EINVAL`), it takes it after the rest has been written.
pub(super) fn v1(resources: &LinuxResources) -> Result<Vec<Setting>, RuntimeError> {
    if resources.unified().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(lacking("unified", "version 2"));
    }
    v1::settings(resources)
}

/// What to write for version 2.
pub(super) fn v2(resources: &LinuxResources, present: &Present) -> Result<Vec<Setting>, RuntimeError> {
    v2::settings(resources, present)
}

/// A number that is asked for: 0 means not, as everywhere in Docker and runc.
fn asked<N: Copy + Default + PartialEq>(number: Option<N>) -> Option<N> {
    number.filter(|n| *n != N::default())
}

fn invalid(field: &str, problem: impl Into<String>) -> RuntimeError {
    RuntimeError::Invalid { field: format!("linux.resources.{field}"), problem: problem.into() }
}

/// The error for a limit that nobody here can keep.
pub(super) fn lacking(limit: &str, controller: &str) -> RuntimeError {
    RuntimeError::Unsupported { feature: format!("linux.resources.{limit} (control groups: {controller})") }
}

/// The four kinds of throttles of a block device, in one order: read bytes, write bytes, read operations, write operations.
fn throttles(io: &LinuxBlockIo) -> [(&'static str, &[LinuxThrottleDevice]); 4] {
    fn list(devices: &Option<Vec<LinuxThrottleDevice>>) -> &[LinuxThrottleDevice] {
        devices.as_deref().unwrap_or_default()
    }
    [
        ("blockIO.throttleReadBpsDevice", list(io.throttle_read_bps_device())),
        ("blockIO.throttleWriteBpsDevice", list(io.throttle_write_bps_device())),
        ("blockIO.throttleReadIOPSDevice", list(io.throttle_read_iops_device())),
        ("blockIO.throttleWriteIOPSDevice", list(io.throttle_write_iops_device())),
    ]
}

/// `rdma.max` is the same in both versions.
fn rdma(resources: &LinuxResources) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (device, rdma) in resources.rdma().iter().flatten() {
        let number = |n: Option<u32>| n.map_or("max".to_owned(), |n| n.to_string());
        let (handles, objects) = (number(rdma.hca_handles()), number(rdma.hca_objects()));
        let value = format!("{device} hca_handle={handles} hca_object={objects}");
        settings.push(Setting::new("rdma", "rdma", "rdma.max", value));
    }
    settings
}

#[cfg(test)]
mod tests;
