//! Which system calls change what a later process can see on disk, and the filter that stops a traced program at them.
//!
//! Stores into shared mappings (SQLite's `-shm` index) are no system calls; the kills at random times reach those.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// What has to be looked at before a call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Always.
    Always,
    /// When the descriptor in this argument is a file of the store (not a pipe, a socket, a terminal).
    Descriptor(u8),
    /// When the `open_how.flags` that argument 2 points to create a file.
    OpenHow,
}

/// One system call that counts as a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) name: &'static str,
    pub(crate) counts: Counts,
}

macro_rules! calls {
    ($($name:ident $counts:expr),* $(,)?) => { &[$(Call { number: libc::$name, name: stringify!($name), counts: $counts }),*] };
}

/// The steps of a program.
pub(crate) const CALLS: &[Call] = calls![
    SYS_write Counts::Descriptor(0),
    SYS_writev Counts::Descriptor(0),
    SYS_pwrite64 Counts::Descriptor(0),
    SYS_pwritev Counts::Descriptor(0),
    SYS_pwritev2 Counts::Descriptor(0),
    SYS_copy_file_range Counts::Descriptor(2),
    SYS_sendfile Counts::Descriptor(0),
    SYS_splice Counts::Descriptor(2),
    SYS_ftruncate Counts::Descriptor(0),
    SYS_fallocate Counts::Descriptor(0),
    SYS_openat Counts::Always,
    SYS_openat2 Counts::OpenHow,
    SYS_renameat Counts::Always,
    SYS_renameat2 Counts::Always,
    SYS_linkat Counts::Always,
    SYS_symlinkat Counts::Always,
    SYS_mkdirat Counts::Always,
    SYS_mknodat Counts::Always,
    SYS_unlinkat Counts::Always,
    SYS_truncate Counts::Always,
    SYS_fsync Counts::Descriptor(0),
    SYS_fdatasync Counts::Descriptor(0),
    SYS_sync_file_range Counts::Descriptor(0),
    SYS_syncfs Counts::Always,
    SYS_sync Counts::Always,
    SYS_fchmod Counts::Descriptor(0),
    SYS_fchmodat Counts::Always,
    SYS_fchown Counts::Descriptor(0),
    SYS_fchownat Counts::Always,
    SYS_utimensat Counts::Always,
    SYS_setxattr Counts::Always,
    SYS_lsetxattr Counts::Always,
    SYS_fsetxattr Counts::Always,
    SYS_removexattr Counts::Always,
    SYS_lremovexattr Counts::Always,
    SYS_fremovexattr Counts::Always,
    SYS_flock Counts::Always,
    SYS_mount Counts::Always,
    SYS_umount2 Counts::Always,
];

/// The same calls under the names that only x86-64 still has.
#[cfg(target_arch = "x86_64")]
pub(crate) const OLD_CALLS: &[Call] = calls![
    SYS_open Counts::Always,
    SYS_creat Counts::Always,
    SYS_rename Counts::Always,
    SYS_link Counts::Always,
    SYS_symlink Counts::Always,
    SYS_mkdir Counts::Always,
    SYS_mknod Counts::Always,
    SYS_unlink Counts::Always,
    SYS_rmdir Counts::Always,
    SYS_chmod Counts::Always,
    SYS_chown Counts::Always,
    SYS_lchown Counts::Always,
    SYS_utime Counts::Always,
    SYS_utimes Counts::Always,
];
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const OLD_CALLS: &[Call] = &[];

/// Newer than the C library's table, the same number on every architecture.
const FCHMODAT2: Call = Call { number: 452, name: "SYS_fchmodat2", counts: Counts::Always };

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Call> {
    CALLS.iter().chain(OLD_CALLS).chain([&FCHMODAT2])
}

/// Looks a call up by its number.
pub(crate) fn find(number: i64) -> Option<&'static Call> {
    all().find(|call| call.number == number)
}

/// The filter that hands these calls to the tracer and lets all others run at full speed.
pub(crate) fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in all() {
        let creating = |argument| {
            let flag = u64::from(libc::O_CREAT.unsigned_abs());
            let is_set = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
            // O_TMPFILE makes a file too, one without a name; its own bit is the one beside O_DIRECTORY.
            let nameless = u64::from((libc::O_TMPFILE & !libc::O_DIRECTORY).unsigned_abs());
            let is_nameless =
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(nameless), nameless)?;
            Ok::<_, seccompiler::BackendError>(vec![
                SeccompRule::new(vec![is_set])?,
                SeccompRule::new(vec![is_nameless])?,
            ])
        };
        let conditions = match call.name {
            "SYS_openat" => creating(2)?,
            "SYS_open" => creating(1)?,
            _ => Vec::new(),
        };
        rules.insert(call.number, conditions);
    }
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Trace(0), architecture)?.try_into()
}

/// The calls that make data durable, by the names of the command line.
const FLUSHES: &[(&str, i64)] =
    &[("fsync", libc::SYS_fsync), ("fdatasync", libc::SYS_fdatasync), ("syncfs", libc::SYS_syncfs)];

/// A filter that answers these calls (`fsync`, `fdatasync`, `syncfs`, or `all` of them) with success, and does nothing.
pub(crate) fn swallowing(name: &str) -> Option<Result<BpfProgram, seccompiler::BackendError>> {
    let rules: BTreeMap<i64, Vec<SeccompRule>> = FLUSHES
        .iter()
        .filter(|(flush, _)| name == "all" || name == *flush)
        .map(|(_, number)| (*number, Vec::new()))
        .collect();
    let filter = || {
        let architecture = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules.clone(), SeccompAction::Allow, SeccompAction::Errno(0), architecture)?.try_into()
    };
    (!rules.is_empty()).then(filter)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filter_compiles_and_no_call_is_listed_twice() {
        super::filter().unwrap();
        let mut numbers: Vec<i64> = super::all().map(|call| call.number).collect();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(all, numbers.len());
    }
}
