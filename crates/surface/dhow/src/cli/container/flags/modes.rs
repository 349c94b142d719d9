//! Modes: namespaces, networks, restart policies, attached streams.

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

/// The network; of several flags none but the same.
pub(super) fn network(list: &[String]) -> Result<Namespace, Fault> {
    let mut mode = Namespace::Default;
    for (at, text) in list.iter().enumerate() {
        // `name=x,alias=y` is docker's long form; a mode has no more to say than its name.
        let text = text.strip_prefix("name=").unwrap_or(text);
        if list[..at].iter().any(|before| before.strip_prefix("name=").unwrap_or(before) == text) {
            return whole(format!("network {text:?} is specified multiple times"));
        }
        if at > 0 {
            return Err(Fault::Later("--network: dhow cannot connect a container to several networks".to_owned(), ""));
        }
        mode = match text {
            "" => return whole("no name set for network"),
            "default" => Namespace::Default,
            "none" => Namespace::Private,
            "host" => Namespace::Host,
            "container" => return whole("invalid network mode: invalid container format container:<name|id>"),
            other => match other.strip_prefix("container:") {
                Some("") => return whole("invalid network mode: invalid container format container:<name|id>"),
                Some(other) => Namespace::Container(other.to_owned()),
                None => {
                    return Err(Fault::Later(
                        format!("--network {other}: dhow cannot connect containers to networks yet"),
                        "take none, host or container:NAME",
                    ));
                }
            },
        };
    }
    Ok(mode)
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
