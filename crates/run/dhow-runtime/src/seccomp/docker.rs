//! Docker's default profile, as tables of our own.
//!
//! The facts are those of `seccomp/default.json` of moby/profiles as of June 2026 (commit cd3bed80), for amd64. Left out is
//! what can only apply to other machines. Its one condition on the kernel (4.8, for ptrace) is true of every kernel that
//! dhow runs on.

use super::calls::{Abi, Call};
use super::policy::{Action, Condition, Policy, Test};
use super::table::Name;
use super::{DEFAULT_OPTIONS, Filter};
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator,
    LinuxSyscall,
};
use std::collections::HashSet;

/// Docker's default profile for a container with these capabilities.
pub fn docker_default(capabilities: &HashSet<Capability>) -> LinuxSeccomp {
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActErrno);
    profile.set_default_errno_ret(Some(1));
    profile.set_architectures(Some(vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]));
    profile.set_syscalls(Some(groups(capabilities).map(Group::syscall).collect()));
    profile
}

/// What [`docker_default`] compiles to, in less than half the time: the profile with its 400 strings is not made first.
pub fn docker_default_filter(capabilities: &HashSet<Capability>) -> Filter {
    let mut policy = Policy::new(Action::EPERM, &Abi::ALL);
    for group in groups(capabilities) {
        for call in group.calls.iter().filter_map(|named| named.call) {
            policy.add(call, group.action(), group.conditions).expect("the tables are short");
        }
    }
    Filter::of(&policy, DEFAULT_OPTIONS, false).expect("the tables are short")
}

/// A call of the profile, found in the table of calls when dhow is compiled.
struct Named {
    name: Name,
    /// Not there: it is a call of other machines only.
    call: Option<Call>,
}

/// Calls that are allowed, or fail with `ENOSYS`.
struct Group {
    applies: Applies,
    not_there: bool,
    conditions: &'static [Condition],
    calls: &'static [Named],
}

/// Whether a group is part of the profile. Docker looks at the bounding set.
enum Applies {
    Always,
    With(Capability),
    Without(Capability),
}

fn groups(capabilities: &HashSet<Capability>) -> impl Iterator<Item = &'static Group> {
    GROUPS.iter().filter(|group| match group.applies {
        Applies::Always => true,
        Applies::With(capability) => capabilities.contains(&capability),
        Applies::Without(capability) => !capabilities.contains(&capability),
    })
}

impl Group {
    fn action(&self) -> Action {
        if self.not_there { Action::ENOSYS } else { Action::ALLOW }
    }

    fn syscall(&self) -> LinuxSyscall {
        let mut syscall = LinuxSyscall::default();
        syscall.set_names(self.calls.iter().map(|call| call.name.text().to_owned()).collect());
        if self.not_there {
            syscall.set_action(LinuxSeccompAction::ScmpActErrno);
            syscall.set_errno_ret(Some(38));
        } else {
            syscall.set_action(LinuxSeccompAction::ScmpActAllow);
        }
        if !self.conditions.is_empty() {
            syscall.set_args(Some(self.conditions.iter().map(arg).collect()));
        }
        syscall
    }
}

fn arg(condition: &Condition) -> LinuxSeccompArg {
    let (op, value) = match condition.test {
        Test::Equal { mask: u64::MAX } => (LinuxSeccompOperator::ScmpCmpEq, condition.value),
        Test::Equal { mask } => (LinuxSeccompOperator::ScmpCmpMaskedEq, mask),
        Test::NotEqual => (LinuxSeccompOperator::ScmpCmpNe, condition.value),
        Test::Less => (LinuxSeccompOperator::ScmpCmpLt, condition.value),
        Test::LessOrEqual => (LinuxSeccompOperator::ScmpCmpLe, condition.value),
        Test::Greater => (LinuxSeccompOperator::ScmpCmpGt, condition.value),
        Test::GreaterOrEqual => (LinuxSeccompOperator::ScmpCmpGe, condition.value),
    };
    let builder = LinuxSeccompArgBuilder::default().index(usize::from(condition.argument)).value(value).op(op);
    let masked = op == LinuxSeccompOperator::ScmpCmpMaskedEq && condition.value != 0;
    let built = if masked { builder.value_two(condition.value).build() } else { builder.build() };
    built.expect("every field has a default")
}

const fn named(name: &str) -> Named {
    Named { name: Name::new(name), call: Call::by_name(name) }
}

const fn first(test: Test, value: u64) -> Condition {
    Condition { argument: 0, test, value }
}

const fn is(value: u64) -> Condition {
    first(Test::Equal { mask: u64::MAX }, value)
}

macro_rules! calls {
    ($($name:literal),* $(,)?) => { &[$(named($name)),*] };
}

const ALLOWED: Group = Group { applies: Applies::Always, not_there: false, conditions: &[], calls: &[] };

const fn with(capability: Capability, calls: &'static [Named]) -> Group {
    Group { applies: Applies::With(capability), calls, ..ALLOWED }
}

const fn when(conditions: &'static [Condition], calls: &'static [Named]) -> Group {
    Group { conditions, calls, ..ALLOWED }
}

const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// Personalities: Linux itself (0), `UNAME26`, `PER_LINUX32`, both, and the question which one it is.
const UNAME26: u64 = 0x2_0000;
const PER_LINUX32: u64 = 8;
const WHICH: u64 = 0xffff_ffff;

