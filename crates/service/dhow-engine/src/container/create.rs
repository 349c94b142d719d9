//! `create`: a container that can be started.
//!
//! Two transactions, and between them the directory: see `dhow-state`. Neither is flushed to the disk. After a power cut
//! a container of the last seconds may be gone, or be there with files of which the last bytes are missing; flushing
//! would cost more than all the rest of a short run, and would not help what the container itself has written, which
//! nobody flushes either. The images are whole in any case. A row whose directory was lost is told by the check.

use super::events;
use super::names;
use super::request::{CreateRequest, EndpointConfig, Namespace, Publish, RootSource};
use super::root;
use super::spec::{self, Host, Merged};
use super::stored::Stored;
use super::{join, random};
use crate::image::resolve::resolve;
use crate::{Engine, EngineError, network};
use dhow_runtime::status::Status;
use dhow_spec::Platform;
use dhow_state::{ContainerRow, ContainerState, Durability, EndpointRow, ImageRow, Operation, Write};
use std::cmp::Reverse;
use std::net::Ipv6Addr;
use std::path::Path;

/// A container that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// What could not be had as asked for, one line each.
    pub warnings: Vec<String>,
}

/// Makes a container.
///
/// # Errors
/// [`EngineError::NoSuchImage`], a name that is taken, a request that makes no sense.
pub fn create(engine: &Engine, request: &CreateRequest) -> Result<Created, EngineError> {
    make(engine, request).map_err(|e| e.on_disk(engine.state.root()))
}

fn make(engine: &Engine, request: &CreateRequest) -> Result<Created, EngineError> {
    let wanted = request.name.as_deref().map(|name| name.strip_prefix('/').unwrap_or(name));
    wanted.map_or(Ok(()), names::check)?;
    let image = image(engine, request)?;
    let config = image.as_ref().map(|image| engine.image_config(&image.id)).transpose();
    let config = config.map_err(|e| explain(engine, request, image.as_ref(), e))?;
    let host = Host::new(super::unified());
    let mut merged = spec::merge(request, config.as_ref(), &host)?;
    spec::check_sources(&merged.host)?;
    let id = id()?;

    let (operation, endpoints) = engine.state.begin_with("create", engine.now(), |w, operation| {
        join::to_ids(w, &mut merged.host)?;
        let endpoints = endpoints(engine, w, &id, &mut merged)?;
        // Once more at the end; here so that nothing is made in vain.
        if let Some(taken) = wanted.map(|name| w.container_by_name(name)).transpose()?.flatten() {
            return Err(names::taken(&taken.name, &taken.id));
        }
        w.plan_container(operation, &id)?;
        Ok(endpoints)
    })?;
    name_host(&mut merged, &id);
    let dir = operation.work().join("container");
    make_private(&dir)?;
    let storage = root::prepare(engine, &operation, &dir, &request.root, image.as_ref())
        .map_err(|e| explain(engine, request, image.as_ref(), e))?;
    operation.place_container(&dir, &id)?;

    let cgroup = cgroup(engine, merged.host.cgroup_parent.as_deref(), &id);
    let stored = Stored {
        root: source(&request.root)?,
        command: merged.command,
        config: merged.config,
        host: merged.host,
        storage,
    };
    let row = ContainerRow {
        id: id.clone(),
        name: wanted.unwrap_or_default().to_owned(),
        image: image.map(|image| image.id),
        created: engine.now(),
        cgroup,
        config: stored.to_json(),
        generation: 0,
        removal: None,
        state: ContainerState { status: Status::Created.name().to_owned(), ..ContainerState::default() },
    };
    commit(operation, row, &stored, &endpoints)?;
    Ok(Created { id, warnings: merged.warnings })
}

fn commit(
    operation: Operation<'_>,
    mut row: ContainerRow,
    stored: &Stored,
    endpoints: &[EndpointRow],
) -> Result<(), EngineError> {
    operation.commit(Durability::Crash, |w| {
        if row.name.is_empty() {
            row.name = names::free(w)?;
        }
        w.insert_container(&row).map_err(names::explain)?;
        for endpoint in endpoints {
            w.insert_endpoint(endpoint)?;
        }
        events::record(w, row.created, &row, stored, "create", &[])
    })
}

