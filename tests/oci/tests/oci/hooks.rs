//! `hooks`: where, when and with what they are run, and what happens when one fails.

use crate::case::{Case, case, ours};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ALL: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that writes down what it sees; those of `words` are for `dhow-oci-check hook`.
fn hook(case: &Case, name: &str, words: &[&str]) -> Value {
    let host = case.bundle.host("records").join("list");
    let (program, file) = match name {
        "startContainer" => (PathBuf::from("/check"), PathBuf::from("/records/list")),
        _ => (case.bundle.root().join("check"), host),
    };
    let mut arguments = vec!["hook".to_owned(), "hook".to_owned(), file.display().to_string(), name.to_owned()];
    arguments.extend(words.iter().map(|word| (*word).to_owned()));
    json!({"path": program, "args": arguments, "env": ["OF=the hook"]})
}

/// A case where the records can be written from inside, too.
fn case_with_records() -> Option<Case> {
    let mut case = case()?;
    let records = case.bundle.host("records");
    case.add("/mounts", json!({"destination": "/records", "type": "bind", "source": records, "options": ["bind"]}));
    case.set("/hooks", json!({})).set("/annotations", json!({"org.example.key": "value"}));
    Some(case)
}

/// Takes what was written down.
fn records(case: &Case) -> Vec<Value> {
    let file = case.bundle.host("records").join("list");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(file);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["name"].as_str().unwrap()).collect()
}

/// A difference for each that is not so.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn check(&mut self, name: &str, true_: bool, found: &impl std::fmt::Debug) {
        if !true_ {
            self.0.push(format!("{name}: {found:?}"));
        }
    }
}

#[test]
fn each_is_run_at_its_time_and_place() {
    let Some(mut case) = case_with_records() else { return };
    for name in ALL {
        let hook = hook(&case, name, &[]);
        case.spec["hooks"][name] = json!([hook]);
    }
    for runtime in ["runc", "crun"] {
        case.differs(runtime, "order", "its poststart hooks do not wait for the startContainer hooks and the program");
    }
    case.differs("runc", "status", "before 1.2 createRuntime was told that it was created");
    case.differs("runc", "descriptors of createContainer", "some of its own stay open");
    case.differs("crun", "status", "it says created where the specification has creating, and starting for created");
    case.differs("crun", "pid of createContainer", "it says 0");
    case.differs("crun", "pid of startContainer", "it says 0");
    case.differs("crun", "state of startContainer", "it says / for the bundle");
    case.expect("hostname", json!("inside"));
    case.run_and(|_, _| look(&records(&case), &case.bundle.path()));
}

fn look(all: &[Value], bundle: &Path) -> Vec<String> {
    let mut found = Found::default();
    found.check("order", names(all) == ALL, &names(all));
    let of = |name: &str| all.iter().find(|record| record["name"] == name);
    let [Some(prestart), Some(runtime), Some(container), Some(start), Some(poststart), Some(poststop)] = ALL.map(of)
    else {
        return found.0;
    };
    let all = [prestart, runtime, container, start, poststart, poststop];
    let expected = ["creating", "creating", "creating", "created", "running", "stopped"];
    for ((record, name), status) in all.into_iter().zip(ALL).zip(expected) {
        let state = &record["state"];
        found.check(&format!("status of {name}"), state["status"] == status, state);
        let known = state["bundle"] == bundle.to_str().unwrap() && state["annotations"]["org.example.key"] == "value";
        let known = known && state["id"].as_str().is_some_and(|id| !id.is_empty()) && state["ociVersion"].is_string();
        found.check(&format!("state of {name}"), known, state);
        let pid = state["pid"].as_u64().unwrap_or_default();
        found.check(&format!("pid of {name}"), name == "poststop" || pid > 0, state);
        found.check(
            &format!("environment of {name}"),
            record["environment"] == json!(["OF=the hook"]),
            &record["environment"],
        );
        // The fourth is the directory that the list is read from.
        found.check(
            &format!("descriptors of {name}"),
            record["descriptors"] == json!(["0", "1", "2", "3"]),
            &record["descriptors"],
        );
    }
    for record in [prestart, runtime, poststart, poststop] {
        let theirs = &record["namespaces"];
        found.check("runtime namespace", theirs["uts"] == ours("uts") && theirs["net"] == ours("net"), theirs);
        found.check("runtime namespace", theirs["mnt"] == prestart["namespaces"]["mnt"], theirs);
    }
    for record in [container, start] {
        let theirs = &record["namespaces"];
        found.check("container namespace", theirs["uts"] != ours("uts") && theirs["net"] != ours("net"), theirs);
        found.check("container namespace", theirs["mnt"] != prestart["namespaces"]["mnt"], theirs);
    }
    let has = |record: &Value, list: &str, what: &str| record[list].as_array().unwrap().iter().any(|name| name == what);
    found.check(
        "root of createContainer",
        has(container, "mounts", bundle.join("rootfs").to_str().unwrap()),
        &container["mounts"],
    );
    found.check("root of createContainer", !has(container, "root", "expected.json"), &container["root"]);
    found.check("root of startContainer", has(start, "root", "expected.json"), &start["root"]);
    found.0
}

