//! System calls that a filter may forbid, each made in a process of its own, which may be killed for it.

use crate::report::{Report, members};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// `{"mkdir": "ok", "unshare": "PERM", "sethostname": "signal 31"}`.
pub(crate) fn calls(expected: &Value, report: &mut Report) {
    for (name, wanted) in members(expected) {
        let Some(output) = report.had(name, Command::new("/proc/self/exe").args(["call", name]).output()) else {
            continue;
        };
        let found = match output.status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        };
        report.expect_text(name, wanted, &found);
    }
}

/// Makes a call; what came of it is `ok` or the name of the error.
pub(crate) fn make(name: &str) -> String {
    let result = match name {
        "mkdir" => rustix::fs::mkdir("/tmp/made", 0o755.into()),
        "chmod" => rustix::fs::chmod("/tmp", 0o777.into()),
        "mknod" => {
            let number = rustix::fs::makedev(1, 3);
            let kind = rustix::fs::FileType::CharacterDevice;
            rustix::fs::mknodat(rustix::fs::CWD, "/tmp/null", kind, 0o666.into(), number)
        }
        "sethostname" => rustix::system::sethostname(b"changed"),
        "chroot" => rustix::process::chroot("/"),
        "mount" => {
            let nothing = c"";
            rustix::mount::mount("x", "/tmp", "tmpfs", rustix::mount::MountFlags::empty(), nothing)
        }
        "unshare" => of(dhow_sys::namespace::unshare(dhow_sys::clone::Namespaces::HOST_NAME_AND_NIS_DOMAIN_NAME)),
        "unshare-user" => of(dhow_sys::namespace::unshare(dhow_sys::clone::Namespaces::USER)),
        "keyctl" => of(dhow_sys::exec::new_session_keyring()),
        "personality" => of(dhow_sys::schedule::personality(8)),
        "socket" => rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).map(drop),
        "socket-vsock" => rustix::net::socket(AddressFamily::VSOCK, SocketType::STREAM, None).map(drop),
        "kill" => rustix::process::test_kill_process(rustix::process::getpid()),
        "setuid" => set_user(),
        "wait" => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).map(drop).map_err(|_| Errno::IO)
        }
        _ => return "there is no such call".to_owned(),
    };
    match result {
        Ok(()) => "ok".to_owned(),
        Err(errno) => in_words(errno),
    }
}

/// Those that the tests know by name, without the E.
pub(crate) fn in_words(errno: Errno) -> String {
    let known = [
        (Errno::PERM, "PERM"),
        (Errno::ACCESS, "ACCES"),
        (Errno::NOSYS, "NOSYS"),
        (Errno::OPNOTSUPP, "OPNOTSUPP"),
        (Errno::AFNOSUPPORT, "AFNOSUPPORT"),
        (Errno::INVAL, "INVAL"),
    ];
    let found = known.iter().find(|(other, _)| *other == errno);
    found.map_or_else(|| errno.to_string(), |(_, name)| (*name).to_owned())
}

fn set_user() -> Result<(), Errno> {
    let user = rustix::process::Uid::from_raw(7);
    rustix::thread::set_thread_res_uid(user, user, user)
}

fn of(result: std::io::Result<()>) -> Result<(), Errno> {
    result.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}
