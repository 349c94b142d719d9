//! `--security-opt`.

use super::environment::opening;
use super::fault::Fault;
use super::{Surroundings, value};
use dhow_engine::container::request::Seccomp;

/// What the options say.
#[derive(Debug, Default)]
pub(super) struct Security {
    pub(super) seccomp: Seccomp,
    pub(super) no_new_privileges: bool,
    pub(super) systempaths_unconfined: bool,
}

/// Each is `KEY=VALUE`, or `KEY:VALUE` as docker once wrote it.
pub(super) fn options(list: &[String], around: &Surroundings<'_>) -> Result<Security, Fault> {
    let mut security = Security::default();
    for text in list {
        let (key, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
            Some((key, value)) => (key, value),
            None if text == "no-new-privileges" => ("no-new-privileges", "true"),
            None => (text.as_str(), ""),
        };
        match (key, value) {
            ("no-new-privileges", value) => {
                let wrong = || Fault::Whole(format!("invalid --security-opt 2: {text:?}"));
                security.no_new_privileges = value::switch(value).ok_or_else(wrong)?;
            }
            (_, "") => return Err(Fault::Whole(format!("Invalid --security-opt: {text:?}"))),
            ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin") => security.seccomp = Seccomp::Default,
            ("seccomp", file) => security.seccomp = Seccomp::Profile(profile(file, around)?),
            ("systempaths", "unconfined") => security.systempaths_unconfined = true,
            // There is nothing to take away: dhow applies neither.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            ("apparmor", _) => return Err(later(text, "apply AppArmor profiles")),
            ("label", _) => return Err(later(text, "apply SELinux labels")),
            ("writable-cgroups", _) => return Err(later(text, "mount control groups writable")),
            _ => return Err(Fault::Whole(format!("invalid --security-opt 2: {text:?}"))),
        }
    }
    Ok(security)
}

fn later(text: &str, what: &str) -> Fault {
    Fault::Later(format!("--security-opt {text}: dhow cannot {what} yet"), "")
}

/// The profile in a file, without blanks.
fn profile(file: &str, around: &Surroundings<'_>) -> Result<String, Fault> {
    let failed =
        |what: &str, problem: String| Fault::Whole(format!("{what} seccomp profile ({file}) failed: {problem}"));
    let bytes = (around.read)(&around.directory.join(file)).map_err(|e| failed("opening", opening(file, &e)))?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| failed("compacting json for", e.to_string()))?;
    Ok(value.to_string())
}
