//! Tests of the compiler: against a machine that runs programs, an evaluation of the rules as they stand, and the kernel.

mod assemble;
mod corpus;
mod cost;
mod docker;
mod kernel;
mod machine;
mod oracle;
mod profile;
mod random;
mod rules;
mod table;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSyscall};

/// `SECCOMP_RET_*` of what tests expect.
const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = errno(1);
const ENOSYS: u32 = errno(38);

const fn errno(errno: u32) -> u32 {
    0x0005_0000 | errno
}

/// A profile in the OCI format.
fn oci(json: &str) -> LinuxSeccomp {
    serde_json::from_str(json).unwrap()
}

/// A rule without conditions.
fn rule(name: &str, action: LinuxSeccompAction) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(vec![name.to_owned()]);
    rule.set_action(action);
    rule
}
