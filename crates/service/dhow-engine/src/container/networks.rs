//! A container's networks, as far as its start and its end have to do with them: what is leased and when it is given up.
//! How a network is made and plumbed is `crate::network`'s.

use super::exited::{End, record};
use super::process;
use super::request::{EndpointConfig, Namespace, Publish, Target};
use super::resolve::{again, find_settled};
use super::start::Why;
use super::stored::{Stored, status};
use super::view::{Container, OnNetwork};
use crate::network::{self, EndpointState, Lease, Tenant};
use crate::{Engine, EngineError};
use dhow_network::netns::Netns;
use dhow_network::ports::Exposed;
use dhow_runtime::status::Status;
use dhow_state::{ContainerRow, ObjectKind, ObjectLock, PortRow, Timestamp, Write};
use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How long a supervisor may take to let go of the ports of a container that has ended.
const ENDING: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(5);

/// Leases what a container needs, in the transaction that starts it.
pub(super) fn lease(engine: &Engine, w: &Write<'_>, row: &ContainerRow, stored: &Stored) -> Result<Lease, EngineError> {
    if w.endpoints_of_container(&row.id)?.is_empty() {
        // Taken off all its networks: as docker has it, it is put on its first one again.
        let asked = stored.host.networks.first().cloned().unwrap_or_else(|| EndpointConfig::on("bridge"));
        let network = network::find_or_make(engine, w, &asked.network)?;
        w.insert_endpoint(&network::new_endpoint(&row.id, &network.id, &asked)?)?;
    }
    let ports = ports(stored);
    let hostname = stored.config.hostname.as_deref().unwrap_or_default();
    network::lease(w, &Tenant { row, hostname, ports: &ports, ipv6: has_ipv6(stored) })
}

/// Whether its links may have IPv6 addresses: not where its own kernel parameters turn that off.
fn has_ipv6(stored: &Stored) -> bool {
    let is_off = |of: &str| {
        let value = stored.host.sysctls.get(&format!("net.ipv6.conf.{of}.disable_ipv6"));
        value.is_some_and(|value| value.trim().parse() == Ok(1))
    };
    !is_off("all") && !is_off("default")
}

/// The ports to publish: those that were asked for, and with `-P` every exposed one that is not among them.
fn ports(stored: &Stored) -> Vec<Publish> {
    let mut ports = stored.host.ports.clone();
    if stored.host.publish_all {
        let asked: BTreeSet<Target> = ports.iter().map(Publish::target).collect();
        // What an image exposes may be anything.
        let exposed = stored.config.exposed_ports.iter().filter_map(|text| text.parse::<Exposed>().ok());
        for one in exposed {
            let all = (one.ports.first..=one.ports.last).map(|port| Target { port, protocol: one.protocol });
            let new = all.filter(|target| !asked.contains(target));
            ports.extend(new.map(|Target { port, protocol }| Publish { port, protocol, address: None, host: None }));
        }
    }
    ports
}

/// Tries again what leases, while what is wanted is held by a container that has only just ended; and once more where it
/// is by one that has ended without anybody having seen it.
pub(super) fn leasing<T>(
    engine: &Engine,
    row: &ContainerRow,
    why: Why,
    begin: impl Fn() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let deadline = Instant::now() + ENDING;
    let mut settled = false;
    let error = loop {
        match begin() {
            Ok(begun) => return Ok(begun),
            Err(EngineError::Busy(_)) if Instant::now() < deadline => std::thread::sleep(AGAIN),
            Err(EngineError::Start { .. } | EngineError::Ipam(_)) if !settled => {
                settled = true;
                super::settle_all(engine)?;
            }
            Err(EngineError::Busy(error)) => break *error,
            Err(error) => break error,
        }
    };
    if why == Why::Policy {
        // Nobody is there to hear of it, and it would be tried for ever.
        let _ = record(engine, row, &End::of_row(row, &error), false);
    }
    Err(error)
}

