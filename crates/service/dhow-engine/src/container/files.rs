//! Files that dhow makes for a container and mounts into it: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`.
//!
//! They lie in the container's directory and are written at each start, since they follow the host's. Their content is
//! docker's.

use super::join;
use super::request::Namespace;
use super::sealed;
use super::spec::{self, Files, Host};
use super::view::Container;
use crate::{Engine, EngineError};
use std::path::{Path, PathBuf};

const HOSTS: &str = "127.0.0.1\tlocalhost\n\
                     ::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::\tip6-localnet\n\
                     ff00::\tip6-mcastprefix\n\
                     ff02::1\tip6-allnodes\n\
                     ff02::2\tip6-allrouters\n";

/// Writes them; a container that shares another's network shares its files too.
pub(super) fn write(engine: &Engine, container: &Container, host: &Host) -> Result<Files, EngineError> {
    let init = match container.host.init {
        true => Some(program()?),
        false => None,
    };
    let shm = shm(engine, container)?;
    let of = match &container.host.network {
        Namespace::Container(of) => engine.state.container_dir(of),
        network => {
            let dir = &container.dir;
            let shares = *network == Namespace::Host;
            put(&dir.join("hostname"), &format!("{}\n", spec::hostname(container, host)))?;
            let hosts = if shares { read("/etc/hosts") } else { None };
            put(&dir.join("hosts"), hosts.as_deref().unwrap_or(HOSTS))?;
            let resolv_conf = read("/etc/resolv.conf").unwrap_or_default();
            let resolv_conf = if shares { resolv_conf } else { without_loopback(&resolv_conf) };
            put(&dir.join("resolv.conf"), &resolv_conf)?;
            dir.clone()
        }
    };
    let there = |name: &str| Some(of.join(name)).filter(|path| path.exists());
    Ok(Files { hostname: there("hostname"), hosts: there("hosts"), resolv_conf: there("resolv.conf"), init, shm })
}

/// This program's file, by a path that leads to it: a mount in the container cannot be made of less.
fn program() -> Result<PathBuf, EngineError> {
    let path = PathBuf::from(sealed::program());
    match path == Path::new(super::PROGRAM) {
        true => Err(EngineError::Invalid {
            problem: "--init needs the file of dhow itself, and no path leads to it any more".to_owned(),
            hint: Some("start the container with the dhow that is installed now".to_owned()),
        }),
        false => Ok(path),
    }
}

/// The directory behind a /dev/shm that several containers have: in memory, as the run root is.
fn shm(engine: &Engine, container: &Container) -> Result<Option<PathBuf>, EngineError> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(of) = join::shared_memory(engine, &container.host)? {
        return Ok(Some(engine.state.container_run_dir(&of).join("shm")));
    }
    if container.host.ipc != Namespace::Shareable {
        return Ok(None);
    }
    let path = engine.state.container_run_dir(&container.id).join("shm");
    let failed = |e| EngineError::io("make", path.display(), e);
    std::fs::create_dir(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o1777)).map_err(failed)?;
    Ok(Some(path))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn put(path: &Path, content: &str) -> Result<(), EngineError> {
    std::fs::write(path, content).map_err(|e| EngineError::io("write", path.display(), e))
}

/// A name server on the host's loopback cannot be reached from another network namespace.
fn without_loopback(resolv_conf: &str) -> String {
    let usable = |line: &&str| match line.trim_start().strip_prefix("nameserver") {
        Some(address) => !address.trim().starts_with("127.") && address.trim() != "::1",
        None => true,
    };
    resolv_conf.lines().filter(usable).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_servers_are_left_out() {
        let text = "search x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.1\noptions edns0";
        assert_eq!(without_loopback(text), "search x\nnameserver 10.0.0.1\noptions edns0\n");
    }
}
