//! `dhow container inspect` and `dhow inspect`.

use serde_json::json;

use crate::harness::Containers;

#[test]
fn the_fields_say_what_was_asked_for() {
    let box_ = Containers::new();
    let flags = [
        "-e",
        "A=1",
        "-w",
        "/tmp",
        "-u",
        "alice",
        "-h",
        "harbour",
        "-l",
        "k=v",
        "--restart",
        "on-failure:3",
        "-m",
        "64m",
        "--cpus",
        "1.5",
        "--pids-limit",
        "77",
        "--read-only",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "CHOWN",
        "--init",
        "--stop-signal",
        "INT",
        "--stop-timeout",
        "7",
        "-v",
        "/tmp:/host:ro",
        "--tmpfs",
        "/t:size=1m",
        "--network",
        "host",
        "--ulimit",
        "nofile=10:20",
        "--shm-size",
        "1m",
    ];
    box_.dhow(&[&["create", "--name", "cc"], &flags[..], &["box", "sleep", "5"]].concat()).ok();
    let shown = box_.container("cc");
    assert_eq!(shown["Name"], "/cc");
    assert_eq!(shown["Image"], box_.id("box"));
    assert_eq!((&shown["Path"], &shown["Args"]), (&json!("sleep"), &json!(["5"])));
    assert_eq!(shown["Driver"], "overlay");
    let config = &shown["Config"];
    assert_eq!(config["Env"], json!(["A=1", "PATH=/bin", "FROM=image"]));
    assert_eq!(config["Cmd"], json!(["sleep", "5"]));
    assert_eq!(
        (&config["WorkingDir"], &config["User"], &config["Hostname"]),
        (&json!("/tmp"), &json!("alice"), &json!("harbour"))
    );
    assert_eq!((&config["Image"], &config["Labels"]), (&json!("box"), &json!({"k": "v"})));
    assert_eq!((&config["StopSignal"], &config["StopTimeout"]), (&json!("INT"), &json!(7)));
    let host = &shown["HostConfig"];
    assert_eq!(host["RestartPolicy"], json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    assert_eq!(
        (&host["Memory"], &host["NanoCpus"], &host["PidsLimit"]),
        (&json!(64 << 20), &json!(1_500_000_000), &json!(77))
    );
    assert_eq!(
        (&host["ReadonlyRootfs"], &host["Init"], &host["ShmSize"]),
        (&json!(true), &json!(true), &json!(1 << 20))
    );
    assert_eq!((&host["CapAdd"], &host["CapDrop"]), (&json!(["CAP_NET_ADMIN"]), &json!(["CAP_CHOWN"])));
    assert_eq!((&host["Binds"], &host["Tmpfs"]), (&json!(["/tmp:/host:ro"]), &json!({"/t": "size=1m"})));
    assert_eq!(host["Ulimits"], json!([{"Name": "nofile", "Hard": 20, "Soft": 10}]));
    assert_eq!((&host["NetworkMode"], &host["LogConfig"]["Type"]), (&json!("host"), &json!("json-file")));
    assert_eq!(shown["Mounts"][0]["Destination"], "/host");
    assert_eq!(shown["State"]["Status"], "created");
}

#[test]
fn the_state_follows_the_container() {
    let box_ = Containers::new();
    box_.detached("cc", "sleep 1000");
    let state = box_.container("cc")["State"].take();
    assert_eq!((&state["Status"], &state["Running"], &state["ExitCode"]), (&json!("running"), &json!(true), &json!(0)));
    let pid = state["Pid"].as_u64().unwrap();
    let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(String::from_utf8_lossy(&cmdline).contains("sleep"), "the pid is the program's, in our namespace");
    assert!(state["StartedAt"].as_str().unwrap() > "2024");
    assert_eq!(state["FinishedAt"], "0001-01-01T00:00:00Z");
    box_.dhow(&["kill", "cc"]).ok();
    box_.dhow(&["wait", "cc"]).ok();
    let state = box_.container("cc")["State"].take();
    assert_eq!((&state["Status"], &state["Pid"], &state["ExitCode"]), (&json!("exited"), &json!(0), &json!(137)));
    assert!(state["FinishedAt"].as_str() > state["StartedAt"].as_str());
    box_.dhow(&["create", "--name", "broken", "box", "absent"]).ok();
    box_.dhow(&["start", "broken"]).fails(&["absent"]);
    let state = box_.container("broken")["State"].take();
    assert_eq!(state["ExitCode"], 127);
    assert!(state["Error"].as_str().unwrap().contains("absent"), "{state}");
}

#[test]
fn containers_and_images_under_one_command() {
    let box_ = Containers::new();
    // A name that no digest begins with.
    box_.dhow(&["create", "--name", "two", "box"]).ok();
    let both = box_.dhow(&["inspect", "two", "box"]).json();
    assert_eq!((&both[0]["Name"], &both[1]["Id"]), (&json!("/two"), &json!(box_.id("box"))));
    box_.dhow(&["inspect", "--type", "container", "box"]).fails(&["no such container: box"]);
    box_.dhow(&["inspect", "--type", "image", "two"]).fails(&["no such image"]);
    box_.dhow(&["inspect", "--type", "ship", "two"]).fails(&["ship"]);
    let ran = box_.dhow(&["inspect", "absent"]).fails(&["no such object: absent"]);
    assert_eq!(ran.stdout.trim(), "[]");
    box_.dhow(&["container", "inspect", "absent"]).fails(&["no such container: absent"]);
    assert_eq!(box_.shown("two", "{{index .Config.Labels \"none\"}}|{{json .HostConfig.Binds}}"), "|null");
    assert!(box_.dhow(&["inspect", "-s", "two"]).json()[0]["SizeRootFs"].as_u64().unwrap() > 1_000_000);
    box_.dhow(&["inspect", "-f", "{{.Absent}}", "two"]).fails(&["Absent"]);
}
