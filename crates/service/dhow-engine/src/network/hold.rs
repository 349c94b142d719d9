//! Ports of the host: chosen, recorded and bound, all in the transaction that leases them.

use super::lease::Stale;
use super::plan::{self, NAT};
use crate::{Engine, EngineError};
use dhow_network::NetworkError;
use dhow_network::ports::{self, Held, Port, PortError, Protocol, Range};
use dhow_state::{Claim, ContainerRow, NetworkRow, PortRow, Write};
use dhow_sys::parcel::Parcel;
use rustix::io::Errno;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

/// The kernel's own choice of ports for clients: what gets a random one gets it from there, as in docker.
const RANDOM: Range = Range { first: 32768, last: 60999 };

/// The word for ports that lead nowhere at present: the container runs, and is on no network that could have them.
pub(super) const HELD: &str = "held";

/// A port of the container, and where on the host it is to be had: at one number on all of these addresses.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) protocol: Protocol,
    pub(super) ways: Vec<(IpAddr, SocketAddr)>,
    pub(super) host: Option<(u16, u16)>,
}

/// Ports that are held.
#[derive(Debug, Default)]
pub(super) struct Holding {
    pub(super) ports: Vec<Port>,
    pub(super) sockets: Option<OwnedFd>,
}

/// Collects ports.
pub(super) struct Packing<'p> {
    w: &'p Write<'p>,
    row: &'p ContainerRow,
    network: &'p NetworkRow,
    parcel: Parcel,
    ports: Vec<Port>,
}

/// Why a number cannot be had.
enum No {
    /// Another container has it, or a program of the host.
    Taken(EngineError),
    /// A container had it that has just ended, and whose supervisor is about to let go of it.
    Ending(EngineError),
    /// Anything else.
    Failed(EngineError),
}

impl<'p> Packing<'p> {
    pub(super) fn new(w: &'p Write<'_>, row: &'p ContainerRow, network: &'p NetworkRow) -> Result<Self, EngineError> {
        let parcel = Parcel::new().map_err(|e| EngineError::io("make", "a socket to keep ports in", e))?;
        Ok(Packing { w, row, network, parcel, ports: Vec::new() })
    }

    /// Takes one number for all addresses of a candidate.
    pub(super) fn add(&mut self, wanted: &Candidate, stale: &mut Stale) -> Result<(), EngineError> {
        let (range, start) = match wanted.host {
            Some((first, last)) => (Range { first, last }, first),
            None => (RANDOM, random_start()?),
        };
        let mut refusal = None;
        for number in (start..=range.last).chain(range.first..start) {
            match self.bind(wanted, number) {
                Ok(sockets) => return self.record(wanted, number, sockets, stale),
                Err(No::Failed(error)) => return Err(error),
                Err(No::Taken(error)) => refusal = refusal.or(Some(error)),
                Err(No::Ending(error)) if range.first == range.last => {
                    return Err(EngineError::Busy(Box::new(self.explain(error))));
                }
                Err(No::Ending(error)) => refusal = refusal.or(Some(error)),
            }
        }
        let address = wanted.ways.first().map_or(IpAddr::from([0, 0, 0, 0]), |(address, _)| *address);
        let exhausted = || PortError::Exhausted { address, range }.into();
        let error = refusal.filter(|_| range.first == range.last).unwrap_or_else(exhausted);
        Err(self.explain(error))
    }

    fn bind(&self, wanted: &Candidate, number: u16) -> Result<Vec<OwnedFd>, No> {
        let known = self.w.ports_of_number(&wanted.protocol.to_string(), number);
        let known = known.map_err(|e| No::Failed(e.into()))?;
        let held = |address| Held { protocol: wanted.protocol, address, port: number };
        let meets = |row: &PortRow, address| held(row.address).excludes(&held(address));
        let mut sockets = Vec::new();
        for (address, to) in &wanted.ways {
            if known.iter().any(|row| !row.stale && meets(row, *address)) {
                let port = Port::new(wanted.protocol, *address, number, *to);
                let port = port.ok_or_else(|| No::Failed(impossible()))?;
                return Err(No::Taken(NetworkError::PortTaken { port }.into()));
            }
            let was_ours = known.iter().any(|row| meets(row, *address));
            sockets.push(ports::bind(held(*address)).map_err(|error| self.refused(error, wanted, number, was_ours))?);
        }
        Ok(sockets)
    }

