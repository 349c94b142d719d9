//! Device rules: which devices the processes of a group may open and make nodes of.
//!
//! The rules of a spec hold in their order: of those that name a device the last decides, for each kind of access by
//! itself; without any that does, access is denied. From that come the lines for version 1's `devices.allow` and
//! `devices.deny`, and an eBPF program for version 2. Pure.

mod lines;
mod program;

pub(super) use lines::{Lines, transition};
pub(super) use program::program;

use crate::error::RuntimeError;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use std::fmt;

/// Block or character devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Block,
    Character,
}

/// Kinds of access, as bits: the kernel's `BPF_DEVCG_ACC_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(u8);

impl Access {
    const MAKE: Access = Access(1);
    const READ: Access = Access(2);
    const WRITE: Access = Access(4);
    const ALL: Access = Access(7);

    /// The letters of version 1: `rwm` in any order and number.
    fn parse(letters: &str) -> Option<Access> {
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= match letter {
                'r' => Access::READ.0,
                'w' => Access::WRITE.0,
                'm' => Access::MAKE.0,
                _ => return None,
            };
        }
        (bits != 0).then_some(Access(bits))
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MAKE, "m")] {
            if self.0 & bit.0 != 0 {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

/// Some devices: a number that is not there stands for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Devices {
    of: Type,
    major: Option<u32>,
    minor: Option<u32>,
}

impl Devices {
    /// Whether all of `other` are among these.
    fn cover(self, other: Devices) -> bool {
        let number = |ours: Option<u32>, theirs: Option<u32>| ours.is_none() || ours == theirs;
        self.of == other.of && number(self.major, other.major) && number(self.minor, other.minor)
    }

    /// Whether some of `other` are among these.
    fn meet(self, other: Devices) -> bool {
        let number = |ours: Option<u32>, theirs: Option<u32>| ours.is_none() || theirs.is_none() || ours == theirs;
        self.of == other.of && number(self.major, other.major) && number(self.minor, other.minor)
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.of {
            Type::Block => "b ",
            Type::Character => "c ",
        })?;
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{}:{}", number(self.major), number(self.minor))
    }
}

/// One rule on devices of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    allow: bool,
    devices: Devices,
    access: Access,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", if self.allow { "allow" } else { "deny" }, self.devices, self.access)
    }
}

/// All rules of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// What holds for a device that no rule names.
    pub(super) otherwise: bool,
    /// The last that matches decides.
    pub(super) rules: Vec<Rule>,
}

impl Policy {
    /// Takes the rules of a spec.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] names the rule that makes no sense.
    pub(super) fn new(rules: &[LinuxDeviceCgroup]) -> Result<Policy, RuntimeError> {
        let mut policy = Policy { otherwise: false, rules: Vec::new() };
        for (index, rule) in rules.iter().enumerate() {
            let invalid =
                |problem: String| RuntimeError::Invalid { field: format!("linux.resources.devices[{index}]"), problem };
            let letters = rule.access().as_deref().unwrap_or("rwm");
            let access = Access::parse(letters)
                .ok_or_else(|| invalid(format!("access {letters:?} is not made of r, w and m")))?;
            let major = number(rule.major()).ok_or_else(|| invalid("the major number is out of range".to_owned()))?;
            let minor = number(rule.minor()).ok_or_else(|| invalid("the minor number is out of range".to_owned()))?;
            let types: &[Type] = match rule.typ().unwrap_or_default() {
                LinuxDeviceType::A => &[Type::Block, Type::Character],
                LinuxDeviceType::B => &[Type::Block],
                LinuxDeviceType::C | LinuxDeviceType::U => &[Type::Character],
                LinuxDeviceType::P => return Err(invalid("a FIFO is no device".to_owned())),
            };
            if types.len() == 2 && major.is_none() && minor.is_none() && access == Access::ALL {
                // Says everything about everything: what stood before is void.
                policy = Policy { otherwise: rule.allow(), rules: Vec::new() };
                continue;
            }
            policy.rules.extend(types.iter().map(|of| Rule {
                allow: rule.allow(),
                devices: Devices { of: *of, major, minor },
                access,
            }));
        }
        Ok(policy)
    }

    /// Whether it forbids nothing.
    pub(super) fn allows_all(&self) -> bool {
        self.otherwise && self.rules.is_empty()
    }
}

/// A number of a rule; absent and negative mean all. `None` when it is no device number: the kernel has 12 bits for a
/// major and 20 for a minor number; what is compared here has 31.
#[expect(clippy::option_option, reason = "all numbers, one number, no number")]
fn number(number: Option<i64>) -> Option<Option<u32>> {
    match number {
        None | Some(-1) => Some(None),
        Some(n) => i32::try_from(n).ok().and_then(|n| u32::try_from(n).ok()).map(Some),
    }
}

#[cfg(test)]
mod tests;
