//! `process.capabilities`: five sets, for root and for others.

use crate::bundle::CAPABILITIES;
use crate::case::case;
use serde_json::json;

#[test]
fn root_has_those_of_the_spec() {
    let Some(mut case) = case() else { return };
    let all = json!(CAPABILITIES);
    case.expect(
        "capabilities",
        json!({"bounding": all, "effective": all, "permitted": all, "inheritable": [], "ambient": []}),
    );
    case.expect("calls", json!({"sethostname": "PERM", "chroot": "ok", "mount": "PERM", "setuid": "ok"}));
    case.run();
}

#[test]
fn others_have_none_but_ambient_ones() {
    let Some(mut case) = case() else { return };
    case.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let all = json!(CAPABILITIES);
    case.expect(
        "capabilities",
        json!({"bounding": all, "effective": [], "permitted": [], "inheritable": [], "ambient": []}),
    );
    case.run();
    let two = json!(["CAP_NET_BIND_SERVICE", "CAP_KILL"]);
    case.set("/process/capabilities/inheritable", two.clone()).set("/process/capabilities/ambient", two.clone());
    case.expect(
        "capabilities",
        json!({"bounding": all, "effective": two, "permitted": two, "inheritable": two, "ambient": two}),
    );
    case.run();
}

#[test]
fn none_at_all() {
    let Some(mut case) = case() else { return };
    case.set(
        "/process/capabilities",
        json!({"bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []}),
    );
    case.expect(
        "capabilities",
        json!({"bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": []}),
    );
    case.expect(
        "calls",
        json!({"sethostname": "PERM", "chroot": "PERM", "mount": "PERM", "setuid": "PERM", "mknod": "PERM"}),
    );
    case.run();
}

#[test]
fn more_than_docker_gives() {
    let Some(mut case) = case() else { return };
    let more: Vec<&str> = CAPABILITIES.iter().copied().chain(["CAP_SYS_ADMIN", "CAP_SYS_TIME"]).collect();
    case.set("/process/capabilities", json!({"bounding": more, "effective": more, "permitted": more}));
    case.expect(
        "capabilities",
        json!({"bounding": more, "effective": more, "permitted": more, "inheritable": [], "ambient": []}),
    );
    case.expect("calls", json!({"sethostname": "ok"}));
    case.run();
}