    fn refused(&self, error: NetworkError, wanted: &Candidate, number: u16, was_ours: bool) -> No {
        let (address, to) = wanted.ways[0];
        let failed = |what: &str, why: &str| EngineError::Conflict {
            message: format!("failed to bind host port {what}/{}: {why}", wanted.protocol),
            hint: None,
        };
        let from = SocketAddr::new(address, number);
        match error.errno().map(Errno::from_raw_os_error) {
            Some(Errno::ADDRINUSE) => {
                let error = failed(&format!("for {from}:{to}"), "address already in use");
                if was_ours { No::Ending(error) } else { No::Taken(error) }
            }
            Some(Errno::ADDRNOTAVAIL) => {
                No::Failed(self.explain(failed(&from.to_string(), "cannot assign requested address")))
            }
            _ => No::Failed(self.explain(error.into())),
        }
    }

    fn record(
        &mut self,
        wanted: &Candidate,
        number: u16,
        sockets: Vec<OwnedFd>,
        stale: &mut Stale,
    ) -> Result<(), EngineError> {
        for (address, to) in &wanted.ways {
            let port = Port::new(wanted.protocol, *address, number, *to).ok_or_else(impossible)?;
            let row = PortRow {
                protocol: wanted.protocol.to_string(),
                address: *address,
                port: number,
                container: self.row.id.clone(),
                network: self.network.id.clone(),
                to: *to,
                mode: NAT.to_owned(),
                stale: false,
            };
            match self.w.insert_port(&row)? {
                Claim::Free => {}
                Claim::Stale(old) => stale.ports.extend(plan::port(&old)),
                Claim::Taken(_) => return Err(self.explain(NetworkError::PortTaken { port }.into())),
            }
            self.ports.push(port);
        }
        for socket in sockets {
            self.parcel.put(socket).map_err(|e| EngineError::io("keep", "a socket of a published port", e))?;
        }
        Ok(())
    }

    /// docker's words around what went wrong.
    fn explain(&self, error: EngineError) -> EngineError {
        EngineError::Start {
            status: 125,
            message: format!(
                "failed to set up container networking: driver failed programming external connectivity on endpoint {} \
                 ({}): {error}",
                self.row.name, self.row.id
            ),
        }
    }

    pub(super) fn finish(self) -> Result<Holding, EngineError> {
        let sockets = self.parcel.close().map_err(|e| EngineError::io("keep", "the sockets of published ports", e))?;
        Ok(Holding { ports: self.ports, sockets: Some(sockets) })
    }
}

/// Holds the ports of a container again whose supervisor and keeper were both killed: as many as can be had.
///
/// # Errors
/// Of the ledger; of making a socket to keep them in.
pub(crate) fn hold_again(engine: &Engine, container: &str) -> Result<Option<OwnedFd>, EngineError> {
    let rows = engine.state.read(|r| r.ports_of_container(container))?;
    let rows: Vec<PortRow> = rows.into_iter().filter(|row| !row.stale).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let failed = |e| EngineError::io("keep", "the sockets of published ports", e);
    let mut parcel = Parcel::new().map_err(failed)?;
    for row in rows {
        let Ok(protocol) = row.protocol.parse() else { continue };
        // Where that fails somebody has it now, who is not reached by it: the port is in the table.
        if let Ok(socket) = ports::bind(Held { protocol, address: row.address, port: row.port }) {
            parcel.put(socket).map_err(failed)?;
        }
    }
    parcel.close().map(Some).map_err(failed)
}

fn impossible() -> EngineError {
    EngineError::Invalid { problem: "a published port makes no sense".to_owned(), hint: None }
}

fn random_start() -> Result<u16, EngineError> {
    let number = u16::from_ne_bytes(crate::container::random()?);
    Ok(RANDOM.first + number % (RANDOM.last - RANDOM.first + 1))
}
