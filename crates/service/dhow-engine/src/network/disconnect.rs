//! `network disconnect`: a container off a network, at once if it runs.
//!
//! Ports that were reached over it are so over the network that leads out then. Where there is none they lead nowhere, and
//! are the container's all the same, whose supervisor holds their sockets: the next network that it is connected with
//! has them.

use super::connect::{check_mode, given, networks_of, settle_preferred};
use super::endpoint::EndpointState;
use super::ensure::Host;
use super::hold::HELD;
use super::plan::NAT;
use super::{lease, plan, plumb, record, release};
use crate::container::{Subject, networks_changed};
use crate::{Engine, EngineError};
use dhow_network::link;
use dhow_network::ports::Port;
use dhow_network::{Family, NetworkError};
use dhow_state::{Claim, Durability, EndpointRow, PortRow, Write};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// What is to be done in the kernel.
struct Left {
    /// What it had there; none when it did not run.
    state: Option<EndpointState>,
    routes: Vec<(IpAddr, String)>,
    /// Ports that lead elsewhere now: what they were, and what they are.
    moved: (Vec<Port>, Vec<Port>),
}

/// Disconnects a container, running or not.
///
/// # Errors
/// [`EngineError::NoSuchNetwork`], [`EngineError::NoSuchContainer`]; a conflict when it is not on that network.
pub fn disconnect(engine: &Engine, container: &str, network: &str) -> Result<(), EngineError> {
    let subject = Subject::of(engine, container)?;
    check_mode(&subject)?;
    let on = networks_of(engine, &subject)?;
    let left = engine.state.write(Durability::Crash, |w| {
        let network = super::find(engine, w, network)?;
        let id = &subject.row.id;
        let Some(row) = w.endpoint(id, &network.id)? else {
            return Err(EngineError::Conflict {
                message: format!("container {} is not connected to network {}", subject.row.name, network.name),
                hint: None,
            });
        };
        let left = leave(w, &row)?;
        record(w, engine.now(), &network, "disconnect", &[("container", id.clone())])?;
        Ok(left)
    })?;
    let Some(state) = &left.state else { return Ok(()) };
    if let Some(netns) = subject.netns()? {
        netns.with(|| Ok::<_, io::Error>(inside(state, &left.routes)))??;
    }
    let (before, after) = &left.moved;
    if !before.is_empty() {
        let mut host = Host::open(engine)?;
        match host.firewall.change(before, after) {
            // Whoever makes the table anew makes it from the ledger.
            Err(NetworkError::Missing { .. }) => {}
            other => other?,
        }
        plumb::forget_flows(before, after, &[])?;
    }
    networks_changed(engine, &subject.row.id, &on)?;
    release::release(engine)
}

fn leave(w: &Write<'_>, row: &EndpointRow) -> Result<Left, EngineError> {
    let state = EndpointState::of(row)?;
    let ports: Vec<PortRow> =
        w.ports_of_container(&row.container)?.into_iter().filter(|p| p.network == row.network && !p.stale).collect();
    w.mark_stale_on(&row.container, &row.network)?;
    w.delete_endpoint(&row.container, &row.network)?;
    let mut rest = given(w, &row.container)?;
    settle_preferred(w, &mut rest)?;
    let candidates: Vec<_> = rest.iter().map(|(_, priority, state)| (*priority, state)).collect();
    let routes = lease::routes(&candidates);
    let mut moved = (Vec::new(), Vec::new());
    let next = rest.iter().find(|(_, _, state)| state.preferred).map(|(next, _, to)| (next, to));
    for port in ports {
        let to = next.and_then(|(next, to)| leads_to(&port, next, to));
        let row = to.unwrap_or_else(|| PortRow { network: String::new(), mode: HELD.to_owned(), ..port.clone() });
        if let Claim::Stale(before) = w.insert_port(&row)? {
            moved.0.extend(plan::port(&before));
            moved.1.extend(plan::port(&row).filter(|_| row.mode == NAT));
        }
    }
    Ok(Left { state, routes, moved })
}

/// A port as it leads to the container's address on another network; none where it has no address of that family there.
pub(super) fn leads_to(port: &PortRow, next: &EndpointRow, to: &EndpointState) -> Option<PortRow> {
    let address = to.address(Family::of(port.address)).filter(|_| !to.veth.is_empty() && !to.gateways.is_empty())?;
    let to = SocketAddr::new(address.address(), port.to.port());
    Some(PortRow { network: next.network.clone(), to, mode: NAT.to_owned(), stale: false, ..port.clone() })
}

/// The link inside: with it go its addresses and routes, and the host's end.
fn inside(state: &EndpointState, routes: &[(IpAddr, String)]) -> Result<(), NetworkError> {
    let mut socket = plumb::open_inside()?;
    link::delete(&mut socket, &state.interface)?;
    plumb::set_routes(&mut socket, routes)
}