/// Tells of the networks that a container has been connected with.
pub(super) fn connected(w: &Write<'_>, row: &ContainerRow, now: Timestamp) -> Result<(), EngineError> {
    for endpoint in w.endpoints_of_container(&row.id)? {
        if let Some(network) = w.network(&endpoint.network)? {
            network::record(w, now, &network, "connect", &[("container", row.id.clone())])?;
        }
    }
    Ok(())
}

/// Fills in which networks containers are on, and which ports lead to them.
pub(super) fn show(engine: &Engine, containers: &mut [Container]) -> Result<(), EngineError> {
    for container in containers.iter_mut() {
        let name = match container.host.network {
            Namespace::Host => "host",
            Namespace::Default | Namespace::Private => "none",
            _ => continue,
        };
        let id = network::predefined_id(engine, name);
        container.networks =
            vec![OnNetwork { name: name.to_owned(), id, asked: EndpointConfig::on(name), given: None }];
    }
    if !containers.iter().any(|container| container.host.network == Namespace::Networks) {
        return Ok(());
    }
    engine.state.read(|r| {
        for container in containers.iter_mut().filter(|one| one.host.network == Namespace::Networks) {
            for row in r.endpoints_of_container(&container.id)? {
                let Some(network) = r.network(&row.network)? else { continue };
                let given = EndpointState::of(&row)?.filter(|_| container.status.is_live());
                let (asked, name, id) = (network::asked(&row)?, network.name, network.id);
                container.networks.push(OnNetwork { name, id, asked, given });
            }
            container.networks.sort_by(|a, b| a.name.cmp(&b.name));
            let live = |row: &PortRow| network::is_published(row) && container.status.is_live();
            let rows = r.ports_of_container(&container.id)?;
            container.ports = rows.iter().filter(|row| live(row)).filter_map(network::port).collect();
        }
        Ok(())
    })
}

/// A container that is to be connected with a network or taken off one: it neither starts nor is stopped meanwhile. It may
/// end by itself.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) row: ContainerRow,
    pub(crate) mode: Namespace,
    pub(crate) hostname: String,
    /// The ports that it publishes.
    pub(crate) ports: Vec<Publish>,
    pub(crate) ipv6: bool,
    /// Whether it runs.
    pub(crate) runs: bool,
    _lock: ObjectLock,
}

impl Subject {
    pub(crate) fn of(engine: &Engine, container: &str) -> Result<Subject, EngineError> {
        let row = find_settled(engine, container)?;
        let lock = engine.state.lock(ObjectKind::Container, &row.id)?;
        let row = again(engine, &row.id)?;
        let stored = Stored::of(&row)?;
        let ports = ports(&stored);
        let ipv6 = has_ipv6(&stored);
        let hostname = stored.config.hostname.unwrap_or_default();
        let runs = matches!(status(&row), Status::Running | Status::Paused);
        Ok(Subject { row, mode: stored.host.network, hostname, ports, ipv6, runs, _lock: lock })
    }

    /// Refuses what ended since it was looked at.
    pub(crate) fn check_unchanged(&self, w: &Write<'_>) -> Result<(), EngineError> {
        let now = w.container(&self.row.id)?;
        match now.is_some_and(|now| now.generation == self.row.generation) {
            true => Ok(()),
            false => Err(EngineError::Conflict {
                message: format!("container {} was changed by somebody else", self.row.id),
                hint: Some("try again".to_owned()),
            }),
        }
    }

    /// Its network namespace; none when it has ended.
    pub(crate) fn netns(&self) -> Result<Option<Netns>, EngineError> {
        let Some(process) = self.row.state.process.as_ref().filter(|_| self.runs) else { return Ok(None) };
        let Some(pidfd) = process::open(process)? else { return Ok(None) };
        match Netns::of_process(pidfd.as_fd()) {
            Ok(netns) => Ok(Some(netns)),
            Err(e) if e.errno() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}