/// `CLONE_NEW*`: of mounts, cgroups, host names, IPC, users, pids and networks. (That of time cannot be asked for in
/// clone(2): its bit is one of the exit signal there.)
const NAMESPACES: u64 = 0x7e02_0000;

/// The groups, in docker's order.
#[rustfmt::skip]
static GROUPS: [Group; 28] = [
    Group {
        calls: calls![
            "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat", "capget", "capset",
            "chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64", "clock_getres",
            "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
            "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat", "dup",
            "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait",
            "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat", "exit",
            "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_mark",
            "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64",
            "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat",
            "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex",
            "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "getcpu",
            "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid",
            "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid",
            "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32",
            "getrlimit", "get_robust_list", "getrusage", "getsid", "getsockname", "getsockopt",
            "get_thread_area", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr", "getxattrat",
            "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "ioctl",
            "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "ioprio_get", "ioprio_set",
            "io_setup", "io_submit", "ipc", "kill", "landlock_add_rule", "landlock_create_ruleset",
            "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listen",
            "listmount", "listxattr", "listxattrat", "llistxattr", "_llseek", "lremovexattr", "lseek",
            "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack", "membarrier", "memfd_create",
            "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall",
            "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
            "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "mremap", "mseal",
            "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
            "name_to_handle_at", "nanosleep", "newfstatat", "_newselect", "open", "openat", "openat2", "pause",
            "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect",
            "poll", "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64",
            "process_mrelease", "pselect6", "pselect6_time64", "pwrite64", "pwritev", "pwritev2", "read",
            "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg", "recvmmsg_time64",
            "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat", "renameat2",
            "restart_syscall", "riscv_hwprobe", "rmdir", "rseq", "rt_sigaction", "rt_sigpending",
            "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
            "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr",
            "sched_getparam", "sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler",
            "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr",
            "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget",
            "semop", "semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg",
            "sendto", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
            "setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid",
            "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "set_robust_list",
            "setsid", "setsockopt", "set_thread_area", "set_tid_address", "setuid", "setuid32", "setxattr",
            "setxattrat", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd",
            "signalfd4", "sigprocmask", "sigreturn", "socketcall", "socketpair", "splice", "stat", "stat64",
            "statfs", "statfs64", "statmount", "statx", "symlink", "symlinkat", "sync", "sync_file_range",
            "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
            "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create",
            "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill",
            "truncate", "truncate64", "ugetrlimit", "umask", "uname", "unlink", "unlinkat", "uretprobe",
            "utime", "utimensat", "utimensat_time64", "utimes", "vfork", "vmsplice", "wait4", "waitid",
            "waitpid", "write", "writev",
        ],
        ..ALLOWED
    },
    Group { calls: calls!["process_vm_readv", "process_vm_writev", "ptrace"], ..ALLOWED },
    // Every family but AF_ALG and AF_VSOCK; 32-bit programs reach those too, through socketcall.
    when(&[first(Test::Less, AF_ALG)], calls!["socket"]),
    when(&[is(AF_ALG + 1)], calls!["socket"]),
    when(&[first(Test::Greater, AF_VSOCK)], calls!["socket"]),
    when(&[is(0)], calls!["personality"]),
    when(&[is(PER_LINUX32)], calls!["personality"]),
    when(&[is(UNAME26)], calls!["personality"]),
    when(&[is(UNAME26 | PER_LINUX32)], calls!["personality"]),
    when(&[is(WHICH)], calls!["personality"]),
    Group { calls: calls!["arch_prctl"], ..ALLOWED },
    Group { calls: calls!["modify_ldt"], ..ALLOWED },
    with(Capability::DacReadSearch, calls!["open_by_handle_at"]),
    with(
        Capability::SysAdmin,
        calls![
            "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie",
            "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount", "mount_setattr", "move_mount",
            "open_tree", "perf_event_open", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog",
            "umount", "umount2", "unshare",
        ],
    ),
    Group {
        applies: Applies::Without(Capability::SysAdmin),
        conditions: &[first(Test::Equal { mask: NAMESPACES }, 0)],
        calls: calls!["clone"],
        ..ALLOWED
    },
    // Its flags lie in memory, where a filter cannot look: the C library has to fall back to clone.
    Group { applies: Applies::Without(Capability::SysAdmin), not_there: true, calls: calls!["clone3"], ..ALLOWED },
    with(Capability::SysBoot, calls!["reboot"]),
    with(Capability::SysChroot, calls!["chroot"]),
    with(Capability::SysModule, calls!["delete_module", "init_module", "finit_module"]),
    with(Capability::SysPacct, calls!["acct"]),
    with(
        Capability::SysPtrace,
        calls!["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
    ),
    with(Capability::SysRawio, calls!["iopl", "ioperm"]),
    with(Capability::SysTime, calls!["settimeofday", "stime", "clock_settime", "clock_settime64"]),
    with(Capability::SysTtyConfig, calls!["vhangup"]),
    with(Capability::SysNice, calls!["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    with(Capability::Syslog, calls!["syslog"]),
    with(Capability::Bpf, calls!["bpf"]),
    with(Capability::Perfmon, calls!["perf_event_open"]),
];
