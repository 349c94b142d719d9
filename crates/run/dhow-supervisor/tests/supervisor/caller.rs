//! What the shell of whoever starts a container has set, and what must not become of it.

use crate::container::{Container, until};
use std::process::{Command, Stdio};

/// Prints all that could be inherited.
const ALL: &str = "ulimit -t; ulimit -f; ulimit -v; ulimit -d; ulimit -n; cat /proc/self/personality
    grep Cpus_allowed_list /proc/self/status; cat /proc/self/timerslack_ns; cat /proc/self/stat > /tmp/stat
    read -r x < /tmp/stat; set -- ${x##*)}; echo nice ${17} policy ${39}";

/// Runs it by a launcher that was started with this before it; what it says.
fn launched_by(name: &str, script: &str, before: &str) -> (Option<i32>, String, Container) {
    let container = Container::new(name, script);
    let plan = container.scratch.0.join("plan");
    std::fs::write(&plan, serde_json::to_vec(&container.plan).unwrap()).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} \"$@\""), "sh"]).arg(crate::container::program());
    command.arg("launch").arg(plan).arg(container.scratch.0.join("root"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.starts_with("waiting "), "{line}");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"go\n").unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    until("the supervisor to end", || container.has_exited_run() && !container.is_supervised());
    (container.record().code, container.log(), container)
}

/// Soft limits, as hard ones cannot be raised everywhere.
#[test]
fn nothing_of_the_callers_shell_reaches_a_container() {
    let set = "ulimit -S -t 50; ulimit -S -f 100000; ulimit -S -v 9000000; ulimit -S -d 8000000; ulimit -S -n 50
        exec setarch -R taskset -c 0 nice -n 5 chrt -b 0";
    let (_, plain, _first) = launched_by("plain", ALL, "exec");
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(123_456)).unwrap();
    let (_, said, _second) = launched_by("limited", ALL, set);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..4], ["unlimited"; 4], "{said}");
    let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let files: u64 = lines[4].parse().unwrap();
    assert!(files == 1 << 20 || files == hard.min(1 << 20), "{said}");
    assert_eq!(lines[5], "00000000", "{said}");
    assert_eq!(lines[7..], ["50000", "nice 0 policy 0"], "{said}");
    assert_eq!(said, plain);
}

#[test]
fn limits_of_the_caller_do_not_end_a_supervisor() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; exit 7";
    let (end, log, container) = launched_by("file-limit", script, "ulimit -S -f 1000; exec");
    assert_eq!(end, Some(7));
    assert_eq!(log.len(), 3_000_000);
    container.assert_nothing_left();
}

/// Where they cannot be lifted the log ends there, but not the supervisor.
#[test]
fn nor_where_they_cannot_be_lifted() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' x; exit 7";
    let before = "ulimit -f 1000; exec setpriv --bounding-set -sys_resource";
    let (end, log, container) = launched_by("hard-limit", script, before);
    assert_eq!(end, Some(7));
    assert!(log.len() < 3_000_000, "{}", log.len());
    container.assert_nothing_left();
}
