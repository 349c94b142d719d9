//! `root`, and `linux.rootfsPropagation`.

use crate::case::case;
use serde_json::json;
use std::fs;

#[test]
fn it_can_be_read_only() {
    let Some(mut case) = case() else { return };
    case.set("/root/readonly", json!(true));
    case.expect("read_only", json!(["/", "/etc", "/expected.json"])).expect("writable", json!(["/dev/shm"]));
    case.run();
}

#[test]
fn what_is_written_is_in_the_bundle_and_the_host_is_not_there() {
    let Some(mut case) = case() else { return };
    case.expect("new_files", json!(["/etc/made"])).expect("missing", json!(["/usr", "/home", "/var", "/boot"]));
    case.run_and(|runtime, root| {
        assert_eq!(fs::read_to_string(root.join("etc/made")).unwrap(), "new", "{}", runtime.name);
        fs::remove_file(root.join("etc/made")).unwrap();
        vec![]
    });
}

#[test]
fn its_propagation() {
    for (word, found) in [("rprivate", json!([])), ("shared", json!(["shared"])), ("unbindable", json!(["unbindable"]))]
    {
        let Some(mut case) = case() else { return };
        case.set("/linux/rootfsPropagation", json!(word)).expect("mounts", json!({"/": {"propagation": found}}));
        case.differs("runc", "mounts./.propagation", "before 1.2 the root always came out private");
        case.differs("runc", "start", "before 1.2 it could not bind a root that is unbindable already");
        case.differs("crun", "start", "it cannot bind a root that is unbindable already");
        case.run();
    }
}

#[test]
fn a_root_that_is_not_there_is_refused() {
    let Some(mut case) = case() else { return };
    case.set("/root/path", json!("not-there"));
    case.is_refused("not-there");
}
