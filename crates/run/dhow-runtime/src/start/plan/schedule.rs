//! How the process is scheduled, which processors it may use while it enters, which kernel it takes this one for:
//! `process.scheduler`, `ioPriority`, `execCPUAffinity`, and `linux.personality`.

use super::invalid;
use crate::error::RuntimeError;
use dhow_sys::schedule::Scheduling;
use oci_spec::runtime::{
    IOPriorityClass, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process, Spec,
};

/// What differs from what a process has by default.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::start) struct Schedule {
    /// Policy, nice value, priority.
    pub(in crate::start) cpu: Option<Scheduling>,
    /// Class and level of input and output.
    pub(in crate::start) io: Option<(u8, u8)>,
    /// Processors of a process that enters, before it is in the control group; one bit for each.
    pub(in crate::start) initial: Option<Vec<u8>>,
    /// Ditto, once it is there.
    pub(in crate::start) last: Option<Vec<u8>>,
}

impl Schedule {
    pub(super) fn read(process: &Process) -> Result<Schedule, RuntimeError> {
        let affinity = process.exec_cpu_affinity().as_ref();
        let processors =
            |list: Option<&String>| list.filter(|list| !list.is_empty()).map(|l| processors(l)).transpose();
        Ok(Schedule {
            cpu: process.scheduler().as_ref().map(scheduling).transpose()?,
            io: process.io_priority().as_ref().map(io_priority).transpose()?,
            initial: processors(affinity.and_then(|affinity| affinity.initial().as_ref()))?,
            last: processors(affinity.and_then(|affinity| affinity.cpu_affinity_final().as_ref()))?,
        })
    }

    /// Whether setting it may take CAP_SYS_NICE.
    pub(in crate::start) fn is_set(&self) -> bool {
        self.cpu.is_some() || self.io.is_some()
    }
}

fn scheduling(listed: &oci_spec::runtime::Scheduler) -> Result<Scheduling, RuntimeError> {
    use LinuxSchedulerPolicy as P;
    let policy = match listed.policy() {
        P::SchedOther => 0,
        P::SchedFifo => 1,
        P::SchedRr => 2,
        P::SchedBatch => 3,
        P::SchedIso => 4,
        P::SchedIdle => 5,
        P::SchedDeadline => 6,
    };
    let priority = u32::try_from(listed.priority().unwrap_or(0))
        .map_err(|_| invalid("process.scheduler.priority", "it is negative"))?;
    let mut wanted = Scheduling { policy, priority, nice: listed.nice().unwrap_or(0), ..Scheduling::default() };
    wanted.flags = listed.flags().iter().flatten().map(|flag| bit(*flag)).sum();
    wanted.runtime = listed.runtime().unwrap_or(0);
    wanted.deadline = listed.deadline().unwrap_or(0);
    wanted.period = listed.period().unwrap_or(0);
    Ok(wanted)
}

fn bit(flag: LinuxSchedulerFlag) -> u64 {
    use LinuxSchedulerFlag as F;
    match flag {
        F::SchedResetOnFork => 0x01,
        F::SchedFlagReclaim => 0x02,
        F::SchedFlagDLOverrun => 0x04,
        F::SchedFlagKeepPolicy => 0x08,
        F::SchedFlagKeepParams => 0x10,
        F::SchedFlagUtilClampMin => 0x20,
        F::SchedFlagUtilClampMax => 0x40,
    }
}

fn io_priority(listed: &oci_spec::runtime::LinuxIOPriority) -> Result<(u8, u8), RuntimeError> {
    let class = match listed.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u8::try_from(listed.priority()) {
        Ok(level) if level < 8 => Ok((class, level)),
        _ => Err(invalid("process.ioPriority", format!("{} is not from 0 to 7", listed.priority()))),
    }
}

/// The most that a kernel can have.
const PROCESSORS_MAX: usize = 8192;

/// `0-3,7` as a mask.
fn processors(list: &str) -> Result<Vec<u8>, RuntimeError> {
    let wrong = || invalid("process.execCPUAffinity", format!("{list:?} is no list of processors"));
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n < PROCESSORS_MAX).ok_or_else(wrong);
    let mut mask = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        mask.resize(mask.len().max(last / 8 + 1), 0);
        (first..=last).for_each(|n| mask[n / 8] |= 1 << (n % 8));
    }
    Ok(mask)
}

/// `linux.personality` as personality(2) takes it.
pub(in crate::start) fn personality(spec: &Spec) -> Result<Option<u32>, RuntimeError> {
    let Some(listed) = spec.linux().as_ref().and_then(|linux| linux.personality().as_ref()) else { return Ok(None) };
    if listed.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(invalid("linux.personality", "the specification has no flags yet"));
    }
    Ok(Some(match listed.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors() {
        assert_eq!(processors("0-3,7").unwrap(), [0b1000_1111]);
        assert_eq!(processors("9").unwrap(), [0, 2]);
        for list in ["", "a", "3-1", "1-", "8192", "-1", "0,,1"] {
            assert!(processors(list).is_err(), "{list}");
        }
    }
}
