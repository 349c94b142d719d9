//! Seccomp: from the profile of a spec to a BPF program, and docker's default profile.
//!
//! A compiler of our own, because the usual library takes longer to compile docker's profile (6 to 10 ms) than the whole
//! container takes to start. What it makes of a profile is what runc and libseccomp make of it (`policy.rs` has the
//! rules), with three exceptions, each to the safe side:
//!
//! - arguments that the kernel takes in 32 bits are compared in 32 bits (`calls.rs`);
//! - a condition on arguments of a call that i386 makes through socketcall(2) or ipc(2), where they cannot be seen,
//!   counts against the caller (`policy.rs`);
//! - an errno that the kernel would not hand on is refused.
//!
//! Filters are for x86-64, with i386 and x32.
//!
//! ```text
//!     docker's tables ---------.
//!     linux.seccomp -- oci.rs --+--> Policy -- emit.rs --> program -- seccomp(2)
//!       ^
//!       '-- profile.rs <-- a file in docker's format
//! ```

mod assemble;
mod calls;
mod docker;
mod emit;
mod oci;
mod policy;
mod profile;
mod table;
#[cfg(test)]
mod tests;

pub use dhow_sys::seccomp::Instruction;
pub use docker::{docker_default, docker_default_filter};
pub use profile::parse_profile;

use crate::error::RuntimeError;
use dhow_sys::seccomp::{MAX_INSTRUCTIONS, Options};
use oci_spec::runtime::LinuxSeccomp;
use policy::Policy;
use std::fmt::Display;
use std::io;

/// A compiled filter, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    program: Vec<Instruction>,
    options: Options,
    notifies: bool,
}

/// What runc does when a profile has no `flags`.
const DEFAULT_OPTIONS: Options =
    Options { all_threads: false, log: false, allow_speculation: true, killable_wait: false };

impl Filter {
    /// Compiles a profile for x86-64, i386 and x32. Names of calls that are not known are skipped.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] names the rule that makes no sense, or says that the program would be longer than the
    /// kernel takes.
    pub fn compile(profile: &LinuxSeccomp) -> Result<Filter, RuntimeError> {
        let lowered = oci::lower(profile)?;
        Filter::of(&lowered.policy, lowered.options, lowered.notifies)
    }

    fn of(policy: &Policy, options: Options, notifies: bool) -> Result<Filter, RuntimeError> {
        let program = emit::program(policy);
        if program.len() > MAX_INSTRUCTIONS {
            return Err(too_large());
        }
        Ok(Filter { program, options, notifies })
    }

    /// The program.
    pub fn instructions(&self) -> &[Instruction] {
        &self.program
    }

    /// Loads it into the calling thread; only possible with `no_new_privs` or CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// Of `seccomp(2)`. [`RuntimeError::Invalid`] when a rule has the action `SCMP_ACT_NOTIFY`: without a listener each
    /// such call would fail with `ENOSYS`.
    pub fn load(&self) -> Result<(), RuntimeError> {
        if self.notifies {
            return Err(invalid("syscalls", "SCMP_ACT_NOTIFY needs a listener, and listeners are not supported"));
        }
        dhow_sys::seccomp::load(&self.program, self.options).map_err(|e| refused(&e))
    }
}

fn refused(error: &io::Error) -> RuntimeError {
    RuntimeError::Step {
        step: "seccomp".to_owned(),
        message: format!("load the filter: {error}"),
        errno: error.raw_os_error(),
    }
}

fn invalid(field: &(impl Display + ?Sized), problem: &(impl Display + ?Sized)) -> RuntimeError {
    RuntimeError::Invalid { field: format!("linux.seccomp.{field}"), problem: problem.to_string() }
}

fn too_large() -> RuntimeError {
    invalid("syscalls", &format_args!("the filter would have more than {MAX_INSTRUCTIONS} instructions"))
}
