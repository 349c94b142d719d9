//! Modes: namespaces, restart policies, attached streams.

use super::fault::{Fault, Flag};
use dhow_engine::container::request::{Namespace, RestartPolicy};

fn whole<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Whole(message.into()))
}

/// The streams to attach, lower case.
pub(super) fn attach(list: &[String]) -> Result<Vec<&'static str>, Fault> {
    let stream = |text: &String| match text.to_ascii_lowercase().as_str() {
        "stdin" => Ok("stdin"),
        "stdout" => Ok("stdout"),
        "stderr" => Ok("stderr"),
        _ => Err(Flag::new("-a, --attach").fault(text, "valid streams are STDIN, STDOUT and STDERR")),
    };
    list.iter().map(stream).collect()
}

/// There is only the host's, as in docker without a remapped root.
pub(super) fn userns(mode: Option<&str>) -> Result<(), Fault> {
    match mode {
        None | Some("" | "host") => Ok(()),
        Some(_) => whole("--userns: invalid USER mode"),
    }
}

/// `host` or nothing.
pub(super) fn host_or_own(problem: &str, mode: Option<&str>) -> Result<Namespace, Fault> {
    match mode {
        None | Some("") => Ok(Namespace::Default),
        Some("host") => Ok(Namespace::Host),
        Some(_) => whole(problem),
    }
}

/// The namespace of process ids.
pub(super) fn pid(mode: Option<&str>) -> Result<Namespace, Fault> {
    match mode.and_then(|mode| mode.strip_prefix("container:")) {
        Some(other) if !other.is_empty() => Ok(Namespace::Container(other.to_owned())),
        _ => host_or_own("--pid: invalid PID mode", mode),
    }
}

/// The namespace of IPC.
pub(super) fn ipc(mode: Option<&str>) -> Result<Namespace, Fault> {
    match mode {
        Some("private") => Ok(Namespace::Private),
        Some("shareable") => Ok(Namespace::Shareable),
        Some("none") => Ok(Namespace::None),
        Some(text) => match text.strip_prefix("container:") {
            Some(other) if !other.is_empty() => Ok(Namespace::Container(other.to_owned())),
            _ => host_or_own(&format!("invalid IPC mode: {text}"), mode),
        },
        None => Ok(Namespace::Default),
    }
}

/// When the container is started again.
pub(super) fn restart(policy: Option<&str>) -> Result<RestartPolicy, Fault> {
    let text = policy.unwrap_or_default();
    let (name, count) = match text.split_once(':') {
        Some(("", _)) => return whole("invalid restart policy format: no policy provided before colon"),
        Some((name, count)) => (name, count),
        None => (text, ""),
    };
    let count: i64 = match count {
        "" => 0,
        count => match count.parse() {
            Ok(count) => count,
            Err(_) => return whole("invalid restart policy format: maximum retry count must be an integer"),
        },
    };
    let policy = match name {
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" if count < 0 => {
            return whole("invalid restart policy: maximum retry count cannot be negative");
        }
        "on-failure" => return Ok(RestartPolicy::OnFailure(u32::try_from(count).unwrap_or(u32::MAX))),
        other => {
            return whole(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or \
                 'unless-stopped'"
            ));
        }
    };
    match count {
        0 => Ok(policy),
        1.. => whole("invalid restart policy: maximum retry count can only be used with 'on-failure'"),
        _ => whole(
            "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative",
        ),
    }
}