/// The networks that it is to be on, which are there, and known by name from here on.
fn endpoints(engine: &Engine, w: &Write<'_>, id: &str, merged: &mut Merged) -> Result<Vec<EndpointRow>, EngineError> {
    let mut rows: Vec<EndpointRow> = Vec::new();
    if merged.host.network == Namespace::Default {
        merged.host.network = Namespace::Networks;
        if merged.host.networks.is_empty() {
            merged.host.networks.push(EndpointConfig::on("bridge"));
        }
    }
    if merged.host.network != Namespace::Networks {
        return Ok(rows);
    }
    check_ports(&merged.host.ports)?;
    let mut leading = Vec::new();
    for asked in &mut merged.host.networks {
        let network = network::find_or_make(engine, w, &asked.network)?;
        network::check_endpoint(&network, asked)?;
        if rows.iter().any(|row| row.network == network.id) {
            return Err(EngineError::Invalid {
                problem: format!("network {:?} is specified multiple times", asked.network),
                hint: None,
            });
        }
        leading.push((Reverse(asked.gateway_priority), network::leads_nowhere(&network)?, network.name.clone()));
        asked.network = network.name;
        rows.push(network::new_endpoint(id, &network.id, asked)?);
    }
    if let Some((_, true, name)) = leading.into_iter().min()
        && (!merged.host.ports.is_empty() || merged.host.publish_all)
    {
        merged.warnings.push(format!("Published ports are discarded: network {name} has no way in for them"));
    }
    Ok(rows)
}

/// Refuses what could be published and never be reached: nothing leads from ::1 to another link.
fn check_ports(ports: &[Publish]) -> Result<(), EngineError> {
    match ports.iter().find(|port| port.address == Some(Ipv6Addr::LOCALHOST.into())) {
        Some(port) => Err(EngineError::Invalid {
            problem: format!("cannot publish port {} on [::1]: ports are not served there", port.target()),
            hint: Some("publish it on 127.0.0.1, which localhost leads to as well".to_owned()),
        }),
        None => Ok(()),
    }
}

/// Gives it a host name, where nobody did: the host's own where it shares the host's. One that joins another's network
/// has that one's, whatever it is at the time.
fn name_host(merged: &mut Merged, id: &str) {
    let (config, host) = (&mut merged.config, &merged.host);
    if matches!(host.network, Namespace::Container(_)) || config.hostname.as_ref().is_some_and(|name| !name.is_empty())
    {
        return;
    }
    config.hostname = Some(match host.network == Namespace::Host || host.uts == Namespace::Host {
        true => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        false => id[..12].to_owned(),
    });
}

/// The image that was asked for.
fn image(engine: &Engine, request: &CreateRequest) -> Result<Option<ImageRow>, EngineError> {
    let RootSource::Image(name) = &request.root else { return Ok(None) };
    let image = engine.state.read(|r| resolve(r, name))?.image;
    if let Some(platform) = &request.platform {
        let found = Platform::new(&image.os, &image.architecture, image.variant.as_deref());
        if !platform.runs(&found) {
            return Err(EngineError::Invalid {
                problem: format!(
                    "image with reference {name} was found but does not provide the specified platform ({platform})"
                ),
                hint: None,
            });
        }
    }
    Ok(Some(image))
}

/// An image that was removed while its layers were being looked at is no damage.
fn explain(engine: &Engine, request: &CreateRequest, image: Option<&ImageRow>, error: EngineError) -> EngineError {
    let (RootSource::Image(name), Some(image)) = (&request.root, image) else { return error };
    match engine.state.read(|r| r.image(&image.id)) {
        Ok(None) => EngineError::NoSuchImage(name.clone()),
        _ => error,
    }
}

/// Where the root comes from, by a path that stays the same.
fn source(root: &RootSource) -> Result<RootSource, EngineError> {
    Ok(match root {
        RootSource::Image(name) => RootSource::Image(name.clone()),
        RootSource::Directory { path, overlay } => {
            let path = std::fs::canonicalize(path)
                .map_err(|e| EngineError::io("open the root filesystem", path.display(), e))?;
            RootSource::Directory { path, overlay: *overlay }
        }
    })
}

/// 64 random hex digits, not all of the first twelve decimal: those are a host name, and must not look like a number.
pub(crate) fn id() -> Result<String, EngineError> {
    loop {
        let bytes = random::<32>()?;
        let id: String = bytes
            .iter()
            .flat_map(|b| [b >> 4, b & 15])
            .map(|n| char::from(b"0123456789abcdef"[usize::from(n)]))
            .collect();
        if !id[..12].bytes().all(|b| b.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// The control group, relative to the root of the hierarchies.
fn cgroup(engine: &Engine, parent: Option<&str>, id: &str) -> String {
    match parent.map(|parent| parent.trim_matches('/')).filter(|parent| !parent.is_empty()) {
        Some(parent) => format!("{parent}/{id}"),
        None => format!("dhow/{}/{id}", engine.state.store_id()),
    }
}

fn make_private(dir: &Path) -> Result<(), EngineError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(dir).map_err(|e| EngineError::io("make", dir.display(), e))
}
