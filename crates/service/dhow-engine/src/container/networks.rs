//! A container's networks, as far as its start and its end have to do with them: what is leased and when it is given up.
//! How a network is made and plumbed is `crate::network`'s.

use super::exited::{End, record};
use super::request::{Publish, Target};
use super::start::Why;
use super::stored::Stored;
use crate::network::{self, Lease, Tenant};
use crate::{Engine, EngineError};
use dhow_network::ports::Exposed;
use dhow_state::{ContainerRow, Timestamp, Write};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a supervisor may take to let go of the ports of a container that has ended.
const ENDING: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(5);

/// Leases what a container needs, in the transaction that starts it.
pub(super) fn lease(w: &Write<'_>, row: &ContainerRow, stored: &Stored) -> Result<Lease, EngineError> {
    let ports = ports(stored);
    let hostname = stored.config.hostname.as_deref().unwrap_or_default();
    network::lease(w, &Tenant { row, hostname, ports: &ports })
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
