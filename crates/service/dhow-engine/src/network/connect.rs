//! `network connect`: a container on one more network, at once if it runs.
//!
//! ```text
//! endpoint and lease | commit |  whoever finds us dead: the ledger says what it has, and the end of the container
//! wire, routes                |  releases it; until then there is no wire, or half of one
//! ```
//!
//! Connecting again what was left halfway is refused as being there; disconnecting puts it right.

use super::config::NetworkConfig;
use super::disconnect::leads_to;
use super::endpoint::{self, EndpointState};
use super::hold::HELD;
use super::lease::{self, Lease, Leased, Stale, Tenant};
use super::plan;
use super::{check_endpoint, find_or_make, new_endpoint, plumb, record, release};
use crate::container::request::{EndpointConfig, Namespace};
use crate::container::{Subject, networks_changed};
use crate::{Engine, EngineError};
use dhow_state::{Durability, EndpointRow, NetworkRow, Write};

/// Connects a container, running or not, with the network that `asked` names.
///
/// # Errors
/// [`EngineError::NoSuchNetwork`], [`EngineError::NoSuchContainer`]; a conflict when it is on that network already, or
/// has no network namespace of its own; what cannot be leased or plumbed: it is not on the network then.
pub fn connect(engine: &Engine, container: &str, asked: &EndpointConfig) -> Result<(), EngineError> {
    let subject = Subject::of(engine, container)?;
    check_mode(&subject)?;
    let before = networks_of(engine, &subject)?;
    let lease = engine.state.write(Durability::Crash, |w| {
        subject.check_unchanged(w)?;
        let network = find_or_make(engine, w, &asked.network)?;
        let asked = EndpointConfig { network: network.name.clone(), ..asked.clone() };
        check_endpoint(&network, &asked)?;
        let row = new_endpoint(&subject.row.id, &network.id, &asked)?;
        if !w.insert_endpoint(&row)? {
            return Err(EngineError::Conflict {
                message: format!("endpoint with name {} already exists in network {}", subject.row.name, network.name),
                hint: None,
            });
        }
        record(w, engine.now(), &network, "connect", &[("container", subject.row.id.clone())])?;
        if subject.runs { lease_one(w, &subject, row, network).map(Some) } else { Ok(None) }
    })?;
    let Some(lease) = lease else { return Ok(()) };
    let plumbed = match subject.netns()? {
        Some(netns) => plumb::connect(engine, &lease, &netns),
        // It has just ended: whoever records that gives up what was leased.
        None => Ok(()),
    };
    plumbed.inspect_err(|_| undo(engine, &subject, &lease.endpoints[0].network))?;
    networks_changed(engine, &subject.row.id, &before)
}

/// The ids of the networks that a container is on.
pub(super) fn networks_of(engine: &Engine, subject: &Subject) -> Result<Vec<String>, EngineError> {
    let rows = engine.state.read(|r| r.endpoints_of_container(&subject.row.id))?;
    Ok(rows.into_iter().map(|row| row.network).collect())
}

