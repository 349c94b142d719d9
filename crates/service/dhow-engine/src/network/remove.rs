//! `network rm`: the row, the rules and the bridge.
//!
//! A network is kept as long as any container is on it, running or not: docker only looks at those that run, and what is
//! stopped can then never be started again.

use super::beside;
use super::config::{Driver, NetworkConfig, dummy_name};
use super::ensure::{Host, rebuild};
use super::events::record;
use super::names;
use super::predefined;
use super::resolve::find;
use crate::{Engine, EngineError};
use dhow_network::link;
use dhow_state::{Durability, EndpointRow, NetworkRow, ObjectKind, Read};

/// Removes a network; its name.
///
/// # Errors
/// [`EngineError::NoSuchNetwork`]; a conflict while a container is on it, and for one that is predefined; of the kernel.
pub fn remove(engine: &Engine, text: &str) -> Result<String, EngineError> {
    let row = engine.state.read(|read| find(engine, read, text))?;
    if predefined::is(&row.name) {
        return Err(EngineError::Conflict {
            message: format!("{} is a pre-defined network and cannot be removed", row.name),
            hint: None,
        });
    }
    take_away(engine, &row)?;
    Ok(row.name)
}

/// Takes a network away, with what it has on the host.
pub(super) fn take_away(engine: &Engine, row: &NetworkRow) -> Result<(), EngineError> {
    // One whose row is damaged can be removed, too.
    let config = NetworkConfig::of(row).ok();
    let mut host = Host::open(engine)?;
    let lock = engine.state.lock(ObjectKind::Network, &row.id)?;
    engine.state.write(Durability::Crash, |w| {
        if w.network(&row.id)?.is_none() {
            return Err(EngineError::NoSuchNetwork(row.name.clone()));
        }
        unused(w, row)?;
        w.delete_network(&row.id)?;
        record(w, engine.now(), row, "destroy", &[])?;
        // In here, so that nobody who is killed leaves a bridge without a row, and nobody joins meanwhile.
        match &config {
            Some(config) if config.driver == Driver::Bridge => {
                delete_bridge(&mut host, row, &config.link(&row.id))?;
            }
            Some(config) if config.driver == Driver::Macvlan => {
                link::delete(&mut host.route, &dummy_name(&row.id))?;
            }
            _ => {}
        }
        Ok(())
    })?;
    rebuild(engine, &mut host.firewall)?;
    // The network has gone whatever becomes of this; what stays goes at the next reload.
    let _ = beside::settle(engine, &mut host);
    names::forget(engine, &row.id)?;
    drop(lock);
    Ok(())
}

/// Deletes our bridge; one of the same name that is somebody else's stays.
fn delete_bridge(host: &mut Host, row: &NetworkRow, name: &str) -> Result<(), EngineError> {
    match super::ensure::ours(&mut host.route, row, name) {
        Ok(Some(_)) => link::delete(&mut host.route, name).map(drop)?,
        Ok(None) | Err(EngineError::Conflict { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Refuses while a container is on it, in docker's words where docker has them.
fn unused(read: &Read<'_>, row: &NetworkRow) -> Result<(), EngineError> {
    let endpoints = read.endpoints_of_network(&row.id)?;
    let (active, idle): (Vec<_>, Vec<_>) = endpoints.iter().partition(|endpoint| endpoint.state.is_some());
    let names = |endpoints: &[&EndpointRow]| {
        let mut names = Vec::new();
        for endpoint in endpoints {
            let name = read.container(&endpoint.container)?.map(|row| row.name).unwrap_or_default();
            names.push(format!("name:{name:?} id:{:?}", endpoint.container.get(..12).unwrap_or_default()));
        }
        Ok::<_, EngineError>(names.join(", "))
    };
    for (found, why) in [(active, "has active endpoints"), (idle, "is needed by containers that do not run")] {
        if !found.is_empty() {
            return Err(EngineError::Conflict {
                message: format!("error while removing network: network {} {why} ({})", row.name, names(&found)?),
                hint: Some(format!("remove them, or: dhow network disconnect {} CONTAINER", row.name)),
            });
        }
    }
    Ok(())
}
