//! `linux.namespaces`: made, shared, joined.

use crate::case::{case, ours};
use serde_json::json;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn each_is_its_own() {
    let Some(mut case) = case() else { return };
    let other = |kind: &str| json!({"not": ours(kind)});
    case.expect(
        "namespaces",
        json!({"mnt": other("mnt"), "pid": other("pid"), "net": other("net"), "ipc": other("ipc"), "uts": other("uts"),
            "cgroup": other("cgroup"), "user": ours("user"), "time": ours("time")}),
    );
    case.expect("pid", json!(1)).expect("hostname", json!("inside"));
    case.expect("cgroup", json!({"rooted": true}));
    case.run();
}

#[test]
fn what_is_not_listed_is_shared() {
    for kind in ["network", "ipc", "uts", "cgroup", "pid"] {
        let Some(mut case) = case() else { return };
        let file = if kind == "network" { "net" } else { kind };
        case.share(kind).expect("namespaces", json!({file: ours(file), "mnt": {"not": ours("mnt")}}));
        if kind == "uts" {
            case.spec.as_object_mut().unwrap().remove("hostname");
        }
        if kind == "network" {
            // A sysfs shows the network of who mounts it; with the host's it is only right that it is the host's.
            case.expect("missing", json!(["/sys/not/there"]));
        }
        case.run();
    }
}

#[test]
fn those_with_a_path_are_joined() {
    let Some(mut case) = case() else { return };
    let mut holder = Command::new("unshare");
    holder.args(["--net", "--uts", "--ipc", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut holder = holder.spawn().unwrap();
    // Its answer tells that it is in there: what unshare(1) executes comes after.
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"x").unwrap();
    let mut answer = [0];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut answer).unwrap();
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", holder.id());
    let link = |kind: &str| std::fs::read_link(path(kind)).unwrap().to_string_lossy().into_owned();
    for (kind, file) in [("network", "net"), ("uts", "uts"), ("ipc", "ipc")] {
        case.share(kind).add("/linux/namespaces", json!({"type": kind, "path": path(file)}));
    }
    case.spec.as_object_mut().unwrap().remove("hostname");
    case.expect(
        "namespaces",
        json!({"net": link("net"), "uts": link("uts"), "ipc": link("ipc"), "pid": {"not": ours("pid")}}),
    );
    case.run();
    drop(input);
    holder.wait().unwrap();
}

#[test]
fn names_of_host_and_domain() {
    let Some(mut case) = case() else { return };
    case.set("/hostname", json!("other")).set("/domainname", json!("nis.example"));
    case.expect("hostname", json!("other")).expect("domainname", json!("nis.example"));
    case.differs("runc", "domainname", "it knows the field since 1.2");
    case.differs("crun", "domainname", "it knows the field since 1.8.2");
    case.run();
}

#[test]
fn an_unknown_path_is_refused() {
    let Some(mut case) = case() else { return };
    case.share("network").add("/linux/namespaces", json!({"type": "network", "path": "/proc/not/there"}));
    case.is_refused("No such file");
}

#[test]
fn one_kind_twice_is_refused() {
    let Some(mut case) = case() else { return };
    case.add("/linux/namespaces", json!({"type": "uts"}));
    case.differs("crun", "refused", "it takes the last").differs("runc", "refused", "it takes the first");
    case.is_refused("there twice");
}

#[test]
fn kernel_parameters_of_its_own_namespaces() {
    let Some(mut case) = case() else { return };
    case.set(
        "/linux/sysctl",
        json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "77", "fs.mqueue.msg_max": "20",
        "net.ipv4.ip_local_port_range": "2000 3000"}),
    );
    case.expect(
        "contents",
        json!({"/proc/sys/net/ipv4/ip_forward": "1", "/proc/sys/kernel/shmmni": "77", "/proc/sys/fs/mqueue/msg_max": "20",
            "/proc/sys/net/ipv4/ip_local_port_range": "2000 3000"}),
    );
    case.run();
}

#[test]
fn kernel_parameters_of_the_host_are_refused() {
    for (name, kind) in
        [("kernel.panic", ""), ("vm.swappiness", ""), ("net.ipv4.ip_forward", "network"), ("kernel.sem", "ipc")]
    {
        let Some(mut case) = case() else { return };
        case.share(kind).set("/linux/sysctl", json!({name: "1"}));
        case.is_refused(name);
    }
}
