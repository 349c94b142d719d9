//! `bridge`, `host` and `none`: there without anybody having made them.

use super::config::{Driver, Ipam, NetworkConfig, StoredPool, option};
use super::subnets;
use crate::{Engine, EngineError};
use dhow_network::ipam::{self, PoolRequest};
use dhow_network::{Family, Subnet, link};
use dhow_spec::Digest;
use dhow_state::{NetworkRow, Read, Write};
use std::collections::BTreeMap;
use std::path::Path;

/// Their names, as lists show them.
pub(super) const NAMES: [&str; 3] = ["bridge", "host", "none"];

/// The data root whose network `bridge` has the bridge [`link::DEFAULT_BRIDGE`]; those of others are named by their id.
const DEFAULT_ROOT: &str = "/var/lib/dhow";

/// Whether nobody may make, change or remove a network of this name. `default` means `bridge` to docker.
pub(super) fn is(name: &str) -> bool {
    NAMES.contains(&name) || name == "default"
}

/// The id, which follows from the store's: so it is known before there is a row.
pub(super) fn id(store: &str, name: &str) -> String {
    Digest::of(format!("dhow network {name} of {store}").as_bytes()).hex().to_owned()
}

/// The row of one of them: what is recorded, or what would be, without a subnet.
pub(super) fn look(engine: &Engine, read: &Read<'_>, name: &str) -> Result<Option<NetworkRow>, EngineError> {
    if !NAMES.contains(&name) {
        return Ok(None);
    }
    match read.network_by_name(name)? {
        Some(row) => Ok(Some(row)),
        None => Ok(Some(row(engine, name, Vec::new()))),
    }
}

/// The row of one of them, recorded now if it was not: its first container is about to be put on it.
pub(super) fn make(engine: &Engine, w: &Write<'_>, name: &str) -> Result<NetworkRow, EngineError> {
    if let Some(row) = w.network_by_name(name)? {
        return Ok(row);
    }
    let pools = if name == "bridge" { vec![choose(engine, w)?] } else { Vec::new() };
    let row = row(engine, name, pools);
    w.insert_network(&row)?;
    Ok(row)
}

/// What is kept for `bridge` until it has a subnet: people know its gateway as 172.17.0.1.
pub(super) fn reserved(read: &Read<'_>) -> Result<Option<Subnet>, EngineError> {
    let first = ipam::default_pools().into_iter().next().map(|pool| pool.base);
    Ok(if read.network_by_name("bridge")?.is_none() { first } else { None })
}

fn choose(engine: &Engine, read: &Read<'_>) -> Result<StoredPool, EngineError> {
    let mut in_use = subnets::of_networks(read)?;
    in_use.extend(subnets::of_host(&mut subnets::open_route()?)?);
    let subnet = ipam::choose_subnet(&subnets::bases(engine.state.store_id(), Family::V4), &in_use)?;
    let pool = ipam::pool(&PoolRequest::subnet(subnet))?;
    Ok(StoredPool { subnet, gateway: pool.gateway, range: None, auxiliary: BTreeMap::new() })
}

fn row(engine: &Engine, name: &str, pools: Vec<StoredPool>) -> NetworkRow {
    let driver = match name {
        "bridge" => Driver::Bridge,
        "host" => Driver::Host,
        _ => Driver::Null,
    };
    let id = id(engine.state.store_id(), name);
    let is_bridge = driver == Driver::Bridge;
    let config = NetworkConfig {
        driver,
        internal: false,
        attachable: false,
        ipv4: true,
        ipv6: false,
        options: if is_bridge { options(engine.state.root(), &id) } else { BTreeMap::new() },
        labels: BTreeMap::new(),
        ipam: Ipam { driver: if is_bridge { "default" } else { "null" }.to_owned(), options: BTreeMap::new(), pools },
    };
    NetworkRow { id, name: name.to_owned(), created: engine.now(), config: config.to_json(), last: [None, None] }
}

/// docker shows those of its `bridge` as well.
fn options(root: &Path, id: &str) -> BTreeMap<String, String> {
    let link = match root == Path::new(DEFAULT_ROOT) {
        true => link::DEFAULT_BRIDGE.to_owned(),
        false => link::bridge_name(id),
    };
    let pairs = [
        (option::DEFAULT, "true".to_owned()),
        (option::ICC, "true".to_owned()),
        (option::MASQUERADE, "true".to_owned()),
        (option::BINDING, "0.0.0.0".to_owned()),
        (option::NAME, link),
        (option::MTU, "1500".to_owned()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
