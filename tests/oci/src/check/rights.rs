//! Who the process is, and what it may do.

use crate::report::{Report, members, numbers, status, texts};
use rustix::process::{Resource, getrlimit};
use serde_json::Value;

/// In the order of their numbers (capabilities(7)).
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// `{"bounding": ["CAP_CHOWN"], ..}`: just these, in that set.
pub(crate) fn capabilities(expected: &Value, report: &mut Report) {
    for (set, wanted) in members(expected) {
        let line = match set {
            "bounding" => "CapBnd",
            "effective" => "CapEff",
            "permitted" => "CapPrm",
            "inheritable" => "CapInh",
            "ambient" => "CapAmb",
            _ => {
                report.failed(set, "there is no such set");
                continue;
            }
        };
        let bits = status(line).and_then(|text| u64::from_str_radix(&text, 16).ok()).unwrap_or(u64::MAX);
        let mut found: Vec<String> = (0..64).filter(|n| bits >> n & 1 == 1).map(capability).collect();
        let mut wanted: Vec<String> = texts(wanted).into_iter().map(str::to_owned).collect();
        found.sort();
        wanted.sort();
        report.expect(set, &wanted, &found);
    }
}

fn capability(number: usize) -> String {
    CAPABILITIES.get(number).map_or_else(|| number.to_string(), |name| format!("CAP_{name}"))
}

/// `[uid, gid]`, all four of each.
pub(crate) fn user(expected: &Value, report: &mut Report) {
    let [uid, gid] = numbers(expected)[..] else { return report.failed("", "expects two numbers") };
    for (name, id) in [("Uid", uid), ("Gid", gid)] {
        report.expect(name, &vec![id.to_string(); 4], &words(name));
    }
}

/// The additional groups, all of them.
pub(crate) fn groups(expected: &Value, report: &mut Report) {
    let mut wanted: Vec<String> = numbers(expected).iter().map(u64::to_string).collect();
    let mut found = words("Groups");
    wanted.sort();
    found.sort();
    report.expect("", &wanted, &found);
}

fn words(name: &str) -> Vec<String> {
    status(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// As in `/proc/self/status`: `"0022"`.
pub(crate) fn umask(expected: &Value, report: &mut Report) {
    report.expect_text("", expected, &status("Umask").unwrap_or_default());
}

/// Whether it is set.
pub(crate) fn no_new_privileges(expected: &Value, report: &mut Report) {
    let wanted = if expected == &Value::Bool(true) { "1" } else { "0" };
    report.expect("", &wanted, &status("NoNewPrivs").unwrap_or_default().as_str());
}

/// The mode of `/proc/self/status`: `"0"` without a filter, `"2"` with one.
pub(crate) fn seccomp(expected: &Value, report: &mut Report) {
    report.expect_text("", expected, &status("Seccomp").unwrap_or_default());
}

/// `{"RLIMIT_NOFILE": [1024, 4096]}`; null is unlimited.
pub(crate) fn rlimits(expected: &Value, report: &mut Report) {
    for (name, wanted) in members(expected) {
        let Some(resource) = resource(name) else {
            report.failed(name, "there is no such limit");
            continue;
        };
        let found = getrlimit(resource);
        report.expect(name, &[wanted[0].as_u64(), wanted[1].as_u64()], &[found.current, found.maximum]);
    }
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "RLIMIT_AS" => Resource::As,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_CPU" => Resource::Cpu,
        "RLIMIT_DATA" => Resource::Data,
        "RLIMIT_FSIZE" => Resource::Fsize,
        "RLIMIT_LOCKS" => Resource::Locks,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
        "RLIMIT_NICE" => Resource::Nice,
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_RSS" => Resource::Rss,
        "RLIMIT_RTPRIO" => Resource::Rtprio,
        "RLIMIT_RTTIME" => Resource::Rttime,
        "RLIMIT_SIGPENDING" => Resource::Sigpending,
        "RLIMIT_STACK" => Resource::Stack,
        _ => return None,
    })
}
