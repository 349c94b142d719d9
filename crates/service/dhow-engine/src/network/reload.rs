//! `network reload`: what networks need on the host, made anew from the ledger.
//!
//! For after somebody flushed nftables, deleted a bridge, turned forwarding off, or killed who answers for names.
//! Connections go on: rules are replaced in one transaction, and what is as it should be is left alone.

use super::beside;
use super::config::{Driver, NetworkConfig};
use super::endpoint::EndpointState;
use super::ensure::{Host, current, is_empty, make, ours, rebuild, set_options, still_there};
use crate::{Engine, EngineError};
use dhow_network::beside::{Advice, Edit};
use dhow_network::sysctl::{self, Change};
use dhow_network::{NetworkError, link};
use dhow_state::{EndpointRow, NetworkRow, ObjectKind};

/// What a reload put right.
#[derive(Debug, Clone, Default)]
pub struct Reloaded {
    /// What of our table was not as it should be.
    pub differences: Vec<String>,
    /// Bridges that were missing or down.
    pub bridges: Vec<String>,
    /// Wires that were in no bridge, or down.
    pub wires: Vec<String>,
    /// Settings of the kernel.
    pub changes: Vec<Change>,
    /// Rules in others' tables that were put there or taken away: where.
    pub beside: Vec<String>,
    /// What others' firewalls drop of our networks, and what would help.
    pub advice: Vec<Advice>,
}

/// Makes all that is missing. Networks that nobody runs on, and that have no bridge now, wait for their first container.
///
/// # Errors
/// Of the ledger and the kernel; a conflict when somebody else has a bridge's name. What could be put right is, and of
/// several failures the first is told.
pub fn reload(engine: &Engine) -> Result<Reloaded, EngineError> {
    let mut host = Host::open(engine)?;
    let mut reloaded = Reloaded::default();
    // The table first: it needs no bridge, and keeps networks apart whatever else cannot be put right.
    let plan = engine.state.read_alone(|read| current(engine, read))?;
    let found = if is_empty(&plan) { Vec::new() } else { host.firewall.inspect(&plan)? };
    reloaded.differences = found.iter().map(ToString::to_string).collect();
    if !found.is_empty() || is_empty(&plan) {
        rebuild(engine, &mut host.firewall)?;
    }
    let mut failed = None;
    for row in engine.state.read(|read| read.networks())? {
        let done = NetworkConfig::of(&row).and_then(|config| match config.driver {
            Driver::Bridge => bridge(engine, &mut host, &row, &config, &mut reloaded),
            _ => Ok(()),
        });
        failed = failed.or(done.err());
    }
    match beside::settle(engine, &mut host) {
        Ok(settled) => {
            let mut places: Vec<_> = settled.edits.iter().map(Edit::place).collect();
            places.dedup();
            (reloaded.beside, reloaded.advice) = (places, settled.advice);
        }
        Err(error) => failed = failed.or(Some(error)),
    }
    let names = crate::container::mend_names(engine, None).and_then(|()| super::names::tidy(engine));
    failed.or(names.err()).map_or(Ok(reloaded), Err)
}

fn bridge(
    engine: &Engine,
    host: &mut Host,
    row: &NetworkRow,
    config: &NetworkConfig,
    reloaded: &mut Reloaded,
) -> Result<(), EngineError> {
    let name = config.link(&row.id);
    let running = |endpoint: &EndpointRow| endpoint.state.is_some();
    let endpoints = engine.state.read(|read| read.endpoints_of_network(&row.id))?;
    let present = ours(&mut host.route, row, &name)?;
    if present.is_none() && !endpoints.iter().any(running) {
        return Ok(());
    }
    let lock = engine.state.lock(ObjectKind::Network, &row.id)?;
    match still_there(engine, row) {
        // Removed since it was listed.
        Err(EngineError::NoSuchNetwork(_)) => return Ok(()),
        other => other?,
    }
    let index = make(engine, host, row, config, &name, &mut reloaded.changes)?;
    let hairpin = sysctl::bridges_call_the_firewall_here()?;
    for veth in endpoints.iter().filter_map(veth) {
        if rewire(host, &veth, index)? {
            set_options(&mut host.route, &veth, hairpin, !config.inter_container())?;
            reloaded.wires.push(veth);
        }
    }
    drop(lock);
    if !present.is_some_and(|link| link.up) {
        reloaded.bridges.push(name);
    }
    Ok(())
}

/// The host's end of a running container's wire.
fn veth(endpoint: &EndpointRow) -> Option<String> {
    Some(EndpointState::of(endpoint).ok()??.veth).filter(|veth| !veth.is_empty())
}

/// Puts a wire into its bridge again; whether that was needed. One that has just gone needs nothing.
fn rewire(host: &mut Host, veth: &str, bridge: u32) -> Result<bool, NetworkError> {
    match link::get(&mut host.route, veth)? {
        Some(link) if link.master != Some(bridge) || !link.up => {
            link::set_master(&mut host.route, veth, Some(bridge))?;
            link::set_up(&mut host.route, veth)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
