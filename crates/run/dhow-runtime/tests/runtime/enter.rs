//! Entering a container that runs.

use crate::bench::{CAPABILITIES, alone, ours};
use dhow_runtime::RuntimeError;
use serde_json::{Value, json};
use std::fs;

fn process(script: &str) -> Value {
    json!({
        "user": { "uid": 0, "gid": 0 },
        "args": ["/bin/sh", "-c", script],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
    })
}

#[test]
fn its_namespaces_its_root_and_its_own_status() {
    alone(|mut bench| {
        let container = bench.sleeping();
        let script = "for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; exit 7";
        let ended = container.enter(&process(script)).unwrap();
        assert_eq!(ended.status, 7);
        let theirs: Vec<String> = ["mnt", "pid", "net", "ipc", "uts", "cgroup"]
            .iter()
            .map(|n| fs::read_link(format!("/proc/{}/ns/{n}", container.running.pid)).unwrap().display().to_string())
            .collect();
        assert_eq!(ended.output.lines().collect::<Vec<_>>(), theirs);
        assert_ne!(theirs[0], ours("mnt"));
        assert_eq!(
            container.enter(&process("cat /etc/plain; ls /proc/self/fd | grep -c .")).unwrap().output,
            "text4\n"
        );
        let caller = container.enter(&process("cat /proc/1/comm")).unwrap().output;
        assert_eq!(caller, "sh\n");
        assert_eq!(fs::read_to_string("/proc/thread-self/children").unwrap(), format!("{} ", container.running.pid));
    });
}

#[test]
fn user_rights_and_working_directory() {
    alone(|mut bench| {
        let container = bench.sleeping();
        let mut inside = process("id; grep -E '^(Cap|NoNewPrivs)' /proc/self/status; pwd; echo $0");
        inside["user"] = json!({"uid": 1000, "gid": 100, "additionalGids": [5, 6]});
        inside["noNewPrivileges"] = json!(true);
        inside["cwd"] = json!("/tmp");
        inside["capabilities"] = json!({"bounding": ["CAP_CHOWN"]});
        let output = container.enter(&inside).unwrap().output;
        assert!(output.contains("uid=1000 gid=100 groups=5,6"), "{output}");
        assert!(output.contains("CapEff:\t0000000000000000\nCapBnd:\t0000000000000001"), "{output}");
        assert!(output.contains("NoNewPrivs:\t1"), "{output}");
        assert!(output.contains("\n/tmp\n"), "{output}");
        inside["cwd"] = json!("/missing");
        match container.enter(&inside) {
            Err(RuntimeError::Step { step, message, .. }) => {
                assert_eq!(step, "working directory");
                assert!(
                    message.contains(r#"chdir to cwd ("/missing") set in config.json failed: No such file"#),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(!bench.root().join("missing").exists());
    });
}

#[test]
fn a_program_that_is_not_there() {
    alone(|mut bench| {
        let container = bench.sleeping();
        let mut inside = process("");
        inside["args"] = json!(["nothing"]);
        let error = container.enter(&inside).unwrap_err();
        assert_eq!(error.to_string(), r#"exec: "nothing": executable file not found in $PATH"#);
    });
}

#[test]
fn clocks_domain_and_scheduling_are_as_in_the_container() {
    alone(|mut bench| {
        bench.add("/linux/namespaces", json!({"type": "time"}));
        bench.set("/linux/timeOffsets", json!({"boottime": {"secs": 604_800}}));
        bench.set("/linux/personality", json!({"domain": "LINUX32"}));
        let container = bench.sleeping();
        let mut inside = process(
            "readlink /proc/self/ns/time; cat /proc/self/personality; grep Cpus_allowed_list /proc/self/status
            cut -d' ' -f19,41 /proc/self/stat; cut -d. -f1 /proc/uptime",
        );
        inside["execCPUAffinity"] = json!({"initial": "0-1", "final": "0"});
        inside["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": -4});
        let output = container.enter(&inside).unwrap().output;
        let theirs = fs::read_link(format!("/proc/{}/ns/time", container.running.pid)).unwrap();
        assert_ne!(theirs.to_str().unwrap(), ours("time"));
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[..4], [theirs.to_str().unwrap(), "00000008", "Cpus_allowed_list:\t0", "-4 3"], "{output}");
        assert!(lines[4].parse::<u64>().unwrap() >= 604_800, "{output}");
        inside["execCPUAffinity"] = json!({"final": "8000"});
        assert!(container.enter(&inside).unwrap_err().to_string().contains("final processors"));
    });
}
