//! The environment of a container's processes, and its host name.
//!
//! Follows docker's `CreateDaemonEnvironment` and `ReplaceOrAppendEnvValues`, and runc for `HOME` and for a name that is
//! there twice.

use super::host::Host;
use crate::container::request::{Config, Namespace};
use crate::container::view::Container;

/// Where programs are looked for when the image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The host name of a container: what was asked for, the host's own where the network is the host's, else its id's first
/// 12 digits. What `/etc/hostname` and `/etc/hosts` say. Who joins the network of another container has that one's name:
/// the caller puts it into the configuration.
pub fn hostname(container: &Container, host: &Host) -> String {
    match &container.config.hostname {
        Some(name) if !name.is_empty() => name.clone(),
        _ if container.host.network == Namespace::Host => host.name(),
        _ => container.id.chars().take(12).collect(),
    }
}

/// The variables: docker's defaults, then the container's, then `HOME` where nobody set it.
pub(super) fn of(config: &Config, hostname: &str, tty: bool, more: &[String], home: Option<&str>) -> Vec<String> {
    let mut env = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        env.push("TERM=xterm".to_owned());
    }
    for value in config.env.iter().chain(more) {
        put(&mut env, value);
    }
    if !env.iter().any(|value| value.starts_with("HOME=")) {
        env.push(format!("HOME={}", home.filter(|h| !h.is_empty()).unwrap_or("/")));
    }
    env
}

/// Sets one variable in its old place, or takes it away where there is a bare name.
fn put(env: &mut Vec<String>, value: &str) {
    let name = name_of(value);
    let place = env.iter().position(|old| name_of(old) == name);
    match (place, value.contains('=')) {
        (Some(place), true) => value.clone_into(&mut env[place]),
        (Some(place), false) => {
            env.remove(place);
        }
        (None, true) => env.push(value.to_owned()),
        (None, false) => {}
    }
}

/// The name in `NAME=value`.
pub(super) fn name_of(value: &str) -> &str {
    value.split('=').next().unwrap_or(value)
}
