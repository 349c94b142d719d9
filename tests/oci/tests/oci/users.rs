//! `process.user`, and user namespaces.

use crate::case::case;
use serde_json::json;
use std::os::unix::fs::chown;

#[test]
fn user_groups_and_umask() {
    let Some(mut case) = case() else { return };
    case.set("/process/user", json!({"uid": 1000, "gid": 100, "additionalGids": [20, 30], "umask": 0o027}));
    case.expect("user", json!([1000, 100])).expect("groups", json!([20, 30])).expect("umask", json!("0027"));
    case.run();
}

#[test]
fn root_without_additional_groups() {
    let Some(mut case) = case() else { return };
    case.expect("user", json!([0, 0])).expect("groups", json!([])).expect("umask", json!("0022"));
    case.run();
}

#[test]
fn a_user_namespace_of_its_own() {
    let Some(mut case) = case() else { return };
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    case.add("/linux/namespaces", json!({"type": "user"}));
    case.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let root = case.bundle.root();
    for name in ["", "tmp", "etc", "proc", "sys", "dev"] {
        chown(root.join(name), Some(100_000), Some(100_000)).unwrap();
    }
    // The way there must be open for who is not root of the host.
    case.expect("user", json!([0, 0]));
    case.expect("contents", json!({"/proc/self/uid_map": "0 100000 65536", "/proc/self/gid_map": "0 100000 65536"}));
    // It is the host's, whose root is nobody here.
    case.expect("devices", json!({"/dev/null": "c 1:3 666 65534:65534"}));
    case.expect("owners", json!({"/etc": "0:0"}));
    case.expect("new_files", json!(["/tmp/made"]));
    case.run_and(|runtime, root| {
        let made = std::fs::metadata(root.join("tmp/made")).unwrap();
        let owner = (std::os::unix::fs::MetadataExt::uid(&made), std::os::unix::fs::MetadataExt::gid(&made));
        assert_eq!(owner, (100_000, 100_000), "{}", runtime.name);
        std::fs::remove_file(root.join("tmp/made")).unwrap();
        vec![]
    });
}

#[test]
fn a_user_namespace_without_mappings_is_refused() {
    let Some(mut case) = case() else { return };
    case.add("/linux/namespaces", json!({"type": "user"}));
    case.is_refused("uidMappings");
}
