//! Docker's default profile: as it stands, and as it decides.

use super::machine::{Data, decide};
use super::oracle::Oracle;
use super::{ALLOW, ENOSYS, EPERM, KILL_THREAD};
use crate::seccomp::calls::Abi::{self, I386, X32, X86_64};
use crate::seccomp::calls::Call;
use crate::seccomp::{Filter, docker_default, docker_default_filter, parse_profile};
use oci_spec::runtime::Capability;
use std::collections::HashSet;

/// What docker gives a container that asks for nothing.
pub(super) fn dockers() -> HashSet<Capability> {
    use Capability::*;
    HashSet::from([
        Chown,
        DacOverride,
        Fsetid,
        Fowner,
        Mknod,
        NetRaw,
        Setgid,
        Setuid,
        Setfcap,
        Setpcap,
        NetBindService,
        SysChroot,
        Kill,
        AuditWrite,
    ])
}

/// Sets that differ in every condition of the profile.
fn sets() -> Vec<HashSet<Capability>> {
    use Capability::*;
    let each = [
        DacReadSearch,
        SysAdmin,
        SysBoot,
        SysChroot,
        SysModule,
        SysPacct,
        SysPtrace,
        SysRawio,
        SysTime,
        SysTtyConfig,
        SysNice,
        Syslog,
        Bpf,
        Perfmon,
    ];
    let mut sets = vec![HashSet::new(), dockers(), HashSet::from(each)];
    sets.extend(each.map(|one| HashSet::from([one])));
    sets.extend(each.map(|one| each.into_iter().filter(|other| *other != one).collect()));
    sets
}

#[test]
fn both_ways_to_the_filter_lead_to_the_same_program() {
    for set in sets() {
        let profile = docker_default(&set);
        assert_eq!(docker_default_filter(&set), Filter::compile(&profile).unwrap(), "{set:?}");
        // It can be written down and read again, as it is in config.json.
        let written = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<oci_spec::runtime::LinuxSeccomp>(&written).unwrap(), profile);
        assert_eq!(parse_profile(&written, &HashSet::new()).unwrap(), profile);
    }
}

#[test]
fn it_decides_every_call_as_its_rules_do() {
    let first = [0, 8, 37, 38, 39, 40, 41, 0x2_0000, 0x1000_0000, 0xffff_ffff, 1 << 32 | 40];
    for set in sets() {
        let profile = docker_default(&set);
        let oracle = Oracle::new(&profile);
        let filter = docker_default_filter(&set);
        super::corpus::verify(filter.instructions());
        let agree = |data: Data| assert_eq!(decide(&filter, &data), oracle.decide(&data), "{set:?} {data:?}");
        for abi in Abi::ALL {
            (0..600).chain([0x3fff_ffff]).for_each(|number| agree(Data::numbered(abi, number, &[1, 1, 2, 3, 4, 5])));
            for name in ["socket", "personality", "clone", "clone3", "ioctl"] {
                first.iter().for_each(|first| agree(Data::of(abi, name, &[*first])));
            }
        }
    }
}

#[test]
fn only_calls_of_other_machines_are_unknown() {
    let all = docker_default(&HashSet::new());
    let names = all.syscalls().iter().flatten().flat_map(|rule| rule.names());
    let unknown: Vec<&String> = names.clone().filter(|name| Call::by_name(name).is_none()).collect();
    assert_eq!(unknown, ["riscv_hwprobe"]);
    assert!(names.count() > 360);
}