#[test]
fn those_in_the_container_have_no_more_rights_than_it() {
    let Some(mut case) = case_with_records() else { return };
    let hook = hook(&case, "startContainer", &[]);
    case.spec["hooks"]["startContainer"] = json!([hook]);
    let profile = dhow_runtime::seccomp::docker_default(&std::collections::HashSet::new());
    case.set("/linux/seccomp", serde_json::to_value(profile).unwrap());
    case.set(
        "/process/capabilities",
        json!({"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]}),
    );
    for no_new in [false, true] {
        case.set("/process/noNewPrivileges", json!(no_new));
        case.differs("crun", "seccomp", "its filter comes behind them");
        case.run_and(|_, _| {
            let all = records(&case);
            let mut found = Found::default();
            let [record] = &all[..] else { return vec![format!("order: {:?}", names(&all))] };
            found.check("rights", record["effective"] == "0000000000000001", &record["effective"]);
            // Ours comes last of all with no_new_privs.
            let filtered = record["seccomp"] == "2" || no_new;
            found.check("seccomp", filtered, &record["seccomp"]);
            found.0
        });
    }
}

#[test]
fn one_that_fails_ends_the_start() {
    for name in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        for words in [&["fail"][..], &["fail", "deaf"], &["hang"]] {
            let Some(mut case) = case_with_records() else { return };
            let mut hook = hook(&case, name, words);
            if words == ["hang"] {
                hook["timeout"] = json!(1);
            }
            case.spec["hooks"][name] = json!([hook, hook]);
            case.is_refused(if words == ["hang"] {
                "it took longer than 1 s"
            } else {
                "status 3: this hook does not want to"
            });
            let all = records(&case);
            assert!(!all.is_empty() && names(&all).iter().all(|n| *n == name), "{:?}", names(&all));
        }
    }
}

#[test]
fn one_that_fails_after_the_start_is_a_warning() {
    for name in ["poststart", "poststop"] {
        let Some(mut case) = case_with_records() else { return };
        let (bad, good) = (hook(&case, name, &["fail"]), hook(&case, name, &[]));
        case.spec["hooks"][name] = json!([bad, good]);
        for runtime in ["runc", "crun"] {
            case.differs(runtime, "hooks", "the next one is not run");
            case.differs(runtime, "start", "it ends a container whose poststart hook fails");
        }
        case.run_and(|_, _| {
            let all = records(&case);
            if all.len() == 2 { vec![] } else { vec![format!("hooks: {:?}", names(&all))] }
        });
    }
}

/// Where the first process is made by another new one it is that one's pid that hooks are told.
#[test]
fn they_are_told_the_pid_of_who_lives_on() {
    let Some(mut case) = case_with_records() else { return };
    let mut holder = Command::new("unshare");
    holder.args(["--pid", "--fork", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    // Its answer tells that it is in there.
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"x").unwrap();
    holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let namespace = format!("/proc/{}/ns/pid_for_children", holder.id());
    case.share("pid").add("/linux/namespaces", json!({"type": "pid", "path": namespace}));
    for name in ["createRuntime", "poststart"] {
        let hook = hook(&case, name, &[]);
        case.spec["hooks"][name] = json!([hook]);
    }
    let inside = fs::read_link(&namespace).unwrap().display().to_string();
    case.expect("namespaces", json!({"pid": inside}));
    case.run_and(|_, _| {
        let all = records(&case);
        let pids: Vec<&Value> = all.iter().map(|record| &record["state"]["pid"]).collect();
        if pids.len() == 2 && pids[0] == pids[1] { vec![] } else { vec![format!("pid: {pids:?}")] }
    });
    drop(input);
    holder.wait().unwrap();
}

#[test]
fn odd_hooks_are_refused() {
    for hook in
        [json!({"path": "relative"}), json!({"path": "/not/there"}), json!({"path": "/bin/true", "timeout": -1})]
    {
        let Some(mut case) = case() else { return };
        case.set("/hooks", json!({"createRuntime": [hook]}));
        case.differs("crun", "refused", "it takes what is not more than 0 for none");
        case.is_refused("createRuntime");
    }
}
