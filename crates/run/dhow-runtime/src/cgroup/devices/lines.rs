//! Version 1: the lines for `devices.allow` and `devices.deny` (the kernel's `cgroup-v1/devices.rst`).
//!
//! The kernel keeps one behaviour for all devices and a list of exceptions to it. It has no order of rules, and takes an
//! exception back only as it was given.

use super::{Access, Devices, Policy, Rule, Type};
use crate::error::RuntimeError;

/// The state of a group of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cgroup) struct Lines {
    pub(super) allow_all: bool,
    /// Of distinct devices.
    pub(super) exceptions: Vec<(Devices, Access)>,
}

impl Lines {
    /// What says the same as the policy.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] names the rule that would make an exception from an exception.
    pub(in crate::cgroup) fn new(policy: &Policy) -> Result<Lines, RuntimeError> {
        let mut lines = Lines { allow_all: policy.otherwise, exceptions: Vec::new() };
        for rule in &policy.rules {
            if rule.allow == lines.allow_all {
                lines.take_back(rule)?;
            } else {
                lines.add(rule.devices, rule.access);
            }
        }
        Ok(lines)
    }

    fn add(&mut self, devices: Devices, access: Access) {
        match self.exceptions.iter_mut().find(|(d, _)| *d == devices) {
            Some((_, had)) => had.0 |= access.0,
            None => self.exceptions.push((devices, access)),
        }
    }

    fn take_back(&mut self, rule: &Rule) -> Result<(), RuntimeError> {
        for (devices, access) in &mut self.exceptions {
            if rule.devices.cover(*devices) {
                access.0 &= !rule.access.0;
            } else if rule.devices.meet(*devices) && rule.access.0 & access.0 != 0 {
                return Err(RuntimeError::Invalid {
                    field: "linux.resources.devices".to_owned(),
                    problem: format!("control groups of version 1 cannot {rule} when {devices} is ruled otherwise"),
                });
            }
        }
        self.exceptions.retain(|(_, access)| access.0 != 0);
        Ok(())
    }

    /// Reads `devices.list`. `None` when that does not tell all: the exceptions from "all" are not shown.
    pub(in crate::cgroup) fn parse(list: &str) -> Option<Lines> {
        let mut lines = Lines { allow_all: false, exceptions: Vec::new() };
        for line in list.lines() {
            let (kind, rest) = line.split_once(' ')?;
            let of = match kind {
                "b" => Type::Block,
                "c" => Type::Character,
                _ => return None,
            };
            let (numbers, access) = rest.split_once(' ')?;
            let (major, minor) = numbers.split_once(':')?;
            let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
            lines.add(Devices { of, major: number(major)?, minor: number(minor)? }, Access::parse(access)?);
        }
        Some(lines)
    }
}

/// A line to write, and whether to `devices.allow`.
pub(in crate::cgroup) type Line = (bool, String);

/// What to write to get from one state to another; `None`: from a state that is not known. Where both deny what is not
/// named, nothing that both allow is ever out of reach meanwhile.
pub(in crate::cgroup) fn transition(from: Option<&Lines>, to: &Lines) -> Vec<Line> {
    let line = |devices: &Devices, access: Access| format!("{devices} {access}");
    let missing = |list: &[(Devices, Access)], devices: &Devices, access: Access| {
        let there = list.iter().find(|(d, _)| d == devices).map_or(0, |(_, access)| access.0);
        Some(Access(access.0 & !there)).filter(|access| access.0 != 0)
    };
    let mut lines = Vec::new();
    let old = match from {
        Some(from) if from.allow_all == to.allow_all => from.exceptions.as_slice(),
        _ => {
            lines.push((to.allow_all, "a".to_owned()));
            &[]
        }
    };
    for (devices, access) in &to.exceptions {
        if let Some(access) = missing(old, devices, *access) {
            lines.push((!to.allow_all, line(devices, access)));
        }
    }
    for (devices, access) in old {
        if let Some(access) = missing(&to.exceptions, devices, *access) {
            lines.push((to.allow_all, line(devices, access)));
        }
    }
    lines
}