/// docker's rules for who can be on networks at all.
pub(super) fn check_mode(subject: &Subject) -> Result<(), EngineError> {
    let message = match subject.mode {
        Namespace::Networks => return Ok(()),
        Namespace::Host | Namespace::Container(_) => {
            "container sharing network namespace with another container or host cannot be connected to any other network"
        }
        _ => "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    };
    Err(EngineError::Conflict { message: message.to_owned(), hint: None })
}

/// The networks that a running container has, each with its priority, by name.
pub(super) fn given(w: &Write<'_>, container: &str) -> Result<Vec<(EndpointRow, i64, EndpointState)>, EngineError> {
    let mut all = Vec::new();
    for row in w.endpoints_of_container(container)? {
        let Some(state) = EndpointState::of(&row)? else { continue };
        let name = w.network(&row.network)?.map(|network| network.name).unwrap_or_default();
        all.push((name, endpoint::asked(&row)?.gateway_priority, state, row));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all.into_iter().map(|(_, priority, state, row)| (row, priority, state)).collect())
}

/// Writes down which of them leads out.
pub(super) fn settle_preferred(
    w: &Write<'_>,
    all: &mut [(EndpointRow, i64, EndpointState)],
) -> Result<(), EngineError> {
    let candidates: Vec<_> = all.iter().map(|(_, priority, state)| (*priority, state)).collect();
    let first = lease::preferred(&candidates);
    for (at, (row, _, state)) in all.iter_mut().enumerate() {
        let preferred = first == Some(at);
        if state.preferred != preferred {
            state.preferred = preferred;
            w.set_endpoint_state(&row.container, &row.network, Some(&state.to_json()))?;
        }
    }
    Ok(())
}

fn lease_one(w: &Write<'_>, subject: &Subject, row: EndpointRow, network: NetworkRow) -> Result<Lease, EngineError> {
    let tenant = Tenant { row: &subject.row, hostname: &subject.hostname, ports: &[], ipv6: subject.ipv6 };
    let before = given(w, &subject.row.id)?;
    let prefix = NetworkConfig::of(&network)?.interface_prefix().to_owned();
    let interface = (0..)
        .map(|number| format!("{prefix}{number}"))
        .find(|name| before.iter().all(|(_, _, state)| state.interface != *name))
        .expect("there are more numbers than networks");
    let mut stale = Stale::default();
    let leased: Leased = lease::one(w, &tenant, row, network, interface, &mut stale)?;
    w.set_endpoint_state(&subject.row.id, &leased.network.id, Some(&leased.state.to_json()))?;
    let mut all = given(w, &subject.row.id)?;
    settle_preferred(w, &mut all)?;
    let candidates: Vec<_> = all.iter().map(|(_, priority, state)| (*priority, state)).collect();
    // Those that stay as they are need no setting.
    let mut routes = lease::routes(&candidates);
    routes.retain(|(_, interface)| *interface == leased.state.interface);
    let preferred = all.iter().any(|(row, _, state)| row.network == leased.network.id && state.preferred);
    let mut lease = Lease { endpoints: vec![leased], routes, ports: Vec::new(), sockets: None, stale, untidy: false };
    if preferred {
        publish(w, subject, &mut lease)?;
    }
    Ok(lease)
}

/// Has the container's ports lead to the network that leads out now, where they lead nowhere. Those that it had are held by
/// its supervisor; others only stand in the ledger until it is started again, but that nobody has them shows here.
fn publish(w: &Write<'_>, subject: &Subject, lease: &mut Lease) -> Result<(), EngineError> {
    let rows = w.ports_of_container(&subject.row.id)?;
    if rows.iter().any(super::is_published) {
        return Ok(());
    }
    let held: Vec<_> = rows.into_iter().filter(|row| !row.stale && row.mode == HELD).collect();
    if held.is_empty() {
        let tenant =
            Tenant { row: &subject.row, hostname: &subject.hostname, ports: &subject.ports, ipv6: subject.ipv6 };
        lease.endpoints[0].state.preferred = true;
        lease.ports = lease::publish(w, &tenant, &lease.endpoints, &mut lease.stale)?.ports;
        return Ok(());
    }
    let one = &lease.endpoints[0];
    let Some(row) = w.endpoint(&subject.row.id, &one.network.id)? else { return Ok(()) };
    if one.config.leads_nowhere() {
        return Ok(());
    }
    // They are the container's own, and it claims them anew.
    for port in &held {
        w.mark_stale_on(&subject.row.id, &port.network)?;
    }
    for port in held {
        let now = leads_to(&port, &row, &one.state).unwrap_or(port);
        w.insert_port(&now)?;
        if now.mode != HELD {
            lease.ports.extend(plan::port(&now));
        }
    }
    Ok(())
}

/// Best effort: the first failure is the one to tell.
fn undo(engine: &Engine, subject: &Subject, network: &NetworkRow) {
    let undone = engine.state.write(Durability::Crash, |w| {
        w.mark_stale_on(&subject.row.id, &network.id)?;
        w.delete_endpoint(&subject.row.id, &network.id)?;
        let mut left = given(w, &subject.row.id)?;
        settle_preferred(w, &mut left)
    });
    if undone.is_ok() {
        let _ = release::release(engine);
    }
}
