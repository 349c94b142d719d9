//! From the ledger to the zone of a network: pure, but for the reading.

use crate::EngineError;
use crate::network::EndpointState;
use dhow_network::resolver::zone::{Document, Endpoint};
use dhow_state::{EndpointRow, Read};

/// The zone of a network; none when there is no such network.
pub(super) fn document(read: &Read<'_>, network: &str) -> Result<Option<Document>, EngineError> {
    let Some(row) = read.network(network)? else { return Ok(None) };
    let endpoints = read.endpoints_of_network(network)?;
    let endpoints = endpoints.iter().filter_map(endpoint).collect();
    Ok(Some(Document { endpoints, ..Document::new(&row.name) }))
}

/// None: it has nothing yet, or no longer; or what a damaged row says cannot be known.
fn endpoint(row: &EndpointRow) -> Option<Endpoint> {
    let state = EndpointState::of(row).ok()??;
    let addresses = state.addresses.iter().map(|address| address.address()).collect();
    Some(Endpoint { id: row.container.clone(), names: state.names, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_address_has_no_name() {
        let row = |state: Option<&str>| EndpointRow {
            container: "c".into(),
            network: "n".into(),
            id: "e".into(),
            config: "{}".into(),
            state: state.map(str::to_owned),
        };
        assert_eq!(endpoint(&row(None)), None);
        assert_eq!(endpoint(&row(Some("{"))), None);
        let state = EndpointState {
            id: "e".into(),
            veth: "dv0".into(),
            interface: "eth0".into(),
            addresses: vec!["172.18.0.2/16".parse().unwrap(), "fd00::2/64".parse().unwrap()],
            gateways: Vec::new(),
            mac: dhow_network::Mac([2, 0, 0, 0, 0, 1]),
            names: vec!["web".into()],
            preferred: true,
        };
        let found = endpoint(&row(Some(&state.to_json()))).unwrap();
        assert_eq!((found.id.as_str(), found.names), ("c", vec!["web".to_owned()]));
        assert_eq!(found.addresses, ["172.18.0.2".parse::<std::net::IpAddr>().unwrap(), "fd00::2".parse().unwrap()]);
    }
}
