//! Files that dhow makes for a container and mounts into it: `/etc/hostname`, `/etc/hosts`, `/etc/resolv.conf`.
//!
//! They lie in the container's directory. What they say is decided in `network/names/files.rs`. Those of a container without
//! networks are written at each start, since they follow the host's; those of one with networks too, and when its networks
//! change while it runs, but not over what somebody has changed in them.

use super::join;
use super::request::{HostConfig, Namespace};
use super::sealed;
use super::spec::{self, Files, Host};
use super::view::Container;
use crate::network::names::{Member, files};
use crate::{Engine, EngineError};
use dhow_network::resolver::resolv_conf::{self, ResolvConf};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A longer file is nobody's but its writer's; it is not read any further.
const LONGEST: u64 = 256 * 1024;

/// Writes them; a container that shares another's network shares its files too. `members` are the networks it is on, the
/// preferred one first.
pub(super) fn write(
    engine: &Engine,
    container: &Container,
    host: &Host,
    members: &[Member],
) -> Result<Files, EngineError> {
    let init = match container.host.init {
        true => Some(program()?),
        false => None,
    };
    let shm = shm(engine, container)?;
    let of = match &container.host.network {
        Namespace::Container(of) => engine.state.container_dir(of),
        network => {
            let dir = &container.dir;
            put(&dir.join("hostname"), &format!("{}\n", spec::hostname(container, host)))?;
            match network {
                Namespace::Networks => connected(container, host, members, renew)?,
                _ => unconnected(&container.host, dir)?,
            }
            dir.clone()
        }
    };
    let there = |name: &str| Some(of.join(name)).filter(|path| path.exists());
    Ok(Files { hostname: there("hostname"), hosts: there("hosts"), resolv_conf: there("resolv.conf"), init, shm })
}

/// Writes those of a running container whose networks have changed.
pub(crate) fn refresh(container: &Container, members: &[Member]) -> Result<(), EngineError> {
    connected(container, &Host::new(super::unified()), members, replace)
}

/// Of a container with the host's network, or with none.
fn unconnected(options: &HostConfig, dir: &Path) -> Result<(), EngineError> {
    let shares = options.network == Namespace::Host;
    let mut hosts = if shares { read("/etc/hosts") } else { None }.unwrap_or_else(|| files::HOSTS.to_owned());
    if !options.extra_hosts.is_empty() {
        hosts.push_str(&files::extra(options, &[], shares)?);
    }
    put(&dir.join("hosts"), &hosts)?;
    let resolv_conf = read(resolv_conf::HOST).unwrap_or_default();
    let resolv_conf = if shares { resolv_conf } else { without_loopback(&resolv_conf) };
    let resolv_conf = match files::is_asked(options) {
        true => files::asked(options, &ResolvConf::parse(&resolv_conf)).to_string(),
        false => resolv_conf,
    };
    put(&dir.join("resolv.conf"), &resolv_conf)
}

/// Of a container on networks; `over` writes over a file that is there.
fn connected(
    container: &Container,
    host: &Host,
    members: &[Member],
    over: fn(&Path, &str) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let options = &container.host;
    let names = files::own_names(&spec::hostname(container, host), container.config.domainname.as_deref());
    let own = files::own(&names, members);
    let plain = [files::HOSTS, &files::extra(options, members, false)?].concat();
    let path = container.dir.join("hosts");
    match look(&path, &plain)? {
        Found::Ours => over(&path, &files::marked(&format!("{plain}{own}")))?,
        Found::Changed(now) => {
            let amended = files::amended(&now, &names, &own);
            if amended != now {
                over(&path, &amended)?;
            }
        }
        Found::Foreign => {}
    }
    let path = container.dir.join("resolv.conf");
    match look(&path, &without_loopback(&read(resolv_conf::HOST).unwrap_or_default()))? {
        Found::Ours => over(&path, &files::marked(&files::resolv_conf(options, &files::of_host(), members))),
        Found::Changed(_) | Found::Foreign => Ok(()),
    }
}

/// What has become of a file of ours.
enum Found {
    /// It is as we wrote it, with or without networks; or not there yet.
    Ours,
    /// Somebody has changed it.
    Changed(String),
    /// No text, or very much of it.
    Foreign,
}

fn look(path: &Path, plain: &str) -> Result<Found, EngineError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Ours),
        Err(e) => return Err(EngineError::io("read", path.display(), e)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|e| EngineError::io("read", path.display(), e))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) if files::is_unchanged(&text) || text == plain => Found::Ours,
        Ok(text) if text.len() as u64 <= LONGEST => Found::Changed(text),
        _ => Found::Foreign,
    })
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

/// In place, for the container has this very file mounted, and by one write: whoever is killed leaves no half of it.
fn replace(path: &Path, content: &str) -> Result<(), EngineError> {
    let failed = |e| EngineError::io("write", path.display(), e);
    let mut file = File::options().read(true).write(true).open(path).map_err(failed)?;
    let mut now = Vec::new();
    (&mut file).take(2 * LONGEST).read_to_end(&mut now).map_err(failed)?;
    if now == content.as_bytes() {
        return Ok(());
    }
    // Empty lines in place of what was longer, until they are cut off.
    let mut bytes = content.as_bytes().to_vec();
    bytes.resize(bytes.len().max(now.len()), b'\n');
    file.write_all_at(&bytes, 0).and_then(|()| file.set_len(content.len() as u64)).map_err(failed)
}

fn put(path: &Path, content: &str) -> Result<(), EngineError> {
    std::fs::write(path, content).map_err(|e| EngineError::io("write", path.display(), e))
}

/// As a whole: nobody has it mounted.
fn renew(path: &Path, content: &str) -> Result<(), EngineError> {
    if let Ok(mut file) = File::create_new(path) {
        return file.write_all(content.as_bytes()).map_err(|e| EngineError::io("write", path.display(), e));
    }
    let begun = path.with_extension("begun");
    put(&begun, content)?;
    std::fs::rename(&begun, path).map_err(|e| EngineError::io("rename", begun.display(), e))
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
