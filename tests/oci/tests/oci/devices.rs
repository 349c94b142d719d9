//! Default devices, `linux.devices`, and the device rules of the control group.

use crate::case::case;
use serde_json::json;

#[test]
fn default_devices_and_links() {
    let Some(mut case) = case() else { return };
    case.expect(
        "devices",
        json!({"/dev/null": "c 1:3 666 0:0", "/dev/zero": "c 1:5 666 0:0", "/dev/full": "c 1:7 666 0:0",
            "/dev/random": "c 1:8 666 0:0", "/dev/urandom": "c 1:9 666 0:0", "/dev/tty": "c 5:0 666 0:0"}),
    );
    case.expect(
        "links",
        json!({"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1",
            "/dev/stderr": "/proc/self/fd/2", "/dev/ptmx": "pts/ptmx"}),
    );
    case.run();
}

#[test]
fn listed_devices() {
    let Some(mut case) = case() else { return };
    let listed = json!([
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 7, "gid": 8},
        {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666},
        {"path": "/dev/disk", "type": "b", "major": 7, "minor": 99, "fileMode": 0o660, "uid": 0, "gid": 6},
        {"path": "/dev/pipe", "type": "p", "major": 0, "minor": 0, "fileMode": 0o644},
        {"path": "/dev/odd", "type": "u", "major": 1, "minor": 3, "fileMode": 0o4755},
    ]);
    case.set("/linux/devices", listed);
    case.expect(
        "devices",
        json!({"/dev/fuse": "c 10:229 600 7:8", "/dev/net/tun": "c 10:200 666 0:0", "/dev/disk": "b 7:99 660 0:6",
            "/dev/pipe": "p 0:0 644 0:0", "/dev/odd": "c 1:3 4755 0:0", "/dev/null": "c 1:3 666 0:0"}),
    );
    for runtime in ["runc", "crun"] {
        case.differs(runtime, "devices./dev/odd", "only the nine bits of permission are set");
    }
    case.run();
}

#[test]
fn what_the_rules_forbid_cannot_be_opened() {
    let Some(mut case) = case() else { return };
    // 1:11 is /dev/kmsg, which anybody may make who has CAP_MKNOD, and nobody read whom the rules forbid it.
    case.set(
        "/linux/devices",
        json!([{"path": "/dev/forbidden", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]),
    );
    case.expect("devices", json!({"/dev/forbidden": "c 1:11 666 0:0"}));
    case.expect("unreadable", json!({"/dev/forbidden": "PERM"}));
    case.run();
}

#[test]
fn odd_devices_are_refused() {
    let Some(mut case) = case() else { return };
    case.set("/linux/devices", json!([{"path": "/dev/x", "type": "x", "major": 1, "minor": 1}]));
    case.differs("crun", "refused", "it makes something else of it");
    case.is_refused("unknown variant");
}
