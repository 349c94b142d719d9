//! Modes: namespaces, networks, restart policies, attached streams.

use super::fault::{Fault, Flag};
use super::value;
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

/// The network. Several are for networks that dhow does not have yet.
pub(super) fn network(list: &[String]) -> Result<Namespace, Fault> {
    let names: Vec<String> = list.iter().map(|text| network_name(text)).collect::<Result<_, _>>()?;
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return whole(format!("network {twice:?} is specified multiple times"));
    }
    let later = |what: String| Err(Fault::Later(what, "take none, host or container:NAME"));
    let name = match &names[..] {
        [] => return Ok(Namespace::Default),
        [name] => name.as_str(),
        _ => return later("--network: dhow cannot connect a container to several networks yet".to_owned()),
    };
    match (name, name.strip_prefix("container:")) {
        ("", _) => whole("no name set for network"),
        ("default", _) => Ok(Namespace::Default),
        ("none", _) => Ok(Namespace::Private),
        ("host", _) => Ok(Namespace::Host),
        ("container", _) | (_, Some("")) => whole("invalid network mode: invalid container format container:<name|id>"),
        (_, Some(other)) => Ok(Namespace::Container(other.to_owned())),
        (name, None) => later(format!("--network {name}: dhow cannot connect containers to networks yet")),
    }
}

/// The name in `NAME` or `name=NAME,KEY=VALUE`.
fn network_name(text: &str) -> Result<String, Fault> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let pair = |(key, value): (&str, &str)| key.ends_with(word) && value.starts_with(word);
    if !text.split_once('=').is_some_and(pair) {
        return Ok(text.to_owned());
    }
    let flag = Flag::new("--network");
    let (mut name, mut more) = (None, false);
    for field in flag.take(text, value::csv)? {
        let lower = field.to_ascii_lowercase();
        match lower.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            None | Some(("", _)) => return Err(flag.fault(text, format!("invalid field {field}"))),
            Some(("name", value)) => name = Some(value.to_owned()),
            Some(("alias" | "ip" | "ip6" | "mac-address" | "link-local-ip" | "driver-opt" | "gw-priority", _)) => {
                more = true;
            }
            Some((key, _)) => return Err(flag.fault(text, format!("invalid field key {key}"))),
        }
    }
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| flag.fault(text, "network name/id is not specified"))?;
    match more {
        true => Err(Fault::Later(format!("--network {text}: dhow cannot connect containers to networks yet"), "")),
        false => Ok(name),
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
