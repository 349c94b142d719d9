//! Plumbing: the wires, addresses, routes and published ports of one container, as the ledger has decided them.
//!
//! Works in the calling thread's network namespace, which is the host's, and in the container's. May be repeated for a
//! container that runs (`network connect`). Undone by [`super::release`], and by the end of the namespace.

use super::config::{Driver, NetworkConfig, option};
use super::ensure::{Host, Ready, ensure, set_options};
use super::lease::{Lease, Leased};
use super::release;
use crate::{Engine, EngineError};
use dhow_network::link::{self, Kind, MacvlanMode, New};
use dhow_network::netlink::{Protocol, Socket};
use dhow_network::netns::Netns;
use dhow_network::ports::{self, Port};
use dhow_network::route::{self, Route};
use dhow_network::sysctl::{self, Setting};
use dhow_network::{Family, NetworkError, address, conntrack};
use dhow_state::ObjectKind;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long to wait for the kernel to see that a wire carries packets. It does within a millisecond; past this, what is
/// sent first may be lost, and is sent again.
const CARRIER: Duration = Duration::from_millis(500);

/// Connects a container with all that was leased for it.
///
/// # Errors
/// What the kernel says. What was done by then is undone by the release of the container.
pub(crate) fn connect(engine: &Engine, lease: &Lease, netns: &Netns) -> Result<(), EngineError> {
    let mut host = Host::open(engine)?;
    let mut wires = Vec::new();
    for one in &lease.endpoints {
        let ready = ensure(engine, &mut host, &one.network)?;
        wires.extend(wire(&mut host.route, one, &ready, netns)?);
    }
    // A failure in there says itself what was tried.
    netns.with(|| Ok::<_, io::Error>(inside(lease)))??;
    publish(engine, &mut host, lease)?;
    wait_for_carrier(&mut host.route, &wires)?;
    if lease.untidy {
        release::send(engine);
    }
    Ok(())
}

/// The wire: both ends in one message. Its name on the host.
fn wire(host: &mut Socket, one: &Leased, ready: &Ready, netns: &Netns) -> Result<Option<String>, EngineError> {
    let (interface, mac, mtu) = (one.state.interface.clone(), Some(one.state.mac), ready.config.mtu());
    if ready.config.driver == Driver::Macvlan {
        let kind = Kind::Macvlan { parent: ready.index, mode: macvlan_mode(&ready.config) };
        link::create(host, &New { mac, mtu, namespace: Some(netns), ..New::named(interface, kind) })?;
        return Ok(None);
    }
    let name = one.state.veth.clone();
    let kind = Kind::Veth { peer: interface, namespace: Some(netns), mac };
    link::create(host, &New { master: Some(ready.index), up: true, mtu, ..New::named(name.as_str(), kind) })?;
    set_options(host, &name, ready.hairpin, ready.isolated)?;
    Ok(Some(name))
}

fn macvlan_mode(config: &NetworkConfig) -> MacvlanMode {
    match config.options.get(option::MODE).map(String::as_str) {
        Some("private") => MacvlanMode::Private,
        Some("vepa") => MacvlanMode::Vepa,
        Some("passthru") => MacvlanMode::Passthru,
        _ => MacvlanMode::Bridge,
    }
}

/// A socket for links and routes, in the namespace of the calling thread.
pub(super) fn open_inside() -> Result<Socket, NetworkError> {
    Socket::open(Protocol::Route).map_err(|source| NetworkError::System {
        operation: "open",
        object: "a netlink socket".to_owned(),
        source,
    })
}

/// What is done in the container's namespace, by a thread that is in there.
fn inside(lease: &Lease) -> Result<(), NetworkError> {
    let mut socket = open_inside()?;
    link::set_up(&mut socket, "lo")?;
    for one in &lease.endpoints {
        let state = &one.state;
        if state.address(Family::V6).is_none() {
            off(sysctl::ensure_here(&[Setting::disable_ipv6(&state.interface, true)]))?;
        }
        let index = link::index(&mut socket, &state.interface)?;
        for address in &state.addresses {
            address::add(&mut socket, index, *address)?;
        }
        link::set_up(&mut socket, &state.interface)?;
    }
    set_routes(&mut socket, &lease.routes)
}

/// Sets default routes in the namespace that the socket is of.
pub(super) fn set_routes(socket: &mut Socket, routes: &[(IpAddr, String)]) -> Result<(), NetworkError> {
    for (gateway, interface) in routes {
        let index = link::index(socket, interface)?;
        route::add(socket, &Route::default_via(*gateway, index))?;
    }
    Ok(())
}

/// A kernel without IPv6 has it off.
fn off(changed: Result<Vec<sysctl::Change>, NetworkError>) -> Result<(), NetworkError> {
    match changed {
        Err(NetworkError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// Puts the container's ports into the table, and sees to it that the kernel forgets what it knew of whoever had its
/// addresses and ports before.
fn publish(engine: &Engine, host: &mut Host, lease: &Lease) -> Result<(), EngineError> {
    let stale = &lease.stale;
    if lease.ports.is_empty() && stale.is_empty() {
        return Ok(());
    }
    // Whoever releases them at this moment would take what is put in their place for theirs.
    let mut lock = match stale.is_empty() {
        true => None,
        false => Some(engine.state.lock(ObjectKind::Network, release::LOCK)?),
    };
    let mut gone = Vec::new();
    for last in [false, true] {
        if lock.is_some() {
            gone = release::strays(engine, host)?;
        }
        match host.firewall.change(&gone, &lease.ports) {
            // What nobody has, somebody who was killed has left.
            Err(NetworkError::PortTaken { .. }) if !last && lock.is_none() => {
                lock = Some(engine.state.lock(ObjectKind::Network, release::LOCK)?);
            }
            // Flushed between our look and our change: made anew from the ledger, which has these ports.
            Err(NetworkError::Missing { .. }) if !last => {
                // That may take a network's lock, which comes before this one.
                let again = lock.take().is_some();
                for one in &lease.endpoints {
                    ensure(engine, host, &one.network)?;
                }
                if again {
                    lock = Some(engine.state.lock(ObjectKind::Network, release::LOCK)?);
                }
            }
            other => {
                other?;
                break;
            }
        }
    }
    drop(lock);
    forget_flows(&gone, &lease.ports, &stale.addresses)
}

/// Flows that go on would reach whom they reached before. Those of TCP to a port that is new have no past.
pub(super) fn forget_flows(gone: &[Port], new: &[Port], addresses: &[IpAddr]) -> Result<(), EngineError> {
    let datagrams = |port: &&Port| port.protocol() != ports::Protocol::Tcp;
    let ports: Vec<Port> = gone.iter().chain(new.iter().filter(datagrams)).copied().collect();
    if ports.is_empty() && addresses.is_empty() {
        return Ok(());
    }
    let mut socket = netfilter()?;
    conntrack::forget_ports(&mut socket, &ports)?;
    conntrack::forget_addresses(&mut socket, addresses)?;
    Ok(())
}

pub(super) fn netfilter() -> Result<Socket, EngineError> {
    Socket::open(Protocol::Netfilter).map_err(|e| EngineError::io("open", "a netlink socket", e))
}

/// The kernel drops what is sent before it has noticed that both ends are up.
fn wait_for_carrier(host: &mut Socket, wires: &[String]) -> Result<(), EngineError> {
    let deadline = Instant::now() + CARRIER;
    for name in wires {
        while link::get(host, name)?.is_some_and(|link| !link.running) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}
