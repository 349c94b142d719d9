//! `network inspect`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Failure, Globals, global};
use crate::output::inspect::Inspection;
use crate::output::units;
use dhow_engine::network::{self, EndpointState, Member, NetworkView, StoredPool};
use dhow_network::Family;
use serde_json::{Map, Value, json};
use std::ffi::OsString;

#[derive(clap::Args)]
struct Inspect {
    /// Format output using a custom template: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Verbose output for diagnostics
    #[arg(short, long)]
    verbose: bool,
    #[arg(hide = true)]
    networks: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Display detailed information on one or more networks",
    aliases: "",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse::<Inspect>(&SHAPE, words, |a| a.networks.len())? else { return Ok(0) };
    let mut inspection = Inspection::new(args.format.as_deref())?;
    let engine = globals.reader()?;
    let mut failures = Vec::new();
    for name in &args.networks {
        match network::inspect(&engine, &global::text(name)) {
            Ok(found) => inspection.add(document(&found)),
            Err(error) => failures.push(Failure::from(error)),
        }
    }
    parse::print(&inspection.render()?)?;
    Ok(failures.iter().map(Failure::report).max().unwrap_or(0))
}

/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The document that docker shows for a network, its fields in docker's order (Docker Engine API 1.51).
pub(crate) fn document(network: &NetworkView) -> Value {
    let config = &network.config;
    let running = network.members.iter().filter(|member| member.given.is_some());
    let containers: Map<_, _> = running.map(|member| (member.container.clone(), container(member))).collect();
    // docker's predefined networks have no options of address management, not even none.
    let options = if network.is_predefined() { Value::Null } else { json!(config.ipam.options) };
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.map_or_else(|| NEVER.to_owned(), units::rfc3339),
        "Scope": "local",
        "Driver": config.driver.name(),
        "EnableIPv4": config.ipv4,
        "EnableIPv6": config.ipv6,
        "IPAM": {
            "Driver": config.ipam.driver,
            "Options": options,
            "Config": config.ipam.pools.iter().map(pool).collect::<Vec<_>>(),
        },
        "Internal": config.internal,
        "Attachable": config.attachable,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": config.options,
        "Labels": config.labels,
    })
}

fn pool(pool: &StoredPool) -> Value {
    let mut shown = Map::new();
    shown.insert("Subnet".to_owned(), json!(pool.subnet));
    if let Some(range) = pool.range {
        shown.insert("IPRange".to_owned(), json!(range));
    }
    shown.insert("Gateway".to_owned(), json!(pool.gateway));
    if !pool.auxiliary.is_empty() {
        shown.insert("AuxiliaryAddresses".to_owned(), json!(pool.auxiliary));
    }
    Value::Object(shown)
}

fn container(member: &Member) -> Value {
    let given = member.given.as_ref();
    let address =
        |family| given.and_then(|given| given.address(family)).map_or_else(String::new, |one| one.to_string());
    let text = |value: fn(&EndpointState) -> String| given.map(value).unwrap_or_default();
    json!({
        "Name": member.name,
        "EndpointID": text(|given| given.id.clone()),
        "MacAddress": text(|given| given.mac.to_string()),
        "IPv4Address": address(Family::V4),
        "IPv6Address": address(Family::V6),
    })
}
