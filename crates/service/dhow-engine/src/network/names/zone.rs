//! From the ledger to the zone of a network: pure, but for the reading.

use crate::EngineError;
use dhow_network::Subnet;
use dhow_network::resolver::zone::{Document, Endpoint};
use dhow_state::{EndpointRow, Read};
use serde::Deserialize;

/// The names by which a container is found on a network, docker's: its name, its aliases there, the first 12 digits of its
/// id, and its host name where it was given one.
pub fn of(name: &str, hostname: Option<&str>, id: &str, aliases: &[String]) -> Vec<String> {
    let short = id.get(..12).unwrap_or(id);
    let all = [name].into_iter().chain(aliases.iter().map(String::as_str)).chain([short]).chain(hostname);
    let mut names: Vec<String> = Vec::new();
    for one in all.filter(|one| !one.is_empty()) {
        if !names.iter().any(|name| name == one) {
            names.push(one.to_owned());
        }
    }
    names
}

/// Of what an endpoint was given, what its names are for.
#[derive(Debug, Deserialize)]
struct Given {
    names: Vec<String>,
    addresses: Vec<Subnet>,
}

/// The zone of a network; none when there is no such network.
pub(super) fn document(read: &Read<'_>, network: &str) -> Result<Option<Document>, EngineError> {
    let Some(row) = read.network(network)? else { return Ok(None) };
    let endpoints = read.endpoints_of_network(network)?;
    let endpoints = endpoints.iter().filter_map(endpoint).collect();
    Ok(Some(Document { endpoints, ..Document::new(&row.name) }))
}

/// None: it has nothing yet, or no longer; or what a damaged row says cannot be known.
fn endpoint(row: &EndpointRow) -> Option<Endpoint> {
    let given: Given = serde_json::from_str(row.state.as_deref()?).ok()?;
    let addresses = given.addresses.iter().map(|address| address.address()).collect();
    Some(Endpoint { id: row.container.clone(), names: given.names, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers_and_each_is_there_once() {
        let id = "0123456789abcdef".repeat(4);
        let aliases = ["db".to_owned(), "web".to_owned(), "db".to_owned()];
        assert_eq!(of("web", Some("web.example"), &id, &aliases), ["web", "db", "0123456789ab", "web.example"]);
        assert_eq!(of("web", Some("0123456789ab"), &id, &[]), ["web", "0123456789ab"]);
        assert_eq!(of("web", Some(""), &id, &[]), ["web", "0123456789ab"]);
    }

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
        let given = r#"{"names":["web"],"addresses":["172.18.0.2/16","fd00::2/64"],"mac":"02:42:ac:12:00:02"}"#;
        let found = endpoint(&row(Some(given))).unwrap();
        assert_eq!((found.id.as_str(), found.names), ("c", vec!["web".to_owned()]));
        assert_eq!(found.addresses, ["172.18.0.2".parse::<std::net::IpAddr>().unwrap(), "fd00::2".parse().unwrap()]);
    }
}