#[test]
fn without_capabilities() {
    let filter = docker_default_filter(&dockers());
    let check = |abi, name: &str, arguments: &[u64], expected| {
        let decided = decide(&filter, &Data::of(abi, name, arguments));
        assert_eq!(decided, expected, "{abi:?} {name} {arguments:x?}: {decided:#x}");
    };
    for abi in Abi::ALL {
        for name in ["read", "openat", "execve", "ptrace", "chroot", "statmount", "mseal", "setxattrat", "futex_waitv"]
        {
            check(abi, name, &[], ALLOW);
        }
        for name in
            ["unshare", "mount", "setns", "bpf", "perf_event_open", "reboot", "init_module", "keyctl", "add_key"]
        {
            check(abi, name, &[], EPERM);
        }
        for name in ["userfaultfd", "io_uring_setup", "kexec_load", "open_by_handle_at", "syslog", "acct", "mbind"] {
            check(abi, name, &[], EPERM);
        }
        check(abi, "clone3", &[], ENOSYS);
        // Newer than what the profile names; x32 has greater numbers, and there it is refused, as by runc.
        check(abi, "open_tree_attr", &[], if abi == X32 { EPERM } else { ENOSYS });
        for (family, expected) in [(1, ALLOW), (2, ALLOW), (16, ALLOW), (37, ALLOW), (39, ALLOW), (41, ALLOW)] {
            check(abi, "socket", &[family, 1, 0], expected);
        }
        for family in [38, 40, 1 << 32 | 38, 1 << 32 | 40, u64::MAX << 32 | 40] {
            check(abi, "socket", &[family, 1, 0], EPERM);
        }
        for allowed in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
            check(abi, "personality", &[allowed], ALLOW);
        }
        // ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC.
        for refused in [1, 0x4_0000, 0x40_0000, 0x2_0009] {
            check(abi, "personality", &[refused], EPERM);
        }
        // Threads and processes, but no namespaces.
        check(abi, "clone", &[0x003d_0f00], ALLOW);
        check(abi, "clone", &[17], ALLOW);
        for bit in [17, 25, 26, 27, 28, 29, 30] {
            check(abi, "clone", &[1 << bit | 17], EPERM);
        }
    }
    check(I386, "socketcall", &[1], ALLOW);
    check(I386, "waitpid", &[], ALLOW);
    check(I386, "clock_settime64", &[], EPERM);
    check(X86_64, "arch_prctl", &[], ALLOW);
    check(X32, "rt_sigaction", &[], ALLOW);
    let arm = Data { number: 0, architecture: 0xc000_00b7, arguments: [0; 6] };
    assert_eq!(decide(&filter, &arm), KILL_THREAD);
}

#[test]
fn capabilities_open_their_calls() {
    use Capability::*;
    let opened = [
        (DacReadSearch, vec!["open_by_handle_at"]),
        (SysAdmin, vec!["clone3", "mount", "unshare", "setns", "bpf", "syslog", "lsm_list_modules", "umount2"]),
        (SysBoot, vec!["reboot"]),
        (SysChroot, vec!["chroot"]),
        (SysModule, vec!["delete_module", "init_module", "finit_module"]),
        (SysPacct, vec!["acct"]),
        (SysPtrace, vec!["kcmp", "pidfd_getfd", "process_madvise"]),
        (SysRawio, vec!["iopl", "ioperm"]),
        (SysTime, vec!["settimeofday", "clock_settime"]),
        (SysTtyConfig, vec!["vhangup"]),
        (SysNice, vec!["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
        (Syslog, vec!["syslog"]),
        (Bpf, vec!["bpf"]),
        (Perfmon, vec!["perf_event_open"]),
    ];
    let without = docker_default_filter(&HashSet::new());
    for (capability, names) in opened {
        let with = docker_default_filter(&HashSet::from([capability]));
        for name in names {
            assert_eq!(decide(&with, &Data::of(X86_64, name, &[])), ALLOW, "{capability} {name}");
            assert_ne!(decide(&without, &Data::of(X86_64, name, &[])), ALLOW, "{name}");
        }
    }
    let admin = docker_default_filter(&HashSet::from([SysAdmin]));
    assert_eq!(decide(&admin, &Data::of(X86_64, "clone", &[0x7e02_0000])), ALLOW);
    assert_eq!(decide(&admin, &Data::of(X86_64, "socket", &[40])), EPERM);
}
