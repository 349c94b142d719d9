//! Namespaces of other containers: found by id, opened through a process that is verified.

use super::process;
use super::request::{HostConfig, Namespace};
use super::resolve::{again, find};
use super::settle;
use super::stored::{Stored, status};
use crate::{Engine, EngineError};
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, Read};
use oci_spec::runtime::LinuxNamespaceType;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

/// The modes that may name another container, with the kind of the namespace and its file in /proc.
fn modes(host: &HostConfig) -> [(&Namespace, LinuxNamespaceType, &'static str); 3] {
    [
        (&host.network, LinuxNamespaceType::Network, "net"),
        (&host.pid, LinuxNamespaceType::Pid, "pid"),
        (&host.ipc, LinuxNamespaceType::Ipc, "ipc"),
    ]
}

/// Puts ids in place of what was typed.
pub(super) fn to_ids(read: &Read<'_>, host: &mut HostConfig) -> Result<(), EngineError> {
    for mode in [&mut host.network, &mut host.pid, &mut host.ipc] {
        if let Namespace::Container(of) = mode {
            *of = find(read, of)?.id;
        }
    }
    Ok(())
}

/// Opens the namespaces that a container joins.
pub(super) fn open(engine: &Engine, host: &HostConfig) -> Result<Vec<(LinuxNamespaceType, OwnedFd)>, EngineError> {
    let mut opened = Vec::new();
    for (mode, kind, name) in modes(host) {
        if let Namespace::Container(of) = mode {
            opened.push((kind, open_one(&running(engine, of, name)?, name)?));
        }
    }
    Ok(opened)
}

/// A container whose namespace is to be joined.
fn running(engine: &Engine, id: &str, name: &str) -> Result<ContainerRow, EngineError> {
    let row = settle::judge(engine, again(engine, id)?)?;
    match status(&row) {
        Status::Running | Status::Paused => Ok(row),
        _ => Err(not_running(id, name)),
    }
}

fn not_running(id: &str, name: &str) -> EngineError {
    let name = if name == "net" { "network" } else { name };
    EngineError::Conflict {
        message: format!("cannot join {name} namespace of a non running container: {id}"),
        hint: Some(format!("dhow start {}", &id[..12])),
    }
}

fn open_one(row: &ContainerRow, name: &str) -> Result<OwnedFd, EngineError> {
    let gone = || not_running(&row.id, name);
    let process = row.state.process.as_ref().ok_or_else(gone)?;
    let held = process::open(process)?.ok_or_else(gone)?;
    let path = format!("/proc/{}/ns/{name}", process.pid);
    let file = File::open(&path).map_err(|e| EngineError::io("open", &path, e))?;
    // The pid was this process's when the file was opened if the process still is there.
    match process::ended(held.as_fd(), Some(std::time::Duration::ZERO), &crate::Cancel::default())? {
        true => Err(gone()),
        false => Ok(file.into()),
    }
}

/// The host name of the container whose network is joined: its `/etc/hosts` is shared along.
pub(super) fn hostname(engine: &Engine, host: &HostConfig) -> Result<Option<String>, EngineError> {
    match &host.network {
        Namespace::Container(of) => Ok(Stored::of(&running(engine, of, "net")?)?.config.hostname),
        _ => Ok(None),
    }
}

/// The container whose /dev/shm is shared along with its System V objects; none for one's own.
pub(super) fn shared_memory(engine: &Engine, host: &HostConfig) -> Result<Option<String>, EngineError> {
    let Namespace::Container(of) = &host.ipc else { return Ok(None) };
    let other = Stored::of(&again(engine, of)?)?;
    match other.host.ipc {
        Namespace::Shareable => Ok(Some(of.clone())),
        Namespace::Host => Ok(None),
        _ => Err(EngineError::Conflict {
            message: format!("cannot join IPC of container {of}: non-shareable IPC"),
            hint: Some("make that container with --ipc shareable".to_owned()),
        }),
    }
}
